//! The server: accepts connections until it is dropped.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// How long to wait before the next accept after one failed, for example because the process has no file descriptor
/// left: an error that would come back at once, many thousand times a second.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How much of a body is read: it holds the name of an operation.
const MAX_BODY: usize = 64 * 1024;

/// A server that runs until it is dropped, which closes its connections too.
#[derive(Debug)]
#[must_use = "the server stops when this is dropped"]
pub struct Running {
    local_addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Running {
    /// Serves these answers at `addr`; each is given the address that its request arrived at.
    pub(crate) async fn start(addr: SocketAddr, answer: impl Answer) -> std::io::Result<Running> {
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, Arc::new(answer)));
        Ok(Running { local_addr, task })
    }

    /// The address that is listened on, with the port that the system picked if it was asked to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What to use in place of `https://SERVICE/VERSION`: `http://127.0.0.1:PORT/v1`. The server takes any version.
    pub fn endpoint(&self) -> String {
        format!("http://{}/v1", self.local_addr)
    }

    /// Serves until `shutdown` completes, for example `async { _ = tokio::signal::ctrl_c().await }`, then stops.
    pub async fn serve_until(self, shutdown: impl Future<Output = ()>) {
        shutdown.await;
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a request is answered with.
pub(crate) trait Answer:
    Fn(&Request<Bytes>, IpAddr) -> Response<Full<Bytes>> + Send + Sync + 'static
{
}

impl<A> Answer for A where
    A: Fn(&Request<Bytes>, IpAddr) -> Response<Full<Bytes>> + Send + Sync + 'static
{
}

/// Accepts connections for ever. The connections live in the set, so that they end with this task.
async fn accept(listener: TcpListener, answer: Arc<impl Answer>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(arrived_at) = stream.local_addr() else {
            continue;
        };
        let answer = Arc::clone(&answer);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let answer = Arc::clone(&answer);
                async move {
                    let request = with_body(request).await;
                    Ok::<_, Infallible>(answer(&request, arrived_at.ip()))
                }
            });
            // An error is a client that went away or does not speak HTTP/1.1: it ends its own connection only.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// A request with its body, if it is one of a `POST`; a body that is too long or breaks off is none.
async fn with_body(request: Request<Incoming>) -> Request<Bytes> {
    let (head, body) = request.into_parts();
    let body = match head.method {
        Method::POST => Limited::new(body, MAX_BODY).collect().await.ok(),
        _ => None,
    };
    let body = body.map(|body| body.to_bytes());
    Request::from_parts(head, body.unwrap_or_default())
}
