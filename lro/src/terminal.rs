//! Standard error.

use std::io::{self, Write};

use crate::log;

/// Writes a line to standard error.
pub fn error_line(text: &str) {
    to_standard_error(&format!("{text}\n"));
}

/// Writes this to standard error, behind the lines of `-v` so far. If that fails, the exit code has to do.
pub fn to_standard_error(text: &str) {
    if !text.is_empty() {
        log::drain();
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}
