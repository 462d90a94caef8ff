//! Which requests leave the sandbox: those that the manifest grants, decided before a connection is
//! made.

use http::uri::{Authority, Scheme};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::call::Call;
use crate::manifest::Manifest;

/// The egress policy of one call.
pub(crate) struct Egress {
    /// Host names, reached by `https` on its own port.
    hosts: Vec<String>,
    /// The exact origin of `OPERATIONS_ENDPOINT`.
    endpoint: Option<Origin>,
}

#[derive(Debug, PartialEq)]
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
}

impl Egress {
    /// What the manifest grants to a call with these settings.
    pub fn new(manifest: &Manifest, call: &Call) -> Egress {
        // An endpoint that is no URL grants nothing; the block itself says what is wrong with it.
        let endpoint: Option<http::Uri> = call
            .value("OPERATIONS_ENDPOINT")
            .and_then(|endpoint| endpoint.parse().ok());
        let universe = call.value("GOOGLE_CLOUD_UNIVERSE_DOMAIN");
        let hosts = manifest.permissions.network.allowed_hosts.iter();
        Egress {
            hosts: match universe {
                Some(domain) => hosts
                    .map(|host| host.replace("googleapis.com", domain))
                    .collect(),
                None => hosts.cloned().collect(),
            },
            endpoint: endpoint.and_then(|url| Origin::new(url.scheme(), url.authority())),
        }
    }

    fn allows(&self, request: &Request<WasiBody>) -> bool {
        if request.method() != Method::GET {
            return false;
        }
        let uri = request.uri();
        let Some(origin) = Origin::new(uri.scheme(), uri.authority()) else {
            return false;
        };
        if self.endpoint.is_some() {
            return self.endpoint.as_ref() == Some(&origin);
        }
        origin.scheme == Scheme::HTTPS
            && origin.port == 443
            && self.hosts.iter().any(|host| *host == origin.host)
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
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let allowed = self.allows(&request);
        Box::new(async move {
            if !allowed {
                return Err(Error::HttpRequestDenied);
            }
            let (response, io) = wasmtime_wasi_http::default_send_request(request, options).await?;
            let io: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(io);
            Ok((response.map(BodyExt::boxed_unsync), io))
        })
    }
}
