//! One connection that speaks HTTP, watched for what only it sees.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::error::SendError;

/// Bytes that the head of a response may have: over it, [`SendError::HeaderTooLarge`]. Google's
/// front ends send about 1 KiB.
pub(super) const HEADER_BYTES: usize = 64 * 1024;

/// After this long without a frame an HTTP/2 connection with requests on it is asked whether it is
/// alive. A path that died silently would else take every new request with it. The interval is
/// that of Google's own client for Go (google.golang.org/api/transport/http).
const PING_AFTER: Duration = Duration::from_secs(31);

/// How long the answer to that may take.
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// The body of a request: it is in memory.
pub(super) type RequestBody = Full<Bytes>;

/// What HTTP runs over: TCP, a tunnel, or TLS over one of them.
pub(super) type Stream = Box<dyn ByteStream>;

pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// A new connection that takes requests.
pub(super) struct Opened {
    pub sender: Sender,
    pub watched: Arc<Watched>,
    pub ended: Ended,
}

/// The way into a connection.
pub(super) enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

/// How a connection ended, if it was by a fault. A request that finds a new connection closed is
/// told no more than that; the cause, such as a TLS alert about the client's certificate, is here.
pub(super) struct Ended {
    fault: oneshot::Receiver<SendError>,
    watched: Arc<Watched>,
}

impl Ended {
    /// The fault of TLS that the connection met. (h2 keeps its text only.)
    pub fn tls_fault(&self) -> Option<SendError> {
        self.watched.tls_fault.get().cloned()
    }

    /// Why the connection was closed, once it is.
    pub async fn reason(self) -> SendError {
        let fault = self.fault.await;
        match (self.watched.tls_fault.get(), fault) {
            (Some(fault), _) => fault.clone(),
            (None, Ok(SendError::ResponseIncomplete) | Err(_)) => SendError::ConnectionTerminated,
            (None, Ok(fault)) => fault,
        }
    }
}

/// Speaks HTTP/1.1 over a stream. `held` is dropped once the connection is closed.
pub(super) async fn http1(stream: Stream, held: impl Send + 'static) -> Result<Opened, SendError> {
    let watched = Arc::new(Watched::default());
    let (mut sender, connection) = http1::Builder::new()
        .max_header_size(HEADER_BYTES)
        .handshake(WatchedStream::new(stream, &watched))
        .await
        .map_err(|error| SendError::from_hyper(&error))?;
    let ended = drive(connection, held, &watched);
    match sender.ready().await {
        Ok(()) => Ok(Opened {
            sender: Sender::Http1(sender),
            watched,
            ended,
        }),
        Err(_) => Err(ended.reason().await),
    }
}

/// Speaks HTTP/2 over a stream. `held` is dropped once the connection is closed.
pub(super) async fn http2(stream: Stream, held: impl Send + 'static) -> Result<Opened, SendError> {
    let watched = Arc::new(Watched::default());
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT)
        // One, until the server has said how many it takes: it would refuse those past its limit.
        .initial_max_send_streams(1)
        // Over its own limit h2 reports the same fault as for a malformed head: the limit that
        // counts is checked when the head is here.
        .max_header_list_size(4 * HEADER_BYTES as u32)
        .handshake(WatchedStream::new(stream, &watched))
        .await
        .map_err(|error| SendError::from_hyper(&error))?;
    let ended = drive(connection, held, &watched);
    match sender.ready().await {
        Ok(()) => Ok(Opened {
            sender: Sender::Http2(sender),
            watched,
            ended,
        }),
        Err(_) => Err(ended.reason().await),
    }
}

/// Runs a connection to its end.
fn drive(
    connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
    held: impl Send + 'static,
    watched: &Arc<Watched>,
) -> Ended {
    let (sender, fault) = oneshot::channel();
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            // No one asks any more once a request was answered.
            let _ = sender.send(SendError::from_hyper(&error));
        }
        drop(held);
    });
    Ended {
        fault,
        watched: Arc::clone(watched),
    }
}

/// What was seen of a stream.
#[derive(Default)]
pub(super) struct Watched {
    received: AtomicU64,
    tls_fault: OnceLock<SendError>,
}

impl Watched {
    /// Bytes that came from the server so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// A stream that is watched: a request may be sent again only while nothing of its answer has come.
struct WatchedStream {
    stream: Stream,
    watched: Arc<Watched>,
}

impl WatchedStream {
    fn new(stream: Stream, watched: &Arc<Watched>) -> TokioIo<WatchedStream> {
        TokioIo::new(WatchedStream {
            stream,
            watched: Arc::clone(watched),
        })
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        let watched = &self.watched;
        watched.received.fetch_add(read as u64, Ordering::Relaxed);
        if let Poll::Ready(Err(error)) = &polled
            && let Some(fault) = SendError::from_tls_stream(error)
        {
            // The first one counts.
            let _ = watched.tls_fault.set(fault);
        }
        polled
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
