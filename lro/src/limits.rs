//! What ends a command before its work is done: its deadline, and a signal.

use std::io;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};

use crate::signals::Interrupted;

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    Deadline,
    Interrupted,
}

/// The limits of a command.
pub struct Limits {
    pub deadline: Option<Instant>,
    pub interrupted: Interrupted,
}

/// How much longer than its limits a command writes, so that a reader gets its last line whole.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// Resolves at the deadline, if there is one.
pub async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Limits {
    /// Resolves once a limit is reached.
    pub async fn reached(&mut self) -> Limit {
        tokio::select! {
            biased;
            () = self.interrupted.wait() => Limit::Interrupted,
            () = passed(self.deadline) => Limit::Deadline,
        }
    }

    /// What `work` gives, unless a limit is reached first.
    pub async fn bound<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Limit> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            limit = self.reached() => Err(limit),
        }
    }

    /// Writes in a thread of its own, so that a reader that does not read holds up neither deadline nor signals.
    ///
    /// # Errors
    ///
    /// The limit that was reached while the writer was stuck.
    pub async fn write(
        &mut self,
        write: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<io::Result<()>, Limit> {
        let mut writing = spawn_blocking(write);
        let written = match self.bound(&mut writing).await {
            Ok(written) => written,
            Err(limit) => timeout(LAST_WRITE, writing).await.map_err(|_| limit)?,
        };
        Ok(written.unwrap_or_else(|panic| Err(io::Error::other(panic))))
    }
}
