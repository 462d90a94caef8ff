//! One connection: name, addresses, TCP, the proxy's tunnel, TLS, HTTP.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Empty;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::HEADER_BYTES;
use super::address::{is_public, is_public_name};
use super::error::SendError;
use super::pool::Slot;
use super::proxy::Hop;
use super::resolve::Resolve;

/// The body of a request, whatever its type was.
pub(super) type RequestBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// How long an address may take before the next one is tried beside it (RFC 8305 section 8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// After this long without a frame an HTTP/2 connection with requests on it is asked whether it is
/// alive. A path that died silently would else take every new request with it. The interval is
/// that of Google's own client for Go (google.golang.org/api/transport/http).
const PING_AFTER: Duration = Duration::from_secs(31);

/// How long the answer to that may take.
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// Where the connections of one pool lead.
pub(super) struct Destination {
    pub tls: bool,
    /// Lower case, an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    pub allow_private: bool,
    pub hop: Option<Hop>,
}

impl Destination {
    /// `host:port`, with the brackets that an IPv6 address needs.
    fn authority(&self) -> String {
        let Destination { host, port, .. } = self;
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }
    }
}

/// What opens connections.
pub(super) struct Connector {
    pub tls: TlsConnector,
    pub resolver: Arc<dyn Resolve>,
}

/// A connection that takes requests.
pub(super) enum Opened {
    Http1 {
        sender: http1::SendRequest<RequestBody>,
        watched: Arc<Watched>,
        ended: Ended,
    },
    Http2 {
        sender: http2::SendRequest<RequestBody>,
        ended: Ended,
    },
}

/// How a connection ended, if it was by a fault. A request that finds a new connection closed is
/// told no more than that; the cause, such as a TLS alert about the client's certificate, is here.
pub(super) struct Ended {
    end: oneshot::Receiver<SendError>,
    watched: Arc<Watched>,
}

impl Ended {
    /// The fault of TLS that the connection met. (h2 keeps its text only.)
    pub fn tls_fault(&self) -> Option<SendError> {
        self.watched.tls_fault.get().cloned()
    }

    /// Why the connection was closed, once it is.
    pub async fn reason(self) -> SendError {
        let end = self.end.await;
        match (self.watched.tls_fault.get(), end) {
            (Some(fault), _) => fault.clone(),
            (None, Ok(SendError::ResponseIncomplete) | Err(_)) => SendError::ConnectionTerminated,
            (None, Ok(error)) => error,
        }
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

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}
type Io = Box<dyn Stream>;

impl Connector {
    /// Opens a connection until `deadline`. It holds `slot` for as long as it lives.
    pub async fn open(
        &self,
        destination: &Destination,
        deadline: Instant,
        slot: Slot,
    ) -> Result<Opened, SendError> {
        let addresses = timeout_at(deadline, self.addresses(destination))
            .await
            .map_err(|_| SendError::DnsTimeout)??;
        timeout_at(deadline, self.open_at(addresses, destination, slot))
            .await
            .map_err(|_| SendError::ConnectionTimeout)?
    }

    /// Where to connect to: the checked addresses of the host, or those of the proxy. A proxy
    /// resolves the host's name itself, so then only the name can be checked; the proxy is the
    /// operator's and may be anywhere.
    async fn addresses(&self, destination: &Destination) -> Result<Vec<SocketAddr>, SendError> {
        let Destination {
            host,
            port,
            allow_private,
            ..
        } = destination;
        let Some(hop) = &destination.hop else {
            let found = self.resolve(host).await?;
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| *allow_private || is_public(*address))
                .map(|address| SocketAddr::new(address, *port))
                .collect();
            return match allowed.is_empty() {
                true => Err(SendError::DestinationProhibited),
                false => Ok(allowed),
            };
        };
        let allowed = match host.parse() {
            Ok(address) => is_public(address),
            Err(_) => is_public_name(host),
        };
        if !allowed && !allow_private {
            return Err(SendError::DestinationProhibited);
        }
        let https = hop.uri.scheme_str() == Some("https");
        let port = hop.uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let found = self.resolve(bare_host(hop.uri.host())?).await?;
        Ok(found
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }

    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, SendError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        match self.resolver.resolve(host).await {
            Ok(found) if found.is_empty() => Err(SendError::Dns("it has no address".into())),
            Ok(found) => Ok(found),
            Err(error) => Err(SendError::Dns(error.to_string())),
        }
    }

    async fn open_at(
        &self,
        addresses: Vec<SocketAddr>,
        destination: &Destination,
        slot: Slot,
    ) -> Result<Opened, SendError> {
        let stream = dial(addresses)
            .await
            .map_err(|error| SendError::from_connect(&error))?;
        // A request is one small write that waits for its answer: Nagle's algorithm only delays it.
        stream
            .set_nodelay(true)
            .map_err(|error| SendError::from_io(&error))?;
        let mut io: Io = Box::new(stream);
        if let Some(hop) = &destination.hop {
            if hop.uri.scheme_str() == Some("https") {
                // The tunnel is asked for in HTTP/1.1, so nothing else is offered.
                let server = server_name(bare_host(hop.uri.host())?)?;
                let tls = self.tls.clone();
                let stream = tls
                    .with_alpn(vec![b"http/1.1".to_vec()])
                    .connect(server, io)
                    .await;
                io = Box::new(stream.map_err(|error| SendError::from_handshake(&error))?);
            }
            io = tunnel(io, hop, &destination.authority()).await?;
        }
        if !destination.tls {
            return http1_over(io, slot).await;
        }
        let server = server_name(&destination.host)?;
        let stream = self.tls.connect(server, io).await;
        let stream = stream.map_err(|error| SendError::from_handshake(&error))?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => http2_over(Box::new(stream), slot).await,
            _ => http1_over(Box::new(stream), slot).await,
        }
    }
}

/// The host of a URL without the brackets of an IPv6 address.
pub(super) fn bare_host(host: Option<&str>) -> Result<&str, SendError> {
    let host = host.ok_or(SendError::UriInvalid)?;
    Ok(host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host))
}

/// Without the trailing dot that a name may have in DNS and never has in TLS (RFC 6066 section 3).
fn server_name(host: &str) -> Result<ServerName<'static>, SendError> {
    let name = host.strip_suffix('.').unwrap_or(host).to_owned();
    ServerName::try_from(name).map_err(|_| SendError::UriInvalid)
}

/// The first address that answers, families taking turns (RFC 8305).
async fn dial(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if let [address] = addresses[..] {
        return TcpStream::connect(address).await;
    }
    let mut waiting = by_turns(addresses).into_iter();
    // Attempts that are not needed any more end with the set.
    let mut attempts = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::HostUnreachable);
    loop {
        let next = waiting.next();
        let is_last = next.is_none();
        if let Some(address) = next {
            attempts.spawn(TcpStream::connect(address));
        }
        let ended = match is_last {
            true => attempts.join_next().await,
            false => match timeout(ATTEMPT_DELAY, attempts.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            },
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => last = error,
            Some(Err(stopped)) => last = io::Error::other(stopped),
            None => return Err(last),
        }
    }
}

/// One family after the other, beginning with that of the first address (RFC 8305 section 4).
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().map(SocketAddr::is_ipv6);
    let (mut one, mut other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| Some(address.is_ipv6()) == first);
    let paired = one.len().min(other.len());
    let rest: Vec<_> = one.drain(paired..).chain(other.drain(paired..)).collect();
    let pairs = one.into_iter().zip(other);
    pairs.flat_map(|(a, b)| [a, b]).chain(rest).collect()
}

/// A tunnel through a proxy (RFC 9110 section 9.3.6).
async fn tunnel(io: Io, hop: &Hop, authority: &str) -> Result<Io, SendError> {
    let lost = |error: hyper::Error| match SendError::from_hyper(&error) {
        SendError::ResponseIncomplete => SendError::ConnectionTerminated,
        other => other,
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(lost)?;
    // It ends when the sender is dropped, or when it hands the stream over.
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::connect(authority)
        .body(Empty::<Bytes>::new())
        .map_err(|_| SendError::UriInvalid)?;
    let host = HeaderValue::from_str(authority).map_err(|_| SendError::UriInvalid)?;
    request.headers_mut().insert(header::HOST, host);
    if let Some(authorization) = &hop.authorization {
        let headers = request.headers_mut();
        headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
    }
    let response = sender.send_request(request).await.map_err(lost)?;
    let status = response.status();
    if !status.is_success() {
        return Err(refusal(status));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(lost)?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

/// What a proxy means that gives no tunnel: a 5xx is about the host, anything else about the
/// request.
fn refusal(status: StatusCode) -> SendError {
    let text = format!("the proxy answered {} to CONNECT", status.as_u16());
    match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => SendError::Denied(format!(
            "{text}: it asks for another user and password than its URL has"
        )),
        status if status.is_server_error() => SendError::DestinationUnavailable(text),
        _ => SendError::Denied(text),
    }
}

async fn http1_over(io: Io, slot: Slot) -> Result<Opened, SendError> {
    let watched = Arc::new(Watched::default());
    let io = Watching::over(io, &watched);
    let (mut sender, connection) = http1::Builder::new()
        .max_header_size(HEADER_BYTES)
        .handshake(io)
        .await
        .map_err(|error| SendError::from_hyper(&error))?;
    let ended = drive(connection, slot, &watched);
    match sender.ready().await {
        Ok(()) => Ok(Opened::Http1 {
            sender,
            watched,
            ended,
        }),
        Err(_) => Err(ended.reason().await),
    }
}

async fn http2_over(io: Io, slot: Slot) -> Result<Opened, SendError> {
    let watched = Arc::new(Watched::default());
    let io = Watching::over(io, &watched);
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT)
        // Over its own limit h2 reports the same fault as for a malformed head: the limit that
        // counts is checked when the head is here.
        .max_header_list_size(4 * HEADER_BYTES as u32)
        .handshake(io)
        .await
        .map_err(|error| SendError::from_hyper(&error))?;
    let ended = drive(connection, slot, &watched);
    match sender.ready().await {
        Ok(()) => Ok(Opened::Http2 { sender, ended }),
        Err(_) => Err(ended.reason().await),
    }
}

/// Runs a connection to its end, in its slot.
fn drive(
    connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
    slot: Slot,
    watched: &Arc<Watched>,
) -> Ended {
    let (told, end) = oneshot::channel();
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            // No one asks any more once a request was answered.
            let _ = told.send(SendError::from_hyper(&error));
        }
        drop(slot);
    });
    Ended {
        end,
        watched: Arc::clone(watched),
    }
}

/// A stream that is watched: a request may be sent again only while nothing of its answer has come.
struct Watching {
    io: Io,
    watched: Arc<Watched>,
}

impl Watching {
    fn over(io: Io, watched: &Arc<Watched>) -> TokioIo<Watching> {
        TokioIo::new(Watching {
            io,
            watched: Arc::clone(watched),
        })
    }
}

impl AsyncRead for Watching {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
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

impl AsyncWrite for Watching {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::super::resolve::Resolving;
    use super::*;

    /// Every name has these addresses.
    struct Always(&'static [&'static str]);

    impl Resolve for Always {
        fn resolve(&self, _name: &str) -> Resolving {
            let found = self.0.iter().map(|a| a.parse().unwrap()).collect();
            Box::pin(std::future::ready(Ok(found)))
        }
    }

    async fn addresses(
        found: &'static [&'static str],
        host: &str,
        allow_private: bool,
        proxy: Option<&'static str>,
    ) -> Result<Vec<String>, SendError> {
        let roots = rustls::RootCertStore::empty();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = Connector {
            tls: TlsConnector::from(Arc::new(tls)),
            resolver: Arc::new(Always(found)),
        };
        let destination = Destination {
            tls: true,
            host: host.into(),
            port: 443,
            allow_private,
            hop: proxy.map(|uri| Hop {
                uri: uri.parse().unwrap(),
                authorization: None,
            }),
        };
        let addresses = connector.addresses(&destination).await?;
        Ok(addresses.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn only_the_public_addresses_of_a_name_are_connected_to() {
        const MIXED: &[&str] = &["10.0.0.1", "8.8.8.8", "::1", "fe80::1", "2001:4860::8"];
        assert_eq!(
            addresses(MIXED, "a.example", false, None).await.unwrap(),
            ["8.8.8.8:443", "[2001:4860::8]:443"]
        );
        assert_eq!(
            addresses(MIXED, "a.example", true, None)
                .await
                .unwrap()
                .len(),
            5
        );
        let prohibited = Err(SendError::DestinationProhibited);
        for found in [&["169.254.169.254"], &["10.0.0.1"], &["::ffff:7f00:1"]] {
            assert_eq!(addresses(found, "a.example", false, None).await, prohibited);
        }
        // An address in the URL is not resolved, and checked all the same.
        for host in ["127.0.0.1", "169.254.169.254", "::1", "fd00::1"] {
            assert_eq!(addresses(&["8.8.8.8"], host, false, None).await, prohibited);
        }
        assert_eq!(
            addresses(&[], "a.example", false, None).await,
            Err(SendError::Dns("it has no address".into()))
        );
    }

    #[tokio::test]
    async fn behind_a_proxy_the_name_is_checked_and_the_proxy_may_be_anywhere() {
        const PROXY: Option<&str> = Some("http://proxy.corp:3128");
        let proxied = |host, allow| addresses(&["10.0.0.9"], host, allow, PROXY);
        assert_eq!(
            proxied("a.example.com", false).await.unwrap(),
            ["10.0.0.9:3128"]
        );
        for host in [
            "metadata.google.internal",
            "localhost",
            "169.254.169.254",
            "::1",
            "127.1",
        ] {
            assert_eq!(
                proxied(host, false).await,
                Err(SendError::DestinationProhibited),
                "{host}"
            );
        }
        assert_eq!(proxied("vpn.internal", true).await.unwrap().len(), 1);
        let bare = addresses(
            &["10.0.0.9"],
            "a.example.com",
            false,
            Some("https://p.corp"),
        );
        assert_eq!(bare.await.unwrap(), ["10.0.0.9:443"]);
    }

    #[test]
    fn families_take_turns() {
        let of = |addresses: &[&str]| {
            let parsed = addresses.iter().map(|a| format!("{a}:1").parse().unwrap());
            let ordered = by_turns(parsed.collect());
            ordered
                .iter()
                .map(|a| a.ip().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of(&["[2001:db8::1]", "[2001:db8::2]", "192.0.2.1"]),
            ["2001:db8::1", "192.0.2.1", "2001:db8::2"]
        );
        assert_eq!(
            of(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "[2001:db8::1]"]),
            ["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"]
        );
        assert!(of(&[]).is_empty());
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_keep_the_next_one_waiting() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        // Nothing listens on the other loopback addresses at this port.
        let refused = SocketAddr::new("127.0.0.2".parse().unwrap(), here.port());
        let stream = dial(vec![refused, here]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), here);
        let error = dial(vec![refused, refused]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
