//! Against servers on loopback.

use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use testing::answer::{Answer, Reply};
use testing::names::{Found, Names};
use testing::server::{Server, head, json};
use testing::tls::Ca;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;

mod addresses;
mod faults;
mod http2;
mod limits;
mod proxied;
mod requests;
mod stale;
mod time;
mod tls;

const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    first_byte: Duration::from_secs(10),
    between_bytes: Duration::from_secs(10),
};

const SHORT: Duration = Duration::from_millis(100);

struct Resolver(Arc<Names>);

impl Resolve for Resolver {
    fn resolve(&self, name: &str) -> Resolving {
        Box::pin(self.0.look_up(name))
    }
}

/// What it finds for every name.
fn resolving(names: &Arc<Names>) -> ConnectionsConfig {
    ConnectionsConfig {
        resolver: Arc::new(Resolver(names.clone())),
        ..ConnectionsConfig::default()
    }
}

/// Names are 127.0.0.1.
fn config() -> ConnectionsConfig {
    resolving(&Names::all(&["127.0.0.1"]))
}

fn trusting(ca: &Ca) -> ConnectionsConfig {
    ConnectionsConfig {
        extra_ca: vec![Pem::new("ca.pem", ca.pem.as_str())],
        ..config()
    }
}

fn client(config: ConnectionsConfig) -> Arc<Client> {
    Arc::new(Client::new(config).unwrap())
}

/// At most so many connections to a host.
fn limited(limit: usize, config: ConnectionsConfig) -> Arc<Client> {
    client(ConnectionsConfig {
        connections_per_host: NonZeroUsize::new(limit).unwrap(),
        ..config
    })
}

fn request(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

/// The URL of a server over TLS, whose certificate is for `service.example`.
fn https(server: &Server) -> String {
    format!("https://service.example:{}/", server.address.port())
}

async fn read(response: Response<ResponseBody>) -> Result<String, SendError> {
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

/// A `GET`, with its body.
async fn get(client: &Client, url: &str) -> Result<String, SendError> {
    get_within(client, url, PATIENT).await
}

async fn get_within(client: &Client, url: &str, timeouts: Timeouts) -> Result<String, SendError> {
    read(client.send(request(url), timeouts).await?).await
}

/// So many at a time.
async fn get_all(client: &Arc<Client>, url: &str, count: usize) -> Vec<Result<String, SendError>> {
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let (client, url) = (client.clone(), url.to_owned());
        requests.spawn(async move { get(&client, &url).await });
    }
    requests.join_all().await
}

/// A whole answer over HTTP/1.1, on a connection that stays open.
const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn hello() -> Reply {
    json(200, "hello")
}

/// A server over TLS that each connection is served by as the test says, which gets its number,
/// from 0.
async fn raw_tls<F>(
    config: ServerConfig,
    each: impl Fn(TlsStream<TcpStream>, usize) -> F + Clone + Send + Sync + 'static,
) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let count = Arc::new(AtomicUsize::new(0));
    Server::raw(move |stream| {
        let (acceptor, each) = (acceptor.clone(), each.clone());
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                each(stream, number).await;
            }
        }
    })
    .await
}

/// Speaks HTTP/2 on a connection, with so many streams at a time, and answers what is not to be
/// dropped.
async fn serve_http2<F>(
    stream: TlsStream<TcpStream>,
    streams: u32,
    answer: impl Fn() -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let service = service_fn(move |_| {
        let answer = answer();
        async move {
            answer.await;
            Ok::<_, std::convert::Infallible>(hello().map(Full::new))
        }
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(streams)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
