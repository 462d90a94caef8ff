//! Drives the exchange over WASI's HTTP, within one deadline.
//!
//! waki gives the bindings, not the client: its `send()` and `Response::chunk` block on streams of
//! their own, so that a silent or dripping server outlives any deadline. Here every wait polls what
//! it waits for together with the deadline.

use std::time::Duration;

use waki::bindings::wasi::clocks::monotonic_clock::{self, Instant};
use waki::bindings::wasi::http::outgoing_handler;
use waki::bindings::wasi::http::types::{
    ErrorCode, Fields, IncomingResponse, OutgoingRequest, RequestOptions, Scheme,
};
use waki::bindings::wasi::io::poll::{Pollable, poll};
use waki::bindings::wasi::io::streams::StreamError;
use wasi::random::random::get_random_u64;

use crate::answer::{self, Answer};
use crate::bindings::{Failure, Outputs};
use crate::exchange::{Attempt, Exchange, Next};
use crate::fault::{Fault, FaultKind};
use crate::limits::{CONNECT_TIMEOUT, MAX_BODY};
use crate::request::Request;
use crate::settings::Settings;
use crate::wasi_error;

/// How much of a body is taken from the host at once, in bytes.
const CHUNK: u64 = 64 * 1024;

/// One call, from the name of an operation to its eleven outputs.
///
/// # Errors
///
/// The failure of the last attempt.
pub fn get(name: &str, settings: Settings) -> Result<Outputs, Failure> {
    let exchange = Exchange::start(name, settings)?;
    let request = exchange.request()?;
    let deadline = Deadline::after(exchange.timeout());
    let mut number = 1;
    loop {
        let answer = send(request, &deadline);
        let attempt = Attempt {
            number,
            elapsed: exchange.timeout().saturating_sub(deadline.remaining()),
            random: get_random_u64() as u32,
        };
        match exchange.finish(attempt, answer) {
            Next::Done(outputs) => return Ok(outputs),
            Next::Failed(failure) => return Err(failure),
            Next::Again(delay) => {
                monotonic_clock::subscribe_duration(nanoseconds(delay)).block();
                number += 1;
            }
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
            false => Err(FaultKind::Timeout.into()),
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

    let fault = |code: ErrorCode| Fault::from(wasi_error::fault(code, deadline.has_passed()));
    let future = outgoing_handler::handle(outgoing, Some(options)).map_err(fault)?;
    let response = loop {
        // The result can be taken once; until the host is ready there is none.
        match future.get() {
            Some(Ok(result)) => break result.map_err(fault)?,
            Some(Err(())) => return Err(FaultKind::SenderFailed.into()),
            None => deadline.wait_for(&future.subscribe())?,
        }
    };
    let mut answer = Answer::new(response.status(), Ok(Vec::new()));
    for (name, value) in response.headers().entries() {
        answer.add_header(&name, String::from_utf8_lossy(&value).into_owned());
    }
    answer.body = body(&response, answer.content_length.as_deref(), deadline);
    Ok(answer)
}

/// One request.
fn outgoing_request(request: &Request) -> Result<OutgoingRequest, FaultKind> {
    let fields: Vec<(String, Vec<u8>)> = request
        .headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes()))
        .collect();
    let fields = Fields::from_list(&fields).map_err(|_| FaultKind::NotSendable)?;
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
        .map_err(|()| FaultKind::NotSendable)?;
    Ok(outgoing)
}

/// The body, read in chunks.
///
/// # Errors
///
/// `BodyTooLarge` over [`MAX_BODY`], `Timeout` after the deadline, `Incomplete` if the connection broke.
fn body(
    response: &IncomingResponse,
    content_length: Option<&str>,
    deadline: &Deadline,
) -> Result<Vec<u8>, Fault> {
    let announced = answer::announced(content_length).unwrap_or(0);
    if announced > MAX_BODY as u64 {
        return Err(FaultKind::BodyTooLarge.into());
    }
    let no_body = |()| Fault::from(FaultKind::SenderFailed);
    let incoming = response.consume().map_err(no_body)?;
    let stream = incoming.stream().map_err(no_body)?;
    let mut body = Vec::with_capacity(announced as usize);
    loop {
        let cut = match stream.read(CHUNK) {
            // A server that always has a byte ready never makes this wait, and is ended here.
            Ok(_) if deadline.has_passed() => FaultKind::Timeout,
            Ok(chunk) if chunk.is_empty() => {
                deadline.wait_for(&stream.subscribe())?;
                continue;
            }
            Ok(chunk) if body.len() + chunk.len() > MAX_BODY => FaultKind::BodyTooLarge,
            Ok(chunk) => {
                body.extend_from_slice(&chunk);
                continue;
            }
            Err(StreamError::Closed) => return Ok(body),
            // `http-error-code` would name the fault, but traps in jco's shim; and what breaks a body
            // is the connection, whatever it is called.
            Err(StreamError::LastOperationFailed(_)) if deadline.has_passed() => FaultKind::Timeout,
            Err(StreamError::LastOperationFailed(_)) => FaultKind::Incomplete,
        };
        return Err(cut.into());
    }
}
