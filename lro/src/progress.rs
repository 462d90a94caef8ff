//! What a call showed of an operation that goes on.

use operations_host::{CallError, Failure, Member, Outputs};

/// What a call showed.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// It runs; with the percentage that its service gives, if any.
    Running(Option<u64>),
    /// The call failed, and is repeated later.
    Failed(Box<FailedCall>),
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedCall {
    /// What a person is told.
    pub message: String,
    /// The block's own failure, if it is one.
    pub failure: Option<Failure>,
}

impl FailedCall {
    /// All that is known of it.
    pub fn whole(error: &CallError) -> FailedCall {
        FailedCall {
            message: error.to_string(),
            failure: error.failure().cloned(),
        }
    }

    /// The same without what the service said, which may be long: for each operation that goes on one is kept.
    fn short(error: &CallError) -> FailedCall {
        let failure = error.failure().map(|failure| Failure {
            message: String::new(),
            service_error: None,
            ..*failure
        });
        FailedCall {
            message: error.to_string(),
            failure,
        }
    }
}

impl From<&Result<Outputs, CallError>> for Progress {
    fn from(result: &Result<Outputs, CallError>) -> Progress {
        match result {
            Ok(outputs) => Progress::Running(percentage(&outputs.metadata_custom_key_value)),
            Err(error) => Progress::Failed(Box::new(FailedCall::short(error))),
        }
    }
}

/// The first member of `metadata` that is called `progress`, or so and a percentage, and whose value is a number that
/// says how far the operation is, as a whole percentage. Services write `progressPercent` and `progressPercentage`
/// from 0 to 100 (Cloud Storage: -1 while it is unknown), and `progress` from 0 to 100 or, as Earth Engine does, from
/// 0 to 1.
fn percentage(metadata: &[Member]) -> Option<u64> {
    metadata.iter().find_map(|Member { key, value }| {
        let key_says_percent = key.to_ascii_lowercase().contains("percent");
        if !(key == "progress" || (key.starts_with("progress") && key_says_percent)) {
            return None;
        }
        let text = value.trim_matches('"').trim_end();
        let bare = text.trim_end_matches('%');
        let number: f64 = bare.trim().parse().ok()?;
        let says_percent = bare.len() < text.len() || key_says_percent;
        let percent = match says_percent || number > 1.0 {
            true => number,
            // So that 0.29 × 100, which is 28.999999999999996, is 29.
            false => number * 100.0 + 1e-9,
        };
        (number.is_finite() && number >= 0.0).then(|| percent.min(100.0) as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(members: &[(&str, &str)]) -> Option<u64> {
        let members: Vec<Member> = members
            .iter()
            .map(|&(key, value)| Member {
                key: key.into(),
                value: value.into(),
            })
            .collect();
        percentage(&members)
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
        assert_eq!(of(&[("progress", "{}")]), None);
        assert_eq!(of(&[("progress", "\"NaN\"")]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_fraction_is_a_percentage_too() {
        let progress = |value| of(&[("progress", value)]);
        assert_eq!(progress("0.4444"), Some(44));
        assert_eq!(progress("0.9"), Some(90));
        assert_eq!(progress("0.29"), Some(29));
        assert_eq!(progress("0.9999"), Some(99));
        assert_eq!([progress("0"), progress("1")], [Some(0), Some(100)]);
        assert_eq!(progress("1.5"), Some(1));
    }

    #[test]
    fn what_says_percent_is_no_fraction() {
        assert_eq!(of(&[("progressPercent", "1")]), Some(1));
        assert_eq!(of(&[("progress_percent", "0.5")]), Some(0));
        assert_eq!(of(&[("progress", "\"1%\"")]), Some(1));
    }

    #[test]
    fn a_number_that_is_no_percentage_is_none() {
        assert_eq!(of(&[("progressBytes", "4096")]), None);
        assert_eq!(of(&[("progressBytes", "1"), ("progress", "7")]), Some(7));
        assert_eq!(of(&[("progress", "\"inf\"")]), None);
        assert_eq!(of(&[("progress", "true")]), None);
    }

    #[test]
    fn a_progress_that_is_unknown_is_none() {
        assert_eq!(of(&[("progressPercent", "-1")]), None);
        assert_eq!(of(&[("progress", "-0.5")]), None);
        assert_eq!(of(&[("progressPercent", "-1"), ("progress", "7")]), Some(7));
    }
}
