//! Where a credential comes from: found, read and checked before the crate builds it.
//!
//! The crate could find the file itself; its errors would then quote what is in it, and a rebuild
//! could not tell whether to read it again.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::service_account::AccessSpecifier;
use google_cloud_auth::credentials::{
    Credentials, external_account, impersonated, mds, service_account, user_account,
};
use http::HeaderValue;
use rustls::crypto::{CryptoProvider, ring};
use serde_json::Value;

use super::error::{AccessError, AccessErrorKind, CredentialOrigin};
use super::scopes::Scopes;
use crate::origin::Origin;

/// The universe of credentials that name no other.
pub(crate) const GOOGLE_UNIVERSE: &str = "googleapis.com";

/// A checked source of credentials. `Display` says which one, and nothing of what is in it.
pub(super) struct CredentialSource {
    origin: CredentialOrigin,
    kind: CredentialKind,
    quota_project: Option<String>,
    /// Whether nobody named it: then its absence means that there are no credentials.
    found: bool,
    /// The metadata server, if it is not the machine's own.
    #[cfg(test)]
    pub(super) metadata_endpoint: Option<String>,
}

/// What kind of credentials a source gives.
#[derive(Debug, Clone)]
pub(super) enum CredentialKind {
    AuthorizedUser(Value),
    ServiceAccount(Value),
    ExternalAccount(Value),
    Impersonated(Value),
    MetadataServer,
}

impl CredentialSource {
    /// The order of AIP-4110, with the paths of AIP-4113, where `CLOUDSDK_CONFIG` moves the folder of gcloud. An empty
    /// variable is unset.
    pub(super) fn application_default(quota_project: Option<&str>) -> Result<Self, AccessError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(path) = variable("GOOGLE_APPLICATION_CREDENTIALS") {
            return Self::file(Path::new(&path), quota_project);
        }
        let (root, folder) = match cfg!(windows) {
            true => ("APPDATA", "gcloud"),
            false => ("HOME", ".config/gcloud"),
        };
        let gcloud = match variable("CLOUDSDK_CONFIG") {
            Some(folder) => Some(PathBuf::from(folder)),
            None => variable(root).map(|root| PathBuf::from(root).join(folder)),
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
        let origin = CredentialOrigin::File(path.to_owned());
        let kind = CredentialKind::check(read(path, &origin)?, &origin)?;
        Self::new(origin, kind, quota_project)
    }

    pub(super) fn json(json: Value, quota_project: Option<&str>) -> Result<Self, AccessError> {
        let origin = CredentialOrigin::Given;
        let kind = CredentialKind::check(json, &origin)?;
        Self::new(origin, kind, quota_project)
    }

    pub(super) fn metadata_server(quota_project: Option<&str>) -> Result<Self, AccessError> {
        Self::new(
            CredentialOrigin::Machine,
            CredentialKind::MetadataServer,
            quota_project,
        )
    }

    fn new(
        origin: CredentialOrigin,
        kind: CredentialKind,
        quota_project: Option<&str>,
    ) -> Result<Self, AccessError> {
        let quota_project = quota_project.or_else(|| kind.text("quota_project_id"));
        if quota_project.is_some_and(|project| HeaderValue::from_str(project).is_err()) {
            return Err(AccessError::new(AccessErrorKind::QuotaProject));
        }
        Ok(Self {
            quota_project: quota_project.map(str::to_owned),
            origin,
            kind,
            found: false,
            #[cfg(test)]
            metadata_endpoint: None,
        })
    }

    /// Whether a token depends on the scopes that are asked for; see [`Scopes`].
    pub(super) fn takes_scopes(&self) -> bool {
        !matches!(self.kind, CredentialKind::AuthorizedUser(_))
    }

    /// The universe that the credentials are of (AIP-4120); none if only the metadata server knows it.
    pub(super) fn universe(&self) -> Option<&str> {
        const MEMBER: &str = "universe_domain";
        if matches!(self.kind, CredentialKind::MetadataServer) {
            return None;
        }
        let of_its_source = || {
            let source = self.kind.member("source_credentials")?;
            source.get(MEMBER).and_then(Value::as_str)
        };
        let universe = self.kind.text(MEMBER).or_else(of_its_source);
        Some(universe.unwrap_or(GOOGLE_UNIVERSE))
    }

    pub(super) fn origin(&self) -> &CredentialOrigin {
        &self.origin
    }

    pub(super) fn kind(&self) -> &CredentialKind {
        &self.kind
    }

    /// Whether no answer at all means that there are no credentials, not that the source is down.
    pub(super) fn may_be_absent(&self) -> bool {
        self.found && std::env::var_os("GCE_METADATA_HOST").is_none()
    }

    /// Who gives the tokens, for messages.
    pub(super) fn endpoint(&self) -> String {
        let at = |member, default: &str| match self.kind.text(member).and_then(origin_of) {
            Some(origin) => format!("the token server {origin}"),
            None => format!("the token server {default}"),
        };
        match &self.kind {
            CredentialKind::AuthorizedUser(_) => at("token_uri", "oauth2.googleapis.com"),
            CredentialKind::ServiceAccount(_) => self.origin.to_string(),
            CredentialKind::ExternalAccount(_) => at("token_url", "sts.googleapis.com"),
            CredentialKind::Impersonated(_) => at(
                "service_account_impersonation_url",
                "iamcredentials.googleapis.com",
            ),
            CredentialKind::MetadataServer => "the metadata server".to_owned(),
        }
    }

    /// The credentials for a rebuild. A regular file is read again, because a key may have been replaced; a
    /// pipe gave everything the first time, and a second read would wait forever.
    pub(super) fn read_again(&self) -> Result<CredentialKind, AccessError> {
        match &self.origin {
            CredentialOrigin::File(path) if path.is_file() => {
                CredentialKind::check(read(path, &self.origin)?, &self.origin)
            }
            CredentialOrigin::File(_) | CredentialOrigin::Given | CredentialOrigin::Machine => {
                Ok(self.kind.clone())
            }
        }
    }

    /// A credential of the crate. It starts a task on the current tokio runtime, which ends when the
    /// credential is dropped.
    pub(super) fn build(
        &self,
        kind: CredentialKind,
        scopes: &Scopes,
    ) -> Result<Credentials, AccessError> {
        provide_crypto();
        let description = kind.description();
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
        let built: Result<Credentials, BuildError> = match kind {
            CredentialKind::AuthorizedUser(json) => finish!(user_account::Builder::new(json)),
            CredentialKind::ServiceAccount(json) => finish!(
                service_account::Builder::new(json)
                    .with_access_specifier(AccessSpecifier::from_scopes(scopes()))
            ),
            CredentialKind::ExternalAccount(json) => {
                finish!(external_account::Builder::new(json).with_scopes(scopes()))
            }
            CredentialKind::Impersonated(json) => {
                finish!(impersonated::Builder::new(json).with_scopes(scopes()))
            }
            CredentialKind::MetadataServer => {
                finish!(self.metadata_builder().with_scopes(scopes()))
            }
        };
        // The crate's reason may quote a member's value.
        built.map_err(|_| {
            AccessError::new(AccessErrorKind::Invalid {
                origin: self.origin.clone(),
                kind: description,
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

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            CredentialOrigin::Machine => self.origin.fmt(f),
            CredentialOrigin::File(_) | CredentialOrigin::Given => {
                write!(f, "{} in {}", self.kind.description(), self.origin)
            }
        }
    }
}

impl CredentialKind {
    /// Checks what the crate would refuse with an error that quotes it, or accept and fail with later.
    fn check(json: Value, origin: &CredentialOrigin) -> Result<Self, AccessError> {
        let found = match json.get("type") {
            Some(Value::String(found)) => found.as_str(),
            _ => {
                return Err(AccessError::new(AccessErrorKind::NoType {
                    origin: origin.clone(),
                }));
            }
        };
        let kind = match found {
            "authorized_user" => Self::AuthorizedUser as fn(Value) -> Self,
            "service_account" => Self::ServiceAccount,
            "external_account" => Self::ExternalAccount,
            "impersonated_service_account" => Self::Impersonated,
            _ => {
                let name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
                return Err(AccessError::new(AccessErrorKind::UnknownType {
                    origin: origin.clone(),
                    found: (found.len() <= 40 && found.bytes().all(name)).then(|| found.to_owned()),
                }));
            }
        };
        let kind = kind(json);
        kind.check_members(origin)?;
        Ok(kind)
    }

    fn check_members(&self, origin: &CredentialOrigin) -> Result<(), AccessError> {
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
            Err(AccessError::new(AccessErrorKind::Member {
                origin: origin.clone(),
                kind: self.description(),
                member,
                expected,
            }))
        };
        for &member in texts {
            if self.text(member).is_none_or(str::is_empty) {
                return lacks(member, "a string");
            }
        }
        if let Some(member) = object
            && !self.member(member).is_some_and(Value::is_object)
        {
            return lacks(member, "an object");
        }
        for member in [
            "token_uri",
            "token_url",
            "service_account_impersonation_url",
        ] {
            // A service account key signs for itself; its token_uri is not used.
            let sent = !matches!(self, Self::ServiceAccount(_));
            if sent
                && self
                    .text(member)
                    .is_some_and(|url| !origin_of(url).is_some_and(|origin| origin.keeps_secrets()))
            {
                return Err(AccessError::new(AccessErrorKind::InTheClear {
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

    fn description(&self) -> &'static str {
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

fn read(path: &Path, origin: &CredentialOrigin) -> Result<Value, AccessError> {
    let text = fs::read_to_string(path).map_err(|error: io::Error| {
        AccessError::new(AccessErrorKind::Unreadable {
            origin: origin.clone(),
            fault: error.kind(),
        })
    })?;
    serde_json::from_str(&text).map_err(|error| {
        AccessError::new(AccessErrorKind::NotJson {
            origin: origin.clone(),
            line: error.line(),
            column: error.column(),
        })
    })
}

fn origin_of(url: &str) -> Option<Origin> {
    Origin::of(&url.parse().ok()?)
}

/// The crate signs and connects with the process's provider, and panics if there is none. If the embedding
/// program installed one, it is kept.
fn provide_crypto() {
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was first, with the same outcome.
        let _ = ring::default_provider().install_default();
    }
}
