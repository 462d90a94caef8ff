//! `lro wait`: polls until operations are done.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::MultiProgress;
use operations_host::{CallError, Failure, Reason};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::polling::{self, NotDone};
use crate::print::{self, Format};
use crate::{EX_TEMPFAIL, Stop};

/// Wait until operations are done: ask at once, then after 1 s × 1.25ⁿ up to 60 s
///
/// Prints each as it ends. Exits with 1 where one had a permanent failure, else 75 where one was not done
/// by the deadline, else 3 where one failed, else 0. A zero-touch batch with failed devices has no error,
/// and counts as a success: look at its response.
#[derive(Args)]
pub struct Wait {
    /// Names of the operations, relative or full
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    connection: Connection,
    /// How long to wait at most, such as 90s, 30m or 2h
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = humantime::parse_duration)]
    deadline: Duration,
    /// How to print the outputs of each as it ends, and failures on standard error
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// More names than this wait for each other; `lro poll` is for many.
const CALLS_IN_FLIGHT: NonZeroU32 = NonZeroU32::new(100).unwrap();

impl Wait {
    /// Prints each operation as it ends. The exit code is that of the worst end: 1 for a permanent
    /// failure, else 75 for the deadline, else 3 for an operation that failed.
    pub async fn run(self) -> Result<ExitCode, Stop> {
        let block = Arc::new(self.connection.load(CALLS_IN_FLIGHT)?);
        let deadline = Instant::now().checked_add(self.deadline);
        let deadline = deadline
            .ok_or_else(|| Stop::usage("--deadline is too far away: name one of years at most"))?;
        let bars = MultiProgress::new();
        let mut waits = JoinSet::new();
        for name in self.names {
            let call = self.connection.call(block.manifest(), &name)?;
            let block = block.clone();
            let bar = bars.add(polling::bar(&name));
            waits.spawn(async move {
                let ended = polling::until_done(&block, &call, deadline, &bar).await;
                bar.finish_and_clear();
                (name, ended)
            });
        }

        let (mut failed, mut late, mut unsuccessful) = (false, false, false);
        while let Some(ended) = waits.join_next().await {
            let (name, ended) =
                ended.map_err(|error| Stop::permanent(format!("a wait broke off: {error}")))?;
            bars.suspend(|| match ended {
                Ok(outputs) => {
                    unsuccessful |= outputs.error.is_some();
                    print::outputs(block.manifest(), &outputs, self.output)
                }
                Err(NotDone::Failed(error)) => {
                    failed = true;
                    print::failure(&name, &error, self.output);
                    Ok(())
                }
                Err(NotDone::Deadline(last)) => {
                    late = true;
                    print::failure(
                        &name,
                        &past_deadline(&name, self.deadline, last),
                        self.output,
                    );
                    Ok(())
                }
            })?;
        }
        Ok(match (failed, late, unsuccessful) {
            (true, _, _) => ExitCode::from(1),
            (_, true, _) => ExitCode::from(EX_TEMPFAIL),
            (_, _, true) => ExitCode::from(3),
            _ => ExitCode::SUCCESS,
        })
    }
}

/// What is said of an operation that was not seen done in time: the last failure, where that is why.
fn past_deadline(name: &str, deadline: Duration, last: Option<CallError>) -> CallError {
    let last = last.as_ref().and_then(CallError::failure);
    let deadline = humantime::format_duration(deadline);
    let why = match last {
        None => "it was still running".to_owned(),
        Some(failure) => format!("the last answer was a failure: {}", failure.message),
    };
    CallError::Transient(Failure {
        reason: last.map_or(Reason::Timeout, |failure| failure.reason),
        message: format!("{name} was not seen done within {deadline} (--deadline); {why}"),
        http_status: last.and_then(|failure| failure.http_status),
        service_error: last.and_then(|failure| failure.service_error.clone()),
        retry_after_ms: last.and_then(|failure| failure.retry_after_ms),
    })
}
