//! Opens a connection: name, TCP, the proxy's tunnel, TLS, HTTP.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::origin::Origin;

use super::connection::{self, ByteStream, Opened, Stream};
use super::error::SendError;
use super::proxy::ProxyRoute;
use super::resolve::Resolve;
use super::tunnel;

/// Where connections lead.
pub(super) struct Destination {
    pub origin: Origin,
    /// The proxy on the way.
    pub proxy: Option<ProxyRoute>,
}

/// What opens connections.
pub(super) struct Connector {
    pub tls: TlsConnector,
    pub resolver: Arc<dyn Resolve>,
}

impl Connector {
    /// Opens a connection until `deadline`. `held` is dropped once it is closed.
    pub async fn open(
        &self,
        destination: &Destination,
        deadline: Instant,
        held: impl Send + 'static,
    ) -> Result<Opened, SendError> {
        let Destination { origin, proxy } = destination;
        let stream: Stream = match proxy {
            None => Box::new(self.tcp(origin, deadline).await?),
            Some(proxy) => self
                .tunnel(proxy, origin, deadline)
                .await
                .map_err(|fault| proxy.failed(fault))?,
        };
        in_time(deadline, self.http(stream, origin, held)).await
    }

    /// A tunnel through a proxy, which resolves the name of the origin itself.
    async fn tunnel(
        &self,
        proxy: &ProxyRoute,
        origin: &Origin,
        deadline: Instant,
    ) -> Result<Stream, SendError> {
        let stream = self.tcp(&proxy.origin, deadline).await?;
        in_time(deadline, async {
            let stream: Stream = match proxy.origin.tls {
                // The tunnel is asked for in HTTP/1.1, so nothing else is offered.
                true => Box::new(self.tls(stream, &proxy.origin, &["http/1.1"]).await?),
                false => Box::new(stream),
            };
            tunnel::open(stream, proxy, &origin.host_and_port()).await
        })
        .await
    }

    async fn tcp(&self, origin: &Origin, deadline: Instant) -> Result<TcpStream, SendError> {
        let addresses = timeout_at(deadline, self.addresses(origin))
            .await
            .map_err(|_| SendError::DnsTimeout)??;
        let mut connector = HttpConnector::new_with_resolver(Resolved(addresses));
        // A request is one small write that waits for its answer: Nagle's algorithm only delays it.
        connector.set_nodelay(true);
        // Divided among the addresses, so that one that is silent leaves time for the others.
        connector.set_connect_timeout(Some(deadline.saturating_duration_since(Instant::now())));
        let url = Uri::builder()
            .scheme("http")
            .authority(origin.host_and_port())
            .path_and_query("/")
            .build()
            .map_err(|_| SendError::UriInvalid)?;
        let stream = in_time(deadline, async {
            let connected = connector.call(url).await;
            connected.map_err(|error| SendError::from_connect(&error))
        });
        Ok(stream.await?.into_inner())
    }

    /// The addresses of a host, at least one.
    async fn addresses(&self, origin: &Origin) -> Result<Vec<SocketAddr>, SendError> {
        let found = match origin.host.parse::<IpAddr>() {
            Ok(address) => Ok(vec![address]),
            Err(_) => self.resolver.resolve(&origin.host).await,
        };
        let mut found = found.map_err(|error| SendError::Dns(error.to_string()))?;
        if found.is_empty() {
            return Err(SendError::Dns("it has no address".into()));
        }
        // A credential may go to `localhost` in the clear, so the name must mean this machine.
        if origin.is_loopback() && !origin.tls {
            found.retain(IpAddr::is_loopback);
            if found.is_empty() {
                return Err(SendError::Denied(
                    "localhost has no loopback address here, and a request in the clear must not \
                     leave this machine"
                        .into(),
                ));
            }
        }
        let with_port = |address| SocketAddr::new(address, origin.port);
        Ok(found.into_iter().map(with_port).collect())
    }

    /// Over a stream to the origin: TLS if the origin has it, and the protocol that it chose.
    async fn http(
        &self,
        stream: Stream,
        origin: &Origin,
        held: impl Send + 'static,
    ) -> Result<Opened, SendError> {
        if !origin.tls {
            return connection::http1(stream, held).await;
        }
        let stream = self.tls(stream, origin, &["h2", "http/1.1"]).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => connection::http2(Box::new(stream), held).await,
            _ => connection::http1(Box::new(stream), held).await,
        }
    }

    /// `protocols` are offered by ALPN.
    async fn tls<S: ByteStream>(
        &self,
        stream: S,
        origin: &Origin,
        protocols: &[&str],
    ) -> Result<TlsStream<S>, SendError> {
        // Without the trailing dot that a name may have in DNS and never has in TLS (RFC 6066
        // section 3).
        let name = origin.host.strip_suffix('.').unwrap_or(&origin.host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| SendError::UriInvalid)?;
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
        let tls = self.tls.with_alpn(protocols.collect());
        let stream = tls.connect(name, stream).await;
        stream.map_err(|error| SendError::from_io(&error).before_response())
    }
}

async fn in_time<T>(
    deadline: Instant,
    connecting: impl Future<Output = Result<T, SendError>>,
) -> Result<T, SendError> {
    timeout_at(deadline, connecting)
        .await
        .map_err(|_| SendError::ConnectionTimeout)?
}

/// Addresses that were resolved already, as the resolver that `HttpConnector` asks for them.
#[derive(Clone)]
struct Resolved(Vec<SocketAddr>);

impl Service<Name> for Resolved {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(std::mem::take(&mut self.0).into_iter()))
    }
}
