//! A host with a network of its own making: whatever the block sends ends here, is recorded, and is
//! answered with an error of `wasi:http` or a response that a test gives.

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
pub use bindings::exports::blocks::google_longrunning::operations::{GetError, Outputs, Reason};

/// What the block sent.
#[derive(Debug)]
pub struct Sent {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub options: RequestOptions,
}

/// A network: it is asked with the number of the attempt, from 0.
pub trait Network: Send + Sync + 'static {
    /// The answer to an attempt.
    fn answer(&self, attempt: usize) -> Result<Response<WasiBody>, Error>;

    /// How long the answer takes.
    fn delay(&self) -> Duration {
        Duration::ZERO
    }

    /// A header field that the host does not let the block set.
    fn forbidden_field(&self) -> Option<&'static str> {
        None
    }
}

impl<F> Network for F
where
    F: Fn(usize) -> Result<Response<WasiBody>, Error> + Send + Sync + 'static,
{
    fn answer(&self, attempt: usize) -> Result<Response<WasiBody>, Error> {
        self(attempt)
    }
}

/// A 200 with this body.
pub fn ok(body: impl Into<Bytes>) -> Response<WasiBody> {
    let body = Full::new(body.into()).map_err(|never| match never {});
    Response::new(body.boxed_unsync())
}

/// One call under these settings: how it ended, and what was sent.
pub async fn call(
    network: impl Network,
    name: &str,
    settings: &[(&str, &str)],
) -> (Result<Outputs, GetError>, Vec<Sent>) {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let state = State {
        wasi: WasiCtx::builder().envs(settings).build(),
        http: WasiHttpCtx::new(),
        hooks: Hooks {
            network: Arc::new(network),
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
    network: Arc<dyn Network>,
    sent: Arc<Mutex<Vec<Sent>>>,
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
            sent.push(Sent {
                method: head.method,
                uri: head.uri,
                headers: head.headers,
                options: options.unwrap_or_default(),
            });
            sent.len() - 1
        };
        let network = self.network.clone();
        Box::new(async move {
            tokio::time::sleep(network.delay()).await;
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(std::future::ready(Ok(())));
            network.answer(attempt).map(|response| (response, done))
        })
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        let forbidden = self.network.forbidden_field();
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
