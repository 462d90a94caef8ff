//! Where a credential comes from: found, read and checked before the crate builds it.
//!
//! The crate could find the file itself; its errors would then quote what is in it, and a rebuild
//! could not tell whether to read it again.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::service_account::AccessSpecifier;
use google_cloud_auth::credentials::{
    Credentials, external_account, impersonated, mds, service_account, user_account,
};
use http::{HeaderValue, Uri};
use rustls::crypto::{CryptoProvider, ring};
use serde_json::Value;

use super::error::{AccessError, Kind, Origin};
use super::scopes::Scopes;

/// A checked source of credentials. `Display` says which, without anything that is in it.
pub(super) struct Source {
    origin: Origin,
    shape: Shape,
    quota_project: Option<String>,
    /// Whether it was found, not named: then its absence means that there are no credentials.
    found: bool,
    /// The metadata server, where it is not the machine's own.
    #[cfg(test)]
    pub(super) metadata_endpoint: Option<String>,
}

/// What kind of credentials a source gives.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    AuthorizedUser(Value),
    ServiceAccount(Value),
    ExternalAccount(Value),
    Impersonated(Value),
    MetadataServer,
}

impl Source {
    /// The order of AIP-4110, with the paths of AIP-4113. An empty variable is unset.
    pub(super) fn application_default(quota_project: Option<&str>) -> Result<Self, AccessError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(path) = variable("GOOGLE_APPLICATION_CREDENTIALS") {
            return Self::file(Path::new(&path), quota_project);
        }
        let gcloud = if cfg!(windows) {
            variable("APPDATA").map(|root| PathBuf::from(root).join("gcloud"))
        } else {
            variable("HOME").map(|root| PathBuf::from(root).join(".config/gcloud"))
        };
        let path = gcloud.map(|folder| folder.join("application_default_credentials.json"));
        match path {
            Some(path) if path.exists() => Self::file(&path, quota_project),
            _ => Ok(Self {
                found: true,
                ..Self::metadata_server(quota_project)?
            }),
        }
    }

    pub(super) fn file(path: &Path, quota_project: Option<&str>) -> Result<Self, AccessError> {
        let origin = Origin::File(path.to_owned());
        let shape = Shape::check(read(path, &origin)?, &origin)?;
        Self::new(origin, shape, quota_project)
    }

    pub(super) fn json(json: Value, quota_project: Option<&str>) -> Result<Self, AccessError> {
        let origin = Origin::Given;
        let shape = Shape::check(json, &origin)?;
        Self::new(origin, shape, quota_project)
    }

    pub(super) fn metadata_server(quota_project: Option<&str>) -> Result<Self, AccessError> {
        Self::new(Origin::Machine, Shape::MetadataServer, quota_project)
    }

    fn new(origin: Origin, shape: Shape, quota_project: Option<&str>) -> Result<Self, AccessError> {
        let quota_project = quota_project.or_else(|| shape.text("quota_project_id"));
        if quota_project.is_some_and(|project| HeaderValue::from_str(project).is_err()) {
            return Err(AccessError::new(Kind::QuotaProject));
        }
        Ok(Self {
            quota_project: quota_project.map(str::to_owned),
            origin,
            shape,
            found: false,
            #[cfg(test)]
            metadata_endpoint: None,
        })
    }

    /// Whether a token depends on the scopes that are asked for; see [`Scopes`].
    pub(super) fn takes_scopes(&self) -> bool {
        !matches!(self.shape, Shape::AuthorizedUser(_))
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether no answer at all means that there are no credentials, not that one is down.
    pub(super) fn may_be_absent(&self) -> bool {
        self.found && std::env::var_os("GCE_METADATA_HOST").is_none()
    }

    /// Who gives the tokens, for messages.
    pub(super) fn endpoint(&self) -> String {
        let at = |member, default: &str| {
            let host = self.shape.text(member).and_then(host);
            format!("the token server {}", host.as_deref().unwrap_or(default))
        };
        match &self.shape {
            Shape::AuthorizedUser(_) => at("token_uri", "oauth2.googleapis.com"),
            Shape::ServiceAccount(_) => self.origin.to_string(),
            Shape::ExternalAccount(_) => at("token_url", "sts.googleapis.com"),
            Shape::Impersonated(_) => at(
                "service_account_impersonation_url",
                "iamcredentials.googleapis.com",
            ),
            Shape::MetadataServer => "the metadata server".to_owned(),
        }
    }

    /// The shape for a rebuild. A regular file is read again, since a key may have been replaced; a
    /// pipe gave what it had the first time, and a second read would wait for ever.
    pub(super) fn shape_now(&self) -> Result<Shape, AccessError> {
        match &self.origin {
            Origin::File(path) if path.is_file() => {
                Shape::check(read(path, &self.origin)?, &self.origin)
            }
            Origin::File(_) | Origin::Given | Origin::Machine => Ok(self.shape.clone()),
        }
    }

    /// A credential of the crate. It starts a task on the current tokio runtime, which ends when the
    /// credential is dropped.
    pub(super) fn build(&self, shape: Shape, scopes: &Scopes) -> Result<Credentials, AccessError> {
        provide_crypto();
        let kind = shape.kind();
        let scopes = || scopes.iter().map(str::to_owned);
        // The builders have no common trait.
        macro_rules! finish {
            ($builder:expr) => {{
                let builder = $builder;
                match &self.quota_project {
                    Some(project) => builder.with_quota_project_id(project),
                    None => builder,
                }
                .build()
            }};
        }
        let built: Result<Credentials, BuildError> = match shape {
            Shape::AuthorizedUser(json) => finish!(user_account::Builder::new(json)),
            Shape::ServiceAccount(json) => finish!(
                service_account::Builder::new(json)
                    .with_access_specifier(AccessSpecifier::from_scopes(scopes()))
            ),
            Shape::ExternalAccount(json) => {
                finish!(external_account::Builder::new(json).with_scopes(scopes()))
            }
            Shape::Impersonated(json) => {
                finish!(impersonated::Builder::new(json).with_scopes(scopes()))
            }
            Shape::MetadataServer => finish!(self.metadata_builder().with_scopes(scopes())),
        };
        // The crate's reason may quote a member's value.
        built.map_err(|_| {
            AccessError::new(Kind::Unfit {
                origin: self.origin.clone(),
                kind,
            })
        })
    }

    fn metadata_builder(&self) -> mds::Builder {
        let builder = mds::Builder::default();
        #[cfg(test)]
        if let Some(endpoint) = &self.metadata_endpoint {
            return builder.with_endpoint(endpoint);
        }
        builder
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Machine => self.origin.fmt(f),
            Origin::File(_) | Origin::Given => {
                write!(f, "{} in {}", self.shape.kind(), self.origin)
            }
        }
    }
}

impl Shape {
    /// Checks what the crate would refuse with an error that quotes it, or accept and fail later.
    fn check(json: Value, origin: &Origin) -> Result<Self, AccessError> {
        let found = match json.get("type") {
            Some(Value::String(found)) => found.as_str(),
            _ => {
                return Err(AccessError::new(Kind::NoType {
                    origin: origin.clone(),
                }));
            }
        };
        let shape = match found {
            "authorized_user" => Self::AuthorizedUser as fn(Value) -> Self,
            "service_account" => Self::ServiceAccount,
            "external_account" => Self::ExternalAccount,
            "impersonated_service_account" => Self::Impersonated,
            _ => {
                let name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
                return Err(AccessError::new(Kind::UnknownType {
                    origin: origin.clone(),
                    found: (found.len() <= 40 && found.bytes().all(name)).then(|| found.to_owned()),
                }));
            }
        };
        let shape = shape(json);
        shape.check_members(origin)?;
        Ok(shape)
    }

    fn check_members(&self, origin: &Origin) -> Result<(), AccessError> {
        let (texts, object): (&[&'static str], Option<&'static str>) = match self {
            Self::AuthorizedUser(_) => (&["client_id", "client_secret", "refresh_token"], None),
            Self::ServiceAccount(_) => (
                &[
                    "client_email",
                    "private_key_id",
                    "private_key",
                    "project_id",
                ],
                None,
            ),
            Self::ExternalAccount(_) => (
                &["audience", "subject_token_type", "token_url"],
                Some("credential_source"),
            ),
            Self::Impersonated(_) => (
                &["service_account_impersonation_url"],
                Some("source_credentials"),
            ),
            Self::MetadataServer => return Ok(()),
        };
        let lacks = |member, expected| {
            Err(AccessError::new(Kind::Member {
                origin: origin.clone(),
                kind: self.kind(),
                member,
                expected,
            }))
        };
        for &member in texts {
            if self.text(member).is_none_or(str::is_empty) {
                return lacks(member, "text");
            }
        }
        if let Some(member) = object
            && !self.member(member).is_some_and(Value::is_object)
        {
            return lacks(member, "object");
        }
        for member in [
            "token_uri",
            "token_url",
            "service_account_impersonation_url",
        ] {
            // A service account key signs for itself; its token_uri is not used.
            let sent = !matches!(self, Self::ServiceAccount(_));
            if sent && self.text(member).is_some_and(|url| !keeps_secrets(url)) {
                return Err(AccessError::new(Kind::InTheClear {
                    origin: origin.clone(),
                    member,
                }));
            }
        }
        match self.member("source_credentials") {
            Some(source) if matches!(self, Self::Impersonated(_)) => {
                Self::check(source.clone(), origin).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::AuthorizedUser(_) => "an authorized user",
            Self::ServiceAccount(_) => "a service account key",
            Self::ExternalAccount(_) => "an external account",
            Self::Impersonated(_) => "an impersonated service account",
            Self::MetadataServer => "the metadata server",
        }
    }

    fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Self::AuthorizedUser(json)
            | Self::ServiceAccount(json)
            | Self::ExternalAccount(json)
            | Self::Impersonated(json) => json.get(name),
            Self::MetadataServer => None,
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.member(name).and_then(Value::as_str)
    }
}

fn read(path: &Path, origin: &Origin) -> Result<Value, AccessError> {
    let text = fs::read_to_string(path).map_err(|error: io::Error| {
        AccessError::new(Kind::Unreadable {
            origin: origin.clone(),
            fault: error.kind(),
        })
    })?;
    serde_json::from_str(&text).map_err(|error| {
        AccessError::new(Kind::NotJson {
            origin: origin.clone(),
            line: error.line(),
            column: error.column(),
        })
    })
}

/// `https`, or `http` to this machine.
fn keeps_secrets(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else {
        return false;
    };
    let name = url.host().unwrap_or_default();
    match url.scheme_str() {
        Some("https") => !name.is_empty(),
        Some("http") => {
            name == "localhost"
                || name
                    .trim_start_matches('[')
                    .trim_end_matches(']')
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        _ => false,
    }
}

/// Host and port of a URL, without user info.
fn host(url: &str) -> Option<String> {
    let url = url.parse::<Uri>().ok()?;
    let name = url.host()?;
    Some(match url.port_u16() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    })
}

/// The crate signs and connects with the process's provider, and panics where there is none. One that
/// the embedding program installed is kept.
fn provide_crypto() {
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was first, with the same outcome.
        let _ = ring::default_provider().install_default();
    }
}
