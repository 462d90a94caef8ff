//! The input `name`: a resource name (AIP-122), parsed once.

use crate::bindings::{Failure, Reason};
use crate::failure::quoted;

/// The longest name that is taken, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// The name of an operation: relative, or full with the service that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Name<'a> {
    service: Option<&'a str>,
    relative: &'a str,
    is_usual: bool,
}

impl<'a> Name<'a> {
    /// Parses `operations/abc`, `projects/p/locations/l/operations/o`, or either behind
    /// `//SERVICE/`.
    ///
    /// The published patterns of a service are not enforced, since real names break them; but a
    /// segment must be exactly `operations`, with something behind it: the block reads operations, and a
    /// flow's data must not aim it at any other resource. See [`Name::is_usual`] for where.
    ///
    /// # Errors
    ///
    /// `invalid-name`, with a message that says which rule the name breaks.
    pub fn parse(name: &'a str) -> Result<Name<'a>, Failure> {
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
        let behind = segments()
            .enumerate()
            .filter(|(_, segment)| *segment == "operations");
        let behind: Vec<(usize, usize)> = behind.map(|(at, _)| (at, last - at)).collect();
        let name = Name {
            service,
            relative,
            is_usual: behind
                .iter()
                .any(|(at, behind)| *behind > 0 && (*at == 0 || *behind <= 2)),
        };
        if behind.iter().all(|(_, behind)| *behind == 0) {
            return Err(name.names_no_operation());
        }
        Ok(name)
    }

    /// Whether `operations` stands where nearly every published pattern has it. A name where it does not
    /// is one of an operation only where a pattern of its service takes it: `cloudasset` has
    /// `*/*/operations/*/**`.
    pub fn is_usual(&self) -> bool {
        self.is_usual
    }

    /// The failure for a name whose `operations` segment is missing or in no place that is known.
    pub fn names_no_operation(&self) -> Failure {
        invalid(
            self.relative,
            "names no operation: the segment \"operations\" must come first, or second or third from the \
             end, with the operation's id behind it",
        )
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

/// Percent-encodes a resource name as `google/api/http.proto` asks for `{name=**}`: every byte but
/// `[-_.~/0-9a-zA-Z]`. A `%` in a name is a character like any other: `%2F` becomes `%252F`.
pub fn encode(relative: &str) -> String {
    encode_but(relative, b'/')
}

/// The same for one segment (`{name}`, `{name=*}`): `/` is encoded too.
pub fn encode_segment(segment: &str) -> String {
    encode_but(segment, b'~')
}

fn encode_but(text: &str, kept: u8) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') || byte == kept
        {
            encoded.push(byte as char);
        } else {
            encoded.push('%');
            encoded.push(HEX[usize::from(byte >> 4)] as char);
            encoded.push(HEX[usize::from(byte & 15)] as char);
        }
    }
    encoded
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
    fn relative_and_full_names() {
        let name = Name::parse("operations/abc").unwrap();
        assert_eq!((name.service(), name.relative()), (None, "operations/abc"));
        let name = Name::parse("//run.googleapis.com/projects/p/locations/l/operations/o").unwrap();
        assert_eq!(name.service(), Some("run.googleapis.com"));
        assert_eq!(name.relative(), "projects/p/locations/l/operations/o");
    }

    #[test]
    fn operations_may_stand_first_or_near_the_end() {
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
        assert!(
            !Name::parse("projects/p/operations/a/b/c")
                .unwrap()
                .is_usual()
        );
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
    fn what_is_wrong_is_said() {
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
    fn the_length_is_counted_in_bytes() {
        let longest = format!("operations/{}", "a".repeat(MAX_LENGTH - 11));
        assert!(Name::parse(&longest).is_ok());
        let over = format!("operations/{}é", "a".repeat(MAX_LENGTH - 12));
        assert_eq!(over.chars().count(), MAX_LENGTH);
        assert!(refused(&over).ends_with("has 2049 bytes, and 2048 is the limit"));
    }

    #[test]
    fn encoding_keeps_only_what_http_proto_keeps() {
        let kept = "-_.~/0123456789ABCXYZabcxyz";
        assert_eq!(encode(kept), kept);
        assert_eq!(
            encode("operations/a b?c#d%2Fe:f@g"),
            "operations/a%20b%3Fc%23d%252Fe%3Af%40g"
        );
        assert_eq!(encode("operations/ü\n"), "operations/%C3%BC%0A");
        assert_eq!(encode_segment("a/b~c"), "a%2Fb~c");
    }

    #[test]
    fn a_segment_at_the_end_makes_no_name_usual() {
        assert!(
            !Name::parse("a/operations/b/c/d/operations")
                .unwrap()
                .is_usual
        );
        assert!(Name::parse("a/operations/b/c").unwrap().is_usual);
    }
}
