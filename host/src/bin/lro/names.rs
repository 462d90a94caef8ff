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
    let mut seen = HashSet::new();
    let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
    Ok(names
        .filter(|name| seen.insert(*name))
        .map(str::to_owned)
        .collect())
}
