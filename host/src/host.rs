//! The engine that runs blocks, and how it is set up.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::access::Access;
use crate::bindings::BlockPre;
use crate::block::Block;
use crate::call::CallError;
use crate::egress::Network;
use crate::engine;
use crate::epoch_ticker::Ticker;
use crate::http::{Client, ConnectionsConfig, ConnectionsError};
use crate::instance_pool::{BlockNumber, Idle, Instances};
use crate::loaded_block::LoadedBlock;
use crate::metrics::Metrics;
use crate::sandbox::Sandbox;
use crate::validate;
use crate::wasi_http;

/// How a host is set up. [`Default`] is for an engine with the flows of many customers.
///
/// ```
/// use std::num::NonZeroU32;
/// use operations_host::{Access, ConnectionsConfig, Host, HostConfig, Instances, Pem, Proxy};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let host = Host::with(HostConfig {
///     instances: Instances::Reused { calls: NonZeroU32::new(100).unwrap() },
///     cache: Some("/var/cache/engine/blocks".into()),
///     access: Access::application_default(None)?,
///     connections: ConnectionsConfig {
///         extra_ca: vec![Pem::read("/etc/ssl/company.pem")?],
///         proxy: Proxy::from_env().map(Into::into),
///         ..ConnectionsConfig::default()
///     },
///     ..HostConfig::default()
/// })?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HostConfig {
    /// Whether an instance serves one call or several. Default: [`Instances::Fresh`].
    pub instances: Instances,
    /// How many calls may be in flight at once, over all blocks of the host. Further ones wait, first
    /// come, first served, and hold nothing but their future meanwhile. Default: 1,000. Each reserves
    /// address space: 4 GiB, with which the block runs faster, up to 16,000 instances, and `memory_limit`
    /// where there are more, those that wait to be reused among them. A process has 128 TiB.
    pub calls_in_flight: NonZeroU32,
    /// The memory that one call may use, in bytes; a call that needs more is ended. Default: 512 MiB.
    /// Measured: 1 MiB for an ordinary answer, 66 MiB for one of 16 MiB in a single value; many small
    /// parts take more, up to the block's own limit on their number.
    pub memory_limit: usize,
    /// A folder for compiled blocks, which is made where it is missing; none by default, and a block is
    /// compiled when it is loaded. It holds code that this process runs: only its owner may write it.
    pub cache: Option<PathBuf>,
    /// How services are connected to, and how many connections each host name may have.
    pub connections: ConnectionsConfig,
    /// Whose credential requests carry. It never enters the sandbox. Default: none.
    pub access: Access,
}

impl Default for HostConfig {
    fn default() -> HostConfig {
        const CALLS: NonZeroU32 = NonZeroU32::new(1000).unwrap();
        HostConfig {
            instances: Instances::Fresh,
            calls_in_flight: CALLS,
            memory_limit: 512 * 1024 * 1024,
            cache: None,
            connections: ConnectionsConfig::default(),
            access: Access::none(),
        }
    }
}

/// An engine for blocks. It is made once per process.
pub struct Host {
    linker: Linker<Sandbox>,
    shared: Arc<Shared>,
}

/// What a host and its blocks have in common.
pub(crate) struct Shared {
    pub engine: Engine,
    pub config: HostConfig,
    pub client: Client,
    pub metrics: Metrics,
    /// Instances that wait for a further call.
    pub idle: Idle,
    /// How many blocks were loaded.
    blocks: AtomicU64,
    in_flight: Semaphore,
    stopping: AtomicBool,
    _ticker: Ticker,
}

/// Why a host cannot be set up, or a block not be run in it. All of it is known before any call.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The engine could not be set up on this machine: often too little address space (`ulimit -v`) for
    /// `calls_in_flight` and `memory_limit`.
    #[error("the engine cannot be set up on this machine")]
    Engine(#[source] wasmtime::Error),
    /// The clock of the engine has no thread.
    #[error("the engine's clock cannot be started")]
    Clock(#[source] std::io::Error),
    /// The folder for compiled blocks cannot be used.
    #[error("the cache folder {} cannot be used", .folder.display())]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: wasmtime::Error,
    },
    /// A certificate, a key or a proxy cannot be used.
    #[error(transparent)]
    Connections(#[from] ConnectionsError),
    /// The bytes are a core module of WebAssembly.
    #[error(
        "the block is a core WebAssembly module, not a component: build it for wasm32-wasip2, or make a component of it with `wasm-tools component new`"
    )]
    CoreModule,
    /// The bytes are no WebAssembly component.
    #[error("the block is no WebAssembly component")]
    NotAComponent(#[source] wasmtime::Error),
    /// The component imports what a block may not have.
    #[error(
        "the block imports {import}, which no block gets: a block has wasi:http, wasi:cli, wasi:clocks, wasi:io and wasi:random, and neither files nor sockets"
    )]
    ForbiddenImport {
        /// The import.
        import: String,
    },
    /// The component lacks the export of the contract.
    #[error("the block does not export {export}: it is a component of another kind")]
    MissingExport {
        /// What is missing.
        export: String,
    },
    /// The component was built for another version of the contract.
    #[error(
        "the block was built for version {version} of the contract, and this host runs {}: take the block or the host of the other's version",
        validate::PACKAGE
    )]
    OtherVersion {
        /// The version that the component exports.
        version: String,
    },
    /// The types of the component's export or imports are not those of the contract.
    #[error("the types of the block are not those of {}", validate::PACKAGE)]
    OtherContract(#[source] wasmtime::Error),
    /// The manifest describes another block, or contradicts itself.
    #[error("the manifest does not fit its block: {problem}")]
    Manifest {
        /// What does not fit.
        problem: String,
    },
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

    /// Sets a host up: the engine, its clock, TLS. Nothing is connected to.
    ///
    /// # Errors
    ///
    /// [`LoadError`] where this machine cannot run it, the cache folder cannot be used, or a PEM does
    /// not parse.
    pub fn with(config: HostConfig) -> Result<Host, LoadError> {
        let engine = engine::engine(&config)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(LoadError::Engine)?;
        wasi_http::add_to_linker(&mut linker).map_err(LoadError::Engine)?;
        let ticker = Ticker::start(&engine).map_err(LoadError::Clock)?;
        let client = Client::new(config.connections.clone())?;
        let in_flight = Semaphore::new(config.calls_in_flight.get() as usize);
        let idle = Idle::new(engine::idle_instances(&config) as usize);
        Ok(Host {
            linker,
            shared: Arc::new(Shared {
                engine,
                config,
                client,
                metrics: Metrics::new(),
                idle,
                blocks: AtomicU64::new(0),
                in_flight,
                stopping: AtomicBool::new(false),
                _ticker: ticker,
            }),
        })
    }

    /// Compiles a block, or takes it from the cache, and checks that it fits this host and its manifest.
    ///
    /// # Errors
    ///
    /// [`LoadError`] names what does not fit.
    pub fn load(&self, block: &Block) -> Result<LoadedBlock, LoadError> {
        validate::manifest(&block.manifest)?;
        let component = validate::component(&self.shared.engine, &block.component)?;
        let pre = self
            .linker
            .instantiate_pre(&component)
            .map_err(LoadError::OtherContract)?;
        validate::types(&pre)?;
        let pre = BlockPre::new(pre).map_err(LoadError::OtherContract)?;
        let network = Network::new(self.shared.clone(), &block.manifest);
        Ok(LoadedBlock::new(
            pre,
            block.manifest.clone(),
            network,
            self.shared.clone(),
        ))
    }

    /// Stops gracefully: calls that begin from now on end with [`CallError::Stopped`] at once, those that
    /// wait to begin once their turn comes; resolves once those in flight have ended by themselves.
    /// Dropping what it returns leaves the host stopping. To end calls at once, drop their futures.
    pub async fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let all = self.shared.config.calls_in_flight.get();
        // Whoever waits before this in the queue sees that the host is stopping, and lets go at once.
        let _all = self.shared.in_flight.acquire_many(all).await;
    }

    /// What calls came to since the host was made, as the text of OpenMetrics 1.0: for the endpoint that
    /// a Prometheus server reads (`application/openmetrics-text; version=1.0.0; charset=utf-8`).
    ///
    /// | metric | labels |
    /// |---|---|
    /// | `operations_calls_total` | `outcome`: `running`, `succeeded`, `failed` (the operation), `permanent`, `transient` (the call), `access`, `aborted`, `refused`, `cancelled`; `reason`: the contract's, for the two kinds of failure |
    /// | `operations_call_duration_seconds` | histogram, `outcome` |
    /// | `operations_calls_in_flight` | none |
    /// | `operations_calls_waiting` | none |
    /// | `operations_requests_total` | `host`, `status`: the HTTP status, or `none` where no answer came |
    /// | `operations_instances_total` | `kind`: `fresh`, `reused` |
    pub fn metrics(&self) -> String {
        self.shared.metrics.text()
    }
}

impl Shared {
    /// A number for a block that is loaded.
    pub fn number(&self) -> BlockNumber {
        self.blocks.fetch_add(1, Ordering::Relaxed)
    }

    /// The right to a call, once there is room for it.
    pub async fn admit(&self) -> Result<SemaphorePermit<'_>, CallError> {
        let stopped = || self.stopping.load(Ordering::SeqCst);
        if stopped() {
            return Err(CallError::Stopped);
        }
        // The semaphore is never closed.
        let permit = self.in_flight.acquire().await;
        match permit {
            Ok(permit) if !stopped() => Ok(permit),
            _ => Err(CallError::Stopped),
        }
    }
}
