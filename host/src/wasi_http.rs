//! `wasi:http/outgoing-handler`: takes the requests of an instance to its egress.
//!
//! wasmtime's own runs each request in a task of its own, and a second one for its connection, so that a call
//! goes from thread to thread; and it keeps the options of every request until the instance is dropped. Here
//! the pool drives the connections, a request runs in the task of its call, and options are gone with their
//! request.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use http::header::CONTENT_LENGTH;
use http::uri::Scheme;
use http::{HeaderMap, Method, Response, Uri};
use tokio::task::yield_now;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::{Pollable, subscribe};
use wasmtime_wasi_http::p2::bindings::LinkOptions;
use wasmtime_wasi_http::p2::bindings::http::types::{
    self, ErrorCode, HostFutureIncomingResponse as _,
};
use wasmtime_wasi_http::p2::body::HostIncomingBody;
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest,
};
use wasmtime_wasi_http::{Error, FieldMap, RequestOptions, WasiBody, WasiHttp, WasiHttpView};

use crate::egress::Sending;
use crate::sandbox::Sandbox;

/// Gives a linker `wasi:http`: this for what sends, wasmtime's for the rest.
pub(crate) fn add_to_linker(linker: &mut Linker<Sandbox>) -> wasmtime::Result<()> {
    let options = LinkOptions::default();
    types::add_to_linker::<_, WasiHttp>(linker, &options.into(), Sandbox::http)?;
    // The version is that of wasmtime's own: another would be beside it, not in its place.
    linker.allow_shadowing(true);
    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    let answer = ResourceType::host::<Answer>();
    types.resource("future-incoming-response", answer, |mut store, rep| {
        let sandbox: &mut Sandbox = store.data_mut();
        sandbox.table.delete(Resource::<Answer>::new_own(rep))?;
        Ok(())
    })?;
    types.func_wrap(
        "[method]future-incoming-response.subscribe",
        |mut store, (answer,): (Resource<Answer>,)| {
            let sandbox: &mut Sandbox = store.data_mut();
            Ok((subscribe(&mut sandbox.table, answer)?,))
        },
    )?;
    types.func_wrap(
        "[method]future-incoming-response.get",
        |mut store, (answer,): (Resource<Answer>,)| Ok((get(store.data_mut(), &answer)?,)),
    )?;
    let mut handler = linker.instance("wasi:http/outgoing-handler@0.2.12")?;
    handler.func_wrap(
        "handle",
        |mut store, (request, options): (Resource<HostOutgoingRequest>, _)| {
            Ok((handle(store.data_mut(), request, options)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The requests of an instance that run. The task of its call polls them, and not the instance: that has a
/// small stack of its own, which would keep the room that they take.
#[derive(Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<Vec<Request>>>);

/// So many may run in one instance: a block has one at a time.
const MOST: usize = 100;

type Request = Arc<Mutex<Progress>>;

enum Progress {
    Running(Sending),
    Ended(Result<Response<WasiBody>, Error>),
    /// The block has what it came to, or does not want it.
    Over,
}

impl Requests {
    /// Nothing, where too many run.
    fn begin(&self, sending: Sending) -> Option<Answer> {
        let mut requests = lock(&self.0);
        if requests.len() >= MOST {
            requests.retain(is_running);
        }
        (requests.len() < MOST).then(|| {
            let request = Arc::new(Mutex::new(Progress::Running(sending)));
            requests.push(Arc::clone(&request));
            Answer(request)
        })
    }

    /// Runs what an instance does, and its requests beside it.
    pub async fn beside<T>(&self, instance: impl Future<Output = T>) -> T {
        let mut instance = pin!(instance);
        poll_fn(|context| {
            self.poll(context);
            let ended = instance.as_mut().poll(context);
            // The instance may have begun one that has ended already. It goes on at the next turn, so that one
            // that always does so gives way all the same.
            if ended.is_pending() && self.poll(context) {
                let _ = pin!(yield_now()).poll(context);
            }
            ended
        })
        .await
    }

    /// Whether none runs any more.
    pub fn are_over(&self) -> bool {
        !lock(&self.0).iter().any(is_running)
    }

    /// Says whether one has ended.
    fn poll(&self, context: &mut Context) -> bool {
        let mut has_ended = false;
        lock(&self.0).retain(|request| {
            let mut progress = lock(request);
            let Progress::Running(sending) = &mut *progress else {
                return false;
            };
            let Poll::Ready(sent) = sending.as_mut().poll(context) else {
                return true;
            };
            *progress = Progress::Ended(sent);
            has_ended = true;
            false
        });
        has_ended
    }
}

fn is_running(request: &Request) -> bool {
    matches!(*lock(request), Progress::Running(_))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `wasi:http/types.future-incoming-response` is here.
struct Answer(Request);

impl Drop for Answer {
    fn drop(&mut self) {
        *lock(&self.0) = Progress::Over;
    }
}

#[async_trait]
impl Pollable for Answer {
    /// Nobody is woken: the task that polls the request polls the instance when it has ended.
    async fn ready(&mut self) {
        poll_fn(|_| match is_running(&self.0) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }
}

/// Sends a request. The outer error is a trap.
fn handle(
    sandbox: &mut Sandbox,
    request: Resource<HostOutgoingRequest>,
    options: Option<Resource<RequestOptions>>,
) -> wasmtime::Result<Result<Resource<Answer>, ErrorCode>> {
    let options = match options {
        Some(options) => Some(sandbox.table.delete(options)?),
        None => None,
    };
    let request = match head(sandbox.table.delete(request)?) {
        Ok(request) => request,
        Err(error) => return Ok(Err(error)),
    };
    let sending = sandbox.egress.send(request, options);
    match sandbox.requests.begin(sending) {
        Some(answer) => Ok(Ok(sandbox.table.push(answer)?)),
        None => Ok(Err(ErrorCode::ConnectionLimitReached)),
    }
}

type Got = Option<Result<Result<Resource<HostIncomingResponse>, ErrorCode>, ()>>;

/// The answer, once it is there, and once. The outer error is a trap.
fn get(sandbox: &mut Sandbox, answer: &Resource<Answer>) -> wasmtime::Result<Got> {
    let mut progress = lock(&sandbox.table.get(answer)?.0);
    if let Progress::Running(_) = *progress {
        return Ok(None);
    }
    let Progress::Ended(sent) = std::mem::replace(&mut *progress, Progress::Over) else {
        return Ok(Some(Err(())));
    };
    drop(progress);
    let response = match sent {
        Ok(response) => response,
        Err(error) => {
            // wasmtime's own answer knows what a block sees of an error.
            let failed = HostFutureIncomingResponse::Ready(Err(error));
            let failed = sandbox.table.push(failed)?;
            let got = sandbox.http().get(Resource::new_borrow(failed.rep()));
            sandbox.table.delete(failed)?;
            return got;
        }
    };
    let (head, body) = response.into_parts();
    let response = HostIncomingResponse {
        status: head.status.as_u16(),
        headers: FieldMap::new_immutable(&mut sandbox.egress, head.headers),
        body: Some(HostIncomingBody::new(body)),
    };
    Ok(Some(Ok(Ok(sandbox.table.push(response)?))))
}

/// The request without its body: no block of this contract sends one.
fn head(request: HostOutgoingRequest) -> Result<http::Request<()>, ErrorCode> {
    let scheme = match request.scheme {
        None | Some(types::Scheme::Https) => Scheme::HTTPS,
        Some(types::Scheme::Http) => Scheme::HTTP,
        Some(types::Scheme::Other(scheme)) => {
            scheme.parse().map_err(|_| ErrorCode::HttpProtocolError)?
        }
    };
    let method: Method = request
        .method
        .try_into()
        .map_err(|_| ErrorCode::HttpRequestMethodInvalid)?;
    let authority = request.authority.unwrap_or_default();
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(request.path_with_query.as_deref().unwrap_or("/"))
        .build()
        .map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let headers = HeaderMap::from(request.headers);
    if headers
        .get(CONTENT_LENGTH)
        .is_some_and(|length| length != "0")
    {
        return Err(ErrorCode::HttpRequestBodySize(None));
    }
    let mut head = http::Request::new(());
    *head.method_mut() = method;
    *head.uri_mut() = uri;
    *head.headers_mut() = headers;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;
    use std::time::Duration;

    use http::HeaderValue;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    fn request() -> HostOutgoingRequest {
        HostOutgoingRequest {
            method: types::Method::Get,
            scheme: None,
            authority: Some("apigateway.googleapis.com".into()),
            path_with_query: Some("/v1/operations/o?a=1".into()),
            headers: FieldMap::new_mutable(1000),
            body: None,
        }
    }

    #[test]
    fn a_request_is_sent_as_the_block_wrote_it() {
        let mut headers = FieldMap::new_mutable(1000);
        let accept = HeaderValue::from_static("application/json");
        headers.append_raw(http::header::ACCEPT, accept).unwrap();
        let head = head(HostOutgoingRequest {
            headers,
            ..request()
        });
        let head = head.unwrap();
        assert_eq!(head.method(), Method::GET);
        let url = "https://apigateway.googleapis.com/v1/operations/o?a=1";
        assert_eq!(head.uri(), &Uri::from_str(url).unwrap());
        assert_eq!(head.headers()["accept"], "application/json");
        assert_eq!(head.headers().len(), 1);
    }

    #[test]
    fn what_is_no_request_has_the_error_of_its_part() {
        let error = |change: fn(&mut HostOutgoingRequest)| {
            let mut request = request();
            change(&mut request);
            let error = head(request).unwrap_err();
            format!("{error:?}")
        };
        let protocol = format!("{:?}", ErrorCode::HttpProtocolError);
        let method = format!("{:?}", ErrorCode::HttpRequestMethodInvalid);
        let uri = format!("{:?}", ErrorCode::HttpRequestUriInvalid);
        assert_eq!(
            error(|request| request.scheme = Some(types::Scheme::Other("a b".into()))),
            protocol
        );
        assert_eq!(
            error(|request| request.method = types::Method::Other("G T".into())),
            method
        );
        assert_eq!(error(|request| request.authority = None), uri);
        assert_eq!(error(|request| request.authority = Some("a b".into())), uri);
        assert_eq!(
            error(|request| request.path_with_query = Some("/\n".into())),
            uri
        );
    }

    #[test]
    fn a_request_that_announces_a_body_is_refused_for_it() {
        let of = |length: &'static str| {
            let mut headers = FieldMap::new_mutable(1000);
            let length = HeaderValue::from_static(length);
            headers.append_raw(CONTENT_LENGTH, length).unwrap();
            head(HostOutgoingRequest {
                headers,
                ..request()
            })
        };
        assert!(of("0").is_ok());
        for length in ["5", "-1", "0, 5"] {
            let error = of(length).unwrap_err();
            assert!(matches!(error, ErrorCode::HttpRequestBodySize(None)));
        }
    }

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn an_instance_goes_on_once_its_request_has_ended() {
        let requests = Requests::default();
        let (sender, receiver) = oneshot::channel();
        let instance = async {
            let answer = requests.begin(Box::pin(async {
                receiver.await.unwrap();
                Err(Error::HttpProtocolError)
            }));
            let mut answer = answer.unwrap();
            assert!(!requests.are_over());
            answer.ready().await;
            let progress = std::mem::replace(&mut *answer.0.lock().unwrap(), Progress::Over);
            matches!(progress, Progress::Ended(Err(Error::HttpProtocolError)))
        };
        let other = tokio::spawn(async move {
            tokio::task::yield_now().await;
            sender.send(()).unwrap();
        });
        let has_ended = timeout(SOON, requests.beside(instance)).await;
        assert!(has_ended.expect("it goes on"));
        assert!(requests.are_over());
        other.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_ends_at_once_needs_nobody_to_wake_its_instance() {
        let requests = Requests::default();
        let instance = async {
            let mut answer = requests.begin(denied()).unwrap();
            answer.ready().await;
        };
        let ended = timeout(SOON, requests.beside(instance)).await;
        ended.expect("it goes on");
    }

    #[tokio::test]
    async fn an_answer_that_nobody_wants_ends_its_request() {
        let requests = Requests::default();
        let (sender, receiver) = oneshot::channel::<()>();
        let answer = requests.begin(Box::pin(async {
            receiver.await.unwrap();
            Err(Error::HttpProtocolError)
        }));
        assert!(!sender.is_closed());
        drop(answer);
        assert!(sender.is_closed());
        assert!(requests.are_over());
    }

    #[tokio::test]
    async fn an_instance_that_always_has_an_answer_gives_way() {
        let requests = Requests::default();
        let mut answers = Vec::new();
        let mut beside = pin!(requests.beside(poll_fn(|_| -> Poll<()> {
            assert!(answers.is_empty(), "it was polled again without a turn");
            answers.push(requests.begin(denied()));
            Poll::Pending
        })));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(beside.as_mut().poll(&mut context).is_pending());
    }

    #[test]
    fn an_instance_has_so_many_requests_at_once() {
        let requests = Requests::default();
        let begin = || requests.begin(Box::pin(std::future::pending()));
        let mut answers: Vec<_> = (0..MOST).map(|_| begin().unwrap()).collect();
        assert!(begin().is_none());
        answers.pop();
        assert!(begin().is_some());
    }

    fn denied() -> Sending {
        Box::pin(async { Err(Error::HttpRequestDenied) })
    }
}
