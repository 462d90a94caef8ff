//! Names of operations, one a line.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;

use crate::Stop;

/// Reads names from a file, or from standard input for `-`: one a line, in their order, each once. Empty
/// lines are passed over.
pub fn read(from: &Path) -> Result<Vec<String>, Stop> {
    let shown = from.display();
    let bytes = if from == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(from)
    };
    let bytes =
        bytes.map_err(|error| Stop::usage(format!("the names {shown} cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Stop::usage(format!("the names {shown} are not UTF-8 in line {line}"))
    })?;
    // Editors of Windows begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut seen = HashSet::new();
    let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
    Ok(names
        .filter(|name| seen.insert(*name))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.txt");
        std::fs::write(&path, "\u{feff}operations/a\r\noperations/b\r\n").unwrap();
        assert_eq!(read(&path).ok().unwrap(), ["operations/a", "operations/b"]);
    }
}
