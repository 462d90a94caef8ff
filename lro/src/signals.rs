//! Ctrl-C, and the signal by which service managers stop a command.

use std::io;

use tokio::sync::watch;

use crate::exit::ExitCode;

/// Whether the command was interrupted.
#[derive(Clone)]
pub struct Interrupted(watch::Receiver<bool>);

impl Interrupted {
    /// Listens from now on. The first signal is told to whoever waits here; a second one ends the process at once.
    pub fn listen() -> Interrupted {
        let (interrupted, receiver) = watch::channel(false);
        // Where signals cannot be heard, they end the process as ever.
        if let Ok(mut signals) = Signals::listen() {
            tokio::spawn(async move {
                signals.next().await;
                let _ = interrupted.send(true);
                signals.next().await;
                std::process::exit(ExitCode::Interrupted as i32);
            });
        }
        Interrupted(receiver)
    }

    /// Resolves once there was a signal, also one that came before.
    pub async fn wait(&mut self) {
        if self.0.wait_for(|interrupted| *interrupted).await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
