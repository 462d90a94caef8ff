//! Transport faults: why an attempt has no answer, and the failure that each of them is.

use std::time::Duration;

use crate::answer::MAX_BODY;
use crate::bindings::{Failure, Reason};
use crate::request::Request;

/// Why an attempt has no answer. The texts complete the sentence of the failure's message.
#[derive(Debug)]
pub enum Fault {
    /// The host did not send the request: what it does instead.
    Denied(&'static str),
    /// The service was not reached: why.
    Unreachable(&'static str),
    /// TLS failed before the request was sent: why.
    Certificate(&'static str),
    /// The connection broke before the answer was complete: why.
    ConnectionLost(&'static str),
    /// The deadline of the call passed.
    Timeout,
    /// A part of the answer is over the limit: which.
    TooLarge(&'static str),
    /// The answer has a content coding, which the host cannot decode.
    ContentCoding,
}

impl Fault {
    /// The failure of a call whose last attempt ended like this. `timeout` is that of the whole call.
    pub fn failure(&self, request: &Request, timeout: Duration) -> Failure {
        let (reason, message) = match self {
            Fault::Denied(why) => (
                Reason::RequestDenied,
                format!(
                    "The host {why}, so {request} was not sent. Allow it in the host's policy: the \
                     manifest lists what the block needs."
                ),
            ),
            Fault::Unreachable(why) => (
                Reason::Unreachable,
                format!(
                    "{request} did not reach the service: {why}. Check the host's name and network, or \
                     try again later."
                ),
            ),
            Fault::Certificate(why) => (
                Reason::Certificate,
                format!(
                    "{request} was not sent: {why}. Check the endpoint, and the certificates that the \
                     host trusts."
                ),
            ),
            Fault::ConnectionLost(why) => (
                Reason::ConnectionLost,
                format!("{request} was not answered whole: {why}. Try again."),
            ),
            Fault::Timeout => (
                Reason::Timeout,
                format!(
                    "{request} was not answered within {} ms (OPERATIONS_TIMEOUT_MS). Try again, or \
                     allow more time.",
                    timeout.as_millis()
                ),
            ),
            Fault::TooLarge(what) => (
                Reason::TooLarge,
                format!(
                    "The answer to {request} has {what} over the limit ({} MiB for a body). An \
                     operation of that size cannot be read by this block.",
                    MAX_BODY >> 20
                ),
            ),
            Fault::ContentCoding => (
                Reason::NotAnOperation,
                format!(
                    "The answer to {request} has a content coding that nobody asked for. Check what \
                     stands between this host and the service."
                ),
            ),
        };
        Failure::new(reason, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_happened_and_what_to_do() {
        let request = Request::of("operations/o", &[]);
        let url = "GET https://workspaceevents.googleapis.com/v1beta/operations/o";
        for (fault, reason, message) in [
            (
                Fault::Denied("denies this request"),
                Reason::RequestDenied,
                format!(
                    "The host denies this request, so {url} was not sent. Allow it in the host's \
                     policy: the manifest lists what the block needs."
                ),
            ),
            (
                Fault::Unreachable("its host refused the connection"),
                Reason::Unreachable,
                format!(
                    "{url} did not reach the service: its host refused the connection. Check the \
                     host's name and network, or try again later."
                ),
            ),
            (
                Fault::Certificate("the TLS handshake failed"),
                Reason::Certificate,
                format!(
                    "{url} was not sent: the TLS handshake failed. Check the endpoint, and the \
                     certificates that the host trusts."
                ),
            ),
            (
                Fault::ConnectionLost("the connection was closed"),
                Reason::ConnectionLost,
                format!("{url} was not answered whole: the connection was closed. Try again."),
            ),
            (
                Fault::Timeout,
                Reason::Timeout,
                format!(
                    "{url} was not answered within 2500 ms (OPERATIONS_TIMEOUT_MS). Try again, or allow \
                     more time."
                ),
            ),
            (
                Fault::TooLarge("a body"),
                Reason::TooLarge,
                format!(
                    "The answer to {url} has a body over the limit (16 MiB for a body). An operation of \
                     that size cannot be read by this block."
                ),
            ),
            (
                Fault::ContentCoding,
                Reason::NotAnOperation,
                format!(
                    "The answer to {url} has a content coding that nobody asked for. Check what stands \
                     between this host and the service."
                ),
            ),
        ] {
            let failure = fault.failure(&request, Duration::from_millis(2500));
            assert_eq!(failure, Failure::new(reason, message));
        }
    }
}
