//! The input `name`: a resource name (AIP-122), parsed once.

use crate::bindings::{Failure, Reason};
use crate::message::quoted;

/// The longest valid name, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// The name of an operation: relative, or full with the service that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Name<'a> {
    service: Option<&'a str>,
    relative: &'a str,
    is_usual: bool,
}

impl<'a> Name<'a> {
    /// Parses `operations/abc`, `projects/p/locations/l/operations/o`, or either of them after
    /// `//SERVICE/`. White space at the ends, and a byte order mark, as files and forms bring them along, is
    /// trimmed.
    ///
    /// The published patterns of a service are not enforced, because real names break them. But one
    /// segment must be exactly `operations`, with something after it: the block reads operations, and
    /// a flow's data must not point it at any other resource. [`Name::is_usual`] says at which place.
    ///
    /// # Errors
    ///
    /// `invalid-name`, with a message that says which rule the name breaks.
    pub fn parse(name: &'a str) -> Result<Name<'a>, Failure> {
        let name = name.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let invalid = |why: &str| Err(invalid(name, why));
        if name.is_empty() {
            return invalid("is empty");
        }
        if name.starts_with("https://") || name.starts_with("http://") {
            return invalid(
                "is a URL, and the name alone is wanted: what stands behind the version",
            );
        }
        if name.len() > MAX_LENGTH {
            return invalid(&format!(
                "has {} bytes, and {MAX_LENGTH} is the limit",
                name.len()
            ));
        }
        if let Some(control) = name.chars().find(|c| c.is_control()) {
            return invalid(&format!(
                "has the control character U+{:04X} in it",
                u32::from(control)
            ));
        }
        if name.starts_with(is_quotation_mark) || name.ends_with(is_quotation_mark) {
            return invalid("has a quotation mark at an end");
        }
        let (service, relative) = match name.strip_prefix("//") {
            None => (None, name),
            Some(full) => match full.split_once('/') {
                Some((service, relative)) if !service.is_empty() => (Some(service), relative),
                _ => {
                    return invalid(
                        "starts with // but has no service and relative name behind it",
                    );
                }
            },
        };
        if relative.starts_with('/') {
            return invalid("starts with a / where its first segment should be");
        }
        let segments = || relative.split('/');
        if segments().any(str::is_empty) {
            return invalid("has an empty segment");
        }
        if segments().any(|segment| matches!(segment, "." | "..")) {
            return invalid("has a dot segment (\".\" or \"..\")");
        }
        let last = segments().count() - 1;
        let mut has_operation = false;
        let mut is_usual = false;
        for (at, segment) in segments().enumerate() {
            if segment == "operations" && at < last {
                has_operation = true;
                is_usual |= at == 0 || last - at <= 2;
            }
        }
        let name = Name {
            service,
            relative,
            is_usual,
        };
        if !has_operation {
            return Err(name.names_no_operation());
        }
        Ok(name)
    }

    /// Whether `operations` is in the place where nearly every published pattern has it: first, or
    /// second or third from the end. If it is anywhere else, the name is one of an operation only if a
    /// pattern of its service matches it: `cloudasset` has `*/*/operations/*/**`.
    pub fn is_usual(&self) -> bool {
        self.is_usual
    }

    /// The failure for a name without an `operations` segment, or with one in no known place.
    pub fn names_no_operation(&self) -> Failure {
        invalid(
            self.relative,
            "names no operation: the segment \"operations\" must come first, or second or third from the \
             end, with the operation's id behind it",
        )
    }

    /// The failure for a relative name that no setting and no default gives a service.
    pub fn names_no_service(&self) -> Failure {
        Failure {
            // With the service set, the same name works.
            concerns_caller: true,
            ..Failure::new(
                Reason::InvalidName,
                format!(
                    "Which service is the operation {} of? Pass its full name, such as \
                     //apigateway.googleapis.com/projects/p/locations/l/operations/o, or set \
                     OPERATIONS_SERVICE.",
                    quoted(self.relative)
                ),
            )
        }
    }

    /// The service of a full name, as written (`apigateway.googleapis.com`).
    pub fn service(&self) -> Option<&'a str> {
        self.service
    }

    /// The name without the service.
    pub fn relative(&self) -> &'a str {
        self.relative
    }
}

fn is_quotation_mark(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '`' | '«' | '»' | '‹' | '›' | '\u{2018}'..='\u{201f}'
    )
}

fn invalid(name: &str, why: &str) -> Failure {
    Failure::new(
        Reason::InvalidName,
        format!(
            "The name {} {why}. Pass a name such as operations/abc, \
             projects/p/locations/l/operations/o or \
             //apigateway.googleapis.com/projects/p/locations/l/operations/o.",
            quoted(name)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> String {
        let failure = Name::parse(name).unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidName);
        let said = failure.message;
        let said = said.strip_prefix("The name ").unwrap();
        said.split_once(". Pass a name such as")
            .unwrap()
            .0
            .to_owned()
    }

    #[test]
    fn a_name_is_relative_or_has_its_service() {
        let name = Name::parse("operations/abc").unwrap();
        assert_eq!((name.service(), name.relative()), (None, "operations/abc"));
        let name = Name::parse("//run.googleapis.com/projects/p/locations/l/operations/o").unwrap();
        assert_eq!(name.service(), Some("run.googleapis.com"));
        assert_eq!(name.relative(), "projects/p/locations/l/operations/o");
    }

    #[test]
    fn white_space_at_the_ends_is_trimmed() {
        for name in [
            "operations/o\r",
            "operations/o\r\n",
            "\toperations/o\n\n",
            " operations/o ",
            "\u{feff}operations/o",
            "\u{a0}operations/o\u{3000}",
        ] {
            assert_eq!(Name::parse(name).unwrap().relative(), "operations/o");
        }
        let longest = format!("  operations/{}  ", "a".repeat(MAX_LENGTH - 11));
        assert!(Name::parse(&longest).is_ok());
        assert_eq!(
            Name::parse("operations/a b").unwrap().relative(),
            "operations/a b"
        );
        assert_eq!(refused(" \n"), "\"\" is empty");
    }

    #[test]
    fn control_characters_and_quotation_marks_at_the_ends_are_refused() {
        for (name, why) in [
            (
                "operations/a\rb",
                "\"operations/a b\" has the control character U+000D in it",
            ),
            (
                "operations/\0",
                "\"operations/ \" has the control character U+0000 in it",
            ),
            (
                "operations/\u{85}o",
                "\"operations/ o\" has the control character U+0085 in it",
            ),
            (
                "\"operations/o\"",
                "\"\"operations/o\"\" has a quotation mark at an end",
            ),
            (
                "operations/o'",
                "\"operations/o'\" has a quotation mark at an end",
            ),
            (
                "“operations/o”",
                "\"“operations/o”\" has a quotation mark at an end",
            ),
        ] {
            assert_eq!(refused(name), why);
        }
        assert!(Name::parse("operations/a'b").is_ok());
    }

    #[test]
    fn the_operations_segment_comes_first_or_near_the_end() {
        for name in [
            "operations/a/b/c/d",
            "projects/p/operations/o",
            "operations/apibatchoperation/1",
            "sdfdownloadtasks/operations/1",
            "projects/p/operations/a/b",
            "operations/operations",
            "projects/p/operations/x/operations/o",
        ] {
            let parsed = Name::parse(name).unwrap();
            assert_eq!(parsed.relative(), name);
            assert!(parsed.is_usual());
        }
        let unusual = Name::parse("projects/p/operations/a/b/c").unwrap();
        assert!(!unusual.is_usual());
        for name in [
            "operations",
            "projects/p/operations",
            "projects/acme-operations/secrets/x",
            "projects/p/Operations/o",
            "projects/p/secrets/operations",
        ] {
            assert_eq!(
                refused(name),
                format!(
                    "\"{name}\" names no operation: the segment \"operations\" must come first, or \
                     second or third from the end, with the operation's id behind it"
                )
            );
        }
    }

    #[test]
    fn a_refusal_says_which_rule_the_name_breaks() {
        assert_eq!(refused(""), "\"\" is empty");
        assert_eq!(
            refused("https://a.googleapis.com/v1/operations/o"),
            "\"https://a.googleapis.com/v1/operations/o\" is a URL, and the name alone is wanted: what \
             stands behind the version"
        );
        assert_eq!(
            refused("/operations/a"),
            "\"/operations/a\" starts with a / where its first segment should be"
        );
        assert_eq!(
            refused("//a.googleapis.com//operations/a"),
            "\"//a.googleapis.com//operations/a\" starts with a / where its first segment should be"
        );
        for name in ["//", "///operations/a", "//a.googleapis.com"] {
            assert_eq!(
                refused(name),
                format!("\"{name}\" starts with // but has no service and relative name behind it")
            );
        }
        assert_eq!(
            refused("operations//a"),
            "\"operations//a\" has an empty segment"
        );
        assert_eq!(
            refused("operations/"),
            "\"operations/\" has an empty segment"
        );
        assert_eq!(
            refused("//a.googleapis.com/"),
            "\"//a.googleapis.com/\" has an empty segment"
        );
        assert_eq!(
            refused("operations/./a"),
            "\"operations/./a\" has a dot segment (\".\" or \"..\")"
        );
        assert_eq!(
            refused("operations/.."),
            "\"operations/..\" has a dot segment (\".\" or \"..\")"
        );
    }

    #[test]
    fn the_length_is_limited_in_bytes() {
        let longest = format!("operations/{}", "a".repeat(MAX_LENGTH - 11));
        assert!(Name::parse(&longest).is_ok());
        let over = format!("operations/{}é", "a".repeat(MAX_LENGTH - 12));
        assert_eq!(over.chars().count(), MAX_LENGTH);
        assert!(refused(&over).ends_with("has 2049 bytes, and 2048 is the limit"));
    }

    #[test]
    fn an_operations_segment_at_the_end_does_not_count() {
        let is_usual = |name| Name::parse(name).unwrap().is_usual();
        assert!(!is_usual("a/operations/b/c/d/operations"));
        assert!(is_usual("a/operations/b/c"));
    }
}
