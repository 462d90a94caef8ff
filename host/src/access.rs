//! The host's access: whose credential a request carries, and how it gets there.
//!
//! A block never sees a token. The host asks [`Access::authorization`] on a request's way out,
//! adds what it gives, and after an answer 401 asks [`Access::rejected`] whether to try once more.

mod authorization;
mod credential;
mod error;
mod scopes;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use serde_json::Value;

pub use authorization::Authorization;
use credential::{Credential, Pace};
pub use error::AccessError;
use error::Kind;
pub use scopes::Scopes;
use source::Source;

/// How many scope sets have a credential at a time, the least recently used making room. The
/// catalogue's services need about a dozen; a manifest that lists more must not make the host grow.
const KEPT: usize = 32;

/// Whose credential requests carry. Cheap to clone; clones share their tokens.
///
/// # Where a credential comes from
///
/// | constructor | credential | what reaches the network |
/// |---|---|---|
/// | [`Access::none`] | none | nothing |
/// | [`Access::token`], [`Access::from_env`] | a token made elsewhere | nothing |
/// | [`Access::application_default`] | the file in `GOOGLE_APPLICATION_CREDENTIALS`, else the one that `gcloud auth application-default login` writes, else the metadata server | as its kind |
/// | [`Access::from_credentials_file`], [`Access::from_credentials_json`] | `authorized_user` | the refresh token, to `token_uri` |
/// | | `service_account` | nothing: the key signs the token itself (AIP-4111), `token_uri` is not used |
/// | | `external_account` (workload identity) | the subject token, to `token_url`, then `service_account_impersonation_url` where there is one |
/// | | `impersonated_service_account` | what its source sends, then `service_account_impersonation_url` |
/// | [`Access::metadata_server`] | the machine's service account | `GCE_METADATA_HOST`, else `metadata.google.internal` |
///
/// Tokens are made, kept and refreshed by the crate `google-cloud-auth`: 4 minutes before a token
/// expires, by one task, however many calls wait. After a passing failure it asks again every
/// 10 seconds; a token that lives for less than 10 seconds is replaced every 10 seconds, and calls
/// wait for that.
///
/// Token requests go by the platform's CA certificates; the crate takes no others, but on Linux
/// `SSL_CERT_FILE` replaces them. Without any, as in a container made from nothing, it can ask
/// nobody, not even the metadata server, which is asked by plain `http`. They go by `HTTPS_PROXY`
/// and `HTTP_PROXY`; where the latter is set, `NO_PROXY` has to list the metadata server.
///
/// # What is added to the crate here
///
/// - A 401 rebuilds the credential, since the crate has no forced refresh: see [`Access::rejected`].
/// - The crate stops for good after a failure that it holds to be permanent. Here it is built anew,
///   its file read again, by the first call that comes 10 seconds later: a long-lived host
///   recovers when an operator repairs the key, and does not hammer the token server until then.
/// - The crate waits without end for a token server that accepts and stays silent. Here a call
///   waits for at most 30 seconds.
/// - The crate panics over some answers (an impersonated token that had expired already) and without
///   CA certificates. Here that is an error, though the panic is still reported on standard error.
/// - Its errors quote the token server's answer and at times the subject token. Here they are
///   replaced by sentences of our own, which hold neither.
/// - `token_uri`, `token_url` and `service_account_impersonation_url` have to be `https`, or `http`
///   to this machine.
///
/// # What the crate cannot do
///
/// - **A service account that acts for a user** (domain-wide delegation): it signs with `sub` set to
///   the service account's own address. The Chat and Meet scopes of `workspaceevents.googleapis.com`
///   need a user. Use that user's own credentials (`gcloud auth application-default login
///   --scopes=...`, an `authorized_user` file), or make the token elsewhere and hand it over
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
pub struct Access(Way);

#[derive(Clone)]
enum Way {
    None,
    Token(Authorization),
    Credentials(Arc<Credentials>),
}

/// A source, and the credentials made from it, the most recently used last.
struct Credentials {
    source: Arc<Source>,
    pace: Pace,
    kept: Mutex<Vec<Arc<Credential>>>,
}

impl Access {
    /// No credential: requests go out as the block made them.
    pub fn none() -> Self {
        Self(Way::None)
    }

    /// Whether no request carries a credential.
    pub fn is_none(&self) -> bool {
        matches!(self.0, Way::None)
    }

    /// A token made elsewhere: visible ASCII, without `Bearer`. One trailing newline is trimmed.
    /// It is never refreshed.
    ///
    /// # Errors
    ///
    /// Where it is empty or holds anything else. The error does not show it.
    pub fn token(secret: String) -> Result<Self, AccessError> {
        Authorization::bearer(&secret)
            .map(|authorization| Self(Way::Token(authorization)))
            .map_err(|fault| AccessError::new(Kind::Token { fault }))
    }

    /// [`Access::token`] with the value of the environment variable `variable`.
    ///
    /// # Errors
    ///
    /// Where it is unset, empty or not a token. The error names the variable and does not show its
    /// value.
    pub fn from_env(variable: &str) -> Result<Self, AccessError> {
        let unset = || {
            AccessError::new(Kind::VariableUnset {
                variable: variable.to_owned(),
            })
        };
        let secret = std::env::var_os(variable).ok_or_else(unset)?;
        if secret.is_empty() {
            return Err(unset());
        }
        // What is not Unicode is not ASCII either, which is what the error then says.
        Authorization::bearer(&secret.to_string_lossy())
            .map(|authorization| Self(Way::Token(authorization)))
            .map_err(|fault| {
                AccessError::new(Kind::VariableUnfit {
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
    /// A file is read and checked here; nothing is asked of the network before the first
    /// [`Access::authorization`]. Ask for one at start to find a token source that is down.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, or is none of the kinds in the table of [`Access`].
    pub fn application_default(quota_project: Option<&str>) -> Result<Self, AccessError> {
        Source::application_default(quota_project).map(Self::from_source)
    }

    /// The credentials in a JSON file, of any kind in the table of [`Access`]. It is read again
    /// when the credential is rebuilt, so a key may be replaced while the host runs.
    ///
    /// Such a file decides where secrets are sent, and one for workload identity may name a command
    /// to run (only where `GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1`): it must be the operator's.
    ///
    /// # Errors
    ///
    /// As [`Access::application_default`].
    pub fn from_credentials_file(
        path: impl AsRef<Path>,
        quota_project: Option<&str>,
    ) -> Result<Self, AccessError> {
        Source::file(path.as_ref(), quota_project).map(Self::from_source)
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
        Source::json(json, quota_project).map(Self::from_source)
    }

    /// The service account of the machine (Compute Engine, GKE, Cloud Run), from its metadata
    /// server: the one in `GCE_METADATA_HOST`, else `metadata.google.internal`.
    ///
    /// # Errors
    ///
    /// Where `quota_project` is not fit for a header.
    pub fn metadata_server(quota_project: Option<&str>) -> Result<Self, AccessError> {
        Source::metadata_server(quota_project).map(Self::from_source)
    }

    /// `text`, which may be a flow's data, without the tokens that are at hand: the one that was made
    /// elsewhere, or those that the source gave last.
    pub(crate) fn redact(&self, text: String) -> String {
        match &self.0 {
            Way::None => text,
            Way::Token(authorization) => authorization.redact(text),
            Way::Credentials(credentials) => {
                let kept = credentials.kept();
                let last = kept.iter().filter_map(|credential| credential.last());
                last.fold(text, |text, authorization| authorization.redact(text))
            }
        }
    }

    /// What to add to a request to a service that takes `scopes`; `None` for [`Access::none`].
    ///
    /// The first call for a scope set asks the token source, and those that come meanwhile wait for
    /// the same answer. Later ones get the token at once, until it expires.
    ///
    /// # Errors
    ///
    /// Where the token source is down ([`AccessError::is_transient`]) or refuses.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its I/O and time drivers enabled.
    pub async fn authorization(
        &self,
        scopes: &Scopes,
    ) -> Result<Option<Authorization>, AccessError> {
        match &self.0 {
            Way::None => Ok(None),
            Way::Token(authorization) => Ok(Some(authorization.clone())),
            Way::Credentials(credentials) => credentials.of(scopes).authorization().await.map(Some),
        }
    }

    /// To be called after an answer 401, with the `Authorization` that the request had: what to ask
    /// again with, or `None` where asking again makes no sense. Ask again once, not in a loop.
    ///
    /// Where the token has been replaced since, the new one comes at once. Else the credential is
    /// rebuilt, once for all calls that were refused with the same token; they wait for it, and it
    /// goes on if the call that began it is cancelled. At most one rebuild a minute and scope set,
    /// so that a service which always answers 401 costs no token request per call.
    ///
    /// `None` for [`Access::none`] and a token made elsewhere; where a rebuild gave no token, or the
    /// same one (a metadata server keeps its tokens until they expire); and within the minute.
    pub async fn rejected(&self, scopes: &Scopes, refused: &HeaderValue) -> Option<Authorization> {
        match &self.0 {
            Way::None | Way::Token(_) => None,
            Way::Credentials(credentials) => credentials.of(scopes).rejected(refused).await,
        }
    }

    fn from_source(source: Source) -> Self {
        Self(Way::Credentials(Arc::new(Credentials {
            source: Arc::new(source),
            pace: Pace::default(),
            kept: Mutex::default(),
        })))
    }
}

impl Credentials {
    fn kept(&self) -> MutexGuard<'_, Vec<Arc<Credential>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The credential of a scope set, made where there is none yet.
    fn of(&self, scopes: &Scopes) -> Arc<Credential> {
        let scopes = if self.source.takes_scopes() {
            scopes.clone()
        } else {
            Scopes::default()
        };
        let mut kept = self.kept();
        let found = kept
            .iter()
            .position(|credential| *credential.scopes() == scopes);
        let credential = match found {
            Some(at) if at + 1 == kept.len() => return Arc::clone(&kept[at]),
            Some(at) => kept.remove(at),
            None => Arc::new(Credential::new(Arc::clone(&self.source), scopes, self.pace)),
        };
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(Arc::clone(&credential));
        credential
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Way::None => f.write_str("Access(none)"),
            Way::Token(_) => f.write_str("Access(a token made elsewhere)"),
            Way::Credentials(credentials) => write!(f, "Access({})", credentials.source),
        }
    }
}
