//! The engine that runs blocks.

use std::sync::Arc;

use wasmtime::component::Linker;

use crate::bindings::{BlockPre, GetError, Outputs};
use crate::block::Block;
use crate::config::HostConfig;
use crate::engine;
use crate::error::LoadError;
use crate::instance_pool::InstancePool;
use crate::loaded_block::{LoadedBlock, Program};
use crate::policy::Grants;
use crate::runtime::Runtime;
use crate::sandbox::Sandbox;
use crate::sans_io::SansIo;
use crate::validate::{self, World};
use crate::wasi_http;

/// An engine for blocks. A process needs one.
pub struct Host {
    linker: Linker<Sandbox>,
    runtime: Arc<Runtime>,
    pool: Arc<InstancePool>,
}

impl Host {
    /// A host with the defaults of [`HostConfig`].
    ///
    /// # Errors
    ///
    /// As [`Host::with`].
    pub fn new() -> Result<Host, LoadError> {
        Host::with(HostConfig::default())
    }

    /// Sets up a host: the engine, its clock, TLS. It connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if this machine cannot run it, the cache folder cannot be created, or a PEM does not parse.
    pub fn with(config: HostConfig) -> Result<Host, LoadError> {
        let engine = engine::engine(&config)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(LoadError::Engine)?;
        wasi_http::add_to_linker(&mut linker).map_err(LoadError::Engine)?;
        Ok(Host {
            linker,
            pool: Arc::new(InstancePool::new(config.pooled_instances())),
            runtime: Arc::new(Runtime::new(config, &engine)?),
        })
    }

    /// Compiles a block, or takes it from the cache, and checks that it fits this host and its manifest.
    ///
    /// # Errors
    ///
    /// [`LoadError`] names what does not fit.
    pub fn load(&self, block: &Block) -> Result<LoadedBlock, LoadError> {
        validate::manifest(&block.manifest)?;
        let (component, world) = validate::component(self.linker.engine(), &block.component)?;
        let program = match world {
            World::SansIo => Program::SansIo(SansIo::new(&component)?),
            World::Block => {
                let pre = self
                    .linker
                    .instantiate_pre(&component)
                    .map_err(LoadError::OtherContract)?;
                type Got = (Result<Outputs, GetError>,);
                validate::types::<_, (&str,), Got>(&pre, world, "get")?;
                Program::Wasi(BlockPre::new(pre).map_err(LoadError::OtherContract)?)
            }
        };
        Ok(LoadedBlock::new(
            program,
            block.manifest.clone(),
            Grants::new(&block.manifest),
            self.runtime.clone(),
            self.pool.clone(),
        ))
    }

    /// Stops gracefully: calls that begin from now on end with [`CallError::Stopped`](crate::CallError::Stopped) at
    /// once, those that wait end so when their turn comes; resolves when those that run have ended by themselves.
    /// If the future is dropped, the host goes on stopping. To end calls at once, drop their futures.
    pub async fn stop(&self) {
        self.runtime.stop().await;
    }

    /// What has become of calls since the host was made, as the text of OpenMetrics 1.0, for the endpoint that
    /// a Prometheus server reads (`application/openmetrics-text; version=1.0.0; charset=utf-8`).
    ///
    /// | metric | labels |
    /// |---|---|
    /// | `operations_calls_total` | `outcome`: `running`, `succeeded`, `failed` (the operation), `permanent`, `transient` (the call), `access`, `aborted`, `refused`, `cancelled`; `reason`: the contract's, for the two kinds of failure |
    /// | `operations_call_duration_seconds` | histogram, `outcome` |
    /// | `operations_calls_in_flight` | none |
    /// | `operations_calls_waiting` | none |
    /// | `operations_requests_total` | `host`, `status`: the HTTP status, or `none` if there was no answer |
    /// | `operations_instances_total` | `kind`: `fresh`, `reused` |
    pub fn metrics(&self) -> String {
        self.runtime.metrics.text()
    }
}
