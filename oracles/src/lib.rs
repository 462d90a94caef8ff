//! The oracles that `operations-get` is fuzzed against, one file and one `check` per target.
//!
//! An input is text of the form that the target's file describes, as in `seeds/`; one that begins with
//! the byte 1 is read as choices from which such a text is made ([`choices`]). `check` panics where an
//! oracle does not hold, and says what came and what was expected.
#![deny(unsafe_code)]

pub mod answer;
pub mod choices;
pub mod grammar;
pub mod message;
pub mod name;
pub mod operation;
pub mod read;
pub mod retry;
pub mod settings;

/// Runs one input, and panics where an oracle does not hold.
pub type Check = fn(&[u8]);

/// The names of the targets, each with its check.
pub const TARGETS: [(&str, Check); 5] = [
    ("name", name::check),
    ("settings", settings::check),
    ("operation", operation::check),
    ("answer", answer::check),
    ("retry", retry::check),
];
