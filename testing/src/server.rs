//! A server on loopback that records what it is asked, and answers as a test says.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::{DONE, PATIENCE};

pub type Reply = Response<Full<Bytes>>;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// With the query.
    pub path: String,
    pub headers: HeaderMap,
    pub version: Version,
}

impl Asked {
    /// The values of a header field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    /// The last segment of the path.
    pub fn id(&self) -> &str {
        let path = self.path.split('?').next().unwrap();
        path.rsplit('/').next().unwrap()
    }
}

/// What a server has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Connections so far, those open now, and the most at a time.
    pub accepted: usize,
    pub open: usize,
    pub peak_open: usize,
    /// Requests without an answer so far, and the most at a time.
    pub in_flight: usize,
    pub peak_in_flight: usize,
    pub asked: Vec<Asked>,
}

/// A server that lives as long as this value.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<watch::Sender<Seen>>,
    _accepting: JoinSet<()>,
}

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;
type Connected = Arc<dyn Fn(TcpStream, Arc<watch::Sender<Seen>>) -> Serving + Send + Sync>;

impl Server {
    /// An HTTP/1.1 server; `answer` gets the number of the request, from 1.
    pub async fn start<F>(
        answer: impl Fn(usize, Asked) -> F + Clone + Send + Sync + 'static,
    ) -> Server
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Server::accepting(Arc::new(move |stream, seen| {
            let answer = answer.clone();
            Box::pin(http1(stream, seen, answer))
        }))
        .await
    }

    /// The same over TLS; the protocol goes by ALPN.
    pub async fn tls<F>(
        config: ServerConfig,
        answer: impl Fn(usize, Asked) -> F + Clone + Send + Sync + 'static,
    ) -> Server
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Server::accepting(Arc::new(move |stream, seen| {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            Box::pin(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                    return http1(stream, seen, answer).await;
                }
                let service = service_fn(move |request| answered(request, &seen, &answer));
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            })
        }))
        .await
    }

    /// Serves each connection as the test says; no request is recorded.
    pub async fn raw<F>(each: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Server
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Server::raw_at(loopback().await, each)
    }

    /// The same for connections to a port that is taken already.
    pub fn raw_at<F>(
        listener: TcpListener,
        each: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> Server
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Server::accepting_at(listener, Arc::new(move |stream, _| Box::pin(each(stream))))
    }

    /// Answers every request with this operation.
    pub async fn always(body: &'static str) -> Server {
        Server::start(move |_, _| async move { json(200, body) }).await
    }

    /// Answers with [`DONE`], each request once the gate lets it.
    pub async fn gated(gate: &Arc<Semaphore>) -> Server {
        let gate = gate.clone();
        Server::start(move |_, _| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                json(200, DONE)
            }
        })
        .await
    }

    /// A proxy that gives every `CONNECT` this status.
    pub async fn refusing_proxy(status: u16) -> Server {
        Server::accepting(Arc::new(move |mut stream, _| {
            Box::pin(async move {
                if head(&mut stream).await.is_some() {
                    let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n");
                    let _ =
                        tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await;
                }
            })
        }))
        .await
    }

    /// A tunnel of `CONNECT` to this address, whatever is asked for; the heads are recorded as paths.
    pub async fn proxy(to: SocketAddr) -> Server {
        Server::accepting(Arc::new(move |mut stream, seen| {
            Box::pin(async move {
                let Some(head) = head(&mut stream).await else {
                    return;
                };
                let path = head.lines().next().unwrap_or_default().to_owned();
                let asked = Asked {
                    path,
                    headers: HeaderMap::new(),
                    version: Version::HTTP_11,
                };
                seen.send_modify(|seen| seen.asked.push(asked));
                let mut there = TcpStream::connect(to).await.unwrap();
                let ok = b"HTTP/1.1 200 OK\r\n\r\n";
                tokio::io::AsyncWriteExt::write_all(&mut stream, ok)
                    .await
                    .unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
            })
        }))
        .await
    }

    async fn accepting(each: Connected) -> Server {
        Server::accepting_at(loopback().await, each)
    }

    fn accepting_at(listener: TcpListener, each: Connected) -> Server {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(watch::Sender::new(Seen::default()));
        let mut accepting = JoinSet::new();
        accepting.spawn({
            let seen = seen.clone();
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    seen.send_modify(|seen| {
                        seen.accepted += 1;
                        seen.open += 1;
                        seen.peak_open = seen.peak_open.max(seen.open);
                    });
                    let (served, seen) = (each(stream, seen.clone()), seen.clone());
                    connections.spawn(async move {
                        served.await;
                        seen.send_modify(|seen| seen.open -= 1);
                    });
                }
            }
        });
        Server {
            address,
            seen,
            _accepting: accepting,
        }
    }

    /// `http://127.0.0.1:PORT/v1`.
    pub fn endpoint(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.seen().asked
    }

    /// The one request that came.
    #[track_caller]
    pub fn the_one(&self) -> Asked {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.remove(0)
    }

    /// Waits until the server has seen this.
    pub async fn until(&self, what: impl FnMut(&Seen) -> bool) {
        let mut seen = self.seen.subscribe();
        let waited = timeout(PATIENCE, seen.wait_for(what))
            .await
            .map(|seen| drop(seen.unwrap()));
        assert!(waited.is_ok(), "it did not come: {:?}", self.seen());
    }
}

async fn http1<F>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: Arc<watch::Sender<Seen>>,
    answer: impl Fn(usize, Asked) -> F,
) where
    F: Future<Output = Reply>,
{
    let service = service_fn(|request| answered(request, &seen, &answer));
    let _ = hyper::server::conn::http1::Builder::new()
        .max_buf_size(1 << 20)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Records a request, and its end, be it an answer or a client that went away.
fn answered<A, F>(
    request: Request<Incoming>,
    seen: &Arc<watch::Sender<Seen>>,
    answer: &A,
) -> impl Future<Output = Result<Reply, Infallible>> + use<A, F>
where
    A: Fn(usize, Asked) -> F,
    F: Future<Output = Reply>,
{
    struct InFlight(Arc<watch::Sender<Seen>>);
    impl Drop for InFlight {
        fn drop(&mut self) {
            self.0.send_modify(|seen| seen.in_flight -= 1);
        }
    }
    let asked = Asked {
        path: request.uri().path_and_query().unwrap().to_string(),
        headers: request.headers().clone(),
        version: request.version(),
    };
    let mut number = 0;
    seen.send_modify(|seen| {
        seen.asked.push(asked.clone());
        number = seen.asked.len();
        seen.in_flight += 1;
        seen.peak_in_flight = seen.peak_in_flight.max(seen.in_flight);
    });
    let in_flight = InFlight(seen.clone());
    let answer = answer(number, asked);
    async move {
        let reply = answer.await;
        drop(in_flight);
        Ok(reply)
    }
}

/// A JSON answer.
pub fn json(status: u16, body: impl Into<Bytes>) -> Reply {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

/// An error of a service (AIP-193).
pub fn error(status: u16, name: &str, message: &str) -> Reply {
    let body = serde_json::json!({"error": {"code": status, "status": name, "message": message}});
    json(status, body.to_string())
}

/// Reads a request's head; `None` where the connection is closed.
pub async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// A port on loopback.
pub async fn loopback() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

/// An address at which nothing listens.
pub async fn closed_port() -> SocketAddr {
    loopback().await.local_addr().unwrap()
}
