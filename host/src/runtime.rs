//! What a host and the blocks that it loaded have in common.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::Engine;

use crate::config::HostConfig;
use crate::epoch_ticker::EpochTicker;
use crate::error::LoadError;
use crate::http::Client;
use crate::metrics::Metrics;

/// What a host and its blocks have in common. Blocks keep it alive when their host is gone.
pub(crate) struct Runtime {
    pub config: HostConfig,
    pub client: Client,
    pub metrics: Metrics,
    in_flight: Semaphore,
    stopping: AtomicBool,
    _ticker: EpochTicker,
}

impl Runtime {
    /// Starts the engine's clock and sets TLS up.
    pub fn new(config: HostConfig, engine: &Engine) -> Result<Runtime, LoadError> {
        Ok(Runtime {
            client: Client::new(config.connections.clone())?,
            metrics: Metrics::new(),
            in_flight: Semaphore::new(config.calls_in_flight.get() as usize),
            stopping: AtomicBool::new(false),
            _ticker: EpochTicker::start(engine).map_err(LoadError::Clock)?,
            config,
        })
    }

    /// The right to run a call, once there is room for it; none if the host is stopping.
    pub async fn admit(&self) -> Option<SemaphorePermit<'_>> {
        let stopped = || self.stopping.load(Ordering::SeqCst);
        if stopped() {
            return None;
        }
        // The semaphore is never closed.
        let permit = self.in_flight.acquire().await.ok()?;
        (!stopped()).then_some(permit)
    }

    /// Admits no more calls, and waits until those that run have ended.
    pub async fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let all = self.config.calls_in_flight.get();
        // Whoever is before this in the queue sees that the host is stopping, and lets go at once.
        let _all = self.in_flight.acquire_many(all).await;
    }
}
