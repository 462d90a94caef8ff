//! How a call ended.

use operations_host::{CallError, Outputs, Reason};

use crate::plan;

/// How a call ended. As a byte, it goes to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    Running,
    Succeeded,
    Failed,
    NotFound,
    Redirected,
    NotAnOperation,
    QuotaExceeded,
    Unavailable,
    ConnectionLost,
    Timeout,
    /// A timer ended it that only a slow machine lets pass: the host's for a connection, or the one with which it ends
    /// a call that does not end itself.
    Late,
    /// Nothing that the server does leads here.
    Other,
}

/// The three ways for a call to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    Ok,
    Permanent,
    Transient,
}

impl Outcome {
    const ALL: [Outcome; 12] = [
        Outcome::Running,
        Outcome::Succeeded,
        Outcome::Failed,
        Outcome::NotFound,
        Outcome::Redirected,
        Outcome::NotAnOperation,
        Outcome::QuotaExceeded,
        Outcome::Unavailable,
        Outcome::ConnectionLost,
        Outcome::Timeout,
        Outcome::Late,
        Outcome::Other,
    ];

    /// The one that this byte stands for.
    pub fn from_byte(byte: u8) -> Outcome {
        let outcome = Outcome::ALL.get(usize::from(byte));
        outcome.copied().unwrap_or(Outcome::Other)
    }

    /// None for what no answer leads to.
    pub fn case(self) -> Option<Case> {
        match self {
            Outcome::Running | Outcome::Succeeded | Outcome::Failed => Some(Case::Ok),
            Outcome::NotFound | Outcome::Redirected | Outcome::NotAnOperation => {
                Some(Case::Permanent)
            }
            Outcome::QuotaExceeded
            | Outcome::Unavailable
            | Outcome::ConnectionLost
            | Outcome::Timeout => Some(Case::Transient),
            Outcome::Late | Outcome::Other => None,
        }
    }

    /// How a call ended, if all of the result belongs to this call and not to another one.
    pub fn of(call: u32, result: &Result<Outputs, CallError>) -> Outcome {
        match result {
            Ok(outputs) => ok(call, outputs),
            Err(CallError::Permanent(failure)) => match (failure.reason, failure.http_status) {
                (Reason::NotFound, Some(404)) if is_of(call, failure) => Outcome::NotFound,
                (Reason::Redirected, Some(302)) => Outcome::Redirected,
                (Reason::NotAnOperation, Some(200) | None) => Outcome::NotAnOperation,
                _ => Outcome::Other,
            },
            Err(CallError::Transient(failure)) => match (failure.reason, failure.http_status) {
                (Reason::QuotaExceeded, Some(429)) if is_of(call, failure) => {
                    let asked = plan::retry_after(call).as_millis();
                    match failure.retry_after_ms.map(u128::from) == Some(asked) {
                        true => Outcome::QuotaExceeded,
                        false => Outcome::Other,
                    }
                }
                (Reason::Unavailable, Some(503)) if is_of(call, failure) => Outcome::Unavailable,
                (Reason::ConnectionLost, None) => Outcome::ConnectionLost,
                (Reason::Timeout, None) => Outcome::Timeout,
                (Reason::Unreachable, None) if failure.message.contains("took too long") => {
                    Outcome::Late
                }
                _ => Outcome::Other,
            },
            Err(CallError::Overran) => Outcome::Late,
            Err(_) => Outcome::Other,
        }
    }
}

fn ok(call: u32, outputs: &Outputs) -> Outcome {
    let holds = |object: &Option<String>| {
        let start = format!(r#"{{"call":{call}"#);
        object.as_ref().is_some_and(|json| json.starts_with(&start))
    };
    if outputs.name != plan::name(call) {
        return Outcome::Other;
    }
    match (outputs.done, outputs.error_code) {
        (false, None) if holds(&outputs.metadata) => Outcome::Running,
        (true, None) if holds(&outputs.response) => Outcome::Succeeded,
        (true, Some(7)) if outputs.error_message == Some(plan::message(call)) => Outcome::Failed,
        _ => Outcome::Other,
    }
}

fn is_of(call: u32, failure: &operations_host::Failure) -> bool {
    let error = failure.service_error.as_ref();
    error.is_some_and(|error| error.message == plan::message(call))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_own_byte() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_byte(outcome as u8), outcome);
        }
        assert_eq!(Outcome::from_byte(200), Outcome::Other);
    }
}
