//! The engine that runs blocks.

use std::sync::Arc;

use thiserror::Error;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::bindings::{BlockPre, Outputs};
use crate::block::Block;
use crate::call::{Call, CallError};
use crate::egress::Egress;
use crate::manifest::Manifest;

/// The memory that one call may use, in bytes. Measured: 1 MiB for an ordinary answer, 66 MiB for one of
/// 16 MiB in a single value; many small parts take more, up to the block's own limit on their number.
const MEMORY_LIMIT: usize = 512 * 1024 * 1024;

/// An engine for blocks. Cheap to share: it is made once per process.
pub struct Host {
    engine: Engine,
    linker: Linker<State>,
}

/// A block that is compiled and checked, ready for calls.
pub struct LoadedBlock {
    pre: BlockPre<State>,
    manifest: Arc<Manifest>,
}

/// Why a block cannot be run here.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The engine could not be set up on this machine.
    #[error("the engine cannot run on this machine")]
    Engine(#[source] wasmtime::Error),
    /// The bytes are no WebAssembly component.
    #[error("the block is no WebAssembly component")]
    NotAComponent(#[source] wasmtime::Error),
    /// The component imports what this host does not grant, or does not export the contract.
    #[error("the block does not fit the contract blocks:google-longrunning@1.0.0")]
    OtherContract(#[source] wasmtime::Error),
}

impl Host {
    /// Sets the engine up.
    ///
    /// # Errors
    ///
    /// [`LoadError::Engine`] where this machine cannot run it.
    pub fn new() -> Result<Host, LoadError> {
        let engine = Engine::new(&Config::new()).map_err(LoadError::Engine)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(LoadError::Engine)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)
            .map_err(LoadError::Engine)?;
        Ok(Host { engine, linker })
    }

    /// Compiles a block and checks that it fits this host.
    ///
    /// # Errors
    ///
    /// [`LoadError`] says what does not fit.
    pub fn load(&self, block: &Block) -> Result<LoadedBlock, LoadError> {
        let component =
            Component::new(&self.engine, &block.component).map_err(LoadError::NotAComponent)?;
        let pre = self
            .linker
            .instantiate_pre(&component)
            .map_err(LoadError::OtherContract)?;
        Ok(LoadedBlock {
            pre: BlockPre::new(pre).map_err(LoadError::OtherContract)?,
            manifest: Arc::new(block.manifest.clone()),
        })
    }
}

impl LoadedBlock {
    /// Performs one call, in an instance of its own.
    ///
    /// # Errors
    ///
    /// [`CallError::Permanent`] and [`CallError::Transient`] are the block's own failures.
    pub async fn call(&self, call: &Call) -> Result<Outputs, CallError> {
        let known = |variable: &str| {
            self.manifest
                .settings
                .iter()
                .any(|s| s.variable == variable)
        };
        if let Some((unknown, _)) = call.settings.iter().find(|(variable, _)| !known(variable)) {
            return Err(CallError::UnknownSetting(unknown.clone()));
        }
        let mut store = Store::new(self.pre.engine(), State::new(self.manifest.clone(), call));
        store.limiter(|state| &mut state.limits);
        let block = self
            .pre
            .instantiate_async(&mut store)
            .await
            .map_err(CallError::Aborted)?;
        let operations = block.blocks_google_longrunning_operations();
        let outputs = operations
            .call_get(&mut store, &call.name)
            .await
            .map_err(CallError::Aborted)?;
        Ok(outputs?)
    }

    /// What the block is and needs.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// What one instance is given.
struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    egress: Egress,
    table: ResourceTable,
    limits: StoreLimits,
}

impl State {
    fn new(manifest: Arc<Manifest>, call: &Call) -> State {
        State {
            // Neither files nor sockets nor standard streams; of the environment only the settings.
            wasi: WasiCtx::builder().envs(&call.settings).build(),
            http: WasiHttpCtx::new(),
            egress: Egress::new(manifest, call),
            table: ResourceTable::new(),
            limits: StoreLimitsBuilder::new().memory_size(MEMORY_LIMIT).build(),
        }
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
            hooks: &mut self.egress,
        }
    }
}
