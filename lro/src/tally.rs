//! What became of the operations of a wait, counted, and what the shell is told of it.

use crate::exit::{ExitCode, ExitError};
use crate::journal::End;
use crate::limits::Limit;
use crate::visible::visible;

/// How a wait ended.
#[derive(Debug)]
pub enum WaitEnd {
    /// Every operation ended, or reached the deadline.
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

/// The operations of a wait, counted.
pub struct Tally {
    /// How many there are.
    pub all: usize,
    succeeded: usize,
    failed: usize,
    not_fetched: usize,
    last_failure: Option<LastFailure>,
}

/// A failure that is waited out.
struct LastFailure {
    operation: usize,
    message: String,
}

impl Tally {
    /// Of `all` operations, none has ended.
    pub fn new(all: usize) -> Tally {
        Tally {
            all,
            succeeded: 0,
            failed: 0,
            not_fetched: 0,
            last_failure: None,
        }
    }

    /// An operation ended.
    pub fn count(&mut self, end: End) {
        match end {
            End::Succeeded => self.succeeded += 1,
            End::Failed => self.failed += 1,
            End::NotFetched => self.not_fetched += 1,
        }
    }

    /// A call of an operation that goes on failed.
    pub fn call_failed(&mut self, operation: usize, message: String) {
        self.last_failure = Some(LastFailure { operation, message });
    }

    /// A call of an operation did not fail: its last failure is over.
    pub fn call_succeeded(&mut self, operation: usize) {
        self.last_failure
            .take_if(|failure| failure.operation == operation);
    }

    /// How many operations have ended.
    pub fn ended(&self) -> usize {
        self.succeeded + self.failed + self.not_fetched
    }

    /// How many of them a service answered with their outputs.
    pub fn fetched(&self) -> usize {
        self.succeeded + self.failed
    }

    /// How many have not.
    pub fn left(&self) -> usize {
        self.all - self.ended()
    }

    /// The failure that is waited out, if the last one is.
    pub fn last_failure(&self) -> Option<&str> {
        let failure = self.last_failure.as_ref();
        failure.map(|failure| failure.message.as_str())
    }

    /// The same, to be added to a line.
    pub fn and_last_failure(&self) -> String {
        match self.last_failure() {
            Some(message) => format!("; last failure: {}", visible(message)),
            None => String::new(),
        }
    }

    /// What became of those that ended.
    pub fn counts(&self) -> String {
        let (succeeded, failed, not_fetched) = (self.succeeded, self.failed, self.not_fetched);
        format!("{succeeded} succeeded, {failed} failed, {not_fetched} could not be fetched")
    }

    /// What became of all, on one line. `to_resume`: what to do about those that are left.
    pub fn summary(&self, end: &WaitEnd, to_resume: &str) -> String {
        let left = self.left();
        let left = match end {
            WaitEnd::Limit(Limit::Interrupted) => {
                format!("; interrupted with {left} left{to_resume}")
            }
            WaitEnd::Stopped(_) => format!("; stopped with {left} left{to_resume}"),
            _ if left > 0 => {
                let failure = self.and_last_failure();
                format!("; {left} did not finish by --deadline{to_resume}{failure}")
            }
            _ => String::new(),
        };
        let (ended, all) = (self.ended(), self.all);
        format!("{ended} of {all} ended: {}{left}", self.counts())
    }

    /// The worst of what happened.
    pub fn exit_code(&self, end: &WaitEnd) -> ExitCode {
        match end {
            WaitEnd::Error(error) => error.code,
            WaitEnd::Limit(Limit::Interrupted) => ExitCode::Interrupted,
            WaitEnd::Stopped(code) => *code,
            // What is not shown is not known to have succeeded.
            WaitEnd::ReaderGone => ExitCode::ReaderGone,
            _ if self.not_fetched > 0 => ExitCode::PermanentFailure,
            WaitEnd::AllEnded | WaitEnd::Limit(Limit::Deadline) if self.left() > 0 => {
                ExitCode::TransientFailure
            }
            _ if self.failed > 0 => ExitCode::OperationFailed,
            _ => ExitCode::Success,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ends: &[End], left: usize) -> Tally {
        let mut tally = Tally::new(ends.len() + left);
        ends.iter().for_each(|end| tally.count(*end));
        tally
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst_end() {
        use End::{Failed, NotFetched, Succeeded};
        let late = WaitEnd::Limit(Limit::Deadline);
        let code = |ends: &[End], left, end: &WaitEnd| of(ends, left).exit_code(end) as u8;
        assert_eq!(code(&[Succeeded], 0, &WaitEnd::AllEnded), 0);
        assert_eq!(code(&[Succeeded, Failed], 0, &WaitEnd::AllEnded), 3);
        assert_eq!(code(&[Failed], 1, &WaitEnd::AllEnded), 75);
        assert_eq!(code(&[Failed], 1, &late), 75);
        assert_eq!(code(&[Failed, NotFetched], 1, &late), 1);
        let interrupted = WaitEnd::Limit(Limit::Interrupted);
        assert_eq!(code(&[Failed, NotFetched], 1, &interrupted), 130);
        assert_eq!(code(&[], 1, &WaitEnd::ReaderGone), 141);
        assert_eq!(code(&[Failed, NotFetched], 0, &WaitEnd::ReaderGone), 141);
        assert_eq!(code(&[], 1, &WaitEnd::Stopped(ExitCode::Usage)), 2);
    }

    #[test]
    fn a_failure_counts_until_a_call_of_its_operation_succeeds() {
        let mut tally = Tally::new(2);
        tally.call_failed(0, "no\u{7}".to_owned());
        tally.call_succeeded(1);
        assert_eq!(tally.and_last_failure(), r"; last failure: no\u0007");
        tally.call_succeeded(0);
        assert_eq!(tally.and_last_failure(), "");
    }
}
