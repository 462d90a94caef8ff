//! The engine's clock: at each tick, a block that computes yields to the others.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use wasmtime::Engine;

/// How long a block computes at most before it yields.
const TICK: Duration = Duration::from_millis(10);

/// Ticks until it is dropped.
pub(crate) struct EpochTicker {
    _alive: Sender<()>,
}

impl EpochTicker {
    /// Starts the thread that ticks.
    pub fn start(engine: &Engine) -> io::Result<EpochTicker> {
        let (alive, dropped) = mpsc::channel::<()>();
        let engine = engine.clone();
        thread::Builder::new()
            .name("block-clock".to_owned())
            .spawn(move || {
                while dropped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    engine.increment_epoch();
                }
            })?;
        Ok(EpochTicker { _alive: alive })
    }
}
