//! One call, without the sending: what to send, and what the answer of each attempt means. Pure: whoever sends
//! may be WASI's HTTP (`driver`) or an engine's own (`wit/sans-io.wit`).

use std::cell::OnceCell;
use std::time::Duration;

use crate::answer::{self, Answer};
use crate::bindings::{Failure, Outputs, Reason};
use crate::fault::{Fault, FaultKind};
use crate::flatten::flatten;
use crate::name::Name;
use crate::operation::Operation;
use crate::request::Request;
use crate::retry;
use crate::settings::Settings;

/// A call that is ready to be sent.
pub struct Exchange<'a> {
    name: Name<'a>,
    settings: Settings,
    /// Found when it is needed: a good answer needs none.
    request: OnceCell<Result<Request, Failure>>,
}

/// One sending of the request.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// Since the call began, until this attempt ended.
    pub elapsed: Duration,
    /// Any number, each time another one: the jitter of the next attempt.
    pub random: u32,
}

/// What follows an attempt.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// The call is over: the outputs.
    Done(Outputs),
    /// Send the same request again, after this time.
    Again(Duration),
    /// The call is over: why there are no outputs.
    Failed(Failure),
}

impl<'a> Exchange<'a> {
    /// The call for the operation `name` under these settings.
    ///
    /// # Errors
    ///
    /// `invalid-name`.
    pub fn start(name: &'a str, settings: Settings) -> Result<Exchange<'a>, Failure> {
        settings.refuse_credential_in(name)?;
        Ok(Exchange {
            name: Name::parse(name)?,
            settings,
            request: OnceCell::new(),
        })
    }

    /// The request, the same for every attempt.
    ///
    /// # Errors
    ///
    /// `invalid-name` or `unknown-service`: nothing can be sent.
    pub fn request(&self) -> Result<&Request, Failure> {
        let request = self
            .request
            .get_or_init(|| Request::new(&self.name, &self.settings));
        request.as_ref().map_err(Failure::clone)
    }

    /// How long the whole call may take, all attempts included.
    pub fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// What an answer, or the lack of one, means.
    pub fn finish(&self, attempt: Attempt, answer: Result<Answer, Fault>) -> Next {
        let max_attempts = self.settings.max_attempts;
        if !(1..=max_attempts).contains(&attempt.number) {
            return Next::Failed(Failure::new(
                Reason::InvalidSetting,
                format!(
                    "Attempt {} is none of this call: count attempts from 1 to {max_attempts} \
                     (OPERATIONS_MAX_ATTEMPTS).",
                    attempt.number
                ),
            ));
        }
        let failure = match self.outputs(attempt, answer) {
            Ok(outputs) => return Next::Done(outputs),
            Err(failure) => failure,
        };
        if attempt.number == max_attempts {
            return Next::Failed(failure);
        }
        let left = self.timeout().saturating_sub(attempt.elapsed);
        match retry::delay(&failure, attempt.number, attempt.random) {
            Some(delay) if delay < left => Next::Again(delay),
            // No other attempt would help, or none could follow within the deadline: the failure is worth more
            // now than then.
            _ => Next::Failed(failure),
        }
    }

    fn outputs(&self, attempt: Attempt, answer: Result<Answer, Fault>) -> Result<Outputs, Failure> {
        let timeout = self.timeout();
        let answer = match answer {
            Err(fault) => return Err(fault.failure(self.request()?, timeout)),
            Ok(answer) => answer.operation(),
        };
        let body = match answer {
            Ok(_) if attempt.elapsed > timeout => {
                let late = Fault::from(FaultKind::Timeout);
                return Err(late.failure(self.request()?, timeout));
            }
            Ok(body) => body,
            Err(answer) => return Err(answer::failure(self.request()?, answer, timeout)),
        };
        match Operation::parse(&body) {
            Ok(operation) => Ok(flatten(operation, self.name.relative())),
            Err(why) => Err(answer::not_an_operation(self.request()?, &body, why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32) -> Attempt {
        Attempt {
            number,
            elapsed: Duration::from_secs(1),
            random: u32::MAX,
        }
    }

    fn start() -> Exchange<'static> {
        let settings = [("OPERATIONS_MAX_ATTEMPTS".to_owned(), "3".to_owned())];
        Exchange::start("operations/o", Settings::from_variables(settings).unwrap()).unwrap()
    }

    fn answer(status: u16, body: &str) -> Result<Answer, Fault> {
        Ok(Answer::new(status, Ok(body.as_bytes().to_vec())))
    }

    fn failed(next: Next) -> Failure {
        match next {
            Next::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_good_answer_is_the_end() {
        match start().finish(attempt(3), answer(200, r#"{"done":true}"#)) {
            Next::Done(outputs) => {
                assert_eq!((&*outputs.name, outputs.done), ("operations/o", true))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_request_is_sent_again_while_that_may_help() {
        let exchange = start();
        let next = exchange.finish(attempt(1), answer(503, ""));
        assert_eq!(next, Next::Again(Duration::from_secs(1)));
        let next = exchange.finish(attempt(2), Err(FaultKind::Refused.into()));
        assert_eq!(next, Next::Again(Duration::from_millis(1300)));
        let last = failed(exchange.finish(attempt(3), answer(503, "")));
        assert_eq!(last.reason, Reason::Unavailable);
        let no_use = failed(exchange.finish(attempt(1), answer(404, "{}")));
        assert_eq!(no_use.reason, Reason::NotFound);
    }

    #[test]
    fn nothing_is_sent_again_after_the_deadline() {
        let exchange = start();
        let late = |seconds| Attempt {
            elapsed: Duration::from_secs(seconds),
            ..attempt(1)
        };
        for seconds in [59, 60, 61, 100_000] {
            let failure = failed(exchange.finish(late(seconds), answer(503, "")));
            assert_eq!(failure.reason, Reason::Unavailable, "{seconds}");
        }
        let failure = failed(exchange.finish(late(61), answer(200, "{\"done\":true}")));
        assert_eq!(failure.reason, Reason::Timeout);
    }

    #[test]
    fn an_attempt_that_is_none_of_the_call_is_refused() {
        for number in [0, 4, u32::MAX] {
            let failure = failed(start().finish(attempt(number), answer(200, "{\"done\":true}")));
            assert_eq!(failure.reason, Reason::InvalidSetting);
            assert_eq!(
                failure.message,
                format!(
                    "Attempt {number} is none of this call: count attempts from 1 to 3 \
                     (OPERATIONS_MAX_ATTEMPTS)."
                )
            );
        }
    }
}
