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

/// What the permanent failure of the operation `name` concerns. `answered`: whether any operation was fetched
/// before, so that the address of the service is right.
pub fn of(error: &CallError, name: &str, answered: bool) -> FailureScope {
    let CallError::Permanent(failure) = error else {
        return FailureScope::EveryOperation;
    };
    let is_of_the_operation = match failure.reason {
        Reason::InvalidSetting | Reason::Unauthenticated | Reason::Certificate => false,
        // A relative name is of the service that the command was given.
        Reason::UnknownService => name.starts_with("//"),
        Reason::RequestDenied | Reason::Redirected | Reason::WrongAddress => answered,
        _ => true,
    };
    match is_of_the_operation {
        true => FailureScope::ThisOperation,
        false => FailureScope::EveryOperation,
    }
}
