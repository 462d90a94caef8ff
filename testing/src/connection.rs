//! A connection, from its first request to its last.

use std::convert::Infallible;

use bytes::BytesMut;
use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::answer::{Answer, Reply, Then};
use crate::recorded::{Recorded, read_until_closed};

/// A stream that can end with a RST.
pub trait Connection: AsyncRead + AsyncWrite + Unpin {
    /// What closes it from now on is a RST.
    fn reset_when_closed(&self);
}

impl Connection for TcpStream {
    fn reset_when_closed(&self) {
        self.set_zero_linger().unwrap();
    }
}

impl Connection for TlsStream<TcpStream> {
    fn reset_when_closed(&self) {
        self.get_ref().0.reset_when_closed();
    }
}

/// Serves HTTP/1.1. A client that closes the connection ends the answer that it waits for.
///
/// Gives what the client sent and is no whole request.
pub(crate) async fn http1<F>(
    mut stream: impl Connection,
    answer: impl Fn(Recorded) -> F,
) -> BytesMut
where
    F: Future<Output = Answer>,
{
    let mut received = BytesMut::new();
    while let Some(request) = Recorded::read(&mut stream, &mut received).await {
        let answer = tokio::select! {
            // First, so that a client that went away takes nothing that an answer waits for.
            biased;
            () = read_until_closed(&mut stream, &mut received) => break,
            answer = answer(request) => answer,
        };
        match answer.play(&mut stream, &mut received).await {
            Ok(Then::KeepOpen) => {}
            Ok(Then::Close) => {
                // A FIN, and not a RST for what the client may still send.
                let _ = stream.shutdown().await;
                read_until_closed(&mut stream, &mut received).await;
                break;
            }
            Ok(Then::Reset) => {
                stream.reset_when_closed();
                break;
            }
            Err(_) => break,
        }
    }
    received
}

/// Serves HTTP/2.
pub(crate) async fn http2<F>(
    stream: TlsStream<TcpStream>,
    answer: impl Fn(Recorded) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = Reply> + Send,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            let request = Recorded::of_http2(request).await;
            Ok::<_, Infallible>(answer(request).await.map(Full::new))
        }
    });
    // An error is a client that went away.
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
