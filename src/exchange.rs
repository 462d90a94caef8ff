//! Sends the request, and again where that may help, all within one deadline.
//!
//! waki gives the bindings, not the client: its `send()` and `Response::chunk` block on streams of
//! their own, so that a silent or dripping server outlives any deadline. Here every wait polls what
//! is awaited together with the deadline.

use std::time::Duration;

use waki::bindings::wasi::clocks::monotonic_clock::{self, Instant};
use waki::bindings::wasi::http::outgoing_handler;
use waki::bindings::wasi::http::types::{
    ErrorCode, Fields, HeaderError, IncomingResponse, OutgoingRequest, RequestOptions, Scheme,
};
use waki::bindings::wasi::io::poll::{Pollable, poll};
use waki::bindings::wasi::io::streams::StreamError;

use crate::answer::{self, Answer, MAX_BODY};
use crate::bindings::{Failure, Reason};
use crate::request::Request;
use crate::retry;
use crate::settings::Settings;

/// How long connecting may take in one attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of a body is taken from the host at once.
const CHUNK: u64 = 64 * 1024;

/// Gets the body of a 200.
///
/// # Errors
///
/// The failure of the last attempt.
pub fn get(request: &Request, settings: &Settings) -> Result<Vec<u8>, Failure> {
    let deadline = Deadline::after(settings.timeout);
    let mut attempt = 1;
    loop {
        let failure =
            match send(request, &deadline).and_then(|answer| answer::read(request, answer)) {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
        if attempt == settings.max_attempts || !retry::is_tried_again(&failure) {
            return Err(failure);
        }
        let wait = match failure.retry_after_ms {
            Some(ms) => Duration::from_millis(ms.into()),
            None => retry::backoff(attempt, wasi::random::random::get_random_u64()),
        };
        // No attempt could follow within the deadline: the failure is worth more now than then.
        if wait >= deadline.remaining() {
            return Err(failure);
        }
        monotonic_clock::subscribe_duration(nanoseconds(wait)).block();
        attempt += 1;
    }
}

/// The end of the call, on the host's monotonic clock.
struct Deadline {
    instant: Instant,
    after: Duration,
}

impl Deadline {
    fn after(after: Duration) -> Deadline {
        Deadline {
            instant: monotonic_clock::now().saturating_add(nanoseconds(after)),
            after,
        }
    }

    fn remaining(&self) -> Duration {
        Duration::from_nanos(self.instant.saturating_sub(monotonic_clock::now()))
    }

    fn has_passed(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Waits until `pollable` is ready.
    ///
    /// # Errors
    ///
    /// `timeout` where the deadline comes first.
    fn wait_for(&self, pollable: &Pollable, request: &Request) -> Result<(), Failure> {
        let end = monotonic_clock::subscribe_instant(self.instant);
        match poll(&[pollable, &end]).contains(&0) {
            true => Ok(()),
            false => Err(self.timeout(request)),
        }
    }

    fn timeout(&self, request: &Request) -> Failure {
        Failure::new(
            Reason::Timeout,
            format!(
                "{request} was not answered within {} ms (OPERATIONS_TIMEOUT_MS). Try again, or allow \
                 more time.",
                self.after.as_millis()
            ),
        )
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One attempt.
fn send(request: &Request, deadline: &Deadline) -> Result<Answer, Failure> {
    let outgoing = outgoing_request(request)?;
    let remaining = deadline.remaining();
    let options = RequestOptions::new();
    // A host may not support a timeout; the deadline holds all the same.
    let _ = options.set_connect_timeout(Some(nanoseconds(remaining.min(CONNECT_TIMEOUT))));
    let _ = options.set_first_byte_timeout(Some(nanoseconds(remaining)));
    let _ = options.set_between_bytes_timeout(Some(nanoseconds(remaining)));

    let failed = |code| failure_of(request, deadline, code);
    let future = outgoing_handler::handle(outgoing, Some(options)).map_err(failed)?;
    let response = loop {
        // The first result is taken once; a host that is not ready has none yet.
        match future.get() {
            Some(Ok(result)) => break result.map_err(failed)?,
            Some(Err(())) => return Err(lost(request, "the host lost the response")),
            None => deadline.wait_for(&future.subscribe(), request)?,
        }
    };
    let status = response.status();
    let header = |name: &str| {
        let values = response.headers().get(&name.to_owned());
        let values: Vec<_> = values
            .iter()
            .map(|value| String::from_utf8_lossy(value))
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    };
    let body = body(request, &response, header("content-length"), deadline);
    Ok(Answer {
        status,
        content_encoding: header("content-encoding"),
        retry_after: header("retry-after"),
        date: header("date"),
        body: match status {
            200 => body?,
            // Which failure these are, and whether it may pass, is in the body alone.
            404 | 409 => match body {
                Err(failure) if !failure.is_permanent() => return Err(failure),
                body => body.unwrap_or_default(),
            },
            // The status says what matters; a body that is cut, late or too large holds no error. (A
            // 204 or 304 has none, whatever its Content-Length: RFC 9110, section 8.6.)
            _ => body.unwrap_or_default(),
        },
    })
}

/// One request, without a body.
fn outgoing_request(request: &Request) -> Result<OutgoingRequest, Failure> {
    let fields: Vec<(String, Vec<u8>)> = request
        .headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes()))
        .collect();
    let fields = Fields::from_list(&fields).map_err(|error| {
        let why = match error {
            HeaderError::Forbidden => "forbids a header field of the request",
            HeaderError::InvalidSyntax | HeaderError::Immutable => {
                "does not take the request's header"
            }
        };
        denied(request, why)
    })?;
    let outgoing = OutgoingRequest::new(fields);
    let scheme = if request.tls {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let path = format!("{}?{}", request.path, request.query);
    outgoing
        .set_scheme(Some(&scheme))
        .and_then(|()| outgoing.set_authority(Some(&request.authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(&path)))
        .map_err(|()| denied(request, "does not take the request's URL"))?;
    Ok(outgoing)
}

/// The body, read in chunks.
///
/// # Errors
///
/// `too-large` over [`MAX_BODY`], `timeout` past the deadline, `connection-lost` where it is not whole.
fn body(
    request: &Request,
    response: &IncomingResponse,
    content_length: Option<String>,
    deadline: &Deadline,
) -> Result<Vec<u8>, Failure> {
    // 64 bits: a length over 4 GiB is one that a usize of 32 bits would not take.
    let announced = content_length.and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large(request, "a body"));
    }
    let incoming = response
        .consume()
        .map_err(|()| lost(request, "the host gave no body"))?;
    let stream = incoming
        .stream()
        .map_err(|()| lost(request, "the host gave no body"))?;
    // Also a server that always has a byte ready, so that nothing waits, ends at the deadline.
    let mut body = Vec::with_capacity(announced.unwrap_or(0) as usize);
    loop {
        match stream.read(CHUNK) {
            Ok(_) if deadline.has_passed() => return Err(deadline.timeout(request)),
            Ok(chunk) if chunk.is_empty() => deadline.wait_for(&stream.subscribe(), request)?,
            Ok(chunk) => {
                if body.len() + chunk.len() > MAX_BODY {
                    return Err(too_large(request, "a body"));
                }
                body.extend_from_slice(&chunk);
            }
            Err(StreamError::Closed) => break,
            // `http-error-code` would name the fault, but traps in jco's shim; and what breaks a body
            // is the connection, whatever it is called.
            Err(StreamError::LastOperationFailed(_)) if deadline.has_passed() => {
                return Err(deadline.timeout(request));
            }
            Err(StreamError::LastOperationFailed(_)) => {
                return Err(lost(
                    request,
                    "the connection broke in the middle of the body",
                ));
            }
        }
    }
    // Not every host holds a body against its length.
    if announced.is_some_and(|length| length != body.len() as u64) {
        return Err(lost(
            request,
            "the body is not as long as its Content-Length says",
        ));
    }
    Ok(body)
}

fn denied(request: &Request, why: &str) -> Failure {
    Failure::new(
        Reason::RequestDenied,
        format!(
            "The host {why}, so {request} was not sent. Allow it in the host's policy: the manifest \
             lists what the block needs."
        ),
    )
}

fn lost(request: &Request, why: &str) -> Failure {
    Failure::new(
        Reason::ConnectionLost,
        format!("{request} was not answered whole: {why}. Try again."),
    )
}

fn too_large(request: &Request, what: &str) -> Failure {
    Failure::new(
        Reason::TooLarge,
        format!(
            "The answer to {request} has {what} over the limit ({} MiB for a body). An operation of \
             that size cannot be read by this block.",
            MAX_BODY >> 20
        ),
    )
}

fn unreachable(request: &Request, why: &str) -> Failure {
    Failure::new(
        Reason::Unreachable,
        format!(
            "{request} did not reach the service: {why}. Check the host's name and network, or try \
             again later."
        ),
    )
}

fn certificate(request: &Request, why: &str) -> Failure {
    Failure::new(
        Reason::Certificate,
        format!(
            "{request} was not sent: {why}. Check the endpoint, and the certificates that the host \
             trusts."
        ),
    )
}

/// Every error code of `wasi:http`, by its kind: hosts name one fault differently. Texts in a code
/// are the host's own, may hold its backtrace, and go nowhere.
fn failure_of(request: &Request, deadline: &Deadline, code: ErrorCode) -> Failure {
    match code {
        ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            unreachable(request, "its name was not resolved")
        }
        ErrorCode::DestinationUnavailable | ErrorCode::DestinationIpUnroutable => {
            unreachable(request, "there is no way to its host")
        }
        ErrorCode::ConnectionRefused => unreachable(request, "its host refused the connection"),
        ErrorCode::ConnectionLimitReached => {
            unreachable(request, "this host has no connection to spare")
        }
        // Some hosts call any timeout so; the ones that end with the call are the deadline.
        ErrorCode::DnsTimeout if !deadline.has_passed() => {
            unreachable(request, "its name was not resolved in time")
        }
        ErrorCode::ConnectionTimeout if !deadline.has_passed() => {
            unreachable(request, "connecting took too long")
        }
        ErrorCode::DnsTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => deadline.timeout(request),
        ErrorCode::ConnectionTerminated => lost(request, "the connection was closed"),
        ErrorCode::HttpResponseIncomplete => lost(request, "the response is incomplete"),
        ErrorCode::HttpResponseTransferCoding(_) => {
            lost(request, "its transfer coding is at fault")
        }
        ErrorCode::HttpUpgradeFailed | ErrorCode::HttpProtocolError => {
            lost(request, "the response breaks the protocol")
        }
        ErrorCode::InternalError(_) => lost(request, "the host failed"),
        ErrorCode::TlsProtocolError => certificate(request, "the TLS handshake failed"),
        ErrorCode::TlsCertificateError => certificate(request, "its certificate is not trusted"),
        ErrorCode::TlsAlertReceived(_) => certificate(request, "a TLS alert ended the handshake"),
        ErrorCode::HttpRequestDenied => denied(request, "denies this request"),
        ErrorCode::DestinationIpProhibited => denied(request, "denies requests to this address"),
        ErrorCode::LoopDetected => denied(request, "is in a loop of proxies"),
        ErrorCode::ConfigurationError => denied(request, "is not set up to send requests"),
        ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestTrailerSectionSize(_)
        | ErrorCode::HttpRequestTrailerSize(_) => {
            denied(request, "does not take a request of this form")
        }
        ErrorCode::HttpResponseHeaderSectionSize(_)
        | ErrorCode::HttpResponseHeaderSize(_)
        | ErrorCode::HttpResponseTrailerSectionSize(_)
        | ErrorCode::HttpResponseTrailerSize(_) => too_large(request, "a header"),
        ErrorCode::HttpResponseBodySize(_) => too_large(request, "a body"),
        ErrorCode::HttpResponseContentCoding(_) => Failure::new(
            Reason::NotAnOperation,
            format!(
                "The answer to {request} has a content coding that nobody asked for. Check what \
                 stands between this host and the service."
            ),
        ),
    }
}
