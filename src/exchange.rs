//! Sends the request, again if that may help, within one deadline.
//!
//! waki gives the bindings, not the client: its `send()` and `Response::chunk` block on streams of
//! their own, so that a silent or dripping server outlives any deadline. Here every wait polls what
//! it waits for together with the deadline.

use std::time::Duration;

use waki::bindings::wasi::clocks::monotonic_clock::{self, Instant};
use waki::bindings::wasi::http::outgoing_handler;
use waki::bindings::wasi::http::types::{
    ErrorCode, Fields, HeaderError, IncomingResponse, OutgoingRequest, RequestOptions, Scheme,
};
use waki::bindings::wasi::io::poll::{Pollable, poll};
use waki::bindings::wasi::io::streams::StreamError;
use wasi::random::random::get_random_u64;

use crate::answer::{self, Answer, MAX_BODY};
use crate::bindings::Failure;
use crate::fault::Fault;
use crate::request::Request;
use crate::retry;
use crate::settings::Settings;
use crate::wasi_error;

/// How long connecting may take in one attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of a body is taken from the host at once, in bytes.
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
        let result = match send(request, &deadline) {
            Ok(answer) => answer::read(request, answer),
            Err(fault) => Err(fault.failure(request, settings.timeout)),
        };
        let failure = match result {
            Ok(body) => return Ok(body),
            Err(failure) => failure,
        };
        if attempt == settings.max_attempts {
            return Err(failure);
        }
        match retry::delay(&failure, attempt, get_random_u64) {
            Some(delay) if delay < deadline.remaining() => {
                monotonic_clock::subscribe_duration(nanoseconds(delay)).block();
                attempt += 1;
            }
            // No other attempt would help, or none could follow within the deadline: the failure is
            // worth more now than then.
            _ => return Err(failure),
        }
    }
}

/// The end of the call, on the host's monotonic clock.
struct Deadline(Instant);

impl Deadline {
    fn after(timeout: Duration) -> Deadline {
        Deadline(monotonic_clock::now().saturating_add(nanoseconds(timeout)))
    }

    fn remaining(&self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(monotonic_clock::now()))
    }

    fn has_passed(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Waits until `pollable` is ready.
    ///
    /// # Errors
    ///
    /// `Timeout` if the deadline comes first.
    fn wait_for(&self, pollable: &Pollable) -> Result<(), Fault> {
        let end = monotonic_clock::subscribe_instant(self.0);
        match poll(&[pollable, &end]).contains(&0) {
            true => Ok(()),
            false => Err(Fault::Timeout),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One attempt.
fn send(request: &Request, deadline: &Deadline) -> Result<Answer, Fault> {
    let outgoing = outgoing_request(request)?;
    let remaining = deadline.remaining();
    let options = RequestOptions::new();
    // A host may not support a timeout; the deadline applies anyway.
    let _ = options.set_connect_timeout(Some(nanoseconds(remaining.min(CONNECT_TIMEOUT))));
    let _ = options.set_first_byte_timeout(Some(nanoseconds(remaining)));
    let _ = options.set_between_bytes_timeout(Some(nanoseconds(remaining)));

    let fault = |code: ErrorCode| wasi_error::fault(code, deadline.has_passed());
    let future = outgoing_handler::handle(outgoing, Some(options)).map_err(fault)?;
    let response = loop {
        // The result can be taken once; until the host is ready there is none.
        match future.get() {
            Some(Ok(result)) => break result.map_err(fault)?,
            Some(Err(())) => return Err(Fault::ConnectionLost("the host lost the response")),
            None => deadline.wait_for(&future.subscribe())?,
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
    let body = body(&response, header("content-length"), deadline);
    Ok(Answer {
        status,
        content_encoding: header("content-encoding"),
        retry_after: header("retry-after"),
        date: header("date"),
        body: match (status, body) {
            (_, Ok(body)) => body,
            (200, Err(fault)) => return Err(fault),
            // Only the body says which failure these are, and whether it may pass.
            (404 | 409, Err(fault @ (Fault::ConnectionLost(_) | Fault::Timeout))) => {
                return Err(fault);
            }
            // The status says what matters; a body that is cut, late or too large counts as none. (A
            // 204 or 304 has none, whatever its Content-Length: RFC 9110, section 8.6.)
            (_, Err(_)) => Vec::new(),
        },
    })
}

/// One request, without a body.
fn outgoing_request(request: &Request) -> Result<OutgoingRequest, Fault> {
    let fields: Vec<(String, Vec<u8>)> = request
        .headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes()))
        .collect();
    let fields = Fields::from_list(&fields).map_err(|error| {
        Fault::Denied(match error {
            HeaderError::Forbidden => "forbids a header field of the request",
            HeaderError::InvalidSyntax | HeaderError::Immutable => {
                "does not take the request's header"
            }
        })
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
        .map_err(|()| Fault::Denied("does not take the request's URL"))?;
    Ok(outgoing)
}

/// The body, read in chunks.
///
/// # Errors
///
/// `TooLarge` over [`MAX_BODY`], `Timeout` after the deadline, `ConnectionLost` if it is incomplete.
fn body(
    response: &IncomingResponse,
    content_length: Option<String>,
    deadline: &Deadline,
) -> Result<Vec<u8>, Fault> {
    // 64 bits: a usize of 32 bits would not take a length over 4 GiB.
    let announced = content_length.and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(Fault::TooLarge("a body"));
    }
    let no_body = |()| Fault::ConnectionLost("the host gave no body");
    let incoming = response.consume().map_err(no_body)?;
    let stream = incoming.stream().map_err(no_body)?;
    let mut body = Vec::with_capacity(announced.unwrap_or(0) as usize);
    loop {
        match stream.read(CHUNK) {
            // A server that always has a byte ready never makes this wait, and is ended here.
            Ok(_) if deadline.has_passed() => return Err(Fault::Timeout),
            Ok(chunk) if chunk.is_empty() => deadline.wait_for(&stream.subscribe())?,
            Ok(chunk) => {
                if body.len() + chunk.len() > MAX_BODY {
                    return Err(Fault::TooLarge("a body"));
                }
                body.extend_from_slice(&chunk);
            }
            Err(StreamError::Closed) => break,
            // `http-error-code` would name the fault, but traps in jco's shim; and what breaks a body
            // is the connection, whatever it is called.
            Err(StreamError::LastOperationFailed(_)) if deadline.has_passed() => {
                return Err(Fault::Timeout);
            }
            Err(StreamError::LastOperationFailed(_)) => {
                return Err(Fault::ConnectionLost(
                    "the connection broke in the middle of the body",
                ));
            }
        }
    }
    // Not every host checks a body against its length.
    if announced.is_some_and(|length| length != body.len() as u64) {
        return Err(Fault::ConnectionLost(
            "the body is not as long as its Content-Length says",
        ));
    }
    Ok(body)
}
