//! What leaves the sandbox, and with whose credential: decided before a connection is made.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::access::{AccessError, Authorization, Scopes};
use crate::call::{Call, CallError};
use crate::host::Shared;
use crate::http::{SendError, Timeouts};
use crate::manifest::Manifest;

/// The way out of a block, shared by its calls.
pub(crate) struct Network {
    shared: Arc<Shared>,
    /// The methods that the manifest names.
    methods: Vec<Method>,
    /// The hosts that the manifest names, each with the scopes of its service.
    hosts: HashMap<String, Scopes>,
    /// The same scopes by service, for endpoints.
    services: HashMap<String, Scopes>,
}

impl Network {
    /// What the manifest grants. A host that it does not allow is not reached, whichever service names it:
    /// an operator narrows a block by taking hosts away there.
    pub fn new(shared: Arc<Shared>, manifest: &Manifest) -> Network {
        let permitted = &manifest.permissions.network;
        let mut hosts: HashMap<String, Scopes> = permitted
            .allowed_hosts
            .iter()
            .map(|host| (host.clone(), Scopes::default()))
            .collect();
        let mut services = HashMap::new();
        for service in manifest.services() {
            let scopes = Scopes::for_service(&service.scopes);
            for host in &service.hosts {
                if let Some(allowed) = hosts.get_mut(host) {
                    allowed.clone_from(&scopes);
                }
            }
            services.insert(service.value.clone(), scopes);
        }
        let methods = permitted.methods.iter();
        Network {
            shared,
            methods: methods.filter_map(|method| method.parse().ok()).collect(),
            hosts,
            services,
        }
    }

    /// The scopes of a service; those of Google Cloud where the manifest does not know it.
    pub fn scopes(&self, service: &str) -> Scopes {
        self.services.get(service).cloned().unwrap_or_default()
    }

    /// Refuses a call that would send the host's credential in the clear.
    pub fn check(&self, call: &Call) -> Result<(), CallError> {
        let has_access = !self.shared.config.access.is_none();
        match Origin::of_endpoint(call) {
            Some(Some(origin)) if has_access && !origin.keeps_secrets() => Err(
                CallError::InTheClear(self.shared.config.access.redact(origin.host)),
            ),
            _ => Ok(()),
        }
    }
}

/// The egress policy of the calls with the same settings.
pub(crate) struct Egress {
    network: Arc<Network>,
    /// What stands for `googleapis.com` in the manifest's hosts.
    universe_domain: Option<String>,
    /// Where `OPERATIONS_ENDPOINT` is set, its exact origin is reached and nothing else: nothing at all
    /// where it is no URL.
    endpoint: Option<Option<Origin>>,
    /// The scopes of a token for the endpoint.
    endpoint_scopes: Scopes,
    exchange: SharedExchange,
}

/// What left the sandbox in one call.
#[derive(Default)]
pub(crate) struct Exchange {
    /// Requests of the block, those that were denied among them.
    pub attempts: u32,
    /// The host that was asked last, with its port where that is not the scheme's own.
    pub host: Option<String>,
    /// The credential of the last request: its text must be in no message.
    pub authorization: Option<Authorization>,
    /// Why this host, or its proxy, sent the last request nowhere: the block knows only that it did not.
    pub not_sent: Option<String>,
    /// Why there was no credential.
    pub no_access: Option<AccessError>,
    /// The memory of the instance after the call, in bytes.
    pub memory: usize,
}

/// The exchange of the call that runs, seen by its requests and by who waits for its end.
#[derive(Clone, Default)]
pub(crate) struct SharedExchange(Arc<Mutex<Exchange>>);

impl SharedExchange {
    /// What there was, for the call that ended.
    pub fn take(&self) -> Exchange {
        self.note(std::mem::take)
    }

    fn note<T>(&self, what: impl FnOnce(&mut Exchange) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Origin {
    fn new(scheme: Option<&Scheme>, authority: Option<&Authority>) -> Option<Origin> {
        let (scheme, authority) = (scheme?, authority?);
        let port = authority.port_u16().or(match scheme.as_str() {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        });
        Some(Origin {
            scheme: scheme.clone(),
            host: authority.host().to_ascii_lowercase(),
            port: port?,
        })
    }

    /// That of `OPERATIONS_ENDPOINT`, where it is set; `Some(None)` where it is no URL, for the block to
    /// say what is wrong with it.
    fn of_endpoint(call: &Call) -> Option<Option<Origin>> {
        call.value("OPERATIONS_ENDPOINT").map(|endpoint| {
            let url: Uri = endpoint.parse().ok()?;
            Origin::new(url.scheme(), url.authority())
        })
    }

    /// Whether a credential may be sent there: over TLS, or within this machine.
    fn keeps_secrets(&self) -> bool {
        let is_loopback_v4 = || {
            self.host
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
        };
        self.scheme == Scheme::HTTPS
            || self.host == "localhost"
            || self.host == "[::1]"
            || is_loopback_v4()
    }
}

impl Egress {
    /// What the manifest grants to calls with these settings.
    pub fn new(network: Arc<Network>, call: &Call) -> Egress {
        let service = call.value("OPERATIONS_SERVICE");
        let service = service.and_then(|service| service.split('/').next());
        let endpoint_scopes = service.map(|service| network.scopes(service));
        Egress {
            network,
            universe_domain: call
                .value("GOOGLE_CLOUD_UNIVERSE_DOMAIN")
                .map(str::to_ascii_lowercase),
            endpoint: Origin::of_endpoint(call),
            endpoint_scopes: endpoint_scopes.unwrap_or_default(),
            exchange: SharedExchange::default(),
        }
    }

    /// What leaves the sandbox from now on.
    pub fn exchange(&self) -> SharedExchange {
        self.exchange.clone()
    }

    /// Whether a request may leave; if so, which scopes a credential for it needs.
    fn allows(&self, method: &Method, uri: &Uri) -> Option<Scopes> {
        if !self.network.methods.contains(method) {
            return None;
        }
        let origin = Origin::new(uri.scheme(), uri.authority())?;
        match &self.endpoint {
            Some(endpoint) => {
                (endpoint.as_ref() == Some(&origin)).then(|| self.endpoint_scopes.clone())
            }
            None => {
                let is_public = origin.scheme == Scheme::HTTPS && origin.port == 443;
                is_public.then(|| self.scopes_of(&origin.host)).flatten()
            }
        }
    }

    /// The scopes of the service at a host that the manifest names.
    fn scopes_of(&self, host: &str) -> Option<Scopes> {
        let hosts = &self.network.hosts;
        match &self.universe_domain {
            None => hosts.get(host).cloned(),
            Some(domain) => {
                let service = host.strip_suffix(domain.as_str())?;
                hosts.get(&format!("{service}googleapis.com")).cloned()
            }
        }
    }
}

/// A request on its way out.
struct Outgoing {
    network: Arc<Network>,
    exchange: SharedExchange,
    head: http::request::Parts,
    scopes: Scopes,
    timeouts: Timeouts,
}

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

impl Outgoing {
    /// Asks, with the host's credential where the block sent none of its own; once more after a 401 that
    /// a new one may mend.
    async fn send(self) -> Result<Response<WasiBody>, Error> {
        let access = &self.network.shared.config.access;
        let headers = &self.head.headers;
        let has_own = headers.contains_key(AUTHORIZATION) || headers.contains_key(API_KEY);
        let authorization = match has_own {
            true => None,
            false => access.authorization(&self.scopes).await.map_err(|error| {
                self.exchange
                    .note(|exchange| exchange.no_access = Some(error));
                // Permanent to the block, so that it does not ask again; the host says what it is.
                Error::ConfigurationError
            })?,
        };
        let Some(authorization) = authorization else {
            return self.ask(headers.clone()).await;
        };
        let response = self.ask_with(&authorization).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match access.rejected(&self.scopes, authorization.value()).await {
            None => Ok(response),
            Some(replaced) => {
                drop(response);
                self.ask_with(&replaced).await
            }
        }
    }

    async fn ask_with(&self, authorization: &Authorization) -> Result<Response<WasiBody>, Error> {
        self.exchange
            .note(|exchange| exchange.authorization = Some(authorization.clone()));
        // A flow's data that holds the credential is not sent: URLs are logged on their way. The block
        // has percent-encoded what a name holds, so that a token with a `/` or `+` is spelled otherwise.
        let url = self.head.uri.to_string();
        let decoded = percent_decode_str(&url).decode_utf8_lossy();
        if authorization.is_in(&url) || authorization.is_in(&decoded) {
            return Err(Error::HttpRequestDenied);
        }
        let mut headers = self.head.headers.clone();
        authorization.apply_to(&mut headers);
        self.ask(headers).await
    }

    async fn ask(&self, headers: HeaderMap) -> Result<Response<WasiBody>, Error> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        *request.headers_mut() = headers;
        let shared = &self.network.shared;
        let since = Instant::now();
        let sent = shared.client.send(request, self.timeouts).await;
        let took = since.elapsed();
        let host = named_host(&self.head.uri);
        let status = sent.as_ref().ok().map(|response| response.status());
        shared
            .metrics
            .request(&host, status.map(|status| status.as_u16()));
        match &sent {
            Ok(response) => {
                let version = response.version();
                tracing::debug!(host, status = %response.status(), ?version, ?took, "answer");
            }
            Err(error) => {
                tracing::debug!(host, %error, ?took, "no answer");
                if let SendError::Denied(_)
                | SendError::ConnectionLimit(_)
                | SendError::Proxy { .. }
                | SendError::ProxyInvalid(_) = error
                {
                    let not_sent = error.to_string();
                    self.exchange
                        .note(|exchange| exchange.not_sent = Some(not_sent));
                }
            }
        }
        let response = sent.map_err(wasi_error)?;
        Ok(response.map(|body| body.map_err(wasi_error).boxed_unsync()))
    }
}

/// The host of a request, with its port where that is not the scheme's own, however the block writes it.
fn named_host(uri: &Uri) -> String {
    let Some(Origin { scheme, host, port }) = Origin::new(uri.scheme(), uri.authority()) else {
        return String::new();
    };
    match (scheme.as_str(), port) {
        ("https", 443) | ("http", 80) => host,
        _ => format!("{host}:{port}"),
    }
}

/// A request on its way, and the response once its head is here.
pub(crate) type Sending = Pin<Box<dyn Future<Output = Result<Response<WasiBody>, Error>> + Send>>;

impl Egress {
    /// Sends a request, where it may leave.
    pub fn send(&mut self, request: Request<()>, options: Option<RequestOptions>) -> Sending {
        let allowed = self.allows(request.method(), request.uri());
        let host = named_host(request.uri());
        self.exchange.note(|exchange| {
            exchange.attempts += 1;
            exchange.host = Some(host.clone());
            exchange.not_sent = None;
        });
        let Some(scopes) = allowed else {
            let host = self.network.shared.config.access.redact(host);
            tracing::debug!(host, "denied");
            return Box::pin(async { Err(Error::HttpRequestDenied) });
        };
        let options = options.unwrap_or_default();
        let (head, ()) = request.into_parts();
        let outgoing = Outgoing {
            network: self.network.clone(),
            exchange: self.exchange.clone(),
            head,
            scopes,
            timeouts: Timeouts {
                connect: Timeouts::limited(options.connect_timeout),
                first_byte: Timeouts::limited(options.first_byte_timeout),
                between_bytes: Timeouts::limited(options.between_bytes_timeout),
            },
        };
        Box::pin(outgoing.send())
    }
}

type Sent = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for Egress {
    /// Nothing leaves by wasmtime's own way.
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

/// The `wasi:http` error code of a failure to send.
fn wasi_error(error: SendError) -> Error {
    match error {
        SendError::UriInvalid => Error::HttpRequestUriInvalid,
        SendError::ProxyInvalid(_) => Error::ConfigurationError,
        SendError::Proxy { fault, .. } => wasi_error(*fault),
        SendError::DnsTimeout => Error::DnsTimeout,
        SendError::Dns(rcode) => Error::DnsError {
            rcode: Some(rcode),
            info_code: None,
        },
        SendError::DestinationUnavailable(_) => Error::DestinationUnavailable,
        SendError::ConnectionRefused => Error::ConnectionRefused,
        SendError::ConnectionTimeout => Error::ConnectionTimeout,
        SendError::ReadTimeout => Error::ConnectionReadTimeout,
        SendError::ConnectionTerminated => Error::ConnectionTerminated,
        SendError::ResponseIncomplete => Error::HttpResponseIncomplete,
        SendError::ProtocolError(_) => Error::HttpProtocolError,
        SendError::Certificate(_) => Error::TlsCertificateError,
        SendError::TlsAlert { id, name } => Error::TlsAlertReceived {
            alert_id: Some(id),
            alert_message: Some(name),
        },
        SendError::TlsProtocol(_) => Error::TlsProtocolError,
        SendError::HeaderTooLarge => Error::HttpResponseHeaderSectionSize(None),
        SendError::ConnectionLimit(_) => Error::ConnectionLimitReached,
        SendError::Denied(_) => Error::HttpRequestDenied,
        SendError::Internal(_) => Error::InternalError(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Block, ConnectionsConfig, Host, HostConfig, Resolve, Resolving};

    fn allows(settings: &[(&str, &str)], method: Method, url: &str) -> bool {
        let call = settings
            .iter()
            .fold(Call::new("operations/o"), |call, (variable, value)| {
                call.setting(*variable, *value)
            });
        let host = Host::new().unwrap();
        let get = host.load(&Block::builtin()).unwrap();
        let egress = Egress::new(get.network(), &call);
        egress.allows(&method, &url.parse().unwrap()).is_some()
    }

    #[test]
    fn only_get_over_https_to_a_host_of_the_manifest() {
        let get = |url| allows(&[], Method::GET, url);
        assert!(get("https://apigateway.googleapis.com/v1/operations/o"));
        assert!(get("https://apigateway.googleapis.com:443/"));
        assert!(!get("http://apigateway.googleapis.com/"));
        assert!(!get("https://apigateway.googleapis.com:8443/"));
        assert!(!get("https://apigateway.googleapis.com.evil.example/"));
        assert!(!get("https://evil.example/"));
        assert!(!get("https://metadata.google.internal/"));
        assert!(!allows(
            &[],
            Method::POST,
            "https://apigateway.googleapis.com/"
        ));
    }

    #[test]
    fn an_endpoint_is_the_only_origin_then() {
        let get = |url| {
            allows(
                &[("OPERATIONS_ENDPOINT", "http://127.0.0.1:8080/v1")],
                Method::GET,
                url,
            )
        };
        assert!(get("http://127.0.0.1:8080/anything"));
        assert!(!get("http://127.0.0.1:8081/"));
        assert!(!get("https://127.0.0.1:8080/"));
        assert!(!get("https://apigateway.googleapis.com/"));
    }

    #[test]
    fn an_endpoint_that_is_no_url_grants_nothing() {
        let settings = [("OPERATIONS_ENDPOINT", "no url at all")];
        assert!(!allows(
            &settings,
            Method::GET,
            "https://apigateway.googleapis.com/"
        ));
    }

    #[test]
    fn a_universe_has_the_services_of_the_manifest_and_no_others() {
        let get = |url| {
            allows(
                &[("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "apis.example.org")],
                Method::GET,
                url,
            )
        };
        assert!(get("https://apigateway.apis.example.org/"));
        assert!(!get("https://apigateway.googleapis.com/"));
        assert!(!get("https://evil.apis.example.org/"));
        assert!(!get("https://evilapis.example.org/"));
    }

    /// A network that knows no name.
    struct Nameless;

    impl Resolve for Nameless {
        fn resolve(&self, _: &str) -> Resolving {
            Box::pin(std::future::ready(Err(std::io::Error::other(
                "no such name",
            ))))
        }
    }

    #[tokio::test]
    async fn one_host_has_one_name_however_a_block_writes_it() {
        let host = Host::with(HostConfig {
            connections: ConnectionsConfig {
                resolver: Arc::new(Nameless),
                ..ConnectionsConfig::default()
            },
            ..HostConfig::default()
        });
        let host = host.unwrap();
        let get = host.load(&Block::builtin()).unwrap();
        let call =
            Call::new("operations/o").setting("OPERATIONS_ENDPOINT", "http://host.invalid:80");
        let mut egress = Egress::new(get.network(), &call);
        for authority in [
            "u1:not-a-real-token@host.invalid:80",
            "u2@host.invalid",
            "HOST.INVALID:80",
        ] {
            let request = Request::get(format!("http://{authority}/v1")).body(());
            assert!(egress.send(request.unwrap(), None).await.is_err());
            assert_eq!(
                egress.exchange().take().host.as_deref(),
                Some("host.invalid")
            );
        }
        let text = host.metrics();
        let requests = r#"operations_requests_total{host="host.invalid",status="none"} 3"#;
        assert!(text.contains(requests), "{text}");
        assert!(!text.contains("not-a-real-token"), "{text}");
    }
}
