//! What a wait writes of each operation: a record for `--out`, what is printed, or both.

use std::io;
use std::sync::Arc;

use operations_host::{CallError, Failure, Manifest, Outputs, Reason};

use crate::asked_of::AskedOf;
use crate::exit::{ExitCode, ExitError};
use crate::journal::{self, End, Journal};
use crate::limits::Limit;
use crate::print::{self, Format};
use crate::progress::FailedCall;
use crate::report::Report;
use crate::tally::WaitEnd;

/// Where results go, and what is told of them. What is written counts, and nothing else.
pub struct Results {
    /// The records of `--out`, if it was given.
    pub records: Option<Records>,
    /// How results are printed besides, if they are.
    pub printed: Option<Format>,
    /// Of whom the operations are asked, which a record says.
    pub asked_of: AskedOf,
    /// What is told besides.
    pub report: Report,
}

/// Where the records go.
#[derive(Clone)]
pub enum Records {
    /// To standard output.
    Printed,
    /// To a file, from which the same command resumes.
    Kept(Arc<Journal>),
}

/// Why an operation did not finish before a limit.
pub enum Late {
    /// There were more operations than the time allowed to ask for.
    NotAsked,
    /// No call said that it is done.
    StillRunning,
    /// The last call failed.
    LastFailed(Box<FailedCall>),
}

impl Results {
    /// An operation is done.
    pub async fn done(
        &mut self,
        operation: usize,
        name: &str,
        manifest: &Manifest,
        outputs: &Outputs,
    ) -> Result<(), WaitEnd> {
        if let Some(records) = self.records.clone() {
            let record = journal::done(name, &self.asked_of.of(name), manifest, outputs);
            self.record(records, record).await?;
        }
        match self.printed {
            Some(format) => {
                let text = print::outputs(manifest, outputs, format);
                self.report.print(text).await?;
            }
            None => {
                if let Some(failed) = print::operation_failed(name, outputs) {
                    self.report.say(&failed).await?;
                }
            }
        }
        let end = match outputs.error {
            Some(_) => End::Failed,
            None => End::Succeeded,
        };
        self.report.ended(operation, end);
        Ok(())
    }

    /// An operation could not be fetched, and asking again cannot help.
    pub async fn not_fetched(
        &mut self,
        operation: usize,
        name: &str,
        error: &CallError,
    ) -> Result<(), WaitEnd> {
        if let Some(records) = self.records.clone() {
            let record = journal::not_fetched(name, &self.asked_of.of(name), error);
            self.record(records, record).await?;
        }
        let said = match self.printed {
            Some(format) => print::failure(name, error, format),
            None => print::not_fetched(name, error),
        };
        self.report.say(&said).await?;
        self.report.ended(operation, End::NotFetched);
        Ok(())
    }

    /// No operation can be fetched until this is repaired: it is the end of the wait, and of no operation.
    pub async fn stopped(&mut self, name: &str, error: &CallError) -> Result<(), WaitEnd> {
        let format = self.printed.unwrap_or_default();
        self.report.say(&print::failure(name, error, format)).await
    }

    /// An operation did not finish before this limit. It has no record, so that it is asked for again.
    pub async fn late(&mut self, name: &str, late: Late, limit: Limit) -> Result<(), WaitEnd> {
        let deadline = self.report.limits.deadline;
        let within = match (limit, self.printed, deadline) {
            (Limit::Deadline, Some(_), Some(deadline)) => format!("within {deadline}"),
            // Whoever reads the table pressed Ctrl-C: for them the summary does.
            (Limit::Interrupted, Some(Format::Json), _) => "before lro was interrupted".to_owned(),
            _ => return Ok(()),
        };
        let format = self.printed.unwrap_or_default();
        let failure = print::failure(name, &unfinished(name, &within, late), format);
        self.report.say(&failure).await
    }

    async fn record(&mut self, records: Records, record: String) -> Result<(), WaitEnd> {
        let journal = match records {
            Records::Printed => return self.report.print(print::json(record, &io::stdout())).await,
            Records::Kept(journal) => journal,
        };
        let writing = journal.clone();
        let limits = &mut self.report.limits;
        let written = limits.write(move || writing.write(&record)).await;
        match written.map_err(WaitEnd::Limit)? {
            Ok(()) => Ok(()),
            Err(error) => Err(journal.unwritable(error).into()),
        }
    }

    /// Keeps what was written, and says what became of the operations.
    pub async fn over(mut self, end: WaitEnd, has_summary: bool) -> Result<ExitCode, ExitError> {
        // If standard error is stuck too, the exit code has to do.
        let _ = self.report.clear().await;
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
        let code = self.report.tally.exit_code(&end);
        let is_for_people =
            self.printed != Some(Format::Json) && !matches!(end, WaitEnd::ReaderGone);
        if is_for_people && (has_summary || code == ExitCode::Interrupted) {
            let summary = self.report.tally.summary(&end, to_resume);
            let _ = self.report.say(&summary).await;
        }
        Ok(code)
    }
}

/// The failure of an operation that did not finish: of the kind of the last one, if the last call failed.
fn unfinished(name: &str, within: &str, late: Late) -> CallError {
    let (why, last) = match late {
        Late::NotAsked => ("it was not asked for".to_owned(), None),
        Late::StillRunning => ("it was still running".to_owned(), None),
        Late::LastFailed(call) => {
            let why = format!("the last call failed: {}", call.message);
            (why, call.failure)
        }
    };
    let message = format!("{name} did not finish {within}; {why}");
    CallError::Transient(match last {
        Some(failure) => Failure { message, ..failure },
        None => Failure {
            reason: Reason::Timeout,
            message,
            concerns_caller: false,
            http_status: None,
            service_error: None,
            retry_after_ms: None,
        },
    })
}
