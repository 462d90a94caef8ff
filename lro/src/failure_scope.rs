//! Whether a failure is about one operation or about all that are waited for.

use operations_host::{CallError, Reason};

/// What a permanent failure concerns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FailureScope {
    /// This operation alone: the others may be fetched.
    ThisOperation,
    /// Every operation that is asked for, until someone repairs what is wrong: then the same command works.
    EveryOperation,
}

/// What the failure of an operation concerns. `answered`: whether any operation was fetched before, so that the
/// address of the service is right.
pub fn of(error: &CallError, answered: bool) -> FailureScope {
    let reason = error.failure().map(|failure| &failure.reason);
    let is_of_the_address = matches!(
        reason,
        Some(Reason::RequestDenied | Reason::Redirected | Reason::WrongAddress)
    );
    match error.concerns_caller() || (is_of_the_address && !answered) {
        true => FailureScope::EveryOperation,
        false => FailureScope::ThisOperation,
    }
}
