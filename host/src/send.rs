//! A permitted request on its way: the host's credential is added, an answer 401 is repeated with a new one, and
//! what happened is counted and recorded.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use crate::access::{AccessError, Authorization, Scopes};
use crate::echo;
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

/// The response to a request, once its head is here.
pub(crate) type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<Response<WasiBody>, Error>> + Send>>;

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

    /// Sends a request, if it may leave.
    pub fn send(&self, request: Request<()>, options: Option<RequestOptions>) -> ResponseFuture {
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
            return Box::pin(async { Err(Error::HttpRequestDenied) });
        };
        let options = options.unwrap_or_default();
        let (head, ()) = request.into_parts();
        let permitted = PermittedRequest {
            runtime: self.runtime.clone(),
            record: self.record.clone(),
            head,
            host,
            scopes: permit.scopes.clone(),
            universe: permit.universe.map(str::to_owned),
            timeouts: Timeouts {
                connect: Timeouts::limited(options.connect_timeout),
                first_byte: Timeouts::limited(options.first_byte_timeout),
                between_bytes: Timeouts::limited(options.between_bytes_timeout),
            },
        };
        Box::pin(permitted.send())
    }
}

struct PermittedRequest {
    runtime: Arc<Runtime>,
    record: SharedRecord,
    head: http::request::Parts,
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
    async fn send(self) -> Result<Response<WasiBody>, Error> {
        let access = &self.runtime.config.access;
        let headers = &self.head.headers;
        if has_credential(headers) {
            return self.send_once(headers.clone()).await;
        }
        if let Some(universe) = &self.universe
            && !access.is_of_universe(universe).await
        {
            let why = format!("its credential is of another universe than {universe}");
            self.record.update(|record| record.not_sent = Some(why));
            return Err(Error::HttpRequestDenied);
        }
        let authorization = access.authorization(&self.scopes).await.map_err(|error| {
            self.record.update(|record| record.no_access = Some(error));
            // Permanent to the block, so that it does not ask again; the host reports the error itself.
            Error::ConfigurationError
        })?;
        let Some(authorization) = authorization else {
            return self.send_once(headers.clone()).await;
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

    async fn send_with(&self, authorization: &Authorization) -> Result<Response<WasiBody>, Error> {
        // A flow's data that holds the credential is not sent: URLs are logged on their way.
        let secret = authorization.secret();
        let url = self.head.uri.to_string();
        if secret.as_ref().is_some_and(|secret| secret.is_in(&url)) {
            let why = "the URL would hold its credential".to_owned();
            self.record.update(|record| record.not_sent = Some(why));
            return Err(Error::HttpRequestDenied);
        }
        let mut headers = self.head.headers.clone();
        authorization.apply_to(&mut headers);
        let response = self.send_once(headers).await?;
        Ok(match secret {
            Some(secret) => echo::taken_out_of(response, secret),
            None => response,
        })
    }

    async fn send_once(&self, headers: HeaderMap) -> Result<Response<WasiBody>, Error> {
        let had_credential = has_credential(&headers);
        self.record
            .update(|record| record.had_credential = had_credential);
        let mut request = Request::new(Bytes::new());
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
        let response = answered.map_err(wasi_error)?;
        Ok(response.map(|body| body.map_err(wasi_error).boxed_unsync()))
    }
}

fn has_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) || headers.contains_key(API_KEY)
}

/// The `wasi:http` error code of a failure to send.
fn wasi_error(error: SendError) -> Error {
    match error {
        SendError::UriInvalid => Error::HttpRequestUriInvalid,
        SendError::ProxyInvalid(_) => Error::ConfigurationError,
        SendError::Proxy { fault, .. } => wasi_error(*fault),
        SendError::DnsTimeout => Error::DnsTimeout,
        SendError::Dns(rcode) => Error::DnsError {
            rcode: Some(rcode),
            info_code: None,
        },
        SendError::DestinationUnavailable(_) => Error::DestinationUnavailable,
        SendError::ConnectionRefused => Error::ConnectionRefused,
        SendError::ConnectionTimeout => Error::ConnectionTimeout,
        SendError::ReadTimeout => Error::ConnectionReadTimeout,
        SendError::ConnectionTerminated => Error::ConnectionTerminated,
        SendError::ResponseIncomplete => Error::HttpResponseIncomplete,
        SendError::ProtocolError(_) => Error::HttpProtocolError,
        SendError::Certificate(_) => Error::TlsCertificateError,
        SendError::TlsAlert { id, name } => Error::TlsAlertReceived {
            alert_id: Some(id),
            alert_message: Some(name),
        },
        SendError::TlsProtocol(_) => Error::TlsProtocolError,
        SendError::HeaderTooLarge => Error::HttpResponseHeaderSectionSize(None),
        SendError::ConnectionLimit(_) => Error::ConnectionLimitReached,
        SendError::Denied(_) => Error::HttpRequestDenied,
        SendError::Internal(_) => Error::InternalError(None),
    }
}
