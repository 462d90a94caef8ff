//! A wait under way: each operation is asked for until it ends.

use std::num::NonZeroU32;
use std::sync::Arc;

use operations_host::{Backoff, LoadedBlock, NotDone, Outputs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::connection::Connection;
use crate::exit::{ExitCode, ExitError};
use crate::failure_scope::{self, FailureScope};
use crate::limits::{self, Limit};
use crate::log;
use crate::progress::{FailedCall, Progress};
use crate::results::{Late, Results};
use crate::tally::WaitEnd;

/// A wait under way.
pub struct Waiting {
    /// How calls reach their service.
    pub connection: Arc<Connection>,
    /// What is called.
    pub block: Arc<LoadedBlock>,
    /// Of the operations that have not ended.
    pub names: Vec<String>,
    /// Where it says what became of them.
    pub results: Results,
    /// Whether an operation was fetched: the address of the others is right then.
    pub answered: bool,
    /// What is known of each operation, until it ended.
    last_seen: Vec<Option<Late>>,
}

/// An operation that was waited for.
struct Waited {
    operation: usize,
    result: Result<Outputs, NotDone>,
    /// If it ended with its first call: the next operation is asked for once this one is written, so that results
    /// do not pile up where they are written slowly.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Waiting {
    /// A wait for the operations of these names. `answered`: whether another one was fetched before.
    pub fn new(
        connection: Arc<Connection>,
        block: Arc<LoadedBlock>,
        names: Vec<String>,
        results: Results,
        answered: bool,
    ) -> Waiting {
        let last_seen = names.iter().map(|_| Some(Late::NotAsked)).collect();
        Waiting {
            connection,
            block,
            names,
            results,
            answered,
            last_seen,
        }
    }

    /// Waits for all operations, and writes each as it ends. At the end of the future, however it comes, the calls
    /// in flight end too.
    pub async fn until_all_ended(&mut self, jobs: NonZeroU32) -> Result<(), WaitEnd> {
        let first_calls = Arc::new(Semaphore::new(jobs.get() as usize));
        let (goes_on, mut calls) = mpsc::unbounded_channel();
        let mut waits = JoinSet::new();
        let mut left = 0..self.names.len();
        let limits = &self.results.report.limits;
        let mut interrupted = limits.interrupted.clone();
        let deadline = limits.deadline.map(|deadline| deadline.at);
        while !(left.is_empty() && waits.is_empty()) {
            // As many as there are turns are asked for, whatever the deadline is.
            let may_be_late = !left.is_empty() && first_calls.available_permits() == 0;
            tokio::select! {
                biased;
                () = interrupted.wait() => return Err(WaitEnd::Limit(Limit::Interrupted)),
                () = self.results.report.is_due() => self.results.report.show().await?,
                Some((operation, progress)) = calls.recv() => {
                    self.goes_on(operation, progress);
                }
                Some(waited) = waits.join_next() => {
                    let broke_off = |error| ExitError::permanent(format!("a wait broke off: {error}"));
                    self.ended(waited.map_err(broke_off)?).await?;
                }
                Ok(turn) = first_calls.clone().acquire_owned(), if !left.is_empty() => {
                    let Some(operation) = left.next() else { continue };
                    waits.spawn(self.wait(operation, turn, goes_on.clone())?);
                    self.last_seen[operation] = Some(Late::StillRunning);
                }
                () = limits::passed(deadline), if may_be_late => {
                    for operation in left.by_ref() {
                        let name = &self.names[operation];
                        self.results.late(name, Late::NotAsked, Limit::Deadline).await?;
                        self.last_seen[operation] = None;
                    }
                }
            }
        }
        Ok(())
    }

    /// Asks for one operation until it is done.
    fn wait(
        &self,
        operation: usize,
        turn: OwnedSemaphorePermit,
        goes_on: mpsc::UnboundedSender<(usize, Progress)>,
    ) -> Result<impl Future<Output = Waited> + use<>, ExitError> {
        let name = &self.names[operation];
        let call = self.connection.call(self.block.manifest(), name)?;
        let deadline = self.results.report.limits.deadline;
        let deadline = deadline.map(|deadline| deadline.at);
        let (block, backoff) = (self.block.clone(), Backoff::default());
        let connection = self.connection.clone();
        let span = log::operation(name);
        let waited = async move {
            let mut turn = Some(turn);
            let on_call = |result: &_| {
                turn = None;
                let mut progress = Progress::from(result);
                if let Progress::Failed(call) = &mut progress {
                    call.message = connection.reworded(&call.message);
                }
                // Nobody listens any more once the command ends.
                let _ = goes_on.send((operation, progress));
            };
            let mut result = block.until_done(&call, backoff, deadline, on_call).await;
            if let Err(NotDone::Failed(error) | NotDone::Deadline { last: Some(error) }) =
                &mut result
            {
                connection.reword(error);
            }
            Waited {
                operation,
                result,
                _turn: turn,
            }
        };
        Ok(waited.instrument(span))
    }

    /// Takes in what a call showed of an operation that goes on.
    fn goes_on(&mut self, operation: usize, progress: Progress) {
        self.last_seen[operation] = Some(match &progress {
            Progress::Running(_) => {
                self.answered = true;
                Late::StillRunning
            }
            Progress::Failed(call) => Late::LastFailed(call.clone()),
        });
        self.results.report.goes_on(operation, progress);
    }

    /// Writes what became of an operation.
    async fn ended(&mut self, waited: Waited) -> Result<(), WaitEnd> {
        let operation = waited.operation;
        let name = &self.names[operation];
        let written = match waited.result {
            Ok(outputs) => {
                self.answered = true;
                let manifest = self.block.manifest();
                self.results.done(operation, name, manifest, &outputs).await
            }
            Err(NotDone::Failed(error)) => match failure_scope::of(&error, self.answered) {
                FailureScope::ThisOperation => {
                    self.results.not_fetched(operation, name, &error).await
                }
                FailureScope::EveryOperation => {
                    self.results.stopped(name, &error).await?;
                    Err(WaitEnd::Stopped(ExitCode::from(&error)))
                }
            },
            Err(NotDone::Deadline { last }) => {
                let late = last.map_or(Late::StillRunning, |error| {
                    Late::LastFailed(Box::new(FailedCall::whole(&error)))
                });
                self.results.late(name, late, Limit::Deadline).await
            }
        };
        if written.is_ok() {
            self.last_seen[operation] = None;
        }
        written
    }

    /// Says what is known of each operation that had not ended when this limit was reached.
    pub async fn unfinished(&mut self, limit: Limit) {
        let last_seen = std::mem::take(&mut self.last_seen);
        for (name, late) in self.names.iter().zip(last_seen) {
            let Some(late) = late else { continue };
            // If standard error is stuck, the exit code has to do.
            if self.results.late(name, late, limit).await.is_err() {
                return;
            }
        }
    }
}
