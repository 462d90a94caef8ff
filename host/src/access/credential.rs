//! The credential of one scope set: asked for its headers, and rebuilt when the crate gives up.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use google_cloud_auth::credentials::{CacheableResource, Credentials};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderValue};
use tokio::time::{Instant, timeout};

use super::authorization::Authorization;
use super::error::{AccessError, AccessErrorKind, Cause};
use super::scopes::Scopes;
use super::source::{CredentialKind, CredentialSource};

/// How long to wait for the token source, and how often to try again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// How long a call waits for the token source.
    pub(super) answer: Duration,
    /// The pause after a build that ended in a permanent failure: as long as the crate's own after a
    /// transient one.
    pub(super) failed: Duration,
    /// The pause between two rebuilds after a 401.
    pub(super) rejected: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(30),
            failed: Duration::from_secs(10),
            rejected: Duration::from_secs(60),
        }
    }
}

/// A credential that survives its failures. Shared by all calls with the same scopes.
pub(super) struct Credential {
    source: Arc<CredentialSource>,
    scopes: Scopes,
    timing: Timing,
    built: Mutex<Option<Built>>,
    last: Mutex<Option<Authorization>>,
    /// Held while the credential is rebuilt, so that one rebuild serves all calls that wait for it. Its value is
    /// when that last happened for a 401.
    rebuild: tokio::sync::Mutex<Option<Instant>>,
}

/// A credential of the crate, and how many came before it.
#[derive(Clone)]
struct Built {
    credentials: Credentials,
    generation: u64,
    at: Instant,
}

/// Why there is no token, and what the crate does about it.
enum TokenError {
    /// It asks again by itself.
    Transient(AccessError),
    /// It has stopped asking.
    Final(AccessError),
    /// It waits, without a limit of its own.
    Silent(AccessError),
}

impl Credential {
    pub(super) fn new(source: Arc<CredentialSource>, scopes: Scopes, timing: Timing) -> Self {
        Self {
            source,
            scopes,
            timing,
            built: Mutex::default(),
            last: Mutex::default(),
            rebuild: tokio::sync::Mutex::default(),
        }
    }

    /// The headers that were given last.
    pub(super) fn last(&self) -> Option<Authorization> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// The universe that the source says it is of.
    pub(super) async fn universe(&self) -> Option<String> {
        let built = self.current().ok()?;
        let universe = catch_panic(built.credentials.universe_domain());
        timeout(self.timing.answer, universe).await.ok()??
    }

    /// The current headers, from a rebuilt credential if the last one has failed for good.
    pub(super) async fn authorization(self: &Arc<Self>) -> Result<Authorization, AccessError> {
        let built = self.current()?;
        match self.ask(&built).await {
            Ok(authorization) => Ok(authorization),
            Err(TokenError::Transient(error)) => Err(error),
            Err(TokenError::Final(error)) => {
                match self.replaced(built.generation, self.timing.failed).await? {
                    Some(built) => self.ask(&built).await.map_err(TokenError::into_error),
                    None => Err(error),
                }
            }
            Err(TokenError::Silent(error)) => {
                // For the next call: this one has waited long enough.
                self.replaced(built.generation, self.timing.answer).await?;
                Err(error)
            }
        }
    }

    /// The headers to ask again with after `refused`; see [`super::Access::rejected`].
    pub(super) async fn rejected(self: &Arc<Self>, refused: &HeaderValue) -> Option<Authorization> {
        let this = Arc::clone(self);
        let refused = refused.clone();
        spawn_detached(async move {
            let current = this.current().ok()?;
            let unlike = |authorization: &Authorization| *authorization.value() != refused;
            let authorization = this.ask(&current).await.ok()?;
            if unlike(&authorization) {
                return Some(authorization);
            }
            let mut last = this.rebuild.lock().await;
            let newer = this.current().ok()?;
            if newer.generation != current.generation {
                // Not under the lock: calls that wait for it would wait for each other's answer.
                drop(last);
                return this.ask(&newer).await.ok().filter(unlike);
            }
            if last.is_some_and(|at| at.elapsed() < this.timing.rejected) {
                return None;
            }
            *last = Some(Instant::now());
            // The old one stays until the new one has given a token: other services may take it.
            let rebuilt = this.rebuild_now().await.ok()?;
            let authorization = this.ask(&rebuilt).await.ok()?;
            this.put(rebuilt);
            Some(authorization).filter(unlike)
        })
        .await
        .flatten()
    }

    /// The credential that replaces `generation`, built by this call or another; `None` if that one is not
    /// `pause` old yet.
    async fn replaced(
        self: &Arc<Self>,
        generation: u64,
        pause: Duration,
    ) -> Result<Option<Built>, AccessError> {
        let this = Arc::clone(self);
        spawn_detached(async move {
            let _one_at_a_time = this.rebuild.lock().await;
            let current = this.current()?;
            if current.generation != generation {
                return Ok(Some(current));
            }
            if current.at.elapsed() < pause {
                return Ok(None);
            }
            let rebuilt = this.rebuild_now().await?;
            this.put(rebuilt.clone());
            Ok(Some(rebuilt))
        })
        .await
        .unwrap_or(Ok(None))
    }

    /// The credential in use. The first call builds it.
    fn current(&self) -> Result<Built, AccessError> {
        let mut built = self.built();
        if let Some(built) = &*built {
            return Ok(built.clone());
        }
        // From what the source read at the start: without I/O, so it may happen under the lock.
        let kind = self.source.kind().clone();
        let first = self.build(kind, 0)?;
        *built = Some(first.clone());
        Ok(first)
    }

    async fn rebuild_now(&self) -> Result<Built, AccessError> {
        let generation = {
            let mut built = self.built();
            built.as_mut().map_or(0, |built| {
                // A file that cannot be read is not read again for every call either.
                built.at = Instant::now();
                built.generation + 1
            })
        };
        let source = Arc::clone(&self.source);
        let kind = tokio::task::spawn_blocking(move || source.read_again())
            .await
            .unwrap_or_else(|_| Ok(self.source.kind().clone()))?;
        self.build(kind, generation)
    }

    fn build(&self, kind: CredentialKind, generation: u64) -> Result<Built, AccessError> {
        Ok(Built {
            credentials: self.source.build(kind, &self.scopes)?,
            generation,
            at: Instant::now(),
        })
    }

    fn put(&self, built: Built) {
        *self.built() = Some(built);
    }

    fn built(&self) -> MutexGuard<'_, Option<Built>> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, built: &Built) -> Result<Authorization, TokenError> {
        let headers = catch_panic(built.credentials.headers(Extensions::new()));
        match timeout(self.timing.answer, headers).await {
            Ok(Some(Ok(CacheableResource::New { data, .. }))) => {
                let authorization =
                    Authorization::from_headers(data).ok_or_else(|| self.broken())?;
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(authorization.clone());
                Ok(authorization)
            }
            Ok(Some(Err(error))) => Err(self.token_error(&error)),
            Ok(Some(Ok(CacheableResource::NotModified)) | None) => Err(self.broken()),
            Err(_) => Err(TokenError::Silent(AccessError::new(
                AccessErrorKind::Silent {
                    endpoint: self.source.endpoint(),
                    waited: self.timing.answer,
                },
            ))),
        }
    }

    fn broken(&self) -> TokenError {
        TokenError::Final(AccessError::new(AccessErrorKind::Broken {
            endpoint: self.source.endpoint(),
        }))
    }

    /// The crate's error in our words. Its own words quote what the token server said, and with it whatever
    /// that server repeats of the request.
    fn token_error(&self, error: &CredentialsError) -> TokenError {
        let endpoint = self.source.endpoint();
        let origin = self.source.origin().clone();
        let fault = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
        if error.is_transient() {
            return TokenError::Transient(AccessError::new(match fault {
                Some(_) if self.source.may_be_absent() => AccessErrorKind::NoCredentials,
                Some(fault) => AccessErrorKind::Down {
                    endpoint,
                    cause: match tls(fault) {
                        Some(rustls::Error::InvalidCertificate(_)) => Cause::Certificate,
                        _ => Cause::Unreachable,
                    },
                },
                None => AccessErrorKind::Down {
                    endpoint,
                    cause: Cause::Failing,
                },
            }));
        }
        TokenError::Final(AccessError::new(match (self.source.kind(), fault) {
            (CredentialKind::ExternalAccount(_), Some(fault)) => AccessErrorKind::SubjectToken {
                origin,
                fault: fault.kind(),
            },
            (CredentialKind::ServiceAccount(_), _) => AccessErrorKind::PrivateKey { origin },
            (kind, _) => AccessErrorKind::Refused {
                endpoint,
                code: code(error),
                advice: advice(kind),
            },
        }))
    }
}

impl TokenError {
    fn into_error(self) -> AccessError {
        match self {
            Self::Transient(error) | Self::Final(error) | Self::Silent(error) => error,
        }
    }
}

fn advice(kind: &CredentialKind) -> &'static str {
    match kind {
        CredentialKind::AuthorizedUser(_) => {
            "run `gcloud auth application-default login` again, with the scopes that the services need"
        }
        CredentialKind::ExternalAccount(_) => {
            "check the subject token, the audience and the conditions of the workload identity pool"
        }
        CredentialKind::Impersonated(_) => {
            "check the source credentials, and that they have the role Service Account Token Creator on the service account"
        }
        CredentialKind::MetadataServer => {
            "check that the machine has a service account, and its access scopes"
        }
        CredentialKind::ServiceAccount(_) => "download the key again",
    }
}

/// The code in a token server's answer. Only words of this list are ever repeated.
fn code(error: &CredentialsError) -> Option<&'static str> {
    const CODES: [&str; 14] = [
        // A subtype of invalid_grant that says more: an organization's session length is over.
        "invalid_rapt",
        "invalid_grant",
        "invalid_client",
        "invalid_scope",
        "invalid_target",
        "unauthorized_client",
        "unsupported_grant_type",
        "access_denied",
        "invalid_request",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "NOT_FOUND",
        "INVALID_ARGUMENT",
        "FAILED_PRECONDITION",
    ];
    let said: Vec<String> = causes(error).map(ToString::to_string).collect();
    CODES
        .into_iter()
        .find(|code| said.iter().any(|said| said.contains(code)))
}

/// The TLS error in an I/O error, which the layers of a client wrap in I/O errors of their own.
fn tls(fault: &io::Error) -> Option<&rustls::Error> {
    let inner = fault.get_ref()?;
    inner
        .downcast_ref()
        .or_else(|| tls(inner.downcast_ref::<io::Error>()?))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        (*error).source()
    })
}

/// Runs a future to its end, even if the call that waits for it is dropped: others wait for it too.
/// `None` if it panicked or the runtime stops.
async fn spawn_detached<F>(future: F) -> Option<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future).await.ok()
}

/// A future's output, or `None` if it panicked: the crate does, in every call, once its refresh
/// task has panicked on an answer.
async fn catch_panic<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tls_error_is_found_under_the_layers_of_a_client() {
        let wrong = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let once = io::Error::new(io::ErrorKind::InvalidData, wrong());
        assert_eq!(tls(&once), Some(&wrong()));
        assert_eq!(tls(&io::Error::other(once)), Some(&wrong()));
        assert_eq!(tls(&io::Error::other("reset")), None);
        assert_eq!(tls(&io::ErrorKind::ConnectionRefused.into()), None);
    }
}
