//! Transport faults: why an attempt has no answer, and the failure that each of them is.

use std::time::Duration;

use crate::bindings::{Failure, Reason};
use crate::limits::MAX_BODY;
use crate::request::Request;

/// Why an attempt has no answer, or an answer no body.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What happened.
    pub kind: FaultKind,
    /// The proxy, if it happened between the sender and a proxy: its host and port.
    pub proxy: Option<String>,
}

/// What can go wrong on the way; `wit/sans-io.wit` says it of each.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultKind {
    NameNotResolved,
    NameNotResolvedInTime,
    NoRoute,
    Refused,
    NoConnectionToSpare,
    ConnectTimeout,
    Closed,
    Incomplete,
    TransferCoding,
    Protocol,
    SenderFailed,
    Timeout,
    Certificate,
    TlsAlert,
    TlsHandshake,
    Denied,
    AddressDenied,
    ProxyLoop,
    NotSetUp,
    NotSendable,
    HeaderTooLarge,
    BodyTooLarge,
    ContentCoding,
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Fault {
        Fault { kind, proxy: None }
    }
}

impl FaultKind {
    /// The kind that WIT spells like this.
    pub fn named(name: &str) -> Option<FaultKind> {
        use FaultKind::*;
        Some(match name {
            "name-not-resolved" => NameNotResolved,
            "name-not-resolved-in-time" => NameNotResolvedInTime,
            "no-route" => NoRoute,
            "refused" => Refused,
            "no-connection-to-spare" => NoConnectionToSpare,
            "connect-timeout" => ConnectTimeout,
            "closed" => Closed,
            "incomplete" => Incomplete,
            "transfer-coding" => TransferCoding,
            "protocol" => Protocol,
            "sender-failed" => SenderFailed,
            "timeout" => Timeout,
            "certificate" => Certificate,
            "tls-alert" => TlsAlert,
            "tls-handshake" => TlsHandshake,
            "denied" => Denied,
            "address-denied" => AddressDenied,
            "proxy-loop" => ProxyLoop,
            "not-set-up" => NotSetUp,
            "not-sendable" => NotSendable,
            "header-too-large" => HeaderTooLarge,
            "body-too-large" => BodyTooLarge,
            "content-coding" => ContentCoding,
            _ => return None,
        })
    }

    /// The reason of the failure, and why, as the end of a part of its message.
    fn reason(self) -> (Reason, &'static str) {
        use FaultKind::*;
        match self {
            NameNotResolved => (Reason::Unreachable, "its name was not resolved"),
            NameNotResolvedInTime => (Reason::Unreachable, "its name was not resolved in time"),
            NoRoute => (Reason::Unreachable, "there is no way to its host"),
            Refused => (Reason::Unreachable, "its host refused the connection"),
            NoConnectionToSpare => (Reason::Unreachable, "this host has no connection to spare"),
            ConnectTimeout => (Reason::Unreachable, "connecting took too long"),
            Closed => (Reason::ConnectionLost, "the connection was closed"),
            Incomplete => (Reason::ConnectionLost, "the response is incomplete"),
            TransferCoding => (Reason::ConnectionLost, "its transfer coding is at fault"),
            Protocol => (Reason::ConnectionLost, "the response breaks the protocol"),
            SenderFailed => (Reason::ConnectionLost, "the host failed"),
            Timeout => (Reason::Timeout, ""),
            Certificate => (Reason::Certificate, "its certificate is not trusted"),
            TlsAlert => (Reason::Certificate, "a TLS alert ended the handshake"),
            TlsHandshake => (Reason::Certificate, "the TLS handshake failed"),
            Denied => (Reason::RequestDenied, "denies this request"),
            AddressDenied => (Reason::RequestDenied, "denies requests to this address"),
            ProxyLoop => (Reason::RequestDenied, "is in a loop of proxies"),
            NotSetUp => (Reason::RequestDenied, "is not set up to send requests"),
            NotSendable => (
                Reason::RequestDenied,
                "does not take a request of this form",
            ),
            HeaderTooLarge => (Reason::TooLarge, "a header"),
            BodyTooLarge => (Reason::TooLarge, "a body"),
            ContentCoding => (Reason::NotAnOperation, ""),
        }
    }
}

impl Fault {
    /// Whether the connection broke or the deadline passed: more of the answer could have come.
    pub fn is_cut(&self) -> bool {
        matches!(
            self.kind.reason().0,
            Reason::ConnectionLost | Reason::Timeout
        )
    }

    /// The failure of a call whose last attempt ended like this. `timeout` is that of the whole call.
    pub fn failure(&self, request: &Request, timeout: Duration) -> Failure {
        let (reason, why) = self.kind.reason();
        let by_proxy = match &self.proxy {
            Some(proxy) => format!(" by way of the proxy {proxy}"),
            None => String::new(),
        };
        let message = match reason {
            Reason::RequestDenied => format!(
                "The host {why}, so {request} was not sent. Allow it in the host's policy: the manifest \
                 lists what the block needs."
            ),
            Reason::Unreachable => format!(
                "{request} did not reach the service{by_proxy}: {why}. Check the host's name and network, or \
                 try again later."
            ),
            Reason::Certificate => format!(
                "{request} was not sent{by_proxy}: {why}. Check the endpoint, and the certificates that the \
                 host trusts."
            ),
            Reason::ConnectionLost => {
                format!("{request} was not answered whole{by_proxy}: {why}. Try again.")
            }
            Reason::TooLarge => format!(
                "The answer to {request} has {why} over the limit ({} MiB for a body). An operation of that \
                 size cannot be read by this block.",
                MAX_BODY >> 20
            ),
            Reason::NotAnOperation => format!(
                "The answer to {request} has a content coding that nobody asked for. Check what stands \
                 between this host and the service."
            ),
            _ => format!(
                "{request} was not answered within {} ms (OPERATIONS_TIMEOUT_MS). Try again, or allow more \
                 time.",
                timeout.as_millis()
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
        for (kind, reason, message) in [
            (
                FaultKind::Denied,
                Reason::RequestDenied,
                format!(
                    "The host denies this request, so {url} was not sent. Allow it in the host's \
                     policy: the manifest lists what the block needs."
                ),
            ),
            (
                FaultKind::Refused,
                Reason::Unreachable,
                format!(
                    "{url} did not reach the service: its host refused the connection. Check the \
                     host's name and network, or try again later."
                ),
            ),
            (
                FaultKind::TlsHandshake,
                Reason::Certificate,
                format!(
                    "{url} was not sent: the TLS handshake failed. Check the endpoint, and the \
                     certificates that the host trusts."
                ),
            ),
            (
                FaultKind::Closed,
                Reason::ConnectionLost,
                format!("{url} was not answered whole: the connection was closed. Try again."),
            ),
            (
                FaultKind::Timeout,
                Reason::Timeout,
                format!(
                    "{url} was not answered within 2500 ms (OPERATIONS_TIMEOUT_MS). Try again, or allow \
                     more time."
                ),
            ),
            (
                FaultKind::BodyTooLarge,
                Reason::TooLarge,
                format!(
                    "The answer to {url} has a body over the limit (16 MiB for a body). An operation of \
                     that size cannot be read by this block."
                ),
            ),
            (
                FaultKind::ContentCoding,
                Reason::NotAnOperation,
                format!(
                    "The answer to {url} has a content coding that nobody asked for. Check what stands \
                     between this host and the service."
                ),
            ),
        ] {
            let failure = Fault::from(kind).failure(&request, Duration::from_millis(2500));
            assert_eq!(failure, Failure::new(reason, message));
        }
    }

    #[test]
    fn a_fault_of_a_proxy_names_the_proxy() {
        let request = Request::of("operations/o", &[]);
        let fault = Fault {
            kind: FaultKind::Refused,
            proxy: Some("127.0.0.1:3128".to_owned()),
        };
        assert_eq!(
            fault.failure(&request, Duration::ZERO).message,
            "GET https://workspaceevents.googleapis.com/v1beta/operations/o did not reach the service by way \
             of the proxy 127.0.0.1:3128: its host refused the connection. Check the host's name and network, \
             or try again later."
        );
    }
}
