//! One call of a block: what goes in, and why none may come out.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::access::AccessError;
use crate::bindings::{Failure, GetError};

/// A name, and the settings under which it is asked for. `Debug` shows no setting's value: some are secret.
#[derive(Clone)]
pub struct Call {
    pub(crate) name: String,
    pub(crate) settings: Vec<(String, String)>,
}

impl Call {
    /// A call for the operation of this name, relative or full.
    pub fn new(name: impl Into<String>) -> Call {
        Call {
            name: name.into(),
            settings: Vec::new(),
        }
    }

    /// Sets one of the settings that the manifest names, by its environment variable. Set again, the
    /// last value counts; an empty one is unset.
    #[must_use]
    pub fn setting(mut self, variable: impl Into<String>, value: impl Into<String>) -> Call {
        self.settings.push((variable.into(), value.into()));
        self
    }

    /// The same call, ended by the block after this time at the latest. Its own deadline
    /// (`OPERATIONS_TIMEOUT_MS`, 60 s where unset) counts where it is shorter.
    #[must_use]
    pub fn within(self, time: Duration) -> Call {
        let set = self.value("OPERATIONS_TIMEOUT_MS").unwrap_or("60000");
        // One that is no number stays, for the block to refuse.
        match set.parse::<u64>() {
            Ok(ms) if u128::from(ms) > time.as_millis() => {
                let ms = time.as_millis().max(1).to_string();
                self.setting("OPERATIONS_TIMEOUT_MS", ms)
            }
            _ => self,
        }
    }

    /// The name that is asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The deadline that the block keeps: `OPERATIONS_TIMEOUT_MS`, else its default. One that is not of its
    /// form ends the call at once.
    pub(crate) fn timeout(&self) -> Duration {
        let ms = self.value("OPERATIONS_TIMEOUT_MS");
        let ms = ms.and_then(|ms| ms.parse().ok()).unwrap_or(60_000);
        Duration::from_millis(ms).min(Duration::from_secs(600))
    }

    /// The value of a setting, where it is set.
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

/// Why a call gave no outputs. An operation that failed is no error: its outputs have `error` set.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// Asking again cannot help until the name, a setting or the access changes.
    #[error("{}", .0.message)]
    Permanent(Failure),
    /// Asking again later may help.
    #[error("{}", .0.message)]
    Transient(Failure),
    /// The call sets a variable that the manifest does not name.
    #[error("the block has no setting {0}: its manifest lists them")]
    UnknownSetting(String),
    /// The host's credential would go over plain HTTP to this host.
    #[error(
        "the credential would go to {0} in the clear: name an https endpoint, or one on this machine, or ask without a credential"
    )]
    InTheClear(String),
    /// The host has no credential for the request, which was not sent.
    #[error(transparent)]
    Access(AccessError),
    /// The host is stopping, and takes no more calls.
    #[error("the host is stopping, and takes no more calls")]
    Stopped,
    /// The block did not end within its own deadline and the host's grace.
    #[error("the block ran past its deadline, and was ended")]
    Overran,
    /// The block did not end by itself: it trapped, or ran over a limit of the host. The text of the
    /// cause can hold a backtrace, and is for the host's developers.
    #[error("the block did not finish: it trapped or ran over a limit of the host")]
    Aborted(#[source] wasmtime::Error),
}

impl CallError {
    /// The block's own failure, where it is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            CallError::Permanent(failure) | CallError::Transient(failure) => Some(failure),
            _ => None,
        }
    }

    /// Whether asking again later may help, as far as it is known: not for [`CallError::Stopped`], which
    /// asks for another host, nor for [`CallError::Overran`] and [`CallError::Aborted`], which are bugs of
    /// a block or an answer too large for its memory.
    pub fn is_transient(&self) -> bool {
        match self {
            CallError::Transient(_) => true,
            CallError::Access(error) => error.is_transient(),
            _ => false,
        }
    }

    /// How long the service asks to wait before the next call.
    pub fn retry_after(&self) -> Option<Duration> {
        let ms = self.failure()?.retry_after_ms?;
        Some(Duration::from_millis(ms.into()))
    }
}

impl From<GetError> for CallError {
    fn from(error: GetError) -> CallError {
        match error {
            GetError::Permanent(failure) => CallError::Permanent(failure),
            GetError::Transient(failure) => CallError::Transient(failure),
            GetError::ExecutionFailed => {
                CallError::Aborted(wasmtime::Error::msg("the block returned execution-failed"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_among_the_settings_is_not_shown() {
        let call = Call::new("operations/o")
            .setting("OPERATIONS_MAX_ATTEMPTS", "1")
            .setting("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token")
            .setting("GOOGLE_API_KEY", "not-a-real-key");
        let shown = format!("{call:?}");
        assert!(shown.contains("GOOGLE_OAUTH_ACCESS_TOKEN"), "{shown}");
        assert!(!shown.contains("not-a-real"), "{shown}");
    }

    #[test]
    fn a_call_is_only_ever_shortened() {
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
