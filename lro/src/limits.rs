//! What ends a command before its work is done: its deadline, and a signal.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};

use crate::exit::{ExitCode, ExitError};
use crate::log::LAST_WRITE;
use crate::signals::Interrupted;

/// A deadline, which is shown as the time that was given.
#[derive(Clone, Copy)]
pub struct Deadline {
    /// When it is.
    pub at: Instant,
    given: Duration,
}

impl Deadline {
    /// The deadline after this time, counted from now.
    pub fn after(given: Duration) -> Result<Deadline, ExitError> {
        match Instant::now().checked_add(given) {
            Some(at) => Ok(Deadline { at, given }),
            None => Err(ExitError::usage(
                "--deadline is too far away: name one of years at most",
            )),
        }
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = humantime::format_duration(self.given);
        write!(f, "{given} (--deadline)")
    }
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// The time that was given.
    Deadline,
    /// A signal.
    Interrupted,
}

/// The limits of a command.
#[derive(Clone)]
pub struct Limits {
    /// When it has to end, if there is such a time.
    pub deadline: Option<Deadline>,
    /// Ctrl-C or SIGTERM.
    pub interrupted: Interrupted,
}

impl Limits {
    /// Resolves once a limit is reached, but no deadline before `earliest`.
    async fn reached(&mut self, earliest: Instant) -> Limit {
        let deadline = self.deadline.map(|deadline| deadline.at.max(earliest));
        tokio::select! {
            biased;
            () = self.interrupted.wait() => Limit::Interrupted,
            () = passed(deadline) => Limit::Deadline,
        }
    }

    /// What `work` gives, unless a limit is reached first. The deadline leaves it `at_least` this time.
    pub async fn bound<T>(
        &mut self,
        at_least: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, Limit> {
        let earliest = Instant::now() + at_least;
        tokio::select! {
            biased;
            done = work => Ok(done),
            limit = self.reached(earliest) => Err(limit),
        }
    }

    /// What `work` gives, unless a signal comes first: no deadline holds for what has to be ready before anything can
    /// be asked.
    pub async fn unless_interrupted<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Limit> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.interrupted.wait() => Err(Limit::Interrupted),
        }
    }

    /// Says that a limit was reached before anything was asked, and what had not come by then.
    pub fn not_begun(&self, limit: Limit, lacking: &str) -> ExitError {
        match (limit, self.deadline) {
            (Limit::Deadline, Some(deadline)) => {
                ExitError::transient(format!("{lacking} came within {deadline}"))
            }
            _ => ExitError {
                code: ExitCode::Interrupted,
                message: "interrupted before anything was asked".to_owned(),
            },
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
        let written = match self.bound(Duration::ZERO, &mut writing).await {
            Ok(written) => written,
            Err(limit) => timeout(LAST_WRITE, writing).await.map_err(|_| limit)?,
        };
        Ok(written.unwrap_or_else(|panic| Err(io::Error::other(panic))))
    }
}

/// Resolves at this time, if there is one.
pub async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
