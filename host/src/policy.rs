//! What may leave the sandbox: decided from the manifest, the settings of the call, and the method and URL of a
//! request. Nothing here sends anything.

use std::collections::HashMap;
use std::sync::Arc;

use http::{Method, Uri};

use crate::access::{GOOGLE_UNIVERSE, Scopes};
use crate::call::Call;
use crate::manifest::Manifest;
use crate::origin::Origin;

/// What a manifest grants its block.
pub(crate) struct Grants {
    methods: Vec<Method>,
    /// The hosts that may be reached, each with the scopes of its service.
    hosts: HashMap<String, Scopes>,
    /// The same scopes by service, for endpoints.
    services: HashMap<String, Scopes>,
}

impl Grants {
    /// Reads a manifest. A host that its permissions do not list is not reached, whichever service names it: that is
    /// how an operator narrows a block.
    pub fn new(manifest: &Manifest) -> Grants {
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
        Grants {
            methods: methods.filter_map(|method| method.parse().ok()).collect(),
            hosts,
            services,
        }
    }

    /// The scopes of a service; those of Google Cloud if the manifest does not know it.
    pub fn scopes(&self, service: &str) -> Scopes {
        self.services.get(service).cloned().unwrap_or_default()
    }
}

/// Where the requests of calls with the same settings may go.
pub(crate) struct Policy {
    grants: Arc<Grants>,
    destination: Destination,
}

/// The credential that a request may carry.
pub(crate) struct Permit<'a> {
    /// The scopes that it needs.
    pub scopes: &'a Scopes,
    /// The universe that it has to be of; any if the operator named the exact endpoint.
    pub universe: Option<&'a str>,
}

enum Destination {
    /// The hosts of the manifest, in this universe if it is not Google's own.
    Services { universe_domain: Option<String> },
    /// The exact origin of `OPERATIONS_ENDPOINT`.
    Endpoint { origin: Origin, scopes: Scopes },
    /// `OPERATIONS_ENDPOINT` is not a URL, and the block says what is wrong with it.
    Nowhere,
}

impl Policy {
    /// What the manifest grants to calls with these settings.
    pub fn new(grants: Arc<Grants>, call: &Call) -> Policy {
        let destination = match call.value(ENDPOINT) {
            None => Destination::Services {
                universe_domain: call
                    .value("GOOGLE_CLOUD_UNIVERSE_DOMAIN")
                    .map(str::to_ascii_lowercase),
            },
            Some(endpoint) => match origin_of(endpoint) {
                None => Destination::Nowhere,
                Some(origin) => {
                    let service = call.value("OPERATIONS_SERVICE");
                    let service = service.and_then(|service| service.split('/').next());
                    let scopes = service.map(|service| grants.scopes(service));
                    Destination::Endpoint {
                        origin,
                        scopes: scopes.unwrap_or_default(),
                    }
                }
            },
        };
        Policy {
            grants,
            destination,
        }
    }

    /// Whether a request may leave, and if so, which credential it may carry.
    pub fn permits(&self, method: &Method, url: &Uri) -> Option<Permit<'_>> {
        if !self.grants.methods.contains(method) {
            return None;
        }
        let asked = Origin::of(url)?;
        match &self.destination {
            Destination::Nowhere => None,
            Destination::Endpoint { origin, scopes } => (*origin == asked).then_some(Permit {
                scopes,
                universe: None,
            }),
            Destination::Services { .. } if !asked.tls || asked.port != 443 => None,
            Destination::Services { universe_domain } => {
                let scopes = match universe_domain {
                    None => self.grants.hosts.get(&asked.host),
                    Some(domain) => {
                        let service = asked.host.strip_suffix(domain.as_str())?;
                        self.grants
                            .hosts
                            .get(&format!("{service}{GOOGLE_UNIVERSE}"))
                    }
                };
                let universe = universe_domain.as_deref().unwrap_or(GOOGLE_UNIVERSE);
                scopes.map(|scopes| Permit {
                    scopes,
                    universe: Some(universe),
                })
            }
        }
    }
}

const ENDPOINT: &str = "OPERATIONS_ENDPOINT";

/// The endpoint of a call if others on the network could read a credential on its way there.
pub(crate) fn endpoint_in_the_clear(call: &Call) -> Option<Origin> {
    origin_of(call.value(ENDPOINT)?).filter(|origin| !origin.keeps_secrets())
}

fn origin_of(url: &str) -> Option<Origin> {
    Origin::of(&url.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Setting = (&'static str, &'static str);

    /// The scopes of a request that may leave.
    fn permitted(settings: &[Setting], method: Method, url: &str) -> Option<Scopes> {
        let call = settings
            .iter()
            .fold(Call::new("operations/o"), |call, (variable, value)| {
                call.setting(*variable, *value)
            });
        let grants = Arc::new(Grants::new(&Manifest::builtin()));
        let policy = Policy::new(grants, &call);
        let permit = policy.permits(&method, &url.parse().unwrap())?;
        Some(permit.scopes.clone())
    }

    fn permits(settings: &[Setting], method: Method, url: &str) -> bool {
        permitted(settings, method, url).is_some()
    }

    #[test]
    fn only_get_over_https_to_a_host_of_the_manifest() {
        let get = |url| permits(&[], Method::GET, url);
        assert!(get("https://apigateway.googleapis.com/v1/operations/o"));
        assert!(get("https://apigateway.googleapis.com:443/"));
        assert!(get("https://APIGATEWAY.googleapis.com/"));
        assert!(!get("http://apigateway.googleapis.com/"));
        assert!(!get("https://apigateway.googleapis.com:8443/"));
        assert!(!get("https://apigateway.googleapis.com.evil.example/"));
        assert!(!get("https://user@apigateway.googleapis.com/"));
        assert!(!get("https://evil.example/"));
        assert!(!get("https://metadata.google.internal/"));
        assert!(!permits(
            &[],
            Method::POST,
            "https://apigateway.googleapis.com/"
        ));
    }

    #[test]
    fn with_an_endpoint_its_origin_is_the_only_one() {
        let settings = [("OPERATIONS_ENDPOINT", "http://127.0.0.1:8080/v1")];
        let get = |url| permits(&settings, Method::GET, url);
        assert!(get("http://127.0.0.1:8080/anything"));
        assert!(!get("http://127.0.0.1:8081/"));
        assert!(!get("https://127.0.0.1:8080/"));
        assert!(!get("https://apigateway.googleapis.com/"));
    }

    #[test]
    fn an_endpoint_that_is_not_a_url_grants_nothing() {
        for endpoint in ["no url at all", "https://user@apigateway.googleapis.com"] {
            let settings = [("OPERATIONS_ENDPOINT", endpoint)];
            let url = "https://apigateway.googleapis.com/";
            assert!(!permits(&settings, Method::GET, url), "{endpoint}");
        }
    }

    #[test]
    fn a_universe_has_the_services_of_the_manifest_and_no_others() {
        let settings = [("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "apis.example.org")];
        let get = |url| permits(&settings, Method::GET, url);
        assert!(get("https://apigateway.apis.example.org/"));
        assert!(!get("https://apigateway.googleapis.com/"));
        assert!(!get("https://evil.apis.example.org/"));
        assert!(!get("https://evilapis.example.org/"));
    }

    #[test]
    fn a_credential_needs_the_scopes_of_the_service_that_is_asked() {
        let scopes = |settings: &[Setting], url| permitted(settings, Method::GET, url).unwrap();
        let events = Grants::new(&Manifest::builtin()).scopes("workspaceevents.googleapis.com");
        assert_ne!(events, Scopes::default());
        let url = "https://workspaceevents.googleapis.com/v1beta/operations/o";
        assert_eq!(scopes(&[], url), events);
        let endpoint = ("OPERATIONS_ENDPOINT", "https://proxy.example/v1");
        let url = "https://proxy.example/v1/operations/o";
        let service = ("OPERATIONS_SERVICE", "workspaceevents.googleapis.com/v1");
        assert_eq!(scopes(&[endpoint, service], url), events);
        assert_eq!(scopes(&[endpoint], url), Scopes::default());
    }

    #[test]
    fn an_endpoint_over_plain_http_on_another_machine_is_in_the_clear() {
        let in_the_clear = |endpoint: &str| {
            let call = Call::new("operations/o").setting("OPERATIONS_ENDPOINT", endpoint);
            endpoint_in_the_clear(&call).map(|origin| origin.host)
        };
        assert_eq!(
            in_the_clear("http://a.example/v1").as_deref(),
            Some("a.example")
        );
        for endpoint in ["", "https://a.example/v1", "http://localhost/v1", "no url"] {
            assert_eq!(in_the_clear(endpoint), None, "{endpoint}");
        }
    }
}
