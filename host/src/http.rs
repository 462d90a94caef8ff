//! The HTTP client: connections to services, pooled, over HTTP/2 or HTTP/1.1, within limits.
//!
//! [`Client::send`] sends one request and gives its response. Behind it, in the order in which a
//! request passes:
//!
//! - `pool`: a free connection to the host, the right to open one, or a place in the queue
//! - `connect`: opens one. `resolve` has the host's addresses, hyper-util's `HttpConnector` does
//!   TCP, a `tunnel` leads through a `proxy`, and `tls` says whom to trust
//! - `connection`: HTTP over it, in the version that the server chose
//! - `send`: the request and the head of its response, once more over a new connection if the one
//!   it got was stale
//! - `body`: the body, as it comes in
//!
//! Over TLS the certificate says who answers, so no address is judged. In the clear, `localhost`
//! is this machine or nothing.
//!
//! Redirects are not followed and bodies not decoded. Everything runs on the tokio runtime on which
//! the first request of a host was sent.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use crate::origin::Origin;

pub(crate) use self::body::ResponseBody;
pub use self::error::ConnectionsError;
pub(crate) use self::error::SendError;
pub use self::proxy::Proxy;
pub use self::resolve::{Resolve, Resolving, SystemResolver};
pub(crate) use self::send::Timeouts;
pub use self::tls::{ClientIdentity, Pem};

use self::connect::{Connector, Destination};
use self::pool::HostConnections;

mod body;
mod connect;
mod connection;
mod error;
mod pool;
mod proxy;
mod resolve;
mod send;
#[cfg(test)]
mod tests;
mod tls;
mod tunnel;

/// How a host connects to services. `Default` trusts the platform's roots and uses no proxy, not
/// even one of the environment: for that, set `proxy` to [`Proxy::from_env`].
#[derive(Clone)]
pub struct ConnectionsConfig {
    /// Certificates of CAs to trust besides the platform's (which `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` replace), and instead of them if the platform has none.
    pub extra_ca: Vec<Pem>,
    /// The certificate for servers that ask for one.
    pub client_identity: Option<ClientIdentity>,
    /// The proxy for `https` requests.
    pub proxy: Option<Arc<Proxy>>,
    /// Connections that one origin may have at a time (scheme, host and port). Default: 64. Over
    /// HTTP/2 that is 6,400 requests at a time, over HTTP/1.1 it is 64, about 600 a second at
    /// Google's usual 100 ms, which is past the quota of any `operations.get`. Requests beyond it
    /// wait, first come, first served.
    pub connections_per_host: NonZeroUsize,
    /// How long an unused connection stays open. Default: 90 s, under the 4 minutes after which
    /// Google's front ends close it.
    pub idle_timeout: Duration,
    /// What resolves names. Default: [`SystemResolver`].
    pub resolver: Arc<dyn Resolve>,
}

impl Default for ConnectionsConfig {
    fn default() -> ConnectionsConfig {
        const CONNECTIONS_PER_HOST: NonZeroUsize = NonZeroUsize::new(64).unwrap();
        ConnectionsConfig {
            extra_ca: Vec::new(),
            client_identity: None,
            proxy: None,
            connections_per_host: CONNECTIONS_PER_HOST,
            idle_timeout: Duration::from_secs(90),
            resolver: Arc::new(SystemResolver::default()),
        }
    }
}

/// Connections to any number of hosts. When it is dropped, idle connections close; responses that
/// are being read go on.
pub(crate) struct Client {
    connector: Connector,
    proxy: Option<Arc<Proxy>>,
    connections_per_host: NonZeroUsize,
    idle_timeout: Duration,
    hosts: Arc<Hosts>,
    sweeper: OnceLock<AbortHandle>,
}

type Hosts = Mutex<HashMap<Origin, Arc<HostConnections>>>;

impl Client {
    /// Reads the certificates and sets TLS up. Nothing is connected to.
    ///
    /// # Errors
    /// A PEM that does not parse or lacks its certificate or key, a key that does not fit its
    /// certificate, no root certificate at all.
    pub fn new(config: ConnectionsConfig) -> Result<Client, ConnectionsError> {
        let tls = tls::config(&config.extra_ca, config.client_identity.as_ref())?;
        Ok(Client {
            connector: Connector {
                tls: TlsConnector::from(tls),
                resolver: config.resolver,
            },
            proxy: config.proxy,
            connections_per_host: config.connections_per_host,
            idle_timeout: config.idle_timeout,
            hosts: Arc::default(),
            sweeper: OnceLock::new(),
        })
    }

    /// Sends a request to an absolute URL, and gives the response once its head is here.
    ///
    /// A request is sent once more, over a new connection, if nothing of a response came because
    /// the connection had ended meanwhile or the server says that it did nothing: a `GET` or a
    /// `POST`, which must not change anything at the server. Dropping the future ends the request
    /// and frees what it held.
    ///
    /// # Errors
    /// See [`SendError`]; which of the timeouts is at fault is in the variant.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<Response<ResponseBody>, SendError> {
        let host = self.host(request.uri())?;
        let (method, authority) = (request.method(), request.uri().authority());
        if let Some(authority) = authority {
            tracing::debug!(
                method = method.as_str(),
                host = authority.as_str(),
                "request"
            );
        }
        send::send(&self.connector, &host, request, timeouts).await
    }

    fn host(&self, url: &Uri) -> Result<Arc<HostConnections>, SendError> {
        let origin = Origin::of(url).ok_or(SendError::UriInvalid)?;
        self.sweeper.get_or_init(|| {
            let sweeper = tokio::spawn(sweep(Arc::downgrade(&self.hosts), self.idle_timeout));
            sweeper.abort_handle()
        });
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&origin) {
            return Ok(Arc::clone(host));
        }
        let proxy = match &self.proxy {
            Some(proxy) => proxy.before(url, &origin)?,
            None => None,
        };
        let destination = Destination {
            origin: origin.clone(),
            proxy,
        };
        let limit = self.connections_per_host.get();
        let host = HostConnections::new(destination, limit, self.idle_timeout);
        hosts.insert(origin, Arc::clone(&host));
        Ok(host)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(sweeper) = self.sweeper.get() {
            sweeper.abort();
        }
    }
}

/// Closes unused connections and forgets hosts without any, for as long as the client lives.
async fn sweep(hosts: Weak<Hosts>, idle_timeout: Duration) {
    // Often enough that a connection outlives its time by half of it at most.
    let pause = (idle_timeout / 2).clamp(Duration::from_millis(10), Duration::from_secs(30));
    loop {
        tokio::time::sleep(pause).await;
        let Some(hosts) = hosts.upgrade() else {
            return;
        };
        let mut hosts = hosts.lock().unwrap_or_else(PoisonError::into_inner);
        // The map is locked, so a host that only the map holds is no one's.
        hosts.retain(|_, host| !host.sweep() || Arc::strong_count(host) > 1);
    }
}
