//! The body of a response, as it comes in.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::error::SendError;
use super::pool::StreamGuard;

/// The body of a response.
///
/// Each wait for a frame is bounded by the between-bytes timeout, counted from when the frame is
/// first asked for. Until it is read to its end or dropped, it keeps its place: an HTTP/1.1
/// connection, or a stream of an HTTP/2 connection. Dropping it early ends the request: the
/// connection is closed (or read to its end if that is here already), the stream is reset.
pub(crate) struct ResponseBody {
    /// `None` after an error: the connection is let go at once.
    incoming: Option<Incoming>,
    between_bytes: Duration,
    /// Runs while a frame is waited for; kept between waits because it is expensive to create.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    /// The place of the stream on its HTTP/2 connection.
    stream: Option<StreamGuard>,
}

impl ResponseBody {
    pub(super) fn new(
        incoming: Incoming,
        between_bytes: Duration,
        stream: Option<StreamGuard>,
    ) -> ResponseBody {
        let stream = stream.filter(|_| !incoming.is_end_stream());
        ResponseBody {
            incoming: Some(incoming),
            between_bytes,
            timer: None,
            is_waiting: false,
            stream,
        }
    }

    fn fail(&mut self, error: SendError) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        self.incoming = None;
        self.stream = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let body = self.get_mut();
        let Some(incoming) = &mut body.incoming else {
            return Poll::Ready(None);
        };
        match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                body.is_waiting = false;
                if frame.is_none() || incoming.is_end_stream() {
                    body.stream = None;
                }
                match frame {
                    Some(Err(error)) => body.fail(SendError::from_hyper(&error)),
                    Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
                    None => Poll::Ready(None),
                }
            }
            Poll::Pending => {
                let between_bytes = body.between_bytes;
                let timer = body
                    .timer
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(between_bytes)));
                if !body.is_waiting {
                    body.is_waiting = true;
                    timer.as_mut().reset(Instant::now() + between_bytes);
                }
                match timer.as_mut().poll(cx) {
                    Poll::Ready(()) => body.fail(SendError::ReadTimeout),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.incoming {
            Some(incoming) => incoming.is_end_stream(),
            None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.incoming {
            Some(incoming) => incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
