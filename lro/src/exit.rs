//! How the command exits: every exit code stands here, once.

use std::error::Error;

use operations_host::{CallError, Reason};

use crate::terminal;
use crate::visible::visible;

/// What the command tells the shell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExitCode {
    /// All went well.
    Success = 0,
    /// Trying again cannot help until something is repaired.
    PermanentFailure = 1,
    /// What was typed cannot be used, as clap says it.
    Usage = 2,
    /// An operation was fetched, and it has failed.
    OperationFailed = 3,
    /// Trying again later may help: EX_TEMPFAIL of sysexits.h.
    TransientFailure = 75,
    /// A signal ended it: 128 and the number of SIGINT, as a shell has it.
    Interrupted = 130,
    /// 128 and the number of SIGPIPE, as a shell has it.
    ReaderGone = 141,
}

/// The exit codes, as `--help` lists them.
pub fn codes() -> String {
    use ExitCode::*;
    let codes = [
        (Success, "success"),
        (PermanentFailure, "permanent failure"),
        (Usage, "usage"),
        (OperationFailed, "an operation failed (wait)"),
        (TransientFailure, "transient failure, try again later"),
        (Interrupted, "interrupted (wait)"),
        (ReaderGone, "nobody reads standard output any more (wait)"),
    ];
    let codes = codes.map(|(code, meaning)| format!("{} {meaning}", code as u8));
    format!("Exit codes: {}.", codes.join("; "))
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        (code as u8).into()
    }
}

impl From<&CallError> for ExitCode {
    fn from(error: &CallError) -> Self {
        match error {
            _ if error.is_transient() => ExitCode::TransientFailure,
            // Settings are typed or exported.
            CallError::Permanent(failure) if failure.reason == Reason::InvalidSetting => {
                ExitCode::Usage
            }
            _ => ExitCode::PermanentFailure,
        }
    }
}

/// Why the command cannot go on.
#[derive(Debug)]
pub struct ExitError {
    /// What the shell is told.
    pub code: ExitCode,
    /// What a person is told, on one line.
    pub message: String,
}

impl ExitError {
    /// What was typed, or is in a file that was named, cannot be used.
    pub fn usage(message: impl Into<String>) -> ExitError {
        ExitError {
            code: ExitCode::Usage,
            message: message.into(),
        }
    }

    /// Trying again later may help.
    pub fn transient(message: impl Into<String>) -> ExitError {
        ExitError {
            code: ExitCode::TransientFailure,
            message: message.into(),
        }
    }

    /// Something on this machine, or at the service, has to be repaired first.
    pub fn permanent(message: impl Into<String>) -> ExitError {
        ExitError {
            code: ExitCode::PermanentFailure,
            message: message.into(),
        }
    }

    /// Shows it on standard error.
    pub fn show(self) -> ExitCode {
        let message = visible(&self.message);
        terminal::error_line(&format!("error: {message}"));
        self.code
    }
}

/// An error with its causes, on one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
