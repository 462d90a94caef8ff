//! One request and its response: a connection, the request on it, and once more where the
//! connection turns out to be stale.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::body::ResponseBody;
use super::connect::{Connector, Ended, RequestBody};
use super::error::{SendError, is_end_of_http2};
use super::pool::{Checkout, Host, Http1Lease, Http2Lease, Lease, StreamGuard, Turn};
use super::{HEADER_BYTES, HEADER_FIELDS, SendOptions};

/// What wasmtime's own client waits where the guest has set no timeout.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// The longest timeout, so that no sum with the clock overflows.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long each step may take.
struct Patience {
    connect: Duration,
    /// What is left of the first-byte timeout. Waiting for a turn counts, connecting does not.
    first_byte: Duration,
    between_bytes: Duration,
}

impl Patience {
    fn new(options: &SendOptions) -> Patience {
        let of = |timeout: Option<Duration>| timeout.unwrap_or(DEFAULT_TIMEOUT).min(MAX_TIMEOUT);
        Patience {
            connect: of(options.connect_timeout),
            first_byte: of(options.first_byte_timeout),
            between_bytes: of(options.between_bytes_timeout),
        }
    }
}

/// What became of a request on a connection.
enum Sent {
    Response(Response<Incoming>, Option<StreamGuard>),
    /// The connection was stale, and the request did not leave this machine.
    Unsent(Request<RequestBody>),
    /// The connection ended before any of the response came.
    Unanswered(SendError),
    Failed(SendError),
}

/// Sends a request to a host.
pub(super) async fn exchange(
    connector: &Connector,
    host: &Arc<Host>,
    request: Request<RequestBody>,
    options: &SendOptions,
) -> Result<Response<ResponseBody>, SendError> {
    let mut patience = Patience::new(options);
    let uri = request.uri().clone();
    let mut may_repeat = true;
    let mut request = request;
    loop {
        let lease = lease(connector, host, &mut patience).await?;
        let copy = match &lease {
            Lease::Http1(lease) if lease.ended.is_none() => copy_of(&request),
            Lease::Http2(lease) if lease.ended.is_none() => copy_of(&request),
            _ => None,
        };
        let asked = Instant::now();
        let sending = async {
            match lease {
                Lease::Http1(lease) => send_http1(lease, request, &uri).await,
                Lease::Http2(lease) => send_http2(lease, request, &uri).await,
                Lease::Open(_) => Sent::Failed(SendError::Internal("no connection".into())),
            }
        };
        let Ok(sent) = timeout(patience.first_byte, sending).await else {
            return Err(SendError::ReadTimeout);
        };
        match (sent, copy) {
            (Sent::Response(response, stream), _) => {
                check_head(response.headers())?;
                let between_bytes = patience.between_bytes;
                return Ok(response.map(|body| ResponseBody::new(body, between_bytes, stream)));
            }
            (Sent::Unsent(unsent), _) => request = unsent,
            // RFC 9110 section 9.2.2: a safe request may be repeated, and on a connection that was
            // idle the commonest cause is a server that closed it in the same moment.
            (Sent::Unanswered(_), Some(copy)) if may_repeat => {
                may_repeat = false;
                host.forget_idle();
                request = copy;
            }
            (Sent::Unanswered(error) | Sent::Failed(error), _) => return Err(error),
        }
        patience.first_byte = patience.first_byte.saturating_sub(asked.elapsed());
    }
}

/// A connection, once it is this request's turn.
async fn lease(
    connector: &Connector,
    host: &Arc<Host>,
    patience: &mut Patience,
) -> Result<Lease, SendError> {
    let mut connect_deadline = Instant::now() + patience.connect;
    let lease = match host.checkout() {
        Checkout::Lease(lease) => lease,
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
            match early {
                Some(turn) => {
                    let lease = lease_of(turn)?;
                    // The wait became one for a turn: what is left to do has its own time.
                    if host.is_connected() {
                        connect_deadline = Instant::now() + patience.connect;
                    }
                    lease
                }
                None if connecting && !host.is_connected() => {
                    return Err(SendError::ConnectionTimeout);
                }
                None => {
                    let lease = queue(turn, patience).await?;
                    connect_deadline = Instant::now() + patience.connect;
                    lease
                }
            }
        }
    };
    let mut opening = match lease {
        Lease::Open(opening) => opening,
        lease => return Ok(lease),
    };
    let Some(slot) = opening.slot() else {
        return Err(SendError::Internal("no place for a connection".into()));
    };
    // Boxed, so that a request in flight does not hold the room that this takes.
    let opened = Box::pin(connector.open(&host.destination, connect_deadline, slot));
    match opened.await {
        Ok(opened) => Ok(opening.succeeded(opened)),
        Err(error) => {
            opening.failed(&error);
            Err(error)
        }
    }
}

/// Waits while every connection that the host may have is busy.
async fn queue(turn: oneshot::Receiver<Turn>, patience: &mut Patience) -> Result<Lease, SendError> {
    let asked = Instant::now();
    let turn = timeout(patience.first_byte, turn).await.map_err(|_| {
        SendError::ConnectionLimit("every connection that the host may have was busy".into())
    })?;
    patience.first_byte = patience.first_byte.saturating_sub(asked.elapsed());
    lease_of(turn)
}

/// A turn always comes while the host is there, and who waits keeps it there.
fn lease_of(turn: Result<Turn, oneshot::error::RecvError>) -> Result<Lease, SendError> {
    turn.map_err(|_| SendError::Internal("the queue is gone".into()))?
}

async fn send_http1(mut lease: Http1Lease, mut request: Request<RequestBody>, uri: &Uri) -> Sent {
    let before = lease.received();
    if let Err(error) = address_http1(&mut request, uri) {
        return Sent::Failed(error);
    }
    let Some(sender) = lease.sender() else {
        return Sent::Failed(SendError::ConnectionTerminated);
    };
    match sender.try_send_request(request).await {
        Ok(response) => Sent::Response(response, None),
        Err(failed) if lease.received() != before => {
            Sent::Failed(SendError::from_hyper(failed.error()))
        }
        Err(failed) => {
            let meaning = unanswered(failed.error());
            let is_end = meaning == SendError::ConnectionTerminated;
            failure(failed, meaning, is_end, lease.ended.take()).await
        }
    }
}

async fn send_http2(mut lease: Http2Lease, mut request: Request<RequestBody>, uri: &Uri) -> Sent {
    address_http2(&mut request, uri);
    match lease.sender.try_send_request(request).await {
        Ok(response) => Sent::Response(response, Some(lease.stream)),
        Err(failed) => {
            let meaning = unanswered(failed.error());
            let is_end = is_end_of_http2(failed.error());
            if is_end {
                // It may take the connection a moment to see itself that it is over.
                lease.stream.retire_connection();
            }
            failure(failed, meaning, is_end, lease.ended.take()).await
        }
    }
}

/// What an error means where nothing of a response is here that could be incomplete.
fn unanswered(error: &hyper::Error) -> SendError {
    match SendError::from_hyper(error) {
        SendError::ResponseIncomplete => SendError::ConnectionTerminated,
        meaning => meaning,
    }
}

/// What follows from a request without a response. `is_end` says that the connection ended under
/// it. `ended` is there for a new connection: a server that takes connections and closes them would
/// go on so, and the reason is known.
async fn failure(
    mut failed: TrySendError<Request<RequestBody>>,
    meaning: SendError,
    is_end: bool,
    ended: Option<Ended>,
) -> Sent {
    let was_closed = failed.error().is_canceled() || failed.error().is_closed();
    match (ended, failed.take_message()) {
        (Some(ended), _) => match ended.tls_fault() {
            Some(fault) => Sent::Failed(fault),
            None if was_closed => Sent::Failed(ended.reason().await),
            None => Sent::Failed(meaning),
        },
        (None, Some(request)) => Sent::Unsent(request),
        (None, None) if is_end => Sent::Unanswered(meaning),
        (None, None) => Sent::Failed(meaning),
    }
}

/// The origin form (RFC 9112 section 3.2.1), and the `Host` that it needs.
fn address_http1(request: &mut Request<RequestBody>, uri: &Uri) -> Result<(), SendError> {
    let origin_form = match uri.path_and_query() {
        Some(path) => path.as_str(),
        None => "/",
    };
    *request.uri_mut() = origin_form.parse().map_err(|_| SendError::UriInvalid)?;
    *request.version_mut() = Version::HTTP_11;
    if !request.headers().contains_key(header::HOST) {
        let authority = uri.authority().ok_or(SendError::UriInvalid)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| SendError::UriInvalid)?;
        request.headers_mut().insert(header::HOST, host);
    }
    Ok(())
}

/// The whole URL, of which `:authority` is made; `Host` would say it twice (RFC 9113 section
/// 8.3.1).
fn address_http2(request: &mut Request<RequestBody>, uri: &Uri) {
    *request.uri_mut() = uri.clone();
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(header::HOST);
}

/// The same request once more, where sending it twice does no harm: a safe method without a body.
fn copy_of(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_safe || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(empty());
    *copy.method_mut() = request.method().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// No body.
pub(super) fn empty() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
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
