//! What a wait shows while it goes on: progress on standard error, and what it prints beside it.

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::bars::{Bars, DRAWN_EVERY};
use crate::journal::End;
use crate::limits::Limits;
use crate::print::{self, Format};
use crate::progress::Progress;
use crate::tally::{Tally, WaitEnd};
use crate::terminal;

/// When the first line of progress is written if standard error is no terminal. Each further one comes after twice
/// the time, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The report of a wait.
pub struct Report {
    /// What became of the operations.
    pub tally: Tally,
    /// What ends the wait early, and what is written with it.
    pub limits: Limits,
    format: Format,
    shown: Shown,
    /// When progress is shown next.
    next: Instant,
    started: Instant,
}

/// How progress is shown.
enum Shown {
    /// On a terminal.
    Bars(Bars),
    /// By a line now and then, after this time.
    Lines { pause: Duration },
}

impl Report {
    /// A report of the operations of these names, which have not ended. `format`: that of the lines of progress.
    pub fn new(tally: Tally, names: &[String], format: Format, limits: Limits) -> Report {
        let started = Instant::now();
        let (shown, next) = match Bars::on_terminal(tally.all, names) {
            Some(bars) => (Shown::Bars(bars), started),
            None => (Shown::Lines { pause: FIRST_PAUSE }, started + FIRST_PAUSE),
        };
        Report {
            tally,
            limits,
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
            Progress::Running(_) => self.tally.call_succeeded(operation),
            Progress::Failed(call) => self.tally.call_failed(operation, call.message),
        }
    }

    /// An operation ended, and its result is written.
    pub fn ended(&mut self, operation: usize, end: End) {
        self.tally.count(end);
        self.tally.call_succeeded(operation);
        if let Shown::Bars(bars) = &mut self.shown {
            bars.ended(operation, self.tally.ended(), &self.tally.counts());
        }
    }

    /// Resolves when progress is to be shown.
    pub async fn is_due(&self) {
        sleep_until(self.next).await;
    }

    /// Shows progress.
    pub async fn show(&mut self) -> Result<(), WaitEnd> {
        let failure = self.tally.and_last_failure();
        let (pause, text) = match &mut self.shown {
            Shown::Bars(bars) => (DRAWN_EVERY, bars.draw(&failure)),
            Shown::Lines { pause } => {
                *pause = (*pause * 2).min(LONGEST_PAUSE);
                (*pause, self.line() + "\n")
            }
        };
        self.next = Instant::now() + pause;
        self.write_error(text).await
    }

    /// How far the wait is.
    fn line(&self) -> String {
        let (left, all) = (self.tally.left(), self.tally.all);
        match self.format {
            Format::Json => {
                let failure = self.tally.last_failure();
                let line = json!({"left": left, "of": all, "lastFailure": failure});
                print::json(line.to_string(), &io::stderr())
            }
            Format::Table => {
                let time = Duration::from_secs(self.started.elapsed().as_secs());
                let time = humantime::format_duration(time);
                let failure = self.tally.and_last_failure();
                format!("waiting: {left} of {all} left after {time}{failure}")
            }
        }
    }

    /// Prints this with a line break on standard output, where the bars may be in the way.
    pub async fn print(&mut self, text: String) -> Result<(), WaitEnd> {
        let erase = self.erase();
        let write = move || {
            terminal::to_standard_error(&erase);
            print::to_standard_output(&(text + "\n"))
        };
        match self.limits.write(write).await.map_err(WaitEnd::Limit)? {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(WaitEnd::ReaderGone),
            Err(error) => Err(print::unwritable(error).into()),
        }
    }

    /// Writes a line to standard error in place of the bars.
    pub async fn say(&mut self, line: &str) -> Result<(), WaitEnd> {
        let text = self.erase() + line + "\n";
        self.write_error(text).await
    }

    /// Takes the bars away.
    pub async fn clear(&mut self) -> Result<(), WaitEnd> {
        let erase = self.erase();
        self.write_error(erase).await
    }

    fn erase(&mut self) -> String {
        match &mut self.shown {
            Shown::Bars(bars) => bars.erase(),
            Shown::Lines { .. } => String::new(),
        }
    }

    async fn write_error(&mut self, text: String) -> Result<(), WaitEnd> {
        let write = move || {
            terminal::to_standard_error(&text);
            Ok(())
        };
        let written = self.limits.write(write).await;
        written.map(drop).map_err(WaitEnd::Limit)
    }
}
