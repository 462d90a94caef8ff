//! The requests of an instance that are on their way, and the responses that it has not read yet.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use http::Response;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;
use wasmtime_wasi::p2::Pollable;
use wasmtime_wasi_http::{Error, WasiBody};

/// The response to a request, once its head is here.
pub(crate) type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<Response<WasiBody>, Error>> + Send>>;

/// How many requests one instance may have at a time; a block has one. A response counts until its body was read or
/// dropped, because it holds a connection that calls of other instances may wait for.
const MAX_REQUESTS: usize = 4;

/// The requests of an instance. The task of its call polls them, not the instance itself: an instance runs on a small
/// stack of its own, which would keep the room that they take.
#[derive(Clone)]
pub(crate) struct OutgoingRequests {
    running: Arc<Mutex<Vec<SharedState>>>,
    places: Arc<Semaphore>,
}

type SharedState = Arc<Mutex<RequestState>>;

enum RequestState {
    Running(ResponseFuture, OwnedSemaphorePermit),
    Ended(Result<Response<WasiBody>, Error>),
    /// The block has taken the response, or does not want it.
    Taken,
}

impl OutgoingRequests {
    /// None so far.
    pub fn new() -> OutgoingRequests {
        OutgoingRequests {
            running: Arc::default(),
            places: Arc::new(Semaphore::new(MAX_REQUESTS)),
        }
    }

    /// Begins a request, unless the instance has too many.
    pub fn begin(&self, response: ResponseFuture) -> Option<FutureResponse> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let state = Arc::new(Mutex::new(RequestState::Running(response, place)));
        lock(&self.running).push(Arc::clone(&state));
        Some(FutureResponse(state))
    }

    /// Runs an instance, and its requests beside it.
    pub async fn drive<T>(&self, instance: impl Future<Output = T>) -> T {
        let mut instance = pin!(instance);
        poll_fn(|context| {
            self.poll(context);
            let ended = instance.as_mut().poll(context);
            // The instance may have begun a request that has ended already. It goes on at the next turn, so that an
            // instance that always does so yields all the same.
            if ended.is_pending() && self.poll(context) {
                let _ = pin!(yield_now()).poll(context);
            }
            ended
        })
        .await
    }

    /// Whether no request runs and no response is unread.
    pub fn are_over(&self) -> bool {
        self.places.available_permits() == MAX_REQUESTS
    }

    /// Says whether a request has ended.
    fn poll(&self, context: &mut Context) -> bool {
        let mut has_ended = false;
        lock(&self.running).retain(|state| {
            let mut state = lock(state);
            let RequestState::Running(response, _) = &mut *state else {
                return false;
            };
            let Poll::Ready(result) = response.as_mut().poll(context) else {
                return true;
            };
            has_ended = true;
            let before = std::mem::replace(&mut *state, RequestState::Taken);
            if let RequestState::Running(_, place) = before {
                *state = RequestState::Ended(result.map(|response| holding(response, place)));
            }
            false
        });
        has_ended
    }
}

/// The response, whose body holds its place until it was read to its end or is dropped.
fn holding(response: Response<WasiBody>, place: OwnedSemaphorePermit) -> Response<WasiBody> {
    response.map(|body| {
        let body = body.map_frame(move |frame| {
            let _held = &place;
            frame
        });
        body.boxed_unsync()
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The host's `wasi:http/types.future-incoming-response`. Dropping it ends its request.
pub(crate) struct FutureResponse(SharedState);

impl FutureResponse {
    fn is_running(&self) -> bool {
        matches!(*lock(&self.0), RequestState::Running(..))
    }

    /// The response, once it is there, and once.
    pub fn take(&self) -> TakenResponse {
        let mut state = lock(&self.0);
        match std::mem::replace(&mut *state, RequestState::Taken) {
            RequestState::Ended(result) => TakenResponse::Now(result),
            RequestState::Taken => TakenResponse::Before,
            running => {
                *state = running;
                TakenResponse::NotYet
            }
        }
    }
}

/// What there is to take of a response.
pub(crate) enum TakenResponse {
    NotYet,
    Now(Result<Response<WasiBody>, Error>),
    /// It has been taken already.
    Before,
}

impl Drop for FutureResponse {
    fn drop(&mut self) {
        *lock(&self.0) = RequestState::Taken;
    }
}

#[async_trait]
impl Pollable for FutureResponse {
    /// Nobody is woken: the task that polls the request polls the instance after the request has ended.
    async fn ready(&mut self) {
        poll_fn(|_| match self.is_running() {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn denied() -> ResponseFuture {
        Box::pin(async { Err(Error::HttpRequestDenied) })
    }

    fn answered(body: &'static str) -> ResponseFuture {
        let body = Full::new(Bytes::from_static(body.as_bytes()));
        let body = body.map_err(|never| match never {}).boxed_unsync();
        Box::pin(async { Ok(Response::new(body)) })
    }

    #[tokio::test]
    async fn an_instance_goes_on_once_its_request_has_ended() {
        let requests = OutgoingRequests::new();
        let (sender, receiver) = oneshot::channel();
        let instance = async {
            let response = requests.begin(Box::pin(async {
                receiver.await.unwrap();
                Err(Error::HttpProtocolError)
            }));
            let mut response = response.unwrap();
            assert!(!requests.are_over());
            assert!(matches!(response.take(), TakenResponse::NotYet));
            response.ready().await;
            let taken = response.take();
            assert!(matches!(response.take(), TakenResponse::Before));
            matches!(taken, TakenResponse::Now(Err(Error::HttpProtocolError)))
        };
        let other = tokio::spawn(async move {
            tokio::task::yield_now().await;
            sender.send(()).unwrap();
        });
        let has_ended = timeout(SOON, requests.drive(instance)).await;
        assert!(has_ended.expect("it goes on"));
        assert!(requests.are_over());
        other.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_ends_at_once_needs_nobody_to_wake_its_instance() {
        let requests = OutgoingRequests::new();
        let instance = async {
            let mut response = requests.begin(denied()).unwrap();
            response.ready().await;
        };
        let ended = timeout(SOON, requests.drive(instance)).await;
        ended.expect("it goes on");
    }

    #[tokio::test]
    async fn dropping_a_future_response_ends_its_request() {
        let requests = OutgoingRequests::new();
        let (sender, receiver) = oneshot::channel::<()>();
        let response = requests.begin(Box::pin(async {
            receiver.await.unwrap();
            Err(Error::HttpProtocolError)
        }));
        assert!(!sender.is_closed());
        drop(response);
        assert!(sender.is_closed());
        assert!(requests.are_over());
    }

    #[tokio::test]
    async fn an_instance_whose_requests_all_end_at_once_yields() {
        let requests = OutgoingRequests::new();
        let mut responses = Vec::new();
        let mut driven = pin!(requests.drive(poll_fn(|_| -> Poll<()> {
            assert!(responses.is_empty(), "it was polled again without a turn");
            responses.push(requests.begin(denied()));
            Poll::Pending
        })));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(driven.as_mut().poll(&mut context).is_pending());
    }

    #[test]
    fn an_instance_has_at_most_so_many_requests_at_a_time() {
        let requests = OutgoingRequests::new();
        let begin = || requests.begin(Box::pin(std::future::pending()));
        let mut responses: Vec<_> = (0..MAX_REQUESTS).map(|_| begin().unwrap()).collect();
        assert!(begin().is_none());
        responses.pop();
        assert!(begin().is_some());
    }

    #[tokio::test]
    async fn a_response_counts_as_a_request_until_its_body_was_read_or_dropped() {
        let requests = OutgoingRequests::new();
        let begin = || requests.begin(answered("body"));
        let responses: Vec<_> = (0..MAX_REQUESTS).map(|_| begin().unwrap()).collect();
        requests.drive(yield_now()).await;
        let mut bodies: Vec<_> = responses
            .into_iter()
            .map(|response| match response.take() {
                TakenResponse::Now(Ok(response)) => response.into_body(),
                _ => panic!("it has ended"),
            })
            .collect();
        assert!(begin().is_none() && !requests.are_over());
        let read = bodies.pop().unwrap().collect().await.unwrap();
        assert_eq!(read.to_bytes(), "body");
        let next = begin();
        assert!(next.is_some() && begin().is_none());
        drop((next, bodies));
        assert!(requests.are_over());
    }
}
