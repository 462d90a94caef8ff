//! Failures: how one is made, and which of them are permanent.

use crate::bindings::{Failure, GetError, Reason};
use crate::message::one_line;

impl Failure {
    /// A failure without an answer from a service. `message` says what happened and what to do; it
    /// is put on one line free of control characters.
    pub fn new(reason: Reason, message: impl AsRef<str>) -> Failure {
        Failure {
            message: one_line(message.as_ref()),
            concerns_caller: matches!(
                reason,
                Reason::InvalidSetting | Reason::Unauthenticated | Reason::Certificate
            ),
            http_status: None,
            service_error: None,
            retry_after_ms: None,
            reason,
        }
    }

    /// The reason as WIT spells it.
    pub fn reason_name(&self) -> &'static str {
        match self.reason {
            Reason::InvalidName => "invalid-name",
            Reason::UnknownService => "unknown-service",
            Reason::InvalidSetting => "invalid-setting",
            Reason::RequestDenied => "request-denied",
            Reason::Unreachable => "unreachable",
            Reason::Certificate => "certificate",
            Reason::ConnectionLost => "connection-lost",
            Reason::Timeout => "timeout",
            Reason::Unauthenticated => "unauthenticated",
            Reason::PermissionDenied => "permission-denied",
            Reason::NotFound => "not-found",
            Reason::WrongAddress => "wrong-address",
            Reason::Redirected => "redirected",
            Reason::Rejected => "rejected",
            Reason::QuotaExceeded => "quota-exceeded",
            Reason::Aborted => "aborted",
            Reason::Unavailable => "unavailable",
            Reason::ServiceFault => "service-fault",
            Reason::NotAnOperation => "not-an-operation",
            Reason::TooLarge => "too-large",
        }
    }

    /// Whether asking again cannot help until the name, a setting or the access changes.
    pub fn is_permanent(&self) -> bool {
        match self.reason {
            Reason::InvalidName
            | Reason::UnknownService
            | Reason::InvalidSetting
            | Reason::RequestDenied
            | Reason::Certificate
            | Reason::Unauthenticated
            | Reason::PermissionDenied
            | Reason::NotFound
            | Reason::WrongAddress
            | Reason::Redirected
            | Reason::Rejected
            | Reason::NotAnOperation
            | Reason::TooLarge => true,
            // 501: the service does not implement the method, and will not by the next attempt.
            Reason::ServiceFault => self.http_status == Some(501),
            Reason::Unreachable
            | Reason::ConnectionLost
            | Reason::Timeout
            | Reason::QuotaExceeded
            | Reason::Aborted
            | Reason::Unavailable => false,
        }
    }
}

impl From<Failure> for GetError {
    fn from(failure: Failure) -> GetError {
        if failure.is_permanent() {
            GetError::Permanent(failure)
        } else {
            GetError::Transient(failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(Failure::new(Reason::Rejected, "a\nb").message, "a b");
    }

    #[test]
    fn a_service_fault_is_permanent_only_for_501() {
        let mut failure = Failure::new(Reason::ServiceFault, "");
        failure.http_status = Some(500);
        assert!(matches!(
            GetError::from(failure.clone()),
            GetError::Transient(_)
        ));
        failure.http_status = Some(501);
        assert!(matches!(GetError::from(failure), GetError::Permanent(_)));
    }
}
