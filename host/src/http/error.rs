//! What can go wrong: before the first request ([`ConnectionsError`]), and with one request
//! ([`SendError`]).

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// Why [`ConnectionsConfig`](crate::ConnectionsConfig) cannot be used. Every message names the file
/// or the variable, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionsError {
    /// A PEM file could not be read.
    #[error("cannot read {file}: {reason}")]
    Unreadable {
        /// The file, as it was named.
        file: String,
        /// What the system said.
        reason: io::Error,
    },
    /// A PEM text does not parse, or lacks what is needed of it.
    #[error("{origin}: {problem}")]
    Pem {
        /// The file, or what the text was called.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is nothing to verify a server with.
    #[error(
        "no root certificates: the platform has none{detail}. Install them (ca-certificates), name \
         a file in SSL_CERT_FILE, or give the certificate of a CA"
    )]
    NoRoots {
        /// What the platform's store answered, in parentheses; empty if it said nothing.
        detail: String,
    },
    /// A proxy cannot be used. Its URL is not shown: it may hold a password.
    #[error("{variable}: {problem}")]
    Proxy {
        /// Where the URL came from.
        variable: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The TLS library refused the settings.
    #[error("TLS: {0}")]
    Tls(rustls::Error),
}

/// Why a request has no response, or a response no end.
///
/// The text of a variant is for people: no header value, no credential and no backtrace is in it.
/// Each variant names the `wasi:http` `error-code` that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    /// The URL is not absolute, not of `http` or `https`, or has user info
    /// (`HTTP-request-URI-invalid`).
    #[error("the URL is not an absolute http or https URL without user info")]
    UriInvalid,
    /// The request needs a proxy whose URL cannot be used (`configuration-error`).
    #[error("{0}")]
    ProxyInvalid(String),
    /// The proxy was not reached, or opened no tunnel (the code of `fault`).
    #[error("cannot connect through the proxy {url}: {fault}")]
    Proxy {
        /// Scheme, host and port, without user and password.
        url: String,
        /// What went wrong.
        fault: Box<SendError>,
    },
    /// The name was not resolved within the connect timeout (`DNS-timeout`).
    #[error("the name was not resolved in time")]
    DnsTimeout,
    /// The name was not resolved; what the resolver said (`DNS-error`).
    #[error("the name was not resolved: {0}")]
    Dns(String),
    /// No route to the address, or the proxy has none (`destination-unavailable`).
    #[error("{0}")]
    DestinationUnavailable(String),
    /// Nothing listens at the address (`connection-refused`).
    #[error("the connection was refused")]
    ConnectionRefused,
    /// No connection within the connect timeout: TCP, the proxy's tunnel, or TLS
    /// (`connection-timeout`).
    #[error("connecting took too long")]
    ConnectionTimeout,
    /// No response, or no further byte of its body, within the first-byte or the between-bytes
    /// timeout (`connection-read-timeout`).
    #[error("the response took too long")]
    ReadTimeout,
    /// The connection was reset or closed before the response began (`connection-terminated`).
    #[error("the connection was closed")]
    ConnectionTerminated,
    /// The response ended early (`HTTP-response-incomplete`).
    #[error("the response is incomplete")]
    ResponseIncomplete,
    /// The response breaks the protocol (`HTTP-protocol-error`).
    #[error("the response breaks the protocol: {0}")]
    ProtocolError(String),
    /// The server's certificate is not trusted: expired, self-signed, of another name
    /// (`TLS-certificate-error`).
    #[error("the certificate is not trusted: {0}")]
    Certificate(String),
    /// The peer ended TLS with an alert, RFC 8446 section 6 (`TLS-alert-received`).
    #[error("TLS alert {id}: {name}")]
    TlsAlert {
        /// The number of the alert.
        id: u8,
        /// Its name.
        name: String,
    },
    /// The TLS handshake failed otherwise (`TLS-protocol-error`).
    #[error("TLS failed: {0}")]
    TlsProtocol(String),
    /// The head of the response is over 64 KiB or 100 fields
    /// (`HTTP-response-header-section-size`).
    #[error("the header of the response is too large")]
    HeaderTooLarge,
    /// Every connection that the host may have was busy until the first-byte timeout, or the
    /// process may not open another file (`connection-limit-reached`).
    #[error("no connection to spare: {0}")]
    ConnectionLimit(String),
    /// The proxy denies the request, or it would leave this machine in the clear
    /// (`HTTP-request-denied`).
    #[error("{0}")]
    Denied(String),
    /// A fault on this side (`internal-error`).
    #[error("{0}")]
    Internal(String),
}

/// The first error of type `E` among an error and its causes. An `io::Error` hides what it wraps
/// from `source`, hence the two ways down.
fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

impl SendError {
    /// Whether it is the time that ran out before there was a connection.
    pub(super) fn is_connect_timeout(&self) -> bool {
        match self {
            SendError::Proxy { fault, .. } => fault.is_connect_timeout(),
            SendError::DnsTimeout | SendError::ConnectionTimeout => true,
            _ => false,
        }
    }

    /// What a failed TCP connection means: the `io::Error` among its causes.
    pub(super) fn from_connect(error: &(dyn Error + 'static)) -> SendError {
        use io::ErrorKind::{
            AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut,
        };
        // EMFILE and ENFILE, on every Unix; std has no kind for them.
        const OPEN_FILES: [i32; 2] = [23, 24];
        let Some(error) = cause::<io::Error>(error) else {
            return SendError::Internal(format!("the connection failed: {error}"));
        };
        match error.kind() {
            ConnectionRefused => SendError::ConnectionRefused,
            TimedOut => SendError::ConnectionTimeout,
            HostUnreachable | NetworkUnreachable => {
                SendError::DestinationUnavailable("there is no route to its address".into())
            }
            AddrNotAvailable => SendError::ConnectionLimit(
                "this machine has no local port left for another connection".into(),
            ),
            _ if cfg!(unix)
                && error
                    .raw_os_error()
                    .is_some_and(|e| OPEN_FILES.contains(&e)) =>
            {
                SendError::ConnectionLimit(
                    "the process has all the files open that it may have (raise `ulimit -n`)"
                        .into(),
                )
            }
            _ => SendError::from_io(error),
        }
    }

    /// What a fault of the stream means: of TLS, or of the connection below.
    pub(super) fn from_io(error: &io::Error) -> SendError {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, InvalidData, InvalidInput,
            NotConnected, UnexpectedEof,
        };
        if let Some(fault) = SendError::from_tls_stream(error) {
            return fault;
        }
        match error.kind() {
            ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected => {
                SendError::ConnectionTerminated
            }
            UnexpectedEof => SendError::ResponseIncomplete,
            // What hyper says of a malformed chunk: its text is hyper's own, not the server's.
            InvalidData | InvalidInput => SendError::ProtocolError(error.to_string()),
            kind => SendError::Internal(format!("the connection failed: {kind}")),
        }
    }

    /// What a fault of TLS means, if it is one.
    pub(super) fn from_tls_stream(error: &io::Error) -> Option<SendError> {
        cause::<rustls::Error>(error).map(SendError::from_tls)
    }

    /// The same fault if nothing of a response is here that could be incomplete.
    pub(super) fn before_response(self) -> SendError {
        match self {
            SendError::ResponseIncomplete => SendError::ConnectionTerminated,
            other => other,
        }
    }

    fn from_tls(error: &rustls::Error) -> SendError {
        match error {
            rustls::Error::InvalidCertificate(problem) => {
                SendError::Certificate(certificate_text(problem))
            }
            rustls::Error::NoCertificatesPresented | rustls::Error::UnsupportedNameType => {
                SendError::Certificate(error.to_string())
            }
            rustls::Error::AlertReceived(alert) => SendError::TlsAlert {
                id: u8::from(*alert),
                name: format!("{alert:?}"),
            },
            _ => SendError::TlsProtocol(error.to_string()),
        }
    }

    /// What hyper's error means, before the response has begun or within its body.
    pub(super) fn from_hyper(error: &hyper::Error) -> SendError {
        if let Some(problem) = cause::<h2::Error>(error) {
            return SendError::from_http2(problem);
        }
        if error.is_parse_too_large() {
            return SendError::HeaderTooLarge;
        }
        if error.is_parse() {
            return SendError::ProtocolError(error.to_string());
        }
        if error.is_incomplete_message() {
            return SendError::ResponseIncomplete;
        }
        if error.is_timeout() {
            return SendError::ReadTimeout;
        }
        match cause::<io::Error>(error) {
            Some(problem) => SendError::from_io(problem),
            // Cancelled, or its channel is closed: the connection is gone. So it is where hyper blames
            // its user: a body that is in memory cannot fail, and what is left is a request that
            // waited for its HTTP/2 stream when the connection ended ("dispatch gone").
            None => SendError::ConnectionTerminated,
        }
    }

    fn from_http2(error: &h2::Error) -> SendError {
        if let Some(problem) = error.get_io() {
            return match problem.kind() {
                // h2's name for a connection that ended while it had streams.
                io::ErrorKind::BrokenPipe => SendError::ResponseIncomplete,
                _ => SendError::from_io(problem),
            };
        }
        match error.reason() {
            Some(reason) if error.is_library() => SendError::ProtocolError(reason.to_string()),
            _ => SendError::ConnectionTerminated,
        }
    }
}

/// Whether an HTTP/2 connection as a whole ended under a request.
pub(super) fn is_end_of_http2(error: &hyper::Error) -> bool {
    match cause::<h2::Error>(error) {
        Some(problem) => problem.is_io() || (problem.is_go_away() && problem.is_remote()),
        // hyper unwraps what the stream below h2 met.
        None => {
            error.is_canceled()
                || error.is_closed()
                || error.is_user()
                || cause::<io::Error>(error).is_some()
        }
    }
}

/// Whether a server of HTTP/2 says that it did nothing with a request, so that any request may be
/// sent again (RFC 9113 section 8.7).
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    cause::<h2::Error>(error).is_some_and(|problem| {
        problem.is_remote()
            && match problem.reason() {
                Some(h2::Reason::REFUSED_STREAM) => true,
                // h2 says so of the streams after the last one that the server took.
                Some(h2::Reason::NO_ERROR) => problem.is_go_away(),
                _ => false,
            }
    })
}

/// The commonest faults in words that say what to do; rustls's own for the rest.
fn certificate_text(problem: &CertificateError) -> String {
    match problem {
        CertificateError::UnknownIssuer => {
            "its issuer is none of the trusted CAs (a private CA has to be given)".into()
        }
        problem => problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tls_error_is_found_below_an_io_error() {
        let tls = |error| SendError::from_io(&io::Error::new(io::ErrorKind::InvalidData, error));
        assert_eq!(
            tls(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer
            ))
            .to_string(),
            "the certificate is not trusted: its issuer is none of the trusted CAs (a private CA \
             has to be given)"
        );
        assert_eq!(
            tls(rustls::Error::AlertReceived(
                rustls::AlertDescription::CertificateRequired
            ))
            .to_string(),
            "TLS alert 116: CertificateRequired"
        );
        assert!(matches!(
            tls(rustls::Error::HandshakeNotComplete),
            SendError::TlsProtocol(_)
        ));
    }

    #[test]
    fn faults_of_connecting_go_by_their_kind() {
        let of = |kind: io::ErrorKind| SendError::from_connect(&io::Error::from(kind));
        assert_eq!(
            of(io::ErrorKind::ConnectionRefused),
            SendError::ConnectionRefused
        );
        assert_eq!(of(io::ErrorKind::TimedOut), SendError::ConnectionTimeout);
        assert_eq!(
            of(io::ErrorKind::HostUnreachable).to_string(),
            "there is no route to its address"
        );
        #[cfg(unix)]
        assert_eq!(
            SendError::from_connect(&io::Error::from_raw_os_error(24)).to_string(),
            "no connection to spare: the process has all the files open that it may have (raise \
             `ulimit -n`)"
        );
    }
}
