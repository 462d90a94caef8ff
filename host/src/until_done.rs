//! Waiting for an operation: a call, a pause, the next call, until it is done. The block reads an
//! operation once; the loop belongs to the engine.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::bindings::Outputs;
use crate::call::Call;
use crate::error::CallError;
use crate::loaded_block::LoadedBlock;

/// How long to pause between two calls: first `first`, then each time `factor` times as long, up to `longest`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The first pause.
    pub first: Duration,
    /// How many times as long each pause is as the one before. At least 1.
    pub factor: f64,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Backoff {
    /// 1 s × 1.25ⁿ up to 60 s.
    fn default() -> Backoff {
        Backoff {
            first: Duration::from_secs(1),
            factor: 1.25,
            longest: Duration::from_secs(60),
        }
    }
}

/// The longest pause that a service can ask for: a `Retry-After` of 49 days must not end a wait.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

impl Backoff {
    /// The pause after call number `call`, counted from 1: the back-off's own, or the one that the service
    /// asked for if that is longer, up to [`LONGEST_RETRY_AFTER`].
    pub fn after(&self, call: u32, retry_after: Option<Duration>) -> Duration {
        let exponent = i32::try_from(call.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.first.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        let own = match grown < self.longest.as_secs_f64() {
            true => Duration::from_secs_f64(grown),
            false => self.longest,
        };
        own.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
    }
}

/// Why an operation did not finish.
#[derive(Debug)]
pub enum NotDone {
    /// A call failed and calling again cannot help, or the host refused it.
    Failed(CallError),
    /// The operation was not done at the deadline.
    Deadline {
        /// Why the last call failed, if it did.
        last: Option<CallError>,
    },
}

/// The least time that a call gets, so that even a deadline that has passed leaves time for one call.
const SHORTEST_CALL: Duration = Duration::from_secs(1);

/// How much later than its own deadline a block may report it.
const REPORT: Duration = Duration::from_millis(250);

impl LoadedBlock {
    /// Calls at once, and again after each pause of `backoff`, until the operation is done. Transient
    /// failures are waited out. `on_call` sees the result of each call after which the wait goes on: the
    /// outputs of a running operation, or a transient failure.
    ///
    /// `deadline`: the wait ends then, even during a call, but each call gets at least one second. Without one,
    /// the wait goes on until the operation is done. Dropping the future ends it.
    ///
    /// Thousands of operations can be waited for at once, each in a task of its own: a wait holds about 1 KiB
    /// between calls and while it waits for its turn to call.
    ///
    /// # Errors
    ///
    /// [`NotDone`] says whether a call failed for good or the deadline came first.
    pub async fn until_done(
        &self,
        call: &Call,
        backoff: Backoff,
        deadline: Option<Instant>,
        mut on_call: impl FnMut(&Result<Outputs, CallError>),
    ) -> Result<Outputs, NotDone> {
        let mut calls = 0;
        let mut last = None;
        loop {
            calls += 1;
            let result = match deadline {
                None => self.call(call).await,
                Some(deadline) => {
                    let end = deadline.max(Instant::now() + SHORTEST_CALL);
                    match timeout_at(end + REPORT, self.call_before(call, Some(end))).await {
                        Ok(result) => result,
                        // It was still waiting for its turn, or for a token.
                        Err(_) => return Err(NotDone::Deadline { last }),
                    }
                }
            };
            match &result {
                Ok(outputs) if outputs.done => return result.map_err(NotDone::Failed),
                Err(error) if !error.is_transient() => return result.map_err(NotDone::Failed),
                _ => on_call(&result),
            }
            last = result.err();
            let retry_after = last.as_ref().and_then(CallError::retry_after);
            let next = Instant::now() + backoff.after(calls, retry_after);
            match deadline {
                Some(deadline) if Instant::now() >= deadline => {
                    return Err(NotDone::Deadline { last });
                }
                Some(deadline) => sleep_until(next.min(deadline)).await,
                None => sleep_until(next).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_no_further() {
        let backoff = Backoff::default();
        let seconds = |call| backoff.after(call, None).as_secs_f64();
        assert_eq!([seconds(0), seconds(1), seconds(2)], [1.0, 1.0, 1.25]);
        assert_eq!(seconds(3), 1.5625);
        assert_eq!([seconds(20), seconds(u32::MAX)], [60.0, 60.0]);
    }

    #[test]
    fn a_service_can_ask_for_a_longer_pause_of_at_most_an_hour() {
        let after = |asked| Backoff::default().after(1, Some(Duration::from_secs(asked)));
        assert_eq!(after(0), Duration::from_secs(1));
        assert_eq!(after(90), Duration::from_secs(90));
        assert_eq!(after(49 * 24 * 3600), Duration::from_secs(3600));
    }

    #[test]
    fn a_factor_below_one_or_not_a_number_does_not_shorten_a_pause() {
        for factor in [0.5, -1.0, f64::NAN] {
            let backoff = Backoff {
                factor,
                ..Backoff::default()
            };
            assert_eq!(backoff.after(9, None), Duration::from_secs(1), "{factor}");
        }
    }
}
