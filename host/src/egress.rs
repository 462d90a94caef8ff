//! Which requests leave the sandbox: those that the manifest grants, decided before a connection is
//! made.

use std::io;
use std::sync::Arc;

use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, Uri};
use http_body_util::BodyExt;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, TlsAlertReceivedPayload};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::call::Call;
use crate::manifest::Manifest;

/// The egress policy of one call.
pub(crate) struct Egress {
    manifest: Arc<Manifest>,
    /// What stands for `googleapis.com` in the manifest's hosts.
    universe_domain: Option<String>,
    /// Where `OPERATIONS_ENDPOINT` is set, its exact origin is reached and nothing else: nothing at all
    /// where it is no URL.
    endpoint: Option<Option<Origin>>,
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
    pub fn new(manifest: Arc<Manifest>, call: &Call) -> Egress {
        let endpoint = call.value("OPERATIONS_ENDPOINT").map(|endpoint| {
            let url: Uri = endpoint.parse().ok()?;
            Origin::new(url.scheme(), url.authority())
        });
        Egress {
            manifest,
            universe_domain: call
                .value("GOOGLE_CLOUD_UNIVERSE_DOMAIN")
                .map(str::to_ascii_lowercase),
            endpoint,
        }
    }

    fn allows(&self, method: &Method, uri: &Uri) -> bool {
        if method != Method::GET {
            return false;
        }
        let Some(origin) = Origin::new(uri.scheme(), uri.authority()) else {
            return false;
        };
        match &self.endpoint {
            Some(endpoint) => endpoint.as_ref() == Some(&origin),
            None => {
                origin.scheme == Scheme::HTTPS && origin.port == 443 && self.grants(&origin.host)
            }
        }
    }

    /// Whether the manifest names this host.
    fn grants(&self, host: &str) -> bool {
        let named = |host: &str| {
            self.manifest
                .permissions
                .network
                .allowed_hosts
                .iter()
                .any(|h| h == host)
        };
        match &self.universe_domain {
            None => named(host),
            Some(domain) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|service| named(&format!("{service}googleapis.com"))),
        }
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
        let allowed = self.allows(request.method(), request.uri());
        Box::new(async move {
            if !allowed {
                return Err(Error::HttpRequestDenied);
            }
            let (response, io) = wasmtime_wasi_http::default_send_request(request, options).await?;
            let io: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(io);
            Ok((response.map(BodyExt::boxed_unsync), io))
        })
    }

    /// Tells a certificate and an alert from a connection that broke during the handshake: asking again
    /// helps in the last case alone.
    fn p2_error_from_tls(&mut self, error: &io::Error) -> ErrorCode {
        match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            Some(rustls::Error::InvalidCertificate(_)) => ErrorCode::TlsCertificateError,
            Some(rustls::Error::AlertReceived(_)) => {
                ErrorCode::TlsAlertReceived(TlsAlertReceivedPayload {
                    alert_id: None,
                    alert_message: None,
                })
            }
            Some(_) => ErrorCode::TlsProtocolError,
            None => ErrorCode::ConnectionTerminated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(settings: &[(&str, &str)], method: Method, url: &str) -> bool {
        let call = settings
            .iter()
            .fold(Call::new("operations/o"), |call, (variable, value)| {
                call.setting(*variable, *value)
            });
        let egress = Egress::new(Arc::new(Manifest::builtin()), &call);
        egress.allows(&method, &url.parse().unwrap())
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
}
