//! A failure as JSON, for programs that read the command's standard error.

use serde_json::{Value, json};

use crate::bindings::{Failure, Reason, ServiceError};
use crate::call::CallError;
use crate::outputs::compact;

/// An error of a call as one JSON object on one line: `case`, `reason`, `message`, `httpStatus`,
/// `serviceError`, `retryAfterMs`. What is absent is `null`.
pub fn failure_json(error: &CallError) -> String {
    let case = match error {
        CallError::Permanent(_) => "permanent",
        CallError::Transient(_) => "transient",
        CallError::UnknownSetting(_) => "usage",
        CallError::InTheClear(_) => "permanent",
        CallError::Access(error) if error.is_transient() => "transient",
        CallError::Access(_) => "permanent",
        CallError::Stopped | CallError::Overran | CallError::Aborted(_) => "aborted",
    };
    let failure = error.failure();
    let service_error = failure
        .and_then(|failure| failure.service_error.as_ref())
        .map(service_error);
    // serde_json sorts the keys of its own maps; these are written in the contract's order.
    format!(
        r#"{{"case":"{case}","reason":{},"message":{},"httpStatus":{},"serviceError":{},"retryAfterMs":{}}}"#,
        Value::from(failure.map(reason)),
        Value::from(error.to_string()),
        json!(failure.and_then(|failure| failure.http_status)),
        service_error.unwrap_or_else(|| "null".to_owned()),
        json!(failure.and_then(|failure| failure.retry_after_ms)),
    )
}

fn service_error(error: &ServiceError) -> String {
    format!(
        r#"{{"code":{},"status":{},"message":{},"details":[{}],"error":{}}}"#,
        error.code,
        Value::from(error.status.as_str()),
        Value::from(error.message.as_str()),
        error
            .details
            .iter()
            .map(|detail| compact(detail))
            .collect::<Vec<_>>()
            .join(","),
        compact(&error.error),
    )
}

/// A reason as the contract spells it.
pub fn reason(failure: &Failure) -> &'static str {
    match failure.reason {
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
