//! The host's access: whose credential a request carries, and how it gets there.
//!
//! A block never sees a token. Before a request goes out, the host asks [`Access::authorization`] and adds what
//! it gives; after an answer 401 it asks [`Access::rejected`] whether to try once more.

mod authorization;
mod credential;
mod error;
mod scopes;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use lru::LruCache;
use serde_json::Value;

pub use authorization::Authorization;
use credential::{Credential, Timing};
pub use error::AccessError;
use error::AccessErrorKind;
pub use scopes::Scopes;
use source::CredentialSource;
pub(crate) use source::GOOGLE_UNIVERSE;

/// How many scope sets have a credential at a time; the least recently used makes room. The
/// catalogue's services need about a dozen; a manifest that lists more must not make the host grow.
const MAX_SCOPE_SETS: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// Whose credential requests carry. Cheap to clone; clones share their tokens.
///
/// # Where a credential comes from
///
/// | constructor | credential | what reaches the network |
/// |---|---|---|
/// | [`Access::none`] | none | nothing |
/// | [`Access::token`], [`Access::from_env`] | a token made elsewhere | nothing |
/// | [`Access::application_default`] | the file in `GOOGLE_APPLICATION_CREDENTIALS`, else the one that `gcloud auth application-default login` writes, else the metadata server | depends on its kind |
/// | [`Access::from_credentials_file`], [`Access::from_credentials_json`] | `authorized_user` | the refresh token, to `token_uri` |
/// | | `service_account` | nothing: the key signs the token itself (AIP-4111), `token_uri` is not used |
/// | | `external_account` (workload identity) | the subject token, to `token_url`, then `service_account_impersonation_url` if there is one |
/// | | `impersonated_service_account` | what its source sends, then `service_account_impersonation_url` |
/// | [`Access::metadata_server`] | the machine's service account | `GCE_METADATA_HOST`, else `metadata.google.internal` |
///
/// The crate `google-cloud-auth` makes, keeps and refreshes tokens: 4 minutes before a token
/// expires, by one task, however many calls wait. After a transient failure it asks again every
/// 10 seconds; a token that lives for less than 10 seconds is replaced every 10 seconds, and calls
/// wait for that.
///
/// Token requests trust the platform's CA certificates; the crate takes no others, but on Linux
/// `SSL_CERT_FILE` replaces them. Without any, as in a container image made from scratch, it can ask
/// nobody, not even the metadata server, which it asks over plain `http`. Token requests use `HTTPS_PROXY`
/// and `HTTP_PROXY`; if the latter is set, `NO_PROXY` must list the metadata server.
///
/// # What is added to the crate here
///
/// - A 401 rebuilds the credential, because the crate has no forced refresh: see [`Access::rejected`].
/// - The crate stops for good after a failure that it takes to be permanent. Here the first call after 10 seconds
///   rebuilds the credential and reads its file again: a long-lived host recovers when an operator repairs
///   the key, and does not hammer the token server until then.
/// - The crate waits forever for a token server that accepts and stays silent. Here a call
///   waits for at most 30 seconds.
/// - The crate panics on some answers (an impersonated token that had already expired) and without
///   CA certificates. Here that is an error, although the panic is still reported on standard error.
/// - Its errors quote the token server's answer and sometimes the subject token. Here our own sentences
///   replace them, which hold neither.
/// - `token_uri`, `token_url` and `service_account_impersonation_url` must be `https`, or `http`
///   to this machine.
///
/// - A token server that answers with a redirect is followed, also to another origin, and what was sent goes there
///   again (`docs/upstream.md`). The crate's client cannot be told otherwise: name only token servers that you trust.
///
/// # What the crate cannot do
///
/// - **A service account that acts for a user** (domain-wide delegation): it signs with `sub` set to
///   the service account's own address. The Chat and Meet scopes of `workspaceevents.googleapis.com`
///   need a user. Use that user's own credentials (`gcloud auth application-default login
///   --scopes=...`, an `authorized_user` file), or make the token elsewhere and pass it in
///   ([`Access::from_env`], `lro --access-token-env VAR`).
/// - Narrow an authorized user's token: it sends the scopes under a name that OAuth does not know
///   (`scopes` for `scope`). Such a token has the scopes that the user consented to, so none are
///   sent, and one token serves every service.
/// - Files of type `external_account_authorized_user` (a workforce pool's `gcloud` login) and
///   `gdch_service_account`.
///
/// # Examples
///
/// ```
/// use operations_host::{Access, Scopes};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let access = Access::token("not-a-real-token".to_owned())?;
/// let scopes = Scopes::for_service(["https://www.googleapis.com/auth/cloud-platform"]);
///
/// let mut headers = http::HeaderMap::new();
/// if let Some(authorization) = access.authorization(&scopes).await? {
///     authorization.apply_to(&mut headers);
///     // The request goes out. After an answer 401:
///     if let Some(replaced) = access.rejected(&scopes, authorization.value()).await {
///         replaced.apply_to(&mut headers); // and the request goes out once more.
///     }
/// }
/// assert_eq!(headers["authorization"], "Bearer not-a-real-token");
/// # Ok::<(), operations_host::AccessError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Access(AccessSource);

#[derive(Clone)]
enum AccessSource {
    None,
    Token {
        authorization: Authorization,
        universe: String,
    },
    Credentials(Arc<CredentialCache>),
}

/// A source, and the credentials made from it.
struct CredentialCache {
    source: Arc<CredentialSource>,
    timing: Timing,
    by_scopes: Mutex<LruCache<Scopes, Arc<Credential>>>,
}

impl Access {
    /// No credential: requests go out as the block made them.
    pub fn none() -> Self {
        Self(AccessSource::None)
    }

    /// Whether no request carries a credential.
    pub fn is_none(&self) -> bool {
        matches!(self.0, AccessSource::None)
    }

    /// A token made elsewhere: visible ASCII, without `Bearer`. One trailing newline is trimmed.
    /// It is never refreshed, and is of the universe `googleapis.com` ([`Access::in_universe`]).
    ///
    /// # Errors
    ///
    /// If it is empty or holds anything else. The error does not show it.
    pub fn token(secret: String) -> Result<Self, AccessError> {
        Authorization::bearer(&secret)
            .map(Self::from_token)
            .map_err(|fault| AccessError::new(AccessErrorKind::Token { fault }))
    }

    /// [`Access::token`] with the value of the environment variable `variable`.
    ///
    /// # Errors
    ///
    /// If it is unset, empty or not a token. The error names the variable and does not show its
    /// value.
    pub fn from_env(variable: &str) -> Result<Self, AccessError> {
        let unset = || {
            AccessError::new(AccessErrorKind::VariableUnset {
                variable: variable.to_owned(),
            })
        };
        let secret = std::env::var_os(variable).ok_or_else(unset)?;
        if secret.is_empty() {
            return Err(unset());
        }
        // A value that is not Unicode is not ASCII either, which is what the error then says.
        Authorization::bearer(&secret.to_string_lossy())
            .map(Self::from_token)
            .map_err(|fault| {
                AccessError::new(AccessErrorKind::VariableInvalid {
                    variable: variable.to_owned(),
                    fault,
                })
            })
    }

    /// Application default credentials (AIP-4110): the file in `GOOGLE_APPLICATION_CREDENTIALS`,
    /// else the one of `gcloud auth application-default login`, else the metadata server.
    ///
    /// `quota_project` is billed for the calls; without it the one in the file, if any.
    ///
    /// A file is read and checked here; the network is not used before the first
    /// [`Access::authorization`]. Ask for one at the start to find a token source that is down.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is none of the kinds in the table of [`Access`].
    pub fn application_default(quota_project: Option<&str>) -> Result<Self, AccessError> {
        CredentialSource::application_default(quota_project).map(Self::from_source)
    }

    /// The credentials in a JSON file, of any kind in the table of [`Access`]. It is read again
    /// when the credential is rebuilt, so a key may be replaced while the host runs.
    ///
    /// Such a file decides where secrets are sent, and one for workload identity may name a command
    /// to run (only if `GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1`): it must be the operator's.
    ///
    /// # Errors
    ///
    /// As [`Access::application_default`].
    pub fn from_credentials_file(
        path: impl AsRef<Path>,
        quota_project: Option<&str>,
    ) -> Result<Self, AccessError> {
        CredentialSource::file(path.as_ref(), quota_project).map(Self::from_source)
    }

    /// [`Access::from_credentials_file`] with the JSON itself.
    ///
    /// # Errors
    ///
    /// As [`Access::application_default`].
    pub fn from_credentials_json(
        json: Value,
        quota_project: Option<&str>,
    ) -> Result<Self, AccessError> {
        CredentialSource::json(json, quota_project).map(Self::from_source)
    }

    /// The service account of the machine (Compute Engine, GKE, Cloud Run), from its metadata
    /// server: the one in `GCE_METADATA_HOST`, else `metadata.google.internal`.
    ///
    /// # Errors
    ///
    /// If `quota_project` cannot be sent in a header.
    pub fn metadata_server(quota_project: Option<&str>) -> Result<Self, AccessError> {
        CredentialSource::metadata_server(quota_project).map(Self::from_source)
    }

    /// The universe that a token made elsewhere is of, if it is not `googleapis.com`. Files of credentials say it
    /// themselves (`universe_domain`), and a metadata server is asked.
    #[must_use]
    pub fn in_universe(self, domain: &str) -> Self {
        match self.0 {
            AccessSource::Token { authorization, .. } => Self(AccessSource::Token {
                authorization,
                universe: domain.to_ascii_lowercase(),
            }),
            source => Self(source),
        }
    }

    /// Whether the credential is of this universe (AIP-4120): it goes to no other. `domain` is in lower case.
    ///
    /// A metadata server is asked only about another universe than `googleapis.com`.
    pub(crate) async fn is_of_universe(&self, domain: &str) -> bool {
        match &self.0 {
            AccessSource::None => true,
            AccessSource::Token { universe, .. } => universe == domain,
            AccessSource::Credentials(credentials) => match credentials.source.universe() {
                Some(universe) => universe.eq_ignore_ascii_case(domain),
                None if domain == GOOGLE_UNIVERSE => true,
                None => {
                    let credential = credentials.of(&Scopes::default());
                    let universe = credential.universe().await;
                    universe.is_some_and(|universe| universe.eq_ignore_ascii_case(domain))
                }
            },
        }
    }

    /// Whether `text`, which may be a flow's data, holds a whole token that is known: the one that was made elsewhere,
    /// or one that the source gave last.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        match &self.0 {
            AccessSource::None => false,
            AccessSource::Token { authorization, .. } => authorization.is_in(text),
            AccessSource::Credentials(credentials) => {
                let by_scopes = credentials.by_scopes();
                let mut last = by_scopes
                    .iter()
                    .filter_map(|(_, credential)| credential.last());
                last.any(|authorization| authorization.is_in(text))
            }
        }
    }

    /// What to add to a request to a service that accepts `scopes`; `None` for [`Access::none`].
    ///
    /// The first call for a scope set asks the token source, and calls that come meanwhile wait for
    /// the same answer. Later calls get the token at once, until it expires.
    ///
    /// # Errors
    ///
    /// If the token source is down ([`AccessError::is_transient`]) or refuses.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its I/O and time drivers enabled.
    pub async fn authorization(
        &self,
        scopes: &Scopes,
    ) -> Result<Option<Authorization>, AccessError> {
        match &self.0 {
            AccessSource::None => Ok(None),
            AccessSource::Token { authorization, .. } => Ok(Some(authorization.clone())),
            AccessSource::Credentials(credentials) => {
                credentials.of(scopes).authorization().await.map(Some)
            }
        }
    }

    /// Call it after an answer 401, with the `Authorization` that the request had. It gives what to repeat the
    /// request with, or `None` if repeating it makes no sense. Repeat it once, not in a loop.
    ///
    /// If the token has been replaced since, the new one comes at once. Otherwise the credential is
    /// rebuilt, once for all calls that were refused with the same token; they wait for it, and it
    /// goes on if the call that began it is cancelled. There is at most one rebuild per minute and scope set,
    /// so that a service that always answers 401 does not cost a token request per call.
    ///
    /// `None` for [`Access::none`] and a token made elsewhere; if a rebuild gave no token, or the
    /// same one (a metadata server keeps its tokens until they expire); and within the minute.
    pub async fn rejected(&self, scopes: &Scopes, refused: &HeaderValue) -> Option<Authorization> {
        match &self.0 {
            AccessSource::None | AccessSource::Token { .. } => None,
            AccessSource::Credentials(credentials) => {
                credentials.of(scopes).rejected(refused).await
            }
        }
    }

    fn from_token(authorization: Authorization) -> Self {
        Self(AccessSource::Token {
            authorization,
            universe: GOOGLE_UNIVERSE.to_owned(),
        })
    }

    fn from_source(source: CredentialSource) -> Self {
        let cache = CredentialCache::new(Arc::new(source), Timing::default());
        Self(AccessSource::Credentials(Arc::new(cache)))
    }
}

impl CredentialCache {
    fn new(source: Arc<CredentialSource>, timing: Timing) -> Self {
        Self {
            source,
            timing,
            by_scopes: Mutex::new(LruCache::new(MAX_SCOPE_SETS)),
        }
    }

    fn by_scopes(&self) -> MutexGuard<'_, LruCache<Scopes, Arc<Credential>>> {
        self.by_scopes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The credential of a scope set, made if there is none yet.
    fn of(&self, scopes: &Scopes) -> Arc<Credential> {
        let scopes = match self.source.takes_scopes() {
            true => scopes.clone(),
            false => Scopes::default(),
        };
        let make = || Credential::new(Arc::clone(&self.source), scopes.clone(), self.timing);
        let mut by_scopes = self.by_scopes();
        Arc::clone(by_scopes.get_or_insert(scopes.clone(), || Arc::new(make())))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            AccessSource::None => f.write_str("Access(none)"),
            AccessSource::Token { .. } => f.write_str("Access(a token made elsewhere)"),
            AccessSource::Credentials(credentials) => write!(f, "Access({})", credentials.source),
        }
    }
}
