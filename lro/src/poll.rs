//! `lro poll`: many operations, until all are done.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use operations_host::{Call, CallError, Outputs, Reason};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;
use crate::polling::{self, Pace};
use crate::print;
use crate::record::{self, End, Out};
use crate::{EX_TEMPFAIL, Stop, names};

/// Poll many operations until all are done: each at once, then after 1 s × 1.25ⁿ up to 60 s
///
/// Writes one JSON object a line as each ends: {"name": as asked, "outputs": the eleven variables}, or
/// {"name": as asked, "failure": why it cannot be had}. Ctrl-C loses nothing that was written: the same
/// command with the same --out goes on where it was. A failure that concerns every operation, such as a
/// credential that is refused, stops the command; so does an address that is wrong, as long as no other
/// was right. Exits as wait does; with 130 after Ctrl-C.
#[derive(Args)]
pub struct Poll {
    /// File with names of operations, relative or full, one a line; - is standard input
    #[arg(long, value_name = "FILE|-")]
    names: PathBuf,
    /// How many calls may be in flight at once
    #[arg(long, value_name = "N", default_value = "100", value_parser = jobs)]
    jobs: NonZeroU32,
    /// Append to this file instead of writing to standard output; what is in it already is not asked again
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How long to poll at most, such as 90s, 30m or 2h [default: until all are done]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    deadline: Option<Duration>,
    #[command(flatten)]
    connection: Connection,
}

/// The most calls in flight: what the address space holds, and twice what was measured.
const MOST_JOBS: u32 = 20_000;

fn jobs(text: &str) -> Result<NonZeroU32, String> {
    let number = text.parse().ok();
    number
        .filter(|jobs: &NonZeroU32| jobs.get() <= MOST_JOBS)
        .ok_or_else(|| format!("name a number from 1 to {MOST_JOBS}"))
}

/// An operation that is not done, the one that is due first being the greatest.
type Due = Reverse<(Instant, usize)>;

/// Why polling ended.
enum Over {
    AllDone,
    Deadline,
    Interrupted,
}

impl Poll {
    /// Polls until all are done, the deadline, or Ctrl-C.
    pub async fn run(self) -> Result<ExitCode, Stop> {
        let deadline = match self.deadline {
            None => None,
            Some(time) => Some(Instant::now().checked_add(time).ok_or_else(|| {
                Stop::usage("--deadline is too far away: name one of years at most")
            })?),
        };
        let names = names::read(&self.names)?;
        let (out, ended) = match &self.out {
            None => (Out::Standard, HashMap::new()),
            Some(path) => Out::file(path)?,
        };
        let block = Arc::new(self.connection.load(self.jobs)?);
        let calls = names
            .iter()
            .filter(|name| !ended.contains_key(*name))
            .map(|name| self.connection.call(block.manifest(), name))
            .collect::<Result<Vec<Call>, Stop>>()?;
        let mut tally = Tally::new(names.len());
        for end in names.iter().filter_map(|name| ended.get(name)) {
            tally.count(*end);
        }
        if !calls.is_empty() {
            self.connection.check_access(&block).await?;
        }
        let mut run = Run {
            block,
            calls,
            out,
            answered: !ended.is_empty(),
            tally,
        };
        let over = run.until_all_done(self.jobs.get() as usize, deadline).await;
        run.tally.bar.finish_and_clear();
        // What was written is kept, also where the run stopped for another reason.
        run.out.sync()?;
        let over = over?;
        print::error_line(&run.tally.summary(&over));
        Ok(run.tally.exit_code(&over))
    }
}

/// A poll under way.
struct Run {
    block: Arc<operations_host::LoadedBlock>,
    calls: Vec<Call>,
    out: Out,
    /// Whether an operation was had: the address of the others is right then.
    answered: bool,
    tally: Tally,
}

impl Run {
    async fn until_all_done(
        &mut self,
        jobs: usize,
        deadline: Option<Instant>,
    ) -> Result<Over, Stop> {
        let mut interrupted = std::pin::pin!(interrupted());
        let late = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let mut late = std::pin::pin!(late);
        let start = Instant::now();
        let mut paces = vec![Pace::new(); self.calls.len()];
        let mut due: BinaryHeap<Due> = (0..self.calls.len())
            .map(|operation| Reverse((start, operation)))
            .collect();
        // Dropping it, at whichever end, ends the calls that are in flight.
        let mut in_flight = JoinSet::new();
        loop {
            let mut next = None;
            while in_flight.len() < jobs
                && let Some(Reverse((at, operation))) = due.peek().copied()
            {
                if at > Instant::now() {
                    next = Some(at);
                    break;
                }
                due.pop();
                let (block, call) = (self.block.clone(), self.calls[operation].clone());
                in_flight.spawn(async move { (operation, block.call(&call).await) });
            }
            if in_flight.is_empty() && due.is_empty() {
                return Ok(Over::AllDone);
            }
            let some_due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut interrupted => return Ok(Over::Interrupted),
                Some(ended) = in_flight.join_next() => {
                    let (operation, result) =
                        ended.map_err(|error| Stop::permanent(format!("a call broke off: {error}")))?;
                    if let Some(failure) = self.ended(operation, result)? {
                        let pause = paces[operation].next(failure.as_ref());
                        due.push(Reverse((Instant::now() + pause, operation)));
                    }
                }
                () = &mut late => return Ok(Over::Deadline),
                () = some_due => {}
            }
        }
    }

    /// Writes what became of an operation; gives the failure to wait out where it is not over.
    fn ended(
        &mut self,
        operation: usize,
        result: Result<Outputs, CallError>,
    ) -> Result<Option<Option<CallError>>, Stop> {
        let name = self.calls[operation].name();
        self.answered |= result.is_ok();
        let (line, end) = match result {
            Ok(outputs) if !outputs.done => return Ok(Some(None)),
            Ok(outputs) => (
                record::done(name, self.block.manifest(), &outputs),
                match outputs.error {
                    Some(_) => End::Failed,
                    None => End::Succeeded,
                },
            ),
            Err(error) if error.is_transient() => {
                self.tally.last_failure = Some(error.to_string());
                return Ok(Some(Some(error)));
            }
            Err(error) if is_of_the_operation(&error, name, self.answered) => {
                (record::failed(name, &error), End::NotThere)
            }
            // Its message has the name, as it is in the URL.
            Err(error @ CallError::Permanent(_)) => return Err(Stop::permanent(error.to_string())),
            Err(error) => return Err(Stop::permanent(format!("{name:?}: {error}"))),
        };
        let out = &mut self.out;
        self.tally.bar.suspend(|| out.write(&line))?;
        self.tally.count(end);
        Ok(None)
    }
}

/// Whether a permanent failure is about this operation alone. The others would be the end of every one that
/// is asked for, and are no end of it: the same command works once they are mended. Which of the two a wrong
/// address is, an operation that was had before tells.
fn is_of_the_operation(error: &CallError, name: &str, answered: bool) -> bool {
    let CallError::Permanent(failure) = error else {
        return false;
    };
    match failure.reason {
        Reason::InvalidSetting | Reason::Unauthenticated | Reason::Certificate => false,
        // A relative name is of the service that the command was given.
        Reason::UnknownService => name.starts_with("//"),
        Reason::RequestDenied | Reason::Redirected | Reason::WrongAddress => answered,
        _ => true,
    }
}

/// What there is to tell of a poll.
struct Tally {
    bar: ProgressBar,
    all: usize,
    succeeded: usize,
    failed: usize,
    not_there: usize,
    last_failure: Option<String>,
}

impl Tally {
    fn new(all: usize) -> Tally {
        let bar = ProgressBar::new(all as u64);
        bar.set_style(polling::style(
            "{spinner} {elapsed:>4} {bar:30} {pos} of {len} done{msg}",
        ));
        bar.enable_steady_tick(Duration::from_millis(100));
        Tally {
            bar,
            all,
            succeeded: 0,
            failed: 0,
            not_there: 0,
            last_failure: None,
        }
    }

    fn count(&mut self, end: End) {
        match end {
            End::Succeeded => self.succeeded += 1,
            End::Failed => self.failed += 1,
            End::NotThere => self.not_there += 1,
        }
        self.bar.set_position(self.ended() as u64);
        if self.failed + self.not_there > 0 {
            self.bar.set_message(format!(
                ", {} with an error, {} not to be had",
                self.failed, self.not_there
            ));
        }
    }

    fn ended(&self) -> usize {
        self.succeeded + self.failed + self.not_there
    }

    fn summary(&self, over: &Over) -> String {
        let mut text = format!(
            "{} of {} ended: {} succeeded, {} failed, {} could not be had",
            self.ended(),
            self.all,
            self.succeeded,
            self.failed,
            self.not_there
        );
        let left = self.all - self.ended();
        match over {
            Over::AllDone => {}
            Over::Deadline => {
                text.push_str(&format!("; {left} were not seen done by --deadline"));
                if let Some(failure) = &self.last_failure {
                    text.push_str(&format!("; the last failure was: {failure}"));
                }
            }
            Over::Interrupted => text.push_str(&format!(
                "; interrupted with {left} to go: the same command with the same --out goes on"
            )),
        }
        text
    }

    fn exit_code(&self, over: &Over) -> ExitCode {
        match over {
            // 128 and SIGINT's number, as a shell has it.
            Over::Interrupted => ExitCode::from(130),
            _ if self.not_there > 0 => ExitCode::from(1),
            Over::Deadline => ExitCode::from(EX_TEMPFAIL),
            Over::AllDone if self.failed > 0 => ExitCode::from(3),
            Over::AllDone => ExitCode::SUCCESS,
        }
    }
}

/// Ctrl-C, or the signal by which service managers stop a command.
async fn interrupted() {
    let terminated = async {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            if let Ok(mut terminate) = signal(SignalKind::terminate()) {
                terminate.recv().await;
                return;
            }
        }
        std::future::pending::<()>().await
    };
    let ctrl_c = async {
        // Where Ctrl-C cannot be heard, the process ends by whatever ends it.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = ctrl_c => {}
        () = terminated => {}
    }
}
