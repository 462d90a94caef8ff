//! Every error code of `wasi:http`, by its kind: hosts name one fault differently.

use waki::bindings::wasi::http::types::ErrorCode;

use crate::fault::Fault;

/// The fault that an error code stands for. `deadline_has_passed`: whether the call is over anyway.
///
/// Texts in a code are the host's own, may hold its backtrace, and go nowhere.
pub fn fault(code: ErrorCode, deadline_has_passed: bool) -> Fault {
    match code {
        ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            Fault::Unreachable("its name was not resolved")
        }
        ErrorCode::DestinationUnavailable | ErrorCode::DestinationIpUnroutable => {
            Fault::Unreachable("there is no way to its host")
        }
        ErrorCode::ConnectionRefused => Fault::Unreachable("its host refused the connection"),
        ErrorCode::ConnectionLimitReached => {
            Fault::Unreachable("this host has no connection to spare")
        }
        // Some hosts give these codes to every timeout; at the end of the call it is the deadline.
        ErrorCode::DnsTimeout if !deadline_has_passed => {
            Fault::Unreachable("its name was not resolved in time")
        }
        ErrorCode::ConnectionTimeout if !deadline_has_passed => {
            Fault::Unreachable("connecting took too long")
        }
        ErrorCode::DnsTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => Fault::Timeout,
        ErrorCode::ConnectionTerminated => Fault::ConnectionLost("the connection was closed"),
        ErrorCode::HttpResponseIncomplete => Fault::ConnectionLost("the response is incomplete"),
        ErrorCode::HttpResponseTransferCoding(_) => {
            Fault::ConnectionLost("its transfer coding is at fault")
        }
        ErrorCode::HttpUpgradeFailed | ErrorCode::HttpProtocolError => {
            Fault::ConnectionLost("the response breaks the protocol")
        }
        ErrorCode::InternalError(_) => Fault::ConnectionLost("the host failed"),
        ErrorCode::TlsProtocolError => Fault::Certificate("the TLS handshake failed"),
        ErrorCode::TlsCertificateError => Fault::Certificate("its certificate is not trusted"),
        ErrorCode::TlsAlertReceived(_) => Fault::Certificate("a TLS alert ended the handshake"),
        ErrorCode::HttpRequestDenied => Fault::Denied("denies this request"),
        ErrorCode::DestinationIpProhibited => Fault::Denied("denies requests to this address"),
        ErrorCode::LoopDetected => Fault::Denied("is in a loop of proxies"),
        ErrorCode::ConfigurationError => Fault::Denied("is not set up to send requests"),
        ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestTrailerSectionSize(_)
        | ErrorCode::HttpRequestTrailerSize(_) => {
            Fault::Denied("does not take a request of this form")
        }
        ErrorCode::HttpResponseHeaderSectionSize(_)
        | ErrorCode::HttpResponseHeaderSize(_)
        | ErrorCode::HttpResponseTrailerSectionSize(_)
        | ErrorCode::HttpResponseTrailerSize(_) => Fault::TooLarge("a header"),
        ErrorCode::HttpResponseBodySize(_) => Fault::TooLarge("a body"),
        ErrorCode::HttpResponseContentCoding(_) => Fault::ContentCoding,
    }
}
