//! Independent second readings of what the block promises, for fuzzing and for tests: a file per target,
//! each with what the contract expects and a `check` that compares it with what the block does.
//!
//! They share no rule with the block: they call its public functions only to check them. Tests of the
//! built component compare what comes out of the sandbox with [`answer::expected`],
//! [`operation::check_outputs`] and [`message::check_line`].
//!
//! An input of `check` is text of the form that the target's file describes, as in `fuzz/seeds`; one
//! that begins with the byte 1 is read as choices from which such a text is made ([`choices`]). `check`
//! panics if an oracle disagrees, and says what the input was and what was expected.
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

pub use operations_get::bindings::{Member, Outputs};

/// Runs one input, and panics if an oracle disagrees.
pub type Check = fn(&[u8]);

/// The names of the targets, each with its check.
pub const TARGETS: [(&str, Check); 5] = [
    ("name", name::check),
    ("settings", settings::check),
    ("operation", operation::check),
    ("answer", answer::check),
    ("retry", retry::check),
];
