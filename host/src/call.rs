//! One call of a block: what goes in.

use std::fmt;
use std::time::Duration;

/// The name of an operation, and the settings to ask for it with. `Debug` shows no setting's value: some are
/// secret.
#[derive(Clone)]
pub struct Call {
    pub(crate) name: String,
    pub(crate) settings: Settings,
}

/// Environment variables with their values, in the order in which they were set.
pub(crate) type Settings = Vec<(String, String)>;

impl Call {
    /// A call for the operation with this name, relative or full.
    pub fn new(name: impl Into<String>) -> Call {
        Call {
            name: name.into(),
            settings: Vec::new(),
        }
    }

    /// Sets one of the settings that the manifest names, by its environment variable. If it is set more than
    /// once, the last value counts; an empty value unsets it.
    #[must_use]
    pub fn setting(mut self, variable: impl Into<String>, value: impl Into<String>) -> Call {
        self.settings.push((variable.into(), value.into()));
        self
    }

    /// The same call with a deadline of at most `time`, from when it runs. Its own deadline
    /// (`OPERATIONS_TIMEOUT_MS`, 60 s if unset) stays if it is shorter.
    #[must_use]
    pub fn within(self, time: Duration) -> Call {
        let set = self.value("OPERATIONS_TIMEOUT_MS").unwrap_or("60000");
        // A value that is not a number stays, for the block to refuse.
        match set.parse::<u64>() {
            Ok(ms) if u128::from(ms) > time.as_millis() => {
                let ms = time.as_millis().max(1).to_string();
                self.setting("OPERATIONS_TIMEOUT_MS", ms)
            }
            _ => self,
        }
    }

    /// The name of the operation.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The deadline that the block keeps: `OPERATIONS_TIMEOUT_MS`, else its default. The block refuses an
    /// invalid one at once.
    pub(crate) fn timeout(&self) -> Duration {
        let ms = self.value("OPERATIONS_TIMEOUT_MS");
        let ms = ms.and_then(|ms| ms.parse().ok()).unwrap_or(60_000);
        Duration::from_millis(ms).min(Duration::from_secs(600))
    }

    /// The value of a setting, if it is set.
    pub(crate) fn value(&self, variable: &str) -> Option<&str> {
        let last = self.settings.iter().rev().find(|(set, _)| set == variable);
        last.map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.settings.iter().map(|(variable, _)| variable);
        f.debug_struct("Call")
            .field("name", &self.name)
            .field("settings", &set.collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_credential_among_the_settings() {
        let call = Call::new("operations/o")
            .setting("OPERATIONS_MAX_ATTEMPTS", "1")
            .setting("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token")
            .setting("GOOGLE_API_KEY", "not-a-real-key");
        let shown = format!("{call:?}");
        assert!(shown.contains("GOOGLE_OAUTH_ACCESS_TOKEN"), "{shown}");
        assert!(!shown.contains("not-a-real"), "{shown}");
    }

    #[test]
    fn within_shortens_a_deadline_and_never_extends_it() {
        let timeout = |call: Call| call.value("OPERATIONS_TIMEOUT_MS").map(str::to_owned);
        let call = Call::new("operations/o");
        let seconds = Duration::from_secs;
        assert_eq!(
            timeout(call.clone().within(seconds(2))).as_deref(),
            Some("2000")
        );
        assert_eq!(timeout(call.clone().within(seconds(61))), None);
        assert_eq!(
            timeout(call.clone().within(Duration::ZERO)).as_deref(),
            Some("1")
        );
        let set = |ms| {
            call.clone()
                .setting("OPERATIONS_TIMEOUT_MS", ms)
                .within(seconds(2))
        };
        assert_eq!(timeout(set("500")).as_deref(), Some("500"));
        assert_eq!(timeout(set("soon")).as_deref(), Some("soon"));
    }
}
