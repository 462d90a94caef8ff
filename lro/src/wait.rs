//! `lro wait`: asks for operations until they are done.

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::connection::Connection;
use crate::exit::{ExitCode, ExitError};
use crate::journal::{Ended, Journal};
use crate::limits::{Deadline, Limits};
use crate::names::Names;
use crate::print::{self, Format};
use crate::report::Report;
use crate::results::{Records, Results};
use crate::signals::Interrupted;
use crate::tally::{Tally, WaitEnd};
use crate::terminal;
use crate::visible::visible;
use crate::waiting::Waiting;

/// Wait until operations are done: ask for each at once, then after 1 s × 1.25ⁿ up to 60 s
///
/// Prints each operation as it ends, or appends it to the file of --out: {"name": as asked, "askedOf": its service or
/// endpoint, "outputs": the eleven variables}, or with "failure", why it could not be fetched, in place of "outputs";
/// then standard error has a line for each that failed. What is in that file is not asked again of the same service
/// or endpoint, so that the same command resumes after Ctrl-C, a crash or a power cut. Transient failures are waited
/// out. A failure that concerns every operation, such as a refused credential, stops the command and is not
/// recorded; so does a wrong address, as long as no operation was fetched.
///
/// Exits with 1 if an operation could not be fetched, else 75 if one did not finish by the deadline, else 3 if one
/// failed, else 0; with 130 after Ctrl-C or SIGTERM, the second of which ends it at once, and with 141 if nobody
/// reads standard output any more. A zero-touch batch with
/// failed devices has no error, and counts as a success: look at its response.
#[derive(Args)]
pub struct Wait {
    /// Names of the operations, relative or full
    #[arg(value_name = "NAME", required_unless_present = "names_file")]
    names: Vec<String>,
    /// File with names of operations, one a line, and comments that begin with #; - is standard input
    #[arg(long = "names", value_name = "FILE|-")]
    names_file: Option<PathBuf>,
    /// Append the result of each operation to this file instead of printing it; - is standard output
    #[arg(long, value_name = "FILE|-")]
    out: Option<PathBuf>,
    /// How many calls may be in flight at once
    #[arg(long, value_name = "N", default_value = "100", value_parser = jobs)]
    jobs: NonZeroU32,
    /// How long to wait at most, such as 90s, 30m or 2h [default: 30m; none with --names or --out]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    deadline: Option<Duration>,
    /// How to print the outputs of each as it ends, and failures on standard error [default: table]
    #[arg(long, value_enum, hide_default_value = true)]
    output: Option<Format>,
    #[command(flatten)]
    connection: Connection,
}

/// Whoever types a name waits in front of it; a list of names runs by itself, and resumes.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// How long the names and the credential's source get at least, as a first call does: a deadline of nothing asks
/// once, too.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Reads a time. The error quotes nothing.
fn duration(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "name a time such as 90s, 30m or 2h")
}

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
        let deadline = self.deadline.or((!is_list).then_some(DEADLINE));
        let mut limits = Limits {
            deadline: deadline.map(Deadline::after).transpose()?,
            interrupted: Interrupted::listen(),
        };
        match self.run_within(limits.clone()).await {
            Ok(code) => Ok(code),
            Err(error) => {
                let code = error.code;
                let show = || {
                    error.show();
                    Ok(())
                };
                // If standard error is stuck, the exit code has to do.
                let _ = limits.write(show).await;
                Ok(code)
            }
        }
    }

    async fn run_within(self, mut limits: Limits) -> Result<ExitCode, ExitError> {
        let is_list = self.names_file.is_some() || self.out.is_some();
        let connection = Arc::new(self.connection);
        let names = Names {
            typed: self.names,
            file: self.names_file.clone(),
        };
        let reading = in_a_thread({
            let connection = connection.clone();
            move || names.read(|name| connection.is_secret(name))
        });
        let mut names = match limits.bound(SHORTEST_WAIT, reading).await {
            Ok(names) => names?,
            Err(limit) => return Err(limits.not_begun(limit, "not all of the names")),
        };
        if let (Some(file), true) = (&self.names_file, names.is_empty()) {
            let message = Names::none_in(file);
            let text = match self.output {
                Some(Format::Json) => {
                    print::json(json!({"message": message}).to_string(), &io::stderr())
                }
                _ => visible(&message).into_owned(),
            };
            let write = move || {
                terminal::error_line(&text);
                Ok(())
            };
            let _ = limits.write(write).await;
            return Ok(ExitCode::Success);
        }
        let (records, ended) = match &self.out {
            None => (None, Ended::default()),
            Some(path) if path == Path::new("-") => (Some(Records::Printed), Ended::default()),
            Some(path) => {
                let (journal, ended) = Journal::open(path)?;
                (Some(Records::Kept(Arc::new(journal))), ended)
            }
        };
        let loading = in_a_thread({
            let connection = connection.clone();
            move || connection.load(self.jobs)
        });
        let block = match limits.unless_interrupted(loading).await {
            Ok(block) => Arc::new(block?),
            Err(limit) => return Err(limits.not_begun(limit, "no block")),
        };
        let asked_of = connection.asked_of()?;
        let mut tally = Tally::new(names.len());
        names.retain(|name| match ended.get(name, &asked_of.of(name)) {
            Some(end) => {
                tally.count(end);
                false
            }
            None => true,
        });
        let has_summary = is_list || tally.all > 1;
        let answered = tally.fetched() > 0;
        let format = self.output.unwrap_or_default();
        let results = Results {
            printed: self.output.or(records.is_none().then_some(format)),
            records,
            asked_of,
            report: Report::new(tally, &names, format, limits.clone()),
        };
        let mut waiting = Waiting::new(connection, block, names, results, answered);
        if !waiting.names.is_empty() {
            let token = waiting.connection.check_access(&waiting.block);
            match limits.bound(SHORTEST_WAIT, token).await {
                Ok(checked) => checked?,
                Err(limit) => {
                    if waiting.results.printed == Some(Format::Json) {
                        waiting.unfinished(limit).await;
                    }
                    return Err(limits.not_begun(limit, "no access token"));
                }
            }
        }
        let end = match waiting.until_all_ended(self.jobs).await {
            Ok(()) => WaitEnd::AllEnded,
            Err(end) => end,
        };
        if let WaitEnd::Limit(limit) = end {
            waiting.unfinished(limit).await;
        }
        waiting.results.over(end, has_summary).await
    }
}

/// Does what blocks: a file may be a pipe that nobody writes to.
async fn in_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ExitError> + Send + 'static,
) -> Result<T, ExitError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(ExitError::permanent(format!("a thread broke off: {panic}"))))
}
