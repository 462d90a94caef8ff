//! Every error code of `wasi:http`, by its kind: hosts name one fault differently.

use waki::bindings::wasi::http::types::ErrorCode;

use crate::fault::FaultKind;

/// The fault that an error code stands for. `deadline_has_passed`: whether the call is over anyway.
///
/// Texts in a code are the host's own, may hold its backtrace, and go nowhere.
pub fn fault(code: ErrorCode, deadline_has_passed: bool) -> FaultKind {
    match code {
        ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => FaultKind::NameNotResolved,
        ErrorCode::DestinationUnavailable | ErrorCode::DestinationIpUnroutable => {
            FaultKind::NoRoute
        }
        ErrorCode::ConnectionRefused => FaultKind::Refused,
        ErrorCode::ConnectionLimitReached => FaultKind::NoConnectionToSpare,
        // Some hosts give these codes to every timeout; at the end of the call it is the deadline.
        ErrorCode::DnsTimeout if !deadline_has_passed => FaultKind::NameNotResolvedInTime,
        ErrorCode::ConnectionTimeout if !deadline_has_passed => FaultKind::ConnectTimeout,
        ErrorCode::DnsTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => FaultKind::Timeout,
        ErrorCode::ConnectionTerminated => FaultKind::Closed,
        ErrorCode::HttpResponseIncomplete => FaultKind::Incomplete,
        ErrorCode::HttpResponseTransferCoding(_) => FaultKind::TransferCoding,
        ErrorCode::HttpUpgradeFailed | ErrorCode::HttpProtocolError => FaultKind::Protocol,
        ErrorCode::InternalError(_) => FaultKind::SenderFailed,
        ErrorCode::TlsProtocolError => FaultKind::TlsHandshake,
        ErrorCode::TlsCertificateError => FaultKind::Certificate,
        ErrorCode::TlsAlertReceived(_) => FaultKind::TlsAlert,
        ErrorCode::HttpRequestDenied => FaultKind::Denied,
        ErrorCode::DestinationIpProhibited => FaultKind::AddressDenied,
        ErrorCode::LoopDetected => FaultKind::ProxyLoop,
        ErrorCode::ConfigurationError => FaultKind::NotSetUp,
        ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestTrailerSectionSize(_)
        | ErrorCode::HttpRequestTrailerSize(_) => FaultKind::NotSendable,
        ErrorCode::HttpResponseHeaderSectionSize(_)
        | ErrorCode::HttpResponseHeaderSize(_)
        | ErrorCode::HttpResponseTrailerSectionSize(_)
        | ErrorCode::HttpResponseTrailerSize(_) => FaultKind::HeaderTooLarge,
        ErrorCode::HttpResponseBodySize(_) => FaultKind::BodyTooLarge,
        ErrorCode::HttpResponseContentCoding(_) => FaultKind::ContentCoding,
    }
}
