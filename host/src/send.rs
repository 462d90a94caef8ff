//! A permitted request on its way: the host's credential is added, an answer 401 is repeated with a new one, and
//! what happened is counted and recorded.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};

use operations_get::secret::Secret;

use crate::access::{AccessError, Authorization, Scopes};
use crate::echo::AnswerBody;
use crate::http::{SendError, Timeouts};
use crate::origin::Origin;
use crate::policy::Policy;
use crate::runtime::Runtime;

/// Sends the requests of one instance, as far as its policy permits them.
pub(crate) struct Sender {
    runtime: Arc<Runtime>,
    policy: Policy,
    record: SharedRecord,
}

/// What left the sandbox in one call.
#[derive(Default)]
pub(crate) struct CallRecord {
    /// Requests of the block, including those that were denied.
    pub attempts: u32,
    /// The host that was asked last, with its port unless that is the scheme's own.
    pub host: Option<String>,
    /// Whether the last request carried a credential, the block's own or the host's.
    pub had_credential: bool,
    /// Why this host or its proxy did not send the last request. The block knows only that it was not sent.
    pub not_sent: Option<String>,
    /// Why there was no credential.
    pub no_access: Option<AccessError>,
    /// The memory of the instance after the call, in bytes.
    pub memory: usize,
}

/// The record of the call that runs, shared by its requests and by whoever waits for its end.
#[derive(Clone, Default)]
pub(crate) struct SharedRecord(Arc<Mutex<CallRecord>>);

impl SharedRecord {
    /// The record of the call that ended. The next call starts with an empty one.
    pub fn take(&self) -> CallRecord {
        self.update(std::mem::take)
    }

    fn update<T>(&self, change: impl FnOnce(&mut CallRecord) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why a request has no response.
#[derive(Debug)]
pub(crate) enum NotAnswered {
    /// It may not leave.
    Denied,
    /// The host has no credential for it.
    NoAccess,
    /// It did not arrive, or nothing came back.
    Failed(SendError),
}

impl Sender {
    /// For requests of calls with the settings of this policy.
    pub fn new(runtime: Arc<Runtime>, policy: Policy) -> Sender {
        Sender {
            runtime,
            policy,
            record: SharedRecord::default(),
        }
    }

    /// What leaves the sandbox from now on.
    pub fn record(&self) -> SharedRecord {
        self.record.clone()
    }

    /// A request that may leave.
    ///
    /// # Errors
    ///
    /// [`NotAnswered::Denied`] if it may not.
    pub fn permit(
        &self,
        request: Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<PermittedRequest, NotAnswered> {
        let permitted = self.policy.permits(request.method(), request.uri());
        // However the block spells it.
        let host = Origin::of(request.uri()).map(|origin| origin.to_string());
        self.record.update(|record| {
            record.attempts += 1;
            record.host = host.clone();
            record.not_sent = None;
            record.had_credential = false;
        });
        let host = host.unwrap_or_default();
        let Some(permit) = permitted else {
            tracing::debug!(host, "denied");
            return Err(NotAnswered::Denied);
        };
        let (head, body) = request.into_parts();
        Ok(PermittedRequest {
            runtime: self.runtime.clone(),
            record: self.record.clone(),
            head,
            body,
            host,
            scopes: permit.scopes.clone(),
            universe: permit.universe.map(str::to_owned),
            timeouts,
        })
    }
}

/// A request that may leave.
pub(crate) struct PermittedRequest {
    runtime: Arc<Runtime>,
    record: SharedRecord,
    head: http::request::Parts,
    body: Bytes,
    /// With the port unless that is the scheme's own.
    host: String,
    scopes: Scopes,
    /// That the credential has to be of.
    universe: Option<String>,
    timeouts: Timeouts,
}

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

impl PermittedRequest {
    /// Sends it with the host's credential, unless the block sent one of its own; once more after a 401 if there is
    /// a new credential.
    pub async fn send(self) -> Result<Response<AnswerBody>, NotAnswered> {
        let access = &self.runtime.config.access;
        let headers = &self.head.headers;
        if has_credential(headers) {
            return self.send_once(headers.clone(), None).await;
        }
        if let Some(universe) = &self.universe
            && !access.is_of_universe(universe).await
        {
            let why = format!("its credential is of another universe than {universe}");
            self.record.update(|record| record.not_sent = Some(why));
            return Err(NotAnswered::Denied);
        }
        let authorization = access.authorization(&self.scopes).await.map_err(|error| {
            self.record.update(|record| record.no_access = Some(error));
            NotAnswered::NoAccess
        })?;
        let Some(authorization) = authorization else {
            return self.send_once(headers.clone(), None).await;
        };
        let response = self.send_with(&authorization).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match access.rejected(&self.scopes, authorization.value()).await {
            None => Ok(response),
            Some(replaced) => {
                drop(response);
                self.send_with(&replaced).await
            }
        }
    }

    async fn send_with(
        &self,
        authorization: &Authorization,
    ) -> Result<Response<AnswerBody>, NotAnswered> {
        // A flow's data that holds the credential is not sent: URLs are logged on their way.
        let secret = authorization.secret();
        let url = self.head.uri.to_string();
        if secret.as_ref().is_some_and(|secret| secret.is_in(&url)) {
            let why = "the URL would hold its credential".to_owned();
            self.record.update(|record| record.not_sent = Some(why));
            return Err(NotAnswered::Denied);
        }
        let mut headers = self.head.headers.clone();
        authorization.apply_to(&mut headers);
        self.send_once(headers, secret).await
    }

    /// Sends it, and takes the secret out of what comes back.
    async fn send_once(
        &self,
        headers: HeaderMap,
        secret: Option<Secret>,
    ) -> Result<Response<AnswerBody>, NotAnswered> {
        let had_credential = has_credential(&headers);
        self.record
            .update(|record| record.had_credential = had_credential);
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        *request.headers_mut() = headers;
        let since = Instant::now();
        let answered = self.runtime.client.send(request, self.timeouts).await;
        let took = since.elapsed();
        let host = &self.host;
        let status = answered.as_ref().ok().map(|response| response.status());
        self.runtime
            .metrics
            .request(host, status.map(|status| status.as_u16()));
        match &answered {
            Ok(response) => {
                let version = response.version();
                tracing::debug!(host, status = %response.status(), ?version, ?took, "answer");
            }
            Err(error) => {
                tracing::debug!(host, %error, ?took, "no answer");
                if let SendError::Denied(_)
                | SendError::ConnectionLimit(_)
                | SendError::Proxy { .. }
                | SendError::ProxyInvalid(_) = error
                {
                    let not_sent = error.to_string();
                    self.record
                        .update(|record| record.not_sent = Some(not_sent));
                }
            }
        }
        let response = answered.map_err(NotAnswered::Failed)?;
        Ok(AnswerBody::of(response, secret))
    }
}

fn has_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) || headers.contains_key(API_KEY)
}
