//! One request and its response: a connection, the request on it, and once more over a new one if
//! that turns out to be stale.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, timeout, timeout_at};

use super::body::ResponseBody;
use super::connect::Connector;
use super::connection::{Ended, HEADER_BYTES, RequestBody};
use super::error::{SendError, is_end_of_http2, is_unprocessed};
use super::pool::{Checkout, HostConnections, Http1Lease, Http2Lease, Lease, StreamGuard, Turn};

/// Fields that the head of a response may have, which is hyper's own limit for HTTP/1.1.
pub(super) const HEADER_FIELDS: usize = 100;

/// How long each step of a request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For opening a connection if one is needed: name, TCP, proxy and TLS together.
    pub connect: Duration,
    /// From the request to the head of the response. Waiting for a connection to come free counts,
    /// connecting does not.
    pub first_byte: Duration,
    /// For each wait within the body.
    pub between_bytes: Duration,
}

impl Timeouts {
    /// A timeout as `wasi:http` has it: 600 s if it is not set, as in wasmtime's own client, and a
    /// day at most, so that no sum with the clock overflows.
    pub fn limited(timeout: Option<Duration>) -> Duration {
        const DEFAULT: Duration = Duration::from_secs(600);
        const MAX: Duration = Duration::from_secs(24 * 60 * 60);
        timeout.unwrap_or(DEFAULT).min(MAX)
    }
}

/// What became of a request on a connection.
enum Attempt {
    Response(Response<Incoming>, Option<StreamGuard>),
    /// The connection was stale, and the request did not leave this machine.
    Unsent,
    /// The connection ended before any of the response came, or the server did nothing.
    Unanswered(SendError),
    Failed(SendError),
}

/// Sends a request to a host.
pub(super) async fn send(
    connector: &Connector,
    host: &Arc<HostConnections>,
    request: Request<Bytes>,
    mut timeouts: Timeouts,
) -> Result<Response<ResponseBody>, SendError> {
    let mut may_repeat = is_read_only(request.method());
    let mut checkout = host.checkout();
    loop {
        let lease = lease(connector, host, checkout, &mut timeouts).await?;
        let asked = Instant::now();
        let attempt = async {
            match lease {
                Lease::Http1(lease) => send_http1(lease, &request).await,
                Lease::Http2(lease) => send_http2(lease, &request).await,
            }
        };
        let Ok(attempt) = timeout(timeouts.first_byte, attempt).await else {
            return Err(SendError::ReadTimeout);
        };
        checkout = match attempt {
            Attempt::Response(response, stream) => {
                check_head(response.headers())?;
                let between_bytes = timeouts.between_bytes;
                return Ok(response.map(|body| ResponseBody::new(body, between_bytes, stream)));
            }
            Attempt::Unsent => host.checkout(),
            Attempt::Unanswered(_) if may_repeat => {
                may_repeat = false;
                host.checkout_new()
            }
            Attempt::Unanswered(fault) | Attempt::Failed(fault) => return Err(fault),
        };
        timeouts.first_byte = timeouts.first_byte.saturating_sub(asked.elapsed());
    }
}

/// Whether a request may be sent again that a server may have answered already (RFC 9110 section
/// 9.2.2): a `GET`, and a `POST` too, since the one that the contract knows only reads.
fn is_read_only(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::POST)
}

/// A connection, once it is this request's turn.
async fn lease(
    connector: &Connector,
    host: &Arc<HostConnections>,
    checkout: Checkout,
    timeouts: &mut Timeouts,
) -> Result<Lease, SendError> {
    let mut connect_deadline = Instant::now() + timeouts.connect;
    let turn = match checkout {
        Checkout::Now(turn) => turn,
        Checkout::Wait {
            mut turn,
            connecting,
        } => {
            // While another request opens the first connection, this one waits as if it were
            // connecting itself.
            let early = match connecting {
                true => timeout_at(connect_deadline, &mut turn).await.ok(),
                false => None,
            };
            let turn = match early {
                Some(turn) => turn,
                None if connecting && !host.is_connected() => {
                    return Err(SendError::ConnectionTimeout);
                }
                // Every connection that the host may have is busy.
                None => {
                    let asked = Instant::now();
                    let turn = timeout(timeouts.first_byte, turn).await.map_err(|_| {
                        SendError::ConnectionLimit(
                            "every connection that the host may have was busy".into(),
                        )
                    })?;
                    timeouts.first_byte = timeouts.first_byte.saturating_sub(asked.elapsed());
                    turn
                }
            };
            // The wait was for a turn: what is left to do has its own time.
            if host.is_connected() {
                connect_deadline = Instant::now() + timeouts.connect;
            }
            // A turn always comes while the host is there, and who waits keeps it there.
            turn.map_err(|_| SendError::Internal("the queue is gone".into()))?
        }
    };
    let (opening, slot) = match turn {
        Turn::Connected(lease) => return Ok(lease),
        Turn::Failed(fault) => return Err(fault),
        Turn::Open(opening, slot) => (opening, slot),
    };
    // Boxed, so that a request in flight does not hold the room that this takes.
    match Box::pin(connector.open(&host.destination, connect_deadline, slot)).await {
        Ok(opened) => Ok(opening.succeeded(opened)),
        Err(fault) => {
            opening.failed(&fault);
            Err(fault)
        }
    }
}

async fn send_http1(mut lease: Http1Lease, request: &Request<Bytes>) -> Attempt {
    let before = lease.received();
    let request = match http1_form(request) {
        Ok(request) => request,
        Err(fault) => return Attempt::Failed(fault),
    };
    let Some(sender) = lease.sender() else {
        return Attempt::Failed(SendError::ConnectionTerminated);
    };
    let failed = match sender.try_send_request(request).await {
        Ok(response) => return Attempt::Response(response, None),
        Err(failed) => failed,
    };
    let fault = SendError::from_hyper(failed.error());
    if lease.received() != before {
        return Attempt::Failed(fault);
    }
    let fault = fault.before_response();
    match lease.ended.take() {
        // A server that takes connections and closes them would go on so.
        Some(ended) => Attempt::Failed(on_new_connection(&failed, fault, ended).await),
        None if failed.message().is_some() => Attempt::Unsent,
        // On a connection that was free the commonest cause is a server that closed it in the same
        // moment.
        None if fault == SendError::ConnectionTerminated => Attempt::Unanswered(fault),
        None => Attempt::Failed(fault),
    }
}

async fn send_http2(mut lease: Http2Lease, request: &Request<Bytes>) -> Attempt {
    let request = http2_form(request);
    let failed = match lease.sender.try_send_request(request).await {
        Ok(response) => return Attempt::Response(response, Some(lease.stream)),
        Err(failed) => failed,
    };
    let error = failed.error();
    let is_unprocessed = is_unprocessed(error);
    let is_end = is_end_of_http2(error);
    if is_unprocessed || is_end {
        // It may take the connection a moment to see itself that it is over.
        lease.stream.retire_connection();
    }
    let fault = SendError::from_hyper(error).before_response();
    let is_unsent = failed.message().is_some();
    match lease.ended.take() {
        Some(ended) => match on_new_connection(&failed, fault, ended).await {
            // The server went away before it took a first request. One that closes every
            // connection is met no more than twice.
            SendError::ConnectionTerminated if is_unprocessed || is_unsent => {
                Attempt::Unanswered(SendError::ConnectionTerminated)
            }
            fault => Attempt::Failed(fault),
        },
        None if is_unsent => Attempt::Unsent,
        None if is_unprocessed || is_end => Attempt::Unanswered(fault),
        None => Attempt::Failed(fault),
    }
}

/// Why a new connection gave no response: the cause is not in the error if the connection was
/// closed.
async fn on_new_connection(
    failed: &TrySendError<Request<RequestBody>>,
    fault: SendError,
    ended: Ended,
) -> SendError {
    match ended.tls_fault() {
        Some(fault) => fault,
        None if failed.error().is_canceled() || failed.error().is_closed() => ended.reason().await,
        None => fault,
    }
}

/// The request in origin form (RFC 9112 section 3.2.1), and with the `Host` that it needs.
fn http1_form(request: &Request<Bytes>) -> Result<Request<RequestBody>, SendError> {
    let mut request = request.clone().map(Full::new);
    let url = std::mem::take(request.uri_mut());
    let origin_form = match url.path_and_query() {
        Some(path) => path.as_str(),
        None => "/",
    };
    *request.uri_mut() = origin_form.parse().map_err(|_| SendError::UriInvalid)?;
    *request.version_mut() = Version::HTTP_11;
    if !request.headers().contains_key(header::HOST) {
        let authority = url.authority().ok_or(SendError::UriInvalid)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| SendError::UriInvalid)?;
        request.headers_mut().insert(header::HOST, host);
    }
    Ok(request)
}

/// The request with its whole URL, of which `:authority` is made; `Host` would say it twice (RFC
/// 9113 section 8.3.1).
fn http2_form(request: &Request<Bytes>) -> Request<RequestBody> {
    let mut request = request.clone().map(Full::new);
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(header::HOST);
    request
}

/// Whether the head keeps to its limits, sizes as RFC 9113 section 6.5.2 counts them. Over
/// HTTP/1.1 hyper has checked its bytes and counted its fields before.
fn check_head(headers: &HeaderMap) -> Result<(), SendError> {
    let size: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 32)
        .sum();
    match headers.len() > HEADER_FIELDS || size > HEADER_BYTES {
        true => Err(SendError::HeaderTooLarge),
        false => Ok(()),
    }
}
