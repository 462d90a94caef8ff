//! The credential: read from its variable, and kept out of names, other settings and answers that echo it.

use std::fmt;

use crate::bindings::{Failure, Reason};
use crate::secret::Secret;

/// What tells the service who is asking.
#[derive(Clone, PartialEq)]
pub enum Credential {
    /// Sent as `Authorization: Bearer`.
    AccessToken(String),
    /// Sent as `x-goog-api-key`.
    ApiKey(String),
}

impl Credential {
    /// The token or key itself.
    pub fn secret(&self) -> &str {
        match self {
            Credential::AccessToken(secret) | Credential::ApiKey(secret) => secret,
        }
    }

    /// Whether `text` holds this credential as a whole, in any spelling.
    pub fn is_in(&self, text: &str) -> bool {
        Secret::new(self.secret()).is_some_and(|secret| secret.is_in(text))
    }

    /// The body of an answer without this credential, which the service may have echoed.
    pub fn taken_out_of(&self, body: Vec<u8>) -> Vec<u8> {
        match Secret::new(self.secret()) {
            Some(secret) => secret.taken_out_of(&body),
            None => body,
        }
    }
}

impl fmt::Debug for Credential {
    /// Shows only the kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::AccessToken(_) => "AccessToken",
            Credential::ApiKey(_) => "ApiKey",
        })
    }
}

/// Reads the token or key that is the value of `variable`: visible ASCII, so that it cannot end its
/// header field. One trailing newline, as files and secret stores add it, is trimmed.
///
/// # Errors
///
/// `invalid-setting`, without the value.
pub fn parse_secret(variable: &str, value: &str) -> Result<String, Failure> {
    let line = value.strip_suffix("\r\n");
    let secret = line.or(value.strip_suffix('\n')).unwrap_or(value);
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::new(
            Reason::InvalidSetting,
            format!(
                "{variable} is not of visible ASCII characters alone: set it as it was issued, \
                 without spaces or line breaks."
            ),
        ));
    }
    Ok(secret.to_owned())
}

/// Refuses variables if a secret was also pasted into another setting, or into its name: those are
/// shown in messages and URLs.
///
/// # Errors
///
/// `invalid-setting`, which names both variables and shows no value.
pub fn refuse_in_other_settings(variables: &[(String, String)]) -> Result<(), Failure> {
    let is_secret =
        |variable: &str| matches!(variable, "GOOGLE_OAUTH_ACCESS_TOKEN" | "GOOGLE_API_KEY");
    let is_other_setting = |variable: &str| {
        variable.starts_with("OPERATIONS_") || variable.starts_with("GOOGLE_CLOUD_")
    };
    for (secret_variable, secret) in variables.iter().filter(|(variable, _)| is_secret(variable)) {
        // A secret pasted with a space or with `Bearer` before it is not valid, but still a secret.
        let words = secret.split_ascii_whitespace().filter_map(Secret::new);
        let words: Vec<Secret> = words.collect();
        let has_secret = |text: &str| words.iter().any(|word| word.is_in(text));
        for (variable, value) in variables {
            // An empty value is unset.
            if !is_other_setting(variable) || value.is_empty() {
                continue;
            }
            let holder = if has_secret(variable) {
                "The name of a variable"
            } else if has_secret(value) {
                variable
            } else {
                continue;
            };
            return Err(Failure::new(
                Reason::InvalidSetting,
                format!(
                    "{holder} holds the value of {secret_variable}: set each to its own value."
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(variables: &[(&str, &str)]) -> String {
        let owned = |&(variable, value): &(&str, &str)| (variable.to_owned(), value.to_owned());
        let variables: Vec<(String, String)> = variables.iter().map(owned).collect();
        let failure = refuse_in_other_settings(&variables).unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidSetting);
        failure.message
    }

    #[test]
    fn a_secret_that_is_not_visible_ascii_is_refused_without_being_shown() {
        for value in [
            "hunter 2",
            "hunter2\r\nx-evil: 1",
            "hunter2\n\n",
            "hünter2",
            "\n",
            " hunter2",
        ] {
            let failure = parse_secret("GOOGLE_API_KEY", value).unwrap_err();
            assert_eq!(failure.reason, Reason::InvalidSetting);
            assert_eq!(
                failure.message,
                "GOOGLE_API_KEY is not of visible ASCII characters alone: set it as it was issued, \
                 without spaces or line breaks."
            );
        }
    }

    #[test]
    fn one_newline_after_a_secret_is_trimmed_and_no_more() {
        for end in ["", "\n", "\r\n"] {
            let value = format!("not-a-real-token{end}");
            let secret = parse_secret("GOOGLE_API_KEY", &value).unwrap();
            assert_eq!(secret, "not-a-real-token");
        }
        for end in ["\r", "\n\n", "\r\r\n", "\n\r"] {
            let value = format!("not-a-real-token{end}");
            assert!(parse_secret("GOOGLE_API_KEY", &value).is_err(), "{end:?}");
        }
    }

    #[test]
    fn a_credential_shows_only_its_kind() {
        let token = Credential::AccessToken("hunter2".into());
        assert_eq!(format!("{token:?}"), "AccessToken");
        let key = Credential::ApiKey("hunter2".into());
        assert_eq!(format!("{key:?}"), "ApiKey");
    }

    #[test]
    fn a_secret_is_recognized_in_any_case() {
        let variables = [
            ("OPERATIONS_ENDPOINT", "https://not-a-real-token.example"),
            ("GOOGLE_OAUTH_ACCESS_TOKEN", "Not-A-Real-TOKEN"),
        ];
        assert!(refused(&variables).starts_with("OPERATIONS_ENDPOINT holds the value"));
    }

    #[test]
    fn a_secret_in_another_setting_is_refused_without_being_shown() {
        let long = format!("not-a-real-token-{}", "x".repeat(200));
        for variable in [
            "OPERATIONS_SERVICE",
            "OPERATIONS_ENDPOINT",
            "GOOGLE_CLOUD_QUOTA_PROJECT",
        ] {
            assert_eq!(
                refused(&[(variable, &long), ("GOOGLE_OAUTH_ACCESS_TOKEN", &long)]),
                format!(
                    "{variable} holds the value of GOOGLE_OAUTH_ACCESS_TOKEN: set each to its own value."
                )
            );
        }
    }

    #[test]
    fn a_secret_in_the_name_of_a_variable_is_refused_without_being_shown() {
        assert_eq!(
            refused(&[
                ("OPERATIONS_SERVICE not-a-real-token", "not-a-real-token"),
                ("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token")
            ]),
            "The name of a variable holds the value of GOOGLE_OAUTH_ACCESS_TOKEN: set each to its own \
             value."
        );
    }

    #[test]
    fn each_word_of_an_invalid_secret_is_recognized() {
        for secret in ["Bearer not-a-real-token", " not-a-real-token\n\n"] {
            assert_eq!(
                refused(&[
                    ("OPERATIONS_SERVICE", "not-a-real-token"),
                    ("GOOGLE_OAUTH_ACCESS_TOKEN", secret)
                ]),
                "OPERATIONS_SERVICE holds the value of GOOGLE_OAUTH_ACCESS_TOKEN: set each to its own \
                 value."
            );
        }
    }
}
