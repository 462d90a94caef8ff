//! One scope set's credential: asked for its headers, and built anew where the crate gives up.

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
use super::error::{AccessError, Cause, Kind};
use super::scopes::Scopes;
use super::source::{Shape, Source};

/// How long to wait, and how often to try.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// For the token source, at most.
    pub(super) answer: Duration,
    /// From a build that ended in a permanent failure to the next: the crate's own pause after a
    /// transient one.
    pub(super) failed: Duration,
    /// From a rebuild after a 401 to the next.
    pub(super) rejected: Duration,
}

impl Default for Pace {
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
    source: Arc<Source>,
    scopes: Scopes,
    pace: Pace,
    built: Mutex<Option<Built>>,
    last: Mutex<Option<Authorization>>,
    /// Held while the credential is rebuilt, so that one rebuild serves all who wait for it. Holds
    /// when that last happened for a 401.
    rebuild: tokio::sync::Mutex<Option<Instant>>,
}

/// A credential of the crate, and which one in turn it is.
#[derive(Clone)]
struct Built {
    credentials: Credentials,
    generation: u64,
    at: Instant,
}

/// No headers, and what becomes of the credential that gave none.
enum Failure {
    /// The crate asks again by itself.
    Passing(AccessError),
    /// The crate has stopped asking.
    Final(AccessError),
    /// The crate waits, without a limit of its own.
    Waiting(AccessError),
}

impl Credential {
    pub(super) fn new(source: Arc<Source>, scopes: Scopes, pace: Pace) -> Self {
        Self {
            source,
            scopes,
            pace,
            built: Mutex::default(),
            last: Mutex::default(),
            rebuild: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// What was given last.
    pub(super) fn last(&self) -> Option<Authorization> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// The current headers, from a credential built anew where the last one has failed for good.
    pub(super) async fn authorization(self: &Arc<Self>) -> Result<Authorization, AccessError> {
        let built = self.current()?;
        match self.ask(&built).await {
            Ok(authorization) => Ok(authorization),
            Err(Failure::Passing(error)) => Err(error),
            Err(Failure::Final(error)) => {
                match self.replaced(built.generation, self.pace.failed).await? {
                    Some(built) => self.ask(&built).await.map_err(Failure::into_error),
                    None => Err(error),
                }
            }
            Err(Failure::Waiting(error)) => {
                // For the next call: this one has waited long enough.
                self.replaced(built.generation, self.pace.answer).await?;
                Err(error)
            }
        }
    }

    /// The headers to ask again with after `refused`; see [`super::Access::rejected`].
    pub(super) async fn rejected(self: &Arc<Self>, refused: &HeaderValue) -> Option<Authorization> {
        let this = Arc::clone(self);
        let refused = refused.clone();
        undisturbed(async move {
            let current = this.current().ok()?;
            let unlike = |authorization: &Authorization| *authorization.value() != refused;
            let authorization = this.ask(&current).await.ok()?;
            if unlike(&authorization) {
                return Some(authorization);
            }
            let mut last = this.rebuild.lock().await;
            let newer = this.current().ok()?;
            if newer.generation != current.generation {
                // Not under the lock: who waits for it would wait for each other's answer.
                drop(last);
                return this.ask(&newer).await.ok().filter(unlike);
            }
            if last.is_some_and(|at| at.elapsed() < this.pace.rejected) {
                return None;
            }
            *last = Some(Instant::now());
            // The old one stays until the new one has given a token: other services may take it.
            let anew = this.build_anew().await.ok()?;
            let authorization = this.ask(&anew).await.ok()?;
            this.put(anew);
            Some(authorization).filter(unlike)
        })
        .await
        .flatten()
    }

    /// The credential in place of `generation`, by this call or another; `None` where that one is not
    /// `pause` old yet.
    async fn replaced(
        self: &Arc<Self>,
        generation: u64,
        pause: Duration,
    ) -> Result<Option<Built>, AccessError> {
        let this = Arc::clone(self);
        undisturbed(async move {
            let _one_at_a_time = this.rebuild.lock().await;
            let current = this.current()?;
            if current.generation != generation {
                return Ok(Some(current));
            }
            if current.at.elapsed() < pause {
                return Ok(None);
            }
            let anew = this.build_anew().await?;
            this.put(anew.clone());
            Ok(Some(anew))
        })
        .await
        .unwrap_or(Ok(None))
    }

    /// The credential in use, built by the first call.
    fn current(&self) -> Result<Built, AccessError> {
        let mut built = self.built();
        if let Some(built) = &*built {
            return Ok(built.clone());
        }
        // What the source read at start: no I/O, so it may happen under the lock.
        let shape = self.source.shape().clone();
        let first = self.build(shape, 0)?;
        *built = Some(first.clone());
        Ok(first)
    }

    async fn build_anew(&self) -> Result<Built, AccessError> {
        let generation = {
            let mut built = self.built();
            built.as_mut().map_or(0, |built| {
                // A file that cannot be read is not read for every call either.
                built.at = Instant::now();
                built.generation + 1
            })
        };
        let source = Arc::clone(&self.source);
        let shape = tokio::task::spawn_blocking(move || source.shape_now())
            .await
            .unwrap_or_else(|_| Ok(self.source.shape().clone()))?;
        self.build(shape, generation)
    }

    fn build(&self, shape: Shape, generation: u64) -> Result<Built, AccessError> {
        Ok(Built {
            credentials: self.source.build(shape, &self.scopes)?,
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

    async fn ask(&self, built: &Built) -> Result<Authorization, Failure> {
        let headers = caught(built.credentials.headers(Extensions::new()));
        match timeout(self.pace.answer, headers).await {
            Ok(Some(Ok(CacheableResource::New { data, .. }))) => {
                let authorization =
                    Authorization::from_headers(data).ok_or_else(|| self.broken())?;
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(authorization.clone());
                Ok(authorization)
            }
            Ok(Some(Err(error))) => Err(self.failure(&error)),
            Ok(Some(Ok(CacheableResource::NotModified)) | None) => Err(self.broken()),
            Err(_) => Err(Failure::Waiting(AccessError::new(Kind::Silent {
                endpoint: self.source.endpoint(),
                waited: self.pace.answer,
            }))),
        }
    }

    fn broken(&self) -> Failure {
        Failure::Final(AccessError::new(Kind::Broken {
            endpoint: self.source.endpoint(),
        }))
    }

    /// The crate's error in our words. Its own quote what the token server said, and with it whatever
    /// that repeats of the request.
    fn failure(&self, error: &CredentialsError) -> Failure {
        let endpoint = self.source.endpoint();
        let origin = self.source.origin().clone();
        let fault = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
        if error.is_transient() {
            return Failure::Passing(AccessError::new(match fault {
                Some(_) if self.source.may_be_absent() => Kind::NoCredentials,
                Some(fault) => Kind::Down {
                    endpoint,
                    cause: match tls(fault) {
                        Some(rustls::Error::InvalidCertificate(_)) => Cause::Certificate,
                        _ => Cause::Unreachable,
                    },
                },
                None => Kind::Down {
                    endpoint,
                    cause: Cause::Failing,
                },
            }));
        }
        Failure::Final(AccessError::new(match (self.source.shape(), fault) {
            (Shape::ExternalAccount(_), Some(fault)) => Kind::SubjectToken {
                origin,
                fault: fault.kind(),
            },
            (Shape::ServiceAccount(_), _) => Kind::PrivateKey { origin },
            (shape, _) => Kind::Refused {
                endpoint,
                code: code(error),
                advice: advice(shape),
            },
        }))
    }
}

impl Failure {
    fn into_error(self) -> AccessError {
        match self {
            Self::Passing(error) | Self::Final(error) | Self::Waiting(error) => error,
        }
    }
}

fn advice(shape: &Shape) -> &'static str {
    match shape {
        Shape::AuthorizedUser(_) => {
            "run `gcloud auth application-default login` again, with the scopes that the services need"
        }
        Shape::ExternalAccount(_) => {
            "check the subject token, the audience and the conditions of the workload identity pool"
        }
        Shape::Impersonated(_) => {
            "check the source credentials, and that they have the role Service Account Token Creator on the service account"
        }
        Shape::MetadataServer => {
            "check that the machine has a service account, and its access scopes"
        }
        Shape::ServiceAccount(_) => "download the key again",
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

/// A future to its end, even where the call that waits for it is dropped: others wait for it too.
/// `None` where it panicked or the runtime stops.
async fn undisturbed<F>(future: F) -> Option<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future).await.ok()
}

/// A future's output, or `None` where it panicked: the crate does, in every call, once its refresh
/// task has panicked over an answer.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
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
