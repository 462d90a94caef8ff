//! Asks until an operation is done. The block asks once; this is the engine's part.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use operations_host::{Call, CallError, LoadedBlock, Outputs};
use tokio::time::{Instant, sleep};

/// The first wait between two questions; each further one is a quarter longer.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why an operation was not seen done.
pub enum NotDone {
    /// A permanent failure, or the block did not run.
    Failed(CallError),
    /// The deadline came first; with the transient failure that came before it, if one did.
    Deadline(Option<CallError>),
}

/// The least time that a question gets, so that also a deadline of nothing asks once.
const SHORTEST_CALL: Duration = Duration::from_secs(1);

/// When an operation that is not done is asked for again.
#[derive(Clone, Copy)]
pub struct Pace {
    wait: Duration,
}

impl Pace {
    /// Before the first question.
    pub fn new() -> Pace {
        Pace { wait: FIRST_WAIT }
    }

    /// How long to wait after a question: 1 s × 1.25ⁿ up to 60 s, or as long as the service asked for with
    /// the failure that it gave.
    pub fn next(&mut self, failure: Option<&CallError>) -> Duration {
        let asked_for = failure.and_then(CallError::retry_after).unwrap_or_default();
        let pause = self.wait.max(asked_for);
        self.wait = self.wait.mul_f64(1.25).min(LONGEST_WAIT);
        pause
    }
}

/// Asks for an operation at once, and again after 1 s × 1.25ⁿ up to 60 s, or as long as the service
/// asks to wait, until it is done. Transient failures are waited out.
pub async fn until_done(
    block: &LoadedBlock,
    call: &Call,
    deadline: Instant,
    bar: &ProgressBar,
) -> Result<Outputs, NotDone> {
    let mut pace = Pace::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let failure = match block
            .call(&call.clone().within(left.max(SHORTEST_CALL)))
            .await
        {
            Ok(outputs) if outputs.done => return Ok(outputs),
            Ok(outputs) => {
                show_progress(bar, &outputs);
                None
            }
            Err(error) if error.is_transient() => Some(error),
            Err(error) => return Err(NotDone::Failed(error)),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NotDone::Deadline(failure));
        }
        sleep(pace.next(failure.as_ref()).min(left)).await;
    }
}

/// A bar for one operation; a terminal shows it, a file or a pipe does not.
pub fn bar(name: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_prefix(name.to_owned());
    bar.set_style(style("{spinner} {elapsed:>4} {prefix}"));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// How a bar is drawn, in indicatif's words.
pub fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are valid")
}

fn show_progress(bar: &ProgressBar, outputs: &Outputs) {
    if let Some(percent) = progress(outputs) {
        bar.set_length(100);
        bar.set_position(percent);
        bar.set_style(style("{spinner} {elapsed:>4} {bar:20} {pos:>3} % {prefix}"));
    }
}

/// The first member of `metadata` whose key begins with `progress` and whose value is a number, as a
/// whole percentage: services write `progress`, `progressPercent`, `progressPercentage`.
fn progress(outputs: &Outputs) -> Option<u64> {
    let mut members = outputs.metadata_custom_key_value.iter();
    members.find_map(|member| {
        if !member.key.starts_with("progress") {
            return None;
        }
        let number = member.value.trim_matches('"').trim_end_matches('%').trim();
        let percent = number
            .parse::<f64>()
            .ok()
            .filter(|percent| percent.is_finite())?;
        Some(percent.clamp(0.0, 100.0) as u64)
    })
}

#[cfg(test)]
mod tests {
    use operations_host::Member;

    use super::*;

    fn of(members: &[(&str, &str)]) -> Option<u64> {
        let member = |&(key, value): &(&str, &str)| Member {
            key: key.into(),
            value: value.into(),
        };
        progress(&Outputs {
            name: String::new(),
            done: false,
            error: None,
            error_code: None,
            error_message: None,
            error_details: Vec::new(),
            error_details_custom_key_value: Vec::new(),
            metadata: None,
            metadata_custom_key_value: members.iter().map(member).collect(),
            response: None,
            response_custom_key_value: Vec::new(),
        })
    }

    #[test]
    fn progress_is_a_percentage_in_any_of_its_spellings() {
        assert_eq!(of(&[("verb", "\"create\""), ("progress", "40")]), Some(40));
        assert_eq!(of(&[("progressPercent", "99.9")]), Some(99));
        assert_eq!(of(&[("progressPercentage", "\"12 %\"")]), Some(12));
        assert_eq!(
            of(&[("progressMessage", "\"half\""), ("progress", "1e3")]),
            Some(100)
        );
        assert_eq!(of(&[("progress", "-1")]), Some(0));
        assert_eq!(of(&[("progress", "{}")]), None);
        assert_eq!(of(&[("progress", "\"NaN\"")]), None);
        assert_eq!(of(&[]), None);
    }
}
