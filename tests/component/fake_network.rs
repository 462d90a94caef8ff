//! The block on a network of the test's own: what it sends ends here, is recorded, and is answered with a response
//! or an error of `wasi:http`.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, Response, Uri};
use operations_host::Block;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, WasiHttpView,
};

#[allow(missing_docs)]
mod bindings {
    wasmtime::component::bindgen!({ path: "../wit", world: "block", exports: { default: async } });
}
use bindings::BlockPre;
pub use bindings::exports::blocks::google_longrunning::operations::{
    Failure, GetError, Outputs, Reason,
};

/// A request that the block sent.
#[derive(Debug)]
pub struct Outgoing {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub options: RequestOptions,
}

/// How a call ended, and the requests that it sent.
pub type Called = (Result<Outputs, GetError>, Vec<Outgoing>);

/// What answers an attempt, by its number from 0.
type Answer = dyn Fn(usize) -> Result<Response<WasiBody>, Error> + Send + Sync;

/// A network.
#[derive(Clone)]
pub struct Network {
    answer: Arc<Answer>,
    delay: Duration,
    forbidden_field: Option<&'static str>,
}

impl Network {
    /// Answers each attempt, by its number from 0.
    pub fn new(
        answer: impl Fn(usize) -> Result<Response<WasiBody>, Error> + Send + Sync + 'static,
    ) -> Network {
        Network {
            answer: Arc::new(answer),
            delay: Duration::ZERO,
            forbidden_field: None,
        }
    }

    /// Answers with an operation that is done.
    pub fn done() -> Network {
        Network::new(|_| Ok(response(200, r#"{"done":true}"#)))
    }

    /// The same with this delay before each answer.
    pub fn after(self, delay: Duration) -> Network {
        Network { delay, ..self }
    }

    /// The same on a host that does not let the block set this header field.
    pub fn forbidding(self, field: &'static str) -> Network {
        Network {
            forbidden_field: Some(field),
            ..self
        }
    }

    /// One call under these settings.
    pub async fn call(&self, name: &str, settings: &[(&str, &str)]) -> Called {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let state = State {
            wasi: WasiCtx::builder().envs(settings).build(),
            http: WasiHttpCtx::new(),
            hooks: Hooks {
                network: self.clone(),
                sent: sent.clone(),
            },
            table: ResourceTable::new(),
        };
        let mut store = Store::new(BLOCK.engine(), state);
        let block = BLOCK
            .instantiate_async(&mut store)
            .await
            .expect("the block can be instantiated");
        let result = block
            .blocks_google_longrunning_operations()
            .call_get(&mut store, name)
            .await
            .expect("the block does not trap");
        drop(store);
        let sent = std::mem::take(&mut *sent.lock().unwrap());
        (result, sent)
    }
}

/// A response with this body.
pub fn response(status: u16, body: impl Into<Bytes>) -> Response<WasiBody> {
    let body = Full::new(body.into()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status.try_into().expect("a status");
    response
}

/// The permanent failure of a call.
#[track_caller]
pub fn permanent(result: Result<Outputs, GetError>) -> Failure {
    match result {
        Err(GetError::Permanent(failure)) => failure,
        other => panic!("expected a permanent failure, got {other:?}"),
    }
}

/// The transient failure of a call.
#[track_caller]
pub fn transient(result: Result<Outputs, GetError>) -> Failure {
    match result {
        Err(GetError::Transient(failure)) => failure,
        other => panic!("expected a transient failure, got {other:?}"),
    }
}

/// The block on its own engine. [`crate::block`] compiles it for the host library.
static BLOCK: LazyLock<BlockPre<State>> = LazyLock::new(|| {
    let engine = Engine::new(&Config::new()).expect("this machine runs wasmtime");
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("the linker is empty");
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)
        .expect("the linker has no HTTP yet");
    let component =
        Component::new(&engine, Block::builtin().component()).expect("the block is a component");
    let pre = linker
        .instantiate_pre(&component)
        .expect("the block imports WASI alone");
    BlockPre::new(pre).expect("the block exports the contract")
});

struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    table: ResourceTable,
}

struct Hooks {
    network: Network,
    sent: Arc<Mutex<Vec<Outgoing>>>,
}

type Answered = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answered> + Send> {
        let (head, _) = request.into_parts();
        let attempt = {
            let mut sent = self.sent.lock().unwrap();
            sent.push(Outgoing {
                method: head.method,
                uri: head.uri,
                headers: head.headers,
                options: options.unwrap_or_default(),
            });
            sent.len() - 1
        };
        let network = self.network.clone();
        Box::new(async move {
            tokio::time::sleep(network.delay).await;
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(std::future::ready(Ok(())));
            (network.answer)(attempt).map(|response| (response, done))
        })
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        let forbidden = self.network.forbidden_field;
        Arc::new(move |name| Some(name.as_str()) == forbidden)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}
