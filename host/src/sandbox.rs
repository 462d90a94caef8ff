//! What one instance is given: the settings, clocks and randomness, a way out that the manifest grants,
//! and a wall around its memory.

use std::sync::Arc;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::call::Call;
use crate::egress::{Egress, Network};
use crate::wasi_http::Requests;

/// The world of one instance.
pub(crate) struct Sandbox {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    pub egress: Egress,
    pub requests: Requests,
    pub table: ResourceTable,
    pub memory: Memory,
}

impl Sandbox {
    /// For calls with the settings of this one, and `memory_limit` bytes of memory.
    pub fn new(network: Arc<Network>, call: &Call, memory_limit: usize) -> Sandbox {
        Sandbox {
            // Neither files nor sockets nor standard streams; of the environment only the settings.
            wasi: WasiCtx::builder().envs(&call.settings).build(),
            http: WasiHttpCtx::new(),
            egress: Egress::new(network, call),
            requests: Requests::default(),
            table: ResourceTable::new(),
            memory: Memory {
                limit: memory_limit,
                used: 0,
            },
        }
    }
}

/// The wall around an instance's memory. A component may have several: they count together.
pub(crate) struct Memory {
    limit: usize,
    used: usize,
}

impl Memory {
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
            hooks: &mut self.egress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_of_a_call_are_within_the_limit_together() {
        let mut memory = Memory {
            limit: 100,
            used: 0,
        };
        let mut grows = |from, to| memory.memory_growing(from, to, None).unwrap();
        assert!(grows(0, 40));
        assert!(grows(40, 60));
        assert!(!grows(0, 50), "a second memory");
        assert!(grows(0, 40));
        assert!(!grows(60, 61));
        assert_eq!(memory.used(), 100);
    }
}
