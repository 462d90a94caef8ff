//! What a call came to.

use operations_host::{CallError, Outputs, Reason};

use crate::answer::{self, Answer};

/// What a call came to. As a byte, it goes to the ledger.
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
    /// The deadline passed between a transient status and its body: the status counts.
    StatusAlone,
    /// Nothing that the server does leads to it.
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
        Outcome::StatusAlone,
        Outcome::Other,
    ];

    /// The one that this byte stands for.
    pub fn from_byte(byte: u8) -> Outcome {
        let outcome = Outcome::ALL.get(usize::from(byte));
        outcome.copied().unwrap_or(Outcome::Other)
    }

    /// None for what should not be.
    pub fn case(self) -> Option<Case> {
        match self {
            Outcome::Running | Outcome::Succeeded | Outcome::Failed => Some(Case::Ok),
            Outcome::NotFound | Outcome::Redirected | Outcome::NotAnOperation => {
                Some(Case::Permanent)
            }
            Outcome::QuotaExceeded
            | Outcome::Unavailable
            | Outcome::ConnectionLost
            | Outcome::Timeout
            | Outcome::StatusAlone => Some(Case::Transient),
            Outcome::Other => None,
        }
    }

    /// Whether a call with this answer came to it because its deadline passed before the answer was whole.
    pub fn is_late(self, answer: Answer) -> bool {
        match self {
            Outcome::Timeout => answer != Answer::Silence,
            Outcome::StatusAlone => matches!(answer, Answer::QuotaUsedUp | Answer::Unavailable),
            _ => false,
        }
    }

    /// What a call came to, where all of it is of this call and not of another one.
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
                    let asked = answer::retry_after(call).as_millis();
                    match failure.retry_after_ms.map(u128::from) == Some(asked) {
                        true => Outcome::QuotaExceeded,
                        false => Outcome::Other,
                    }
                }
                (Reason::Unavailable, Some(503)) if is_of(call, failure) => Outcome::Unavailable,
                (Reason::QuotaExceeded, Some(429)) | (Reason::Unavailable, Some(503))
                    if failure.service_error.is_none() =>
                {
                    Outcome::StatusAlone
                }
                (Reason::ConnectionLost, None) => Outcome::ConnectionLost,
                (Reason::Timeout, None) => Outcome::Timeout,
                _ => Outcome::Other,
            },
            Err(_) => Outcome::Other,
        }
    }
}

fn ok(call: u32, outputs: &Outputs) -> Outcome {
    let holds = |object: &Option<String>| {
        let start = format!(r#"{{"call":{call}"#);
        object.as_ref().is_some_and(|json| json.starts_with(&start))
    };
    if outputs.name != answer::name(call) {
        return Outcome::Other;
    }
    match (outputs.done, outputs.error_code) {
        (false, None) if holds(&outputs.metadata) => Outcome::Running,
        (true, None) if holds(&outputs.response) => Outcome::Succeeded,
        (true, Some(7)) if outputs.error_message == Some(message(call)) => Outcome::Failed,
        _ => Outcome::Other,
    }
}

fn is_of(call: u32, failure: &operations_host::Failure) -> bool {
    let error = failure.service_error.as_ref();
    error.is_some_and(|error| error.message == message(call))
}

fn message(call: u32) -> String {
    format!("For call {call}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_stands_for_an_outcome() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_byte(outcome as u8), outcome);
        }
        assert_eq!(Outcome::from_byte(200), Outcome::Other);
    }
}
