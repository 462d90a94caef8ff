//! `lro wait`: asks for operations until they are done.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use operations_host::{Backoff, CallError, Failure, LoadedBlock, NotDone, Outputs, Reason};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::exit::{ExitCode, ExitError};
use crate::failure_scope::{self, FailureScope};
use crate::journal::{self, End, Journal};
use crate::limits::{self, Limit, Limits};
use crate::print::{self, Format};
use crate::progress::Progress;
use crate::report::{Report, WaitEnd};
use crate::signals::Interrupted;
use crate::{names, terminal};

/// Wait until operations are done: ask for each at once, then after 1 s × 1.25ⁿ up to 60 s
///
/// Prints each operation as it ends, or appends it to the file of --out: {"name": as asked, "outputs": the eleven
/// variables}, or {"name": as asked, "failure": why it could not be fetched}. What is in that file is not asked
/// again, so that the same command resumes after Ctrl-C, a crash or a power cut. Transient failures are waited
/// out. A failure that concerns every operation, such as a refused credential, stops the command and is not
/// recorded; so does a wrong address, as long as no operation was fetched.
///
/// Exits with 1 if an operation could not be fetched, else 75 if one did not finish by the deadline, else 3 if one
/// failed, else 0; with 130 after Ctrl-C or SIGTERM, the second of which ends it at once. A zero-touch batch with
/// failed devices has no error, and counts as a success: look at its response.
#[derive(Args)]
pub struct Wait {
    /// Names of the operations, relative or full
    #[arg(value_name = "NAME", required_unless_present = "names_file")]
    names: Vec<String>,
    /// File with names of operations, one a line; - is standard input
    #[arg(long = "names", value_name = "FILE|-")]
    names_file: Option<PathBuf>,
    /// Append the result of each operation to this file instead of printing it; - is standard output
    #[arg(long, value_name = "FILE|-")]
    out: Option<PathBuf>,
    /// How many calls may be in flight at once
    #[arg(long, value_name = "N", default_value = "100", value_parser = jobs)]
    jobs: NonZeroU32,
    /// How long to wait at most, such as 90s, 30m or 2h [default: 30m; none with --names or --out]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    deadline: Option<Duration>,
    /// How to print the outputs of each as it ends, and failures on standard error [default: table]
    #[arg(long, value_enum, hide_default_value = true)]
    output: Option<Format>,
    #[command(flatten)]
    connection: Connection,
}

/// Whoever types a name waits in front of it; a list of names runs by itself, and resumes.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// How long the credential's source gets at least, as a first call does: a deadline of nothing asks once, too.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// The most calls in flight: what the address space holds, and twice what was measured.
const MAX_JOBS: u32 = 20_000;

fn jobs(text: &str) -> Result<NonZeroU32, String> {
    let number = text.parse().ok();
    number
        .filter(|jobs: &NonZeroU32| jobs.get() <= MAX_JOBS)
        .ok_or_else(|| format!("name a number from 1 to {MAX_JOBS}"))
}

impl Wait {
    /// Waits until all are done, the deadline, or a signal.
    pub async fn run(self) -> Result<ExitCode, ExitError> {
        let is_list = self.names_file.is_some() || self.out.is_some();
        let time = self.deadline.or((!is_list).then_some(DEADLINE));
        let deadline = match time {
            None => None,
            Some(time) => Some(Instant::now().checked_add(time).ok_or_else(|| {
                ExitError::usage("--deadline is too far away: name one of years at most")
            })?),
        };
        let mut names = names::all(self.names, self.names_file.as_deref())?;
        let (records, ended) = match &self.out {
            None => (None, HashMap::new()),
            Some(path) if path == Path::new("-") => (Some(Records::Printed), HashMap::new()),
            Some(path) => {
                let (journal, ended) = Journal::open(path)?;
                (Some(Records::Kept(Arc::new(journal))), ended)
            }
        };
        let block = Arc::new(self.connection.load(self.jobs)?);
        let all = names.len();
        let ends: Vec<End> = names
            .iter()
            .filter_map(|name| ended.get(name))
            .copied()
            .collect();
        names.retain(|name| !ended.contains_key(name));
        let interrupted = Interrupted::listen();
        if !names.is_empty() {
            let mut limits = Limits {
                deadline: deadline.map(|deadline| deadline.max(Instant::now() + SHORTEST_WAIT)),
                interrupted: interrupted.clone(),
            };
            let checked = limits.bound(self.connection.check_access(&block)).await;
            checked.map_err(|limit| no_token(limit, time))??;
        }
        let mut report = Report::new(all, &names, self.output.unwrap_or_default());
        for end in &ends {
            report.count(*end);
        }
        let printed = match (self.output, &records) {
            (None, None) => Some(Format::default()),
            (format, _) => format,
        };
        let mut waiting = Waiting {
            connection: self.connection,
            block,
            names,
            records,
            printed,
            time,
            limits: Limits {
                deadline,
                interrupted,
            },
            report,
            answered: !ends.is_empty(),
        };
        let end = match waiting.until_all_ended(self.jobs).await {
            Ok(()) => WaitEnd::AllEnded,
            Err(end) => end,
        };
        waiting.over(end, is_list || all > 1).await
    }
}

/// Says that a limit was reached before the first call.
fn no_token(limit: Limit, time: Option<Duration>) -> ExitError {
    match limit {
        Limit::Deadline => ExitError::transient(format!(
            "no access token came within {} (--deadline)",
            humantime::format_duration(time.unwrap_or_default())
        )),
        Limit::Interrupted => ExitError {
            code: ExitCode::Interrupted,
            message: "interrupted before anything was asked".to_owned(),
        },
    }
}

/// A wait under way.
struct Waiting {
    connection: Connection,
    block: Arc<LoadedBlock>,
    /// Of the operations that had not ended before.
    names: Vec<String>,
    /// Where `--out` has the records, if it was given.
    records: Option<Records>,
    /// How results are printed besides, if they are.
    printed: Option<Format>,
    time: Option<Duration>,
    limits: Limits,
    report: Report,
    /// Whether an operation was fetched: the address of the others is right then.
    answered: bool,
}

/// Where the records go.
#[derive(Clone)]
enum Records {
    /// To standard output.
    Printed,
    /// To a file, from which the same command resumes.
    Kept(Arc<Journal>),
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
    /// Waits for all operations, and writes each as it ends. Dropping it ends the calls that are in flight.
    async fn until_all_ended(&mut self, jobs: NonZeroU32) -> Result<(), WaitEnd> {
        let first_calls = Arc::new(Semaphore::new(jobs.get() as usize));
        let (goes_on, mut calls) = mpsc::unbounded_channel();
        let mut waits = JoinSet::new();
        let mut left = 0..self.names.len();
        let (mut interrupted, deadline) = (self.limits.interrupted.clone(), self.limits.deadline);
        while !(left.is_empty() && waits.is_empty()) {
            tokio::select! {
                biased;
                () = interrupted.wait() => return Err(WaitEnd::Limit(Limit::Interrupted)),
                () = self.report.is_due() => {
                    let progress = self.report.progress();
                    self.to_standard_error(progress).await?;
                }
                Some((operation, progress)) = calls.recv() => {
                    self.answered |= matches!(progress, Progress::Running(_));
                    self.report.goes_on(operation, progress);
                }
                Some(waited) = waits.join_next() => {
                    let waited: Waited = waited
                        .map_err(|error| ExitError::permanent(format!("a wait broke off: {error}")))?;
                    self.ended(waited.operation, waited.result).await?;
                }
                Ok(turn) = first_calls.clone().acquire_owned(), if !left.is_empty() => {
                    let Some(operation) = left.next() else { continue };
                    waits.spawn(self.wait(operation, turn, goes_on.clone())?);
                }
                // As many as there are turns are asked for, whatever the deadline is.
                () = limits::passed(deadline), if !left.is_empty() && first_calls.available_permits() == 0 => {
                    self.not_asked(std::mem::take(&mut left)).await?;
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
        let call = self
            .connection
            .call(self.block.manifest(), &self.names[operation])?;
        let (block, deadline) = (self.block.clone(), self.limits.deadline);
        Ok(async move {
            let mut turn = Some(turn);
            let on_call = |result: &_| {
                turn = None;
                // Nobody listens any more once the command ends.
                let _ = goes_on.send((operation, Progress::from(result)));
            };
            let result = block
                .until_done(&call, Backoff::default(), deadline, on_call)
                .await;
            Waited {
                operation,
                result,
                _turn: turn,
            }
        })
    }

    /// Writes what became of an operation.
    async fn ended(
        &mut self,
        operation: usize,
        result: Result<Outputs, NotDone>,
    ) -> Result<(), WaitEnd> {
        match result {
            Ok(outputs) => self.done(operation, outputs).await,
            Err(NotDone::Failed(error)) => self.not_fetched(operation, error).await,
            Err(NotDone::Deadline { last }) => self.late(operation, last).await,
        }
    }

    async fn done(&mut self, operation: usize, outputs: Outputs) -> Result<(), WaitEnd> {
        self.answered = true;
        let name = &self.names[operation];
        let manifest = self.block.manifest();
        let print = |format| print::outputs(manifest, &outputs, format) + "\n";
        let printed = self.printed.map(print);
        if let Some(records) = &self.records {
            let line = journal::done(name, manifest, &outputs);
            self.record(records.clone(), line).await?;
        }
        if let Some(text) = printed {
            self.to_standard_output(text).await?;
        }
        let end = match outputs.error {
            Some(_) => End::Failed,
            None => End::Succeeded,
        };
        self.report.ended(operation, end);
        Ok(())
    }

    async fn not_fetched(&mut self, operation: usize, mut error: CallError) -> Result<(), WaitEnd> {
        let name = &self.names[operation];
        if failure_scope::of(&error, name, self.answered) == FailureScope::EveryOperation {
            let code = match self.connection.is_misused(&mut error) {
                true => ExitCode::Usage,
                false => ExitCode::PermanentFailure,
            };
            let failure = print::failure(name, &error, self.printed.unwrap_or_default());
            self.say(&failure).await?;
            return Err(WaitEnd::Stopped(code));
        }
        let failure = self
            .printed
            .map(|format| print::failure(name, &error, format));
        if let Some(records) = &self.records {
            let line = journal::not_fetched(name, &error);
            self.record(records.clone(), line).await?;
        }
        if let Some(failure) = failure {
            self.say(&failure).await?;
        }
        self.report.ended(operation, End::NotFetched);
        Ok(())
    }

    /// Says of operations that the deadline came before their first call.
    async fn not_asked(&mut self, operations: Range<usize>) -> Result<(), WaitEnd> {
        for operation in operations {
            self.late(operation, None).await?;
        }
        Ok(())
    }

    /// Says that an operation did not finish in time, and why. A journal is resumed: nothing is written there.
    async fn late(&mut self, operation: usize, last: Option<CallError>) -> Result<(), WaitEnd> {
        if let Some(format) = self.printed {
            let name = &self.names[operation];
            let error = past_deadline(name, self.time.unwrap_or_default(), last);
            let failure = print::failure(name, &error, format);
            self.say(&failure).await?;
        }
        Ok(())
    }

    async fn record(&mut self, records: Records, line: String) -> Result<(), WaitEnd> {
        let journal = match records {
            Records::Printed => return self.to_standard_output(line).await,
            Records::Kept(journal) => journal,
        };
        let writing = journal.clone();
        let written = self.limits.write(move || writing.write(&line)).await;
        match written.map_err(WaitEnd::Limit)? {
            Ok(()) => Ok(()),
            Err(error) => Err(journal.unwritable(error).into()),
        }
    }

    /// Writes to standard output, where the bars are not.
    async fn to_standard_output(&mut self, text: String) -> Result<(), WaitEnd> {
        let erase = self.report.erase();
        let write = move || {
            terminal::to_standard_error(&erase);
            print::to_standard_output(&text)
        };
        match self.limits.write(write).await.map_err(WaitEnd::Limit)? {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(WaitEnd::ReaderGone),
            Err(error) => Err(print::unwritable(error).into()),
        }
    }

    /// Writes a line to standard error in place of the bars.
    async fn say(&mut self, line: &str) -> Result<(), WaitEnd> {
        let text = format!("{}{line}\n", self.report.erase());
        self.to_standard_error(text).await
    }

    async fn to_standard_error(&mut self, text: String) -> Result<(), WaitEnd> {
        let write = move || {
            terminal::to_standard_error(&text);
            Ok(())
        };
        let written = self.limits.write(write).await;
        written.map(drop).map_err(WaitEnd::Limit)
    }

    /// Keeps what was written, and says what became of the operations.
    async fn over(mut self, end: WaitEnd, has_summary: bool) -> Result<ExitCode, ExitError> {
        let erase = self.report.erase();
        let _ = self.to_standard_error(erase).await;
        let to_resume = match &self.records {
            Some(Records::Kept(journal)) => {
                journal.sync()?;
                ": rerun with the same --out to resume"
            }
            Some(Records::Printed) | None => "",
        };
        if let WaitEnd::Error(error) = end {
            return Err(error);
        }
        let code = self.report.exit_code(&end);
        let is_for_people =
            self.printed != Some(Format::Json) && !matches!(end, WaitEnd::ReaderGone);
        if is_for_people && (has_summary || code == ExitCode::Interrupted) {
            let summary = self.report.summary(&end, to_resume);
            // If standard error is stuck too, the exit code has to do.
            let _ = self.say(&summary).await;
        }
        Ok(code)
    }
}

/// Why an operation did not finish in time: the last failure, if the last call was one.
fn past_deadline(name: &str, time: Duration, last: Option<CallError>) -> CallError {
    let last = last.as_ref().and_then(CallError::failure);
    let time = humantime::format_duration(time);
    let why = match last {
        None => "it was still running".to_owned(),
        Some(failure) => format!("the last call failed: {}", failure.message),
    };
    CallError::Transient(Failure {
        reason: last.map_or(Reason::Timeout, |failure| failure.reason),
        message: format!("{name} did not finish within {time} (--deadline); {why}"),
        http_status: last.and_then(|failure| failure.http_status),
        service_error: last.and_then(|failure| failure.service_error.clone()),
        retry_after_ms: last.and_then(|failure| failure.retry_after_ms),
    })
}
