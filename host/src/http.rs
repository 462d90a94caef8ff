//! Connections to services: pooled, over HTTP/2 or HTTP/1.1, within limits.
//!
//! [`Connections::send`] sends one request and gives its response. Behind it, in the order in
//! which a request passes:
//!
//! - `pool`: a free connection of the host, the right to open one, or a place in the queue
//! - `resolve`, `address`: the host's addresses, without those that are not public
//! - `connect`: TCP, the tunnel of a `proxy`, `tls`, then the protocol that the server chose
//! - `exchange`: the request and the head of its response, once more on a stale connection
//! - `body`: the body, as it comes in
//!
//! Redirects are not followed and bodies not decoded. Everything runs on the tokio runtime on which
//! the first request of a host was sent.

use std::collections::HashMap;
use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

pub use self::body::ResponseBody;
pub use self::error::{ConnectionsError, SendError};
pub use self::proxy::Proxy;
pub use self::resolve::{Resolve, Resolving, SystemResolver};
pub use self::tls::{ClientIdentity, Pem};

use self::connect::{Connector, Destination, bare_host};
use self::pool::Host;

mod address;
mod body;
mod connect;
mod error;
mod exchange;
mod pool;
mod proxy;
mod resolve;
#[cfg(test)]
mod tests;
mod tls;

/// Bytes that the head of a response may have: over it, [`SendError::HeaderTooLarge`]. Google's
/// front ends send about 1 KiB.
pub const HEADER_BYTES: usize = 64 * 1024;

/// Fields that the head of a response may have, which is hyper's own limit for HTTP/1.1.
pub const HEADER_FIELDS: usize = 100;

/// How [`Connections`] connect. `Default` trusts the platform's roots and uses no proxy, not even
/// one of the environment: for that, set `proxy` to [`Proxy::from_env`].
#[derive(Clone)]
pub struct ConnectionsConfig {
    /// Certificates of CAs to trust besides the platform's (which `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` replace), and instead of them where the platform has none.
    pub extra_ca: Vec<Pem>,
    /// The certificate for servers that ask for one.
    pub client_identity: Option<ClientIdentity>,
    /// The proxy for `https` requests.
    pub proxy: Option<Arc<Proxy>>,
    /// Connections that one origin may have at a time (scheme, host and port; requests that allow
    /// private addresses have their own). Default: 64. Over HTTP/2 that is 6,400 requests at a
    /// time, over HTTP/1.1 it is 64, about 600 a second at Google's usual 100 ms, which is past
    /// the quota of any `operations.get`. Requests beyond it wait, first come, first served.
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
            resolver: Arc::new(SystemResolver),
        }
    }
}

/// How one request is sent. The timeouts are those of `wasi:http/types.request-options`; one that
/// is not set is 600 s, the longest is a day.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendOptions {
    /// For opening a connection where one is needed: name, TCP, proxy and TLS together.
    pub connect_timeout: Option<Duration>,
    /// From the request to the head of the response. Waiting for a connection to come free counts.
    pub first_byte_timeout: Option<Duration>,
    /// For each wait within the body.
    pub between_bytes_timeout: Option<Duration>,
    /// Whether the host may have an address that is not public: loopback, private, link-local. For
    /// endpoints that an operator configured. Such a request shares no connection with one that
    /// does not allow it.
    pub allow_private_addresses: bool,
}

/// A pool of connections to any number of hosts. Cloning it is cheap and shares the pool. When the
/// last clone is dropped, idle connections close; responses that are being read go on.
#[derive(Clone)]
pub struct Connections {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    proxy: Option<Arc<Proxy>>,
    connections_per_host: NonZeroUsize,
    idle_timeout: Duration,
    hosts: Mutex<HashMap<Origin, Arc<Host>>>,
    sweeper: OnceLock<AbortHandle>,
}

/// What shares connections.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Origin {
    tls: bool,
    /// Lower case, an IPv6 address without its brackets.
    host: String,
    port: u16,
    allow_private: bool,
}

impl Origin {
    fn new(uri: &Uri, allow_private: bool) -> Result<Origin, SendError> {
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(SendError::UriInvalid),
        };
        let host = bare_host(uri.host())?.to_ascii_lowercase();
        // User info is not part of a request (RFC 9110 section 4.2.4), and a way to make one host
        // look like another.
        let has_user = uri.authority().is_some_and(|a| a.as_str().contains('@'));
        if host.is_empty() || has_user {
            return Err(SendError::UriInvalid);
        }
        Ok(Origin {
            tls,
            host,
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            allow_private,
        })
    }
}

impl Connections {
    /// Reads the certificates and sets TLS up. Nothing is connected to.
    ///
    /// # Errors
    /// A PEM that does not parse or lacks its certificate or key, a key that does not fit its
    /// certificate, no root certificate at all.
    pub fn new(config: ConnectionsConfig) -> Result<Connections, ConnectionsError> {
        let tls = tls::config(&config.extra_ca, config.client_identity.as_ref())?;
        Ok(Connections {
            shared: Arc::new(Shared {
                connector: Connector {
                    tls: TlsConnector::from(tls),
                    resolver: config.resolver,
                },
                proxy: config.proxy,
                connections_per_host: config.connections_per_host,
                idle_timeout: config.idle_timeout,
                hosts: Mutex::new(HashMap::new()),
                sweeper: OnceLock::new(),
            }),
        })
    }

    /// Sends a request to an absolute URL, and gives the response once its head is here.
    ///
    /// A `GET` or `HEAD` without a body is sent once more if it met a connection that the server
    /// had closed meanwhile and nothing of a response came. Nothing else is sent twice. Dropping
    /// the future ends the exchange, and frees what it held.
    ///
    /// # Errors
    /// See [`SendError`]; which of the timeouts is at fault is in the variant.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn send<B>(
        &self,
        request: Request<B>,
        options: SendOptions,
    ) -> Result<Response<ResponseBody>, SendError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let host = self.host(request.uri(), options.allow_private_addresses)?;
        let request = request.map(|body| match body.size_hint().exact() {
            // Known to be empty: it needs no framing, and may be sent twice.
            Some(0) => exchange::empty(),
            _ => body.map_err(Into::into).boxed_unsync(),
        });
        exchange::exchange(&self.shared.connector, &host, request, &options).await
    }

    fn host(&self, uri: &Uri, allow_private: bool) -> Result<Arc<Host>, SendError> {
        let origin = Origin::new(uri, allow_private)?;
        let shared = &self.shared;
        shared.sweeper.get_or_init(|| {
            let sweeper = tokio::spawn(sweep(Arc::downgrade(shared), shared.idle_timeout));
            sweeper.abort_handle()
        });
        let mut hosts = shared.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&origin) {
            return Ok(Arc::clone(host));
        }
        let destination = Destination {
            tls: origin.tls,
            host: origin.host.clone(),
            port: origin.port,
            allow_private,
            hop: shared.proxy.as_ref().and_then(|proxy| proxy.before(uri)),
        };
        let limit = shared.connections_per_host.get();
        let host = Host::new(destination, limit, shared.idle_timeout);
        hosts.insert(origin, Arc::clone(&host));
        Ok(host)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(sweeper) = self.sweeper.get() {
            sweeper.abort();
        }
    }
}

/// Closes unused connections and forgets hosts without any, for as long as the pool lives.
async fn sweep(shared: Weak<Shared>, idle_timeout: Duration) {
    // Often enough that a connection outlives its time by half of it at most.
    let pause = (idle_timeout / 2).clamp(Duration::from_millis(10), Duration::from_secs(30));
    loop {
        tokio::time::sleep(pause).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let mut hosts = shared.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        // The map is locked, so a host that only the map holds is no one's.
        hosts.retain(|_, host| !host.sweep() || Arc::strong_count(host) > 1);
    }
}
