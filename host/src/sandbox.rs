//! What one instance is given: the settings, clocks and randomness, and a way to send the requests that its policy
//! permits. Everything that the host holds for it has a limit.

use std::sync::Arc;

use http::Request;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::call::Call;
use crate::outgoing::OutgoingRequests;
use crate::policy::Policy;
use crate::runtime::Runtime;
use crate::send::Sender;

/// How many resources of WASI one instance may have at a time, each with the handle that it knows it by. The
/// block has at most 8.
const MAX_RESOURCES: usize = 100;

/// The size of one set of header fields that an instance makes, in bytes as wasmtime counts them. The block's hold
/// little more than a token.
pub(crate) const MAX_FIELDS_SIZE: usize = 64 * 1024;

/// The world of one instance.
pub(crate) struct Sandbox {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    pub sender: Sender,
    pub requests: OutgoingRequests,
    pub table: ResourceTable,
    pub memory: Memory,
}

impl Sandbox {
    /// For calls with the settings of this one, which `policy` was made from.
    pub fn new(runtime: Arc<Runtime>, policy: Policy, call: &Call) -> Sandbox {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS_SIZE);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let memory = Memory::new(runtime.config.memory_limit);
        Sandbox {
            // Neither files nor sockets nor standard streams; of the environment only the settings.
            wasi: WasiCtx::builder().envs(&call.settings).build(),
            http,
            hooks: Hooks,
            sender: Sender::new(runtime, policy),
            requests: OutgoingRequests::new(),
            table,
            memory,
        }
    }

    /// A store for an instance.
    pub fn into_store(self, engine: &Engine) -> Store<Sandbox> {
        store(engine, self, |sandbox| &mut sandbox.memory)
    }
}

/// A store whose guest has a limited memory, and yields to the other calls at every tick while it computes.
pub(crate) fn store<T: Send + 'static>(
    engine: &Engine,
    data: T,
    memory: fn(&mut T) -> &mut Memory,
) -> Store<T> {
    let mut store = Store::new(engine, data);
    store.limiter(move |data| memory(data));
    store.set_max_component_handles(MAX_RESOURCES);
    // It can be ended there, too. It yields to tokio: a task that wakes itself, as wasmtime's own yield does, keeps
    // the runtime from looking at its sockets for 61 turns.
    store.epoch_deadline_callback(|_| {
        let turn = Box::pin(tokio::task::yield_now());
        Ok(UpdateDeadline::YieldCustom(1, turn))
    });
    // Without it, a new store yields at once, and the call goes on in another thread.
    store.set_epoch_deadline(1);
    store
}

/// The wall around an instance's memory. A component may have several: they count together.
pub(crate) struct Memory {
    limit: usize,
    used: usize,
}

impl Memory {
    /// None so far, and at most this many bytes.
    pub fn new(limit: usize) -> Memory {
        Memory { limit, used: 0 }
    }

    /// How much memory there is, in bytes. It only grows.
    pub fn used(&self) -> usize {
        self.used
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_sub(current).saturating_add(desired);
        let granted = used <= self.limit;
        if granted {
            self.used = used;
        }
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}

impl WasiView for Sandbox {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Sandbox {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

/// wasmtime's `wasi:http`, as far as it is used.
struct Hooks;

type SendResult = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for Hooks {
    /// Nothing leaves through wasmtime's own client.
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = SendResult> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }

    /// What the host buffers of a body that the block writes.
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        4096
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memories_of_a_call_share_one_limit() {
        let mut memory = Memory::new(100);
        let mut grows = |from, to| memory.memory_growing(from, to, None).unwrap();
        assert!(grows(0, 40));
        assert!(grows(40, 60));
        assert!(!grows(0, 50), "a second memory");
        assert!(grows(0, 40));
        assert!(!grows(60, 61));
        assert_eq!(memory.used(), 100);
    }
}
