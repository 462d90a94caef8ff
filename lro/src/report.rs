//! What is told of a wait on standard error: progress while it goes on, and how it ended.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::bars::{Bars, DRAWN_EVERY};
use crate::exit::{ExitCode, ExitError};
use crate::journal::End;
use crate::limits::Limit;
use crate::print::Format;
use crate::progress::Progress;
use crate::terminal;

/// How a wait ended.
#[derive(Debug)]
pub enum WaitEnd {
    /// Every operation ended, or has reached the deadline.
    AllEnded,
    /// The deadline, or a signal.
    Limit(Limit),
    /// A failure that concerns every operation; it has been shown. With what the shell is told.
    Stopped(ExitCode),
    /// Nobody reads standard output any more, as after `| head -1`.
    ReaderGone,
    /// Something on this machine is in the way.
    Error(ExitError),
}

impl From<ExitError> for WaitEnd {
    fn from(error: ExitError) -> WaitEnd {
        WaitEnd::Error(error)
    }
}

/// When the first line of progress is written if standard error is no terminal. Each further one comes after twice
/// the time, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The operations of a wait, counted.
pub struct Report {
    all: usize,
    succeeded: usize,
    failed: usize,
    not_fetched: usize,
    last_failure: Option<LastFailure>,
    format: Format,
    shown: Shown,
    /// When it is shown next.
    next: Instant,
    started: Instant,
}

/// A failure that is waited out.
struct LastFailure {
    operation: usize,
    message: String,
}

/// How progress is shown.
enum Shown {
    /// On a terminal.
    Bars(Bars),
    /// By a line now and then, after this time.
    Lines { pause: Duration },
}

impl Report {
    /// A report of `all` operations, of which those of `names` have not ended. `format`: that of the lines.
    pub fn new(all: usize, names: &[String], format: Format) -> Report {
        let started = Instant::now();
        let (shown, next) = match Bars::on_terminal(all, names) {
            Some(bars) => (Shown::Bars(bars), started),
            None => (Shown::Lines { pause: FIRST_PAUSE }, started + FIRST_PAUSE),
        };
        Report {
            all,
            succeeded: 0,
            failed: 0,
            not_fetched: 0,
            last_failure: None,
            format,
            shown,
            next,
            started,
        }
    }

    /// An operation goes on.
    pub fn goes_on(&mut self, operation: usize, progress: Progress) {
        if let Shown::Bars(bars) = &mut self.shown {
            bars.goes_on(operation, &progress);
        }
        match progress {
            Progress::Failed(message) => {
                self.last_failure = Some(LastFailure { operation, message })
            }
            Progress::Running(_) => self.forget_failure(operation),
        }
    }

    /// An operation ended, and its result is written.
    pub fn ended(&mut self, operation: usize, end: End) {
        self.count(end);
        self.forget_failure(operation);
        let (ended, counts) = (self.count_ended(), self.counts());
        if let Shown::Bars(bars) = &mut self.shown {
            bars.ended(operation, ended, &counts);
        }
    }

    /// Counts an operation that ended before this wait began.
    pub fn count(&mut self, end: End) {
        match end {
            End::Succeeded => self.succeeded += 1,
            End::Failed => self.failed += 1,
            End::NotFetched => self.not_fetched += 1,
        }
    }

    /// It is over with that.
    fn forget_failure(&mut self, operation: usize) {
        self.last_failure
            .take_if(|failure| failure.operation == operation);
    }

    /// Resolves when progress is to be shown.
    pub async fn is_due(&self) {
        sleep_until(self.next).await;
    }

    /// Progress, to be written to standard error as it is.
    pub fn progress(&mut self) -> String {
        let failure = self.failure();
        let pause = match &mut self.shown {
            Shown::Bars(bars) => {
                self.next = Instant::now() + DRAWN_EVERY;
                return bars.draw(&failure);
            }
            Shown::Lines { pause } => pause,
        };
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        self.next = Instant::now() + *pause;
        let (left, all) = (self.left(), self.all);
        match self.format {
            Format::Json => {
                let message = self.last_failure.as_ref().map(|failure| &failure.message);
                let line = json!({"left": left, "of": all, "lastFailure": message});
                format!("{line}\n")
            }
            Format::Table => {
                let time = Duration::from_secs(self.started.elapsed().as_secs());
                let time = humantime::format_duration(time);
                format!("waiting: {left} of {all} left after {time}{failure}\n")
            }
        }
    }

    /// What to write to standard error before anything else is written there or to standard output.
    pub fn erase(&mut self) -> String {
        match &mut self.shown {
            Shown::Bars(bars) => bars.erase(),
            Shown::Lines { .. } => String::new(),
        }
    }

    /// What became of the operations, on one line. `to_resume`: what to do with those that are left.
    pub fn summary(&self, end: &WaitEnd, to_resume: &str) -> String {
        let left = self.left();
        let left = match end {
            WaitEnd::Limit(Limit::Interrupted) => {
                format!("; interrupted with {left} left{to_resume}")
            }
            WaitEnd::Stopped(_) => format!("; stopped with {left} left{to_resume}"),
            _ if left > 0 => format!(
                "; {left} did not finish by --deadline{to_resume}{}",
                self.failure()
            ),
            _ => String::new(),
        };
        let (ended, all) = (self.count_ended(), self.all);
        format!("{ended} of {all} ended: {}{left}", self.counts())
    }

    fn counts(&self) -> String {
        let (succeeded, failed, not_fetched) = (self.succeeded, self.failed, self.not_fetched);
        format!("{succeeded} succeeded, {failed} failed, {not_fetched} could not be fetched")
    }

    fn failure(&self) -> String {
        match &self.last_failure {
            Some(failure) => format!("; last failure: {}", terminal::visible(&failure.message)),
            None => String::new(),
        }
    }

    fn count_ended(&self) -> usize {
        self.succeeded + self.failed + self.not_fetched
    }

    fn left(&self) -> usize {
        self.all - self.count_ended()
    }

    /// The worst of what happened.
    pub fn exit_code(&self, end: &WaitEnd) -> ExitCode {
        match end {
            WaitEnd::Error(error) => error.code,
            WaitEnd::Limit(Limit::Interrupted) => ExitCode::Interrupted,
            WaitEnd::Stopped(code) => *code,
            _ if self.not_fetched > 0 => ExitCode::PermanentFailure,
            WaitEnd::AllEnded | WaitEnd::Limit(Limit::Deadline) if self.left() > 0 => {
                ExitCode::TransientFailure
            }
            _ if self.failed > 0 => ExitCode::OperationFailed,
            _ => ExitCode::Success,
        }
    }
}
