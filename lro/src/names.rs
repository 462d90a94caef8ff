//! The names of the operations to wait for.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;

use crate::exit::ExitError;

/// The names that were typed, and those in a file, or in standard input for `-`: in their order, each once. The
/// file has one a line; empty lines are passed over.
pub fn all(typed: Vec<String>, file: Option<&Path>) -> Result<Vec<String>, ExitError> {
    let mut names = typed;
    if let Some(file) = file {
        let text = read(file)?;
        // Editors of Windows begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = text.lines().map(str::trim);
        names.extend(lines.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

fn read(file: &Path) -> Result<String, ExitError> {
    let shown = file.display();
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    let bytes = bytes
        .map_err(|error| ExitError::usage(format!("cannot read {shown} (--names): {error}")))?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        ExitError::usage(format!("{shown} (--names) is not UTF-8 in line {line}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_counts_once_and_a_byte_order_mark_is_not_part_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.txt");
        std::fs::write(
            &path,
            "\u{feff}operations/a\r\n\noperations/b\r\noperations/a\n",
        )
        .unwrap();
        let typed = || vec!["operations/c".to_owned(), "operations/b".to_owned()];
        assert_eq!(
            all(typed(), Some(&path)).unwrap(),
            ["operations/c", "operations/b", "operations/a"]
        );
        assert_eq!(all(typed(), None).unwrap(), typed());
    }
}
