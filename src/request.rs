//! Where a name goes, and what goes with it: the one request of an attempt.

use std::fmt;

use crate::bindings::{Failure, Reason};
use crate::catalogue::{self, Service, Version};
use crate::credential::Credential;
use crate::endpoint::Endpoint;
use crate::message::quoted;
use crate::name::Name;
use crate::settings::Settings;
use crate::suggest::{unknown_service, unknown_version};
use crate::template::PathTemplate;

/// How a service hands an operation out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// As AIP-151 has it.
    Get,
    /// With the name of the operation in the body.
    Post,
}

impl Method {
    /// As HTTP spells it.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// A request for one operation. It is displayed as its method and URL, without the query, and with at
/// most 512 bytes of the path.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The body of a `POST`.
    pub body: Option<String>,
    /// Whether it goes over TLS.
    pub tls: bool,
    /// The host, and the port if one is given.
    pub authority: String,
    /// The path, percent-encoded.
    pub path: String,
    /// The query, without its `?`.
    pub query: &'static str,
    /// The names and values of the header fields, in the order in which they are sent; names in lower
    /// case.
    pub headers: Vec<(&'static str, String)>,
    /// The service, if it is known: an endpoint can serve one that the catalogue does not have.
    pub service: Option<&'static Service>,
    /// Its version, if the block chose the URL.
    pub version: Option<&'static Version>,
    /// Whether the service publishes a pattern that matches the name.
    is_published: bool,
    /// What an answer may echo.
    credential: Option<Credential>,
    sender_adds_credential: bool,
}

/// How much of a path a message shows, in bytes.
const MAX_SHOWN_PATH: usize = 512;

const QUOTA_PROJECT: &str = "x-goog-user-project";

const USER_AGENT: &str = concat!("operations-get/", env!("CARGO_PKG_VERSION"));

impl Request {
    /// The request for `name` under `settings`.
    ///
    /// # Errors
    ///
    /// `invalid-name` if the name belongs to another service than the settings pin, or to no
    /// operation; `unknown-service` if the catalogue does not have the service or its version.
    pub fn new(name: &Name, settings: &Settings) -> Result<Request, Failure> {
        let service = service_of(name, settings)?;
        let request = match &settings.endpoint {
            Some(endpoint) => Request::to_endpoint(name, endpoint, service, settings)?,
            None => Request::to_service(name, service, settings)?,
        };
        if !name.is_usual() && !request.is_published {
            return Err(name.names_no_operation());
        }
        Ok(request)
    }

    fn to_endpoint(
        name: &Name,
        endpoint: &Endpoint,
        service: Option<&str>,
        settings: &Settings,
    ) -> Result<Request, Failure> {
        let service = service.and_then(catalogue::find);
        let template = match service {
            Some(service) => service.version_for(name.relative()).template,
            None => PathTemplate::Name,
        };
        Ok(Request {
            method: Method::Get,
            body: None,
            tls: endpoint.tls,
            authority: endpoint.authority.clone(),
            path: format!("{}/{}", endpoint.path, template.expand(name.relative())?),
            query: template.query(),
            headers: headers(settings),
            service,
            version: None,
            is_published: service.is_some_and(|service| service.publishes(name.relative())),
            credential: settings.credential.clone(),
            sender_adds_credential: settings.sender_adds_credential,
        })
    }

    fn to_service(
        name: &Name,
        service: Option<&str>,
        settings: &Settings,
    ) -> Result<Request, Failure> {
        let service = match service {
            Some(service) => catalogue::find(service).ok_or_else(|| Failure {
                concerns_caller: name.service().is_none(),
                ..unknown_service(service)
            })?,
            // Another guess would be a puzzling 404, or a token shown to the wrong service.
            None => catalogue::find(catalogue::DEFAULT_SERVICE)
                .filter(|service| service.publishes(name.relative()))
                .ok_or_else(|| name.names_no_service())?,
        };
        let pinned = settings
            .service
            .as_ref()
            .and_then(|pinned| pinned.version.as_deref());
        let version = match pinned {
            Some(version) => service.version(version).ok_or_else(|| Failure {
                concerns_caller: true,
                ..unknown_version(service, version)
            })?,
            None => service.version_for(name.relative()),
        };
        let host = version.host(service, name.relative());
        let authority = match &settings.universe_domain {
            Some(domain) => host.replace("googleapis.com", domain),
            None => host,
        };
        Ok(Request {
            method: Method::Get,
            body: None,
            tls: true,
            authority,
            path: format!(
                "/{}/{}",
                version.prefix(),
                version.template.expand(name.relative())?
            ),
            query: version.template.query(),
            headers: headers(settings),
            service: Some(service),
            version: Some(version),
            is_published: version.publishes(name.relative()),
            credential: settings.credential.clone(),
            sender_adds_credential: settings.sender_adds_credential,
        })
    }

    /// The URL, query included.
    pub fn url(&self) -> String {
        format!(
            "{}://{}{}?{}",
            self.scheme(),
            self.authority,
            self.path,
            self.query
        )
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The body of an answer without the credential of this request, which the service may have echoed.
    pub fn clean(&self, body: Vec<u8>) -> Vec<u8> {
        match &self.credential {
            Some(credential) => credential.taken_out_of(body),
            None => body,
        }
    }

    /// Whether it is known to carry a credential. A host of WASI may add one of its own all the same.
    pub fn has_credential(&self) -> bool {
        self.credential.is_some() || self.sender_adds_credential
    }

    /// Whether the settings say which project is charged.
    pub fn has_quota_project(&self) -> bool {
        self.headers.iter().any(|(name, _)| *name == QUOTA_PROJECT)
    }

    /// The patterns that the service publishes, if the name matches none of them; otherwise none.
    pub fn unmatched_patterns(&self) -> Vec<String> {
        match self.service {
            Some(service) if !self.is_published => match self.version {
                Some(version) => version.patterns().collect(),
                None => service.patterns(),
            },
            _ => Vec::new(),
        }
    }
}

/// The service that the name or the settings name. If the settings name one, they pin it, and an
/// endpoint serves one service: a flow's data cannot send the operator's credential elsewhere.
fn service_of<'a>(name: &Name<'a>, settings: &'a Settings) -> Result<Option<&'a str>, Failure> {
    let pinned = settings.service.as_ref().map(|pinned| pinned.name.as_str());
    let named = match name.service() {
        Some(named) if Some(named) != pinned => named,
        _ => return Ok(pinned),
    };
    let what_to_do = match (pinned, &settings.endpoint) {
        (None, None) => return Ok(Some(named)),
        (Some(pinned), _) => format!(
            "OPERATIONS_SERVICE pins {pinned}. Pass a name of that service, or unset \
             OPERATIONS_SERVICE."
        ),
        (None, Some(_)) => "OPERATIONS_ENDPOINT is set, and serves one service. Set \
             OPERATIONS_SERVICE to that service, or pass the relative name."
            .to_owned(),
    };
    Err(Failure::new(
        Reason::InvalidName,
        format!(
            "The name is of the service {}, but {what_to_do}",
            quoted(named)
        ),
    ))
}

fn headers(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("accept", "application/json".to_owned()),
        ("user-agent", USER_AGENT.to_owned()),
    ];
    match &settings.credential {
        Some(Credential::AccessToken(token)) => {
            headers.push(("authorization", format!("Bearer {token}")))
        }
        Some(Credential::ApiKey(key)) => headers.push(("x-goog-api-key", key.clone())),
        None => {}
    }
    if let Some(project) = &settings.quota_project {
        headers.push((QUOTA_PROJECT, project.clone()));
    }
    headers
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.name();
        write!(f, "{method} {}://{}", self.scheme(), self.authority)?;
        // It is ASCII, and a name of 2,048 bytes can take three times as many.
        match self.path.get(..MAX_SHOWN_PATH) {
            Some(start) => write!(f, "{start}…"),
            None => f.write_str(&self.path),
        }
    }
}

#[cfg(test)]
impl Request {
    /// The request for a valid name under valid variables.
    pub fn of(name: &str, variables: &[(&str, &str)]) -> Request {
        let variables = variables.iter().map(|&(k, v)| (k.to_owned(), v.to_owned()));
        let settings = Settings::from_variables(variables).unwrap();
        Request::new(&Name::parse(name).unwrap(), &settings).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, variables: &[(&str, &str)]) -> Result<Request, Failure> {
        let variables = variables.iter().map(|&(k, v)| (k.to_owned(), v.to_owned()));
        let settings = Settings::from_variables(variables).unwrap();
        Request::new(&Name::parse(name).unwrap(), &settings)
    }

    fn url(name: &str, variables: &[(&str, &str)]) -> String {
        let request = request(name, variables).unwrap();
        assert_eq!(request.query, "$.xgafv=2&prettyPrint=false");
        request.to_string()
    }

    #[test]
    fn the_service_is_that_of_the_name_or_the_settings_or_the_default() {
        assert_eq!(
            url("operations/o", &[]),
            "GET https://workspaceevents.googleapis.com/v1beta/operations/o"
        );
        assert_eq!(
            url(
                "//androiddeviceprovisioning.googleapis.com/operations/a/b",
                &[]
            ),
            "GET https://androiddeviceprovisioning.googleapis.com/v1/operations/a/b"
        );
        let name = "projects/p/locations/global/operations/o";
        let pinned = [("OPERATIONS_SERVICE", "apigateway.googleapis.com/v1")];
        let expected = format!("GET https://apigateway.googleapis.com/v1/{name}");
        assert_eq!(url(name, &pinned), expected);
        assert_eq!(
            url(&format!("//apigateway.googleapis.com/{name}"), &pinned),
            expected
        );
    }

    #[test]
    fn a_pinned_service_and_an_endpoint_refuse_names_of_another() {
        let name = "//apigateway.googleapis.com/projects/p/locations/l/operations/o";
        let failure = request(
            name,
            &[("OPERATIONS_SERVICE", "workspaceevents.googleapis.com")],
        )
        .unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidName);
        assert_eq!(
            failure.message,
            "The name is of the service \"apigateway.googleapis.com\", but OPERATIONS_SERVICE pins \
             workspaceevents.googleapis.com. Pass a name of that service, or unset OPERATIONS_SERVICE."
        );
        let endpoint = ("OPERATIONS_ENDPOINT", "https://a.com/v1");
        let failure = request(name, &[endpoint]).unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidName);
        assert_eq!(
            failure.message,
            "The name is of the service \"apigateway.googleapis.com\", but OPERATIONS_ENDPOINT is \
             set, and serves one service. Set OPERATIONS_SERVICE to that service, or pass the \
             relative name."
        );
        let both = [
            endpoint,
            ("OPERATIONS_SERVICE", "apigateway.googleapis.com"),
        ];
        assert_eq!(
            url(name, &both),
            "GET https://a.com/v1/projects/p/locations/l/operations/o"
        );
    }

    #[test]
    fn a_name_with_a_long_tail_is_sent_only_if_its_service_publishes_one() {
        let tail = "projects/1/operations/ExportAssets/RESOURCE/78";
        assert_eq!(
            url(&format!("//cloudasset.googleapis.com/{tail}"), &[]),
            format!("GET https://cloudasset.googleapis.com/v1/{tail}")
        );
        let pinned = ("OPERATIONS_SERVICE", "run.googleapis.com");
        for name in [tail.to_owned(), format!("//run.googleapis.com/{tail}")] {
            let failure = request(&name, &[pinned]).unwrap_err();
            assert_eq!(failure.reason, Reason::InvalidName);
            assert!(
                failure.message.contains("names no operation"),
                "{}",
                failure.message
            );
        }
    }

    #[test]
    fn a_relative_name_needs_a_service_unless_the_default_one_publishes_its_like() {
        let name = "projects/p/locations/global/operations/o";
        let failure = request(name, &[]).unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidName);
        assert!(failure.concerns_caller);
        assert_eq!(
            failure.message,
            format!(
                "Which service is the operation \"{name}\" of? Pass its full name, such as \
                 //apigateway.googleapis.com/projects/p/locations/l/operations/o, or set OPERATIONS_SERVICE."
            )
        );
        let pinned = [("OPERATIONS_SERVICE", "workspaceevents.googleapis.com")];
        assert_eq!(
            url(name, &pinned),
            format!("GET https://workspaceevents.googleapis.com/v1beta/{name}")
        );
    }

    #[test]
    fn an_endpoint_may_serve_a_service_that_the_catalogue_does_not_have() {
        let variables = [
            ("OPERATIONS_ENDPOINT", "http://127.0.0.1:8080/own/v3"),
            ("OPERATIONS_SERVICE", "own.example.com"),
        ];
        let own = request("operations/a b", &variables).unwrap();
        assert_eq!(
            own.to_string(),
            "GET http://127.0.0.1:8080/own/v3/operations/a%20b"
        );
        assert!(own.service.is_none());
    }

    #[test]
    fn the_universe_domain_replaces_the_end_of_the_host() {
        let variables = [("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "apis.example.org")];
        assert_eq!(
            url(
                "//androiddeviceprovisioning.googleapis.com/operations/o",
                &variables
            ),
            "GET https://androiddeviceprovisioning.apis.example.org/v1/operations/o"
        );
    }

    #[test]
    fn only_headers_of_settings_are_sent() {
        let plain = request("operations/o", &[]).unwrap().headers;
        let version = env!("CARGO_PKG_VERSION");
        let agent = format!("operations-get/{version}");
        assert_eq!(
            plain,
            [("accept", "application/json".into()), ("user-agent", agent)]
        );
        let with = |variables: &[(&str, &str)]| {
            request("operations/o", variables).unwrap().headers[2..].to_vec()
        };
        assert_eq!(
            with(&[
                ("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token"),
                ("GOOGLE_CLOUD_QUOTA_PROJECT", "p")
            ]),
            [
                ("authorization", "Bearer not-a-real-token".into()),
                ("x-goog-user-project", "p".into())
            ]
        );
        assert_eq!(
            with(&[("GOOGLE_API_KEY", "not-a-real-key")]),
            [("x-goog-api-key", "not-a-real-key".to_owned())]
        );
    }
}
