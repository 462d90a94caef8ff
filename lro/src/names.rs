//! The names of the operations to wait for.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use operations_host::Manifest;

use crate::credential_form::CredentialForm;
use crate::exit::ExitError;
use crate::pasted;

/// Where the names come from.
pub struct Names {
    /// Those that were typed.
    pub typed: Vec<String>,
    /// The file of `--names`; `-` is standard input.
    pub file: Option<PathBuf>,
}

impl Names {
    /// The names that were typed, and those in the file: in their order, each once, without white space at their
    /// ends. The file has one a line; empty lines are skipped, and those that begin with `#`.
    ///
    /// # Errors
    ///
    /// The file cannot be read, a typed name is empty, or a name `is_secret`, which is then not shown.
    pub fn read(self, is_secret: impl Fn(&str) -> bool) -> Result<Vec<String>, ExitError> {
        let mut names = Vec::new();
        for name in &self.typed {
            let name = name.trim();
            if name.is_empty() {
                return Err(ExitError::usage(match self.typed.len() {
                    1 => "no names: give the name of an operation, or a file of names with --names",
                    _ => "a NAME is empty: give the name of an operation",
                }));
            }
            if is_secret(name) {
                return Err(ExitError::permanent(is_a_secret("a NAME")));
            }
            names.push(name.to_owned());
        }
        if let Some(file) = &self.file {
            let text = text_of(file)?;
            // Editors of Windows begin a file with a byte order mark.
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            for (number, line) in (1..).zip(text.lines()) {
                let name = line.trim();
                if name.is_empty() || name.starts_with('#') {
                    continue;
                }
                if is_secret(name) {
                    let place = format!("line {number} of {}", shown(file));
                    return Err(ExitError::permanent(is_a_secret(&place)));
                }
                names.push(name.to_owned());
            }
        }
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Ok(names)
    }

    /// Says that there was none.
    pub fn none_in(file: &Path) -> String {
        format!("no names in {}", shown(file))
    }
}

/// Says that a secret was found in this place. It is not shown.
pub fn is_a_secret(place: &str) -> String {
    format!(
        "{place} holds what looks like a credential, and it is not shown: give the name of an operation"
    )
}

/// How messages name the file.
fn shown(file: &Path) -> String {
    match file == Path::new("-") {
        true => "standard input (--names)".to_owned(),
        false => format!("{} (--names)", file.display()),
    }
}

fn text_of(file: &Path) -> Result<String, ExitError> {
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(pasted::path("--names", file.as_os_str())?)
    };
    let shown = shown(file);
    let bytes = bytes.map_err(|error| ExitError::usage(format!("cannot read {shown}: {error}")))?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        ExitError::usage(format!("{shown} is not UTF-8 in line {line}"))
    })
}

/// Whether a name is one of a credential and of no operation. The id of an operation may be long and random, so that
/// a name of a form that some service has is suspected less.
pub fn looks_like_a_credential(name: &str) -> bool {
    CredentialForm::of_name(name).is_some()
        || (CredentialForm::of(name).is_some() && !has_a_known_form(name))
}

/// The patterns of names that the catalogue has.
static PATTERNS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let manifest = Manifest::builtin();
    let services = manifest.services();
    services.flat_map(|service| service.names.clone()).collect()
});

/// Whether a name has a segment `operations`, or matches a pattern of the catalogue.
fn has_a_known_form(name: &str) -> bool {
    let relative = match name.strip_prefix("//") {
        Some(full) => full.split_once('/').map_or("", |(_, relative)| relative),
        None => name,
    };
    relative.split('/').any(|segment| segment == "operations")
        || PATTERNS.iter().any(|pattern| matches(pattern, relative))
}

/// Whether a pattern matches a name: `*` is one segment, a trailing `**` is the rest.
fn matches(pattern: &str, name: &str) -> bool {
    let mut segments = name.split('/');
    for expected in pattern.split('/') {
        match (expected, segments.next()) {
            ("**", Some(_)) => return true,
            ("*", Some(_)) => {}
            (expected, Some(segment)) if expected == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &[&str], file: Option<&Path>) -> Result<Vec<String>, ExitError> {
        let names = Names {
            typed: typed.iter().map(|&name| name.to_owned()).collect(),
            file: file.map(Path::to_owned),
        };
        names.read(looks_like_a_credential)
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.txt");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn each_name_counts_once_and_a_byte_order_mark_is_not_part_of_the_first() {
        let (_folder, path) = file(
            "\u{feff}operations/a\r\n# a comment\n\n \toperations/b \r\n  # another\noperations/a\noperations/#\n",
        );
        let typed = ["operations/c\n", "operations/b"];
        assert_eq!(
            read(&typed, Some(&path)).unwrap(),
            [
                "operations/c",
                "operations/b",
                "operations/a",
                "operations/#"
            ]
        );
        assert_eq!(
            read(&typed, None).unwrap(),
            ["operations/c", "operations/b"]
        );
        let (_folder, path) = file("# nothing yet\r\n\n");
        assert_eq!(read(&[], Some(&path)).unwrap(), [""; 0]);
    }

    #[test]
    fn an_empty_name_that_was_typed_is_a_mistake() {
        for (typed, said) in [
            (&[""][..], "no names"),
            (&[" \n"], "no names"),
            (&["operations/a", ""], "a NAME is empty"),
        ] {
            let error = read(typed, None).unwrap_err();
            assert!(error.message.starts_with(said), "{}", error.message);
        }
    }

    #[test]
    fn a_credential_in_place_of_a_name_is_not_shown() {
        let secret = "ya29.made-up-secret";
        let error = read(&["operations/a", secret], None).unwrap_err();
        assert!(
            error.message.starts_with("a NAME holds"),
            "{}",
            error.message
        );
        assert!(!error.message.contains("made-up"), "{}", error.message);
        let (_folder, path) = file(&format!(
            "operations/a\n\n\"refresh_token\": \"{secret}\"\n"
        ));
        let error = read(&[], Some(&path)).unwrap_err();
        let place = format!("line 3 of {} (--names) holds", path.display());
        assert!(error.message.starts_with(&place), "{}", error.message);
        assert!(!error.message.contains("made-up"), "{}", error.message);
    }

    #[test]
    fn a_random_id_is_suspected_only_in_a_name_of_no_service() {
        let id = "0123456789abcdef0123";
        for name in [
            format!("operations/{id}"),
            format!("//drive.googleapis.com/operations/{id}"),
            format!("projects/{id}/locations/l/operations/o"),
        ] {
            assert!(!looks_like_a_credential(&name), "{name}");
        }
        for name in [id.to_owned(), format!("secrets/{id}")] {
            assert!(looks_like_a_credential(&name), "{name}");
        }
        assert!(matches("batches/*", "batches/x"));
        assert!(matches("a/*/operations/**", "a/b/operations/c/d"));
        assert!(!matches("batches/*", "batches/x/y"));
        assert!(!matches("batches/*/y", "batches/x"));
    }
}
