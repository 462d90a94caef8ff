//! Failures: which `reason` is permanent, and how a message is kept to one harmless line.

use crate::bindings::{Failure, GetError, Reason};
use crate::operation::Unfit;
use crate::request::Request;
use crate::settings::Credential;

impl Failure {
    /// A failure that no answer of a service caused. `message` says what happened and what to do; it
    /// becomes one line free of control characters.
    pub fn new(reason: Reason, message: impl AsRef<str>) -> Failure {
        Failure {
            reason,
            message: one_line(message.as_ref()),
            http_status: None,
            service_error: None,
            retry_after_ms: None,
        }
    }

    /// Whether asking again cannot help until the name, a setting or the access changes.
    pub fn is_permanent(&self) -> bool {
        match self.reason {
            Reason::InvalidName
            | Reason::UnknownService
            | Reason::InvalidSetting
            | Reason::RequestDenied
            | Reason::Certificate
            | Reason::Unauthenticated
            | Reason::PermissionDenied
            | Reason::NotFound
            | Reason::WrongAddress
            | Reason::Redirected
            | Reason::Rejected
            | Reason::NotAnOperation
            | Reason::TooLarge => true,
            // 501: the service does not implement the method, and will not by the next attempt.
            Reason::ServiceFault => self.http_status == Some(501),
            Reason::Unreachable
            | Reason::ConnectionLost
            | Reason::Timeout
            | Reason::QuotaExceeded
            | Reason::Aborted
            | Reason::Unavailable => false,
        }
    }

    /// The same failure with a message that does not hold `credential`, which a service may echo or
    /// a flow may have put into the name. `service-error` keeps the service's own words.
    pub fn without(mut self, credential: Option<&Credential>) -> Failure {
        if let Some(credential) = credential {
            self.message = credential.redact(self.message);
        }
        self
    }
}

impl From<Failure> for GetError {
    fn from(failure: Failure) -> GetError {
        if failure.is_permanent() {
            GetError::Permanent(failure)
        } else {
            GetError::Transient(failure)
        }
    }
}

/// The failure for a name in which the credential stands: it would go into the URL, and into the logs of
/// whoever sees URLs.
pub fn holds_the_credential() -> Failure {
    Failure::new(
        Reason::InvalidName,
        "The name holds the credential, and was not sent. Pass the operation's name alone.",
    )
}

/// The failure for a 200 whose body cannot be read as a `google.longrunning.Operation`.
pub fn unfit(request: &Request, unfit: Unfit) -> Failure {
    let unfit = unfit.redacted(|words| request.redact(words));
    let message = match unfit.reason {
        Reason::TooLarge => {
            format!(
                "The answer to {request} is too large: {unfit}. This block cannot read such an operation."
            )
        }
        _ => format!(
            "The answer to {request} is no google.longrunning.Operation: {unfit}. Check that the \
             service and the name are those of an AIP-151 operation."
        ),
    };
    let mut failure = Failure::new(unfit.reason, message);
    failure.http_status = Some(200);
    failure
}

/// `text` as one line: every control character, line separator and text direction mark becomes a
/// space, so that a message can go to a log or a terminal as it is.
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if breaks_a_line(c) { ' ' } else { c })
        .collect()
}

fn breaks_a_line(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A value as a message quotes it: in double quotes, cut after 100 characters.
pub fn quoted(value: &str) -> String {
    match value.char_indices().nth(100) {
        Some((cut, _)) => format!("\"{}…\"", &value[..cut]),
        None => format!("\"{value}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::operation::Operation;
    use crate::settings::Settings;

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        let failure = Failure::new(
            Reason::Rejected,
            "a\r\nb\u{1b}[31mc\u{2028}d\u{85}e\u{202e}f",
        );
        assert_eq!(failure.message, "a  b [31mc d e f");
    }

    #[test]
    fn a_service_fault_is_permanent_only_for_501() {
        let mut failure = Failure::new(Reason::ServiceFault, "");
        failure.http_status = Some(500);
        assert!(matches!(
            GetError::from(failure.clone()),
            GetError::Transient(_)
        ));
        failure.http_status = Some(501);
        assert!(matches!(GetError::from(failure), GetError::Permanent(_)));
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        assert_eq!(quoted("short"), "\"short\"");
        let cut = quoted(&"ü".repeat(300));
        assert_eq!(cut, format!("\"{}…\"", "ü".repeat(100)));
    }

    #[test]
    fn a_credential_in_a_key_is_taken_out_before_the_key_is_cut() {
        let token = "not-a-real-token-0123456789";
        let settings = [("GOOGLE_OAUTH_ACCESS_TOKEN".to_owned(), token.to_owned())];
        let settings = Settings::from_variables(settings).unwrap();
        let request = Request::new(&Name::parse("operations/o").unwrap(), &settings).unwrap();
        let key = format!("{}{token}", "k".repeat(80));
        let body = format!(r#"{{"metadata":{{"{key}":1,"{key}":2}}}}"#);
        let failure = unfit(&request, Operation::parse(body.as_bytes()).unwrap_err());
        assert!(
            failure.message.contains("kkk[credential]\" twice"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn a_credential_is_taken_out_of_a_message() {
        let token = Credential::AccessToken("not-a-real-token".into());
        let failure = Failure::new(Reason::Rejected, "echo: not-a-real-token.");
        assert_eq!(failure.without(Some(&token)).message, "echo: [credential].");
    }

    #[test]
    fn an_operation_that_is_too_large_is_not_called_none() {
        let settings = Settings::from_variables([]).unwrap();
        let request = Request::new(&Name::parse("operations/o").unwrap(), &settings).unwrap();
        let body = format!(
            r#"{{"metadata":{{{}"a":1}}}}"#,
            r#""a":1,"#.repeat(1_000_000)
        );
        let failure = unfit(&request, Operation::parse(body.as_bytes()).unwrap_err());
        assert_eq!(failure.reason, Reason::TooLarge);
        assert!(
            failure
                .message
                .contains(" is too large: its metadata has over 1000000 members"),
            "{}",
            failure.message
        );
    }
}
