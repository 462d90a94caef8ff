//! Whether what a component returned keeps the contract. It is checked once, here, where it enters: everything behind
//! this takes it as it is.

use serde::de::IgnoredAny;

use crate::bindings::{Failure, GetError, Member, Outputs};

/// Checks that every text of the type `json` is one JSON value, and that a message has no control characters.
///
/// # Errors
///
/// Which field breaks the contract. The text quotes nothing of it.
pub(crate) fn check(result: &Result<Outputs, GetError>) -> Result<(), String> {
    match result {
        Ok(outputs) => check_outputs(outputs),
        Err(error) => check_error(error),
    }
}

/// The same of a failure.
pub(crate) fn check_error(error: &GetError) -> Result<(), String> {
    match error {
        GetError::Permanent(failure) | GetError::Transient(failure) => check_failure(failure),
        GetError::ExecutionFailed => Ok(()),
    }
}

/// The same of outputs.
pub(crate) fn check_outputs(outputs: &Outputs) -> Result<(), String> {
    is_json("error", &outputs.error)?;
    is_json("error-details", &outputs.error_details)?;
    for members in &outputs.error_details_custom_key_value {
        is_json("error-details-custom-key-value", members.iter().map(value))?;
    }
    is_json("metadata", &outputs.metadata)?;
    let members = outputs.metadata_custom_key_value.iter();
    is_json("metadata-custom-key-value", members.map(value))?;
    is_json("response", &outputs.response)?;
    let members = outputs.response_custom_key_value.iter();
    is_json("response-custom-key-value", members.map(value))
}

fn check_failure(failure: &Failure) -> Result<(), String> {
    if failure.message.contains(char::is_control) {
        return Err("`message` holds a control character".to_owned());
    }
    match &failure.service_error {
        None => Ok(()),
        Some(said) => {
            is_json("service-error.details", &said.details)?;
            is_json("service-error.error", [&said.error])
        }
    }
}

fn value(member: &Member) -> &String {
    &member.value
}

fn is_json<'a>(field: &str, texts: impl IntoIterator<Item = &'a String>) -> Result<(), String> {
    let mut texts = texts.into_iter();
    // Nothing is built, and no depth is too deep: the block passes on what a service nests.
    match texts.all(|text| serde_json::from_str::<IgnoredAny>(text).is_ok()) {
        true => Ok(()),
        false => Err(format!("`{field}` holds text that is not one JSON value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::{Reason, ServiceError};

    fn members(value: &str) -> Vec<Member> {
        vec![Member {
            key: "a\nb".to_owned(),
            value: value.to_owned(),
        }]
    }

    /// Outputs whose texts of the type `json` are these, each twice where there may be several.
    fn outputs(json: [&str; 6]) -> Outputs {
        let [error, detail, of_detail, metadata, of_metadata, response] = json.map(str::to_owned);
        Outputs {
            name: "operations/\0".to_owned(),
            done: true,
            error: Some(error),
            error_code: Some(5),
            error_message: Some("line\nline".to_owned()),
            error_details: vec!["{}".to_owned(), detail],
            error_details_custom_key_value: vec![Vec::new(), members(&of_detail)],
            metadata: Some(metadata),
            metadata_custom_key_value: members(&of_metadata),
            response: Some(response.clone()),
            response_custom_key_value: members(&response),
        }
    }

    const VALID: [&str; 6] = [
        "{}",
        " {\n} ",
        r#""\ud800""#,
        r#"{"a":1e400,"a":0}"#,
        "null",
        "[]",
    ];

    #[test]
    fn every_json_text_of_the_outputs_is_one_json_value() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(check(&Ok(outputs(VALID))), Ok(()));
        assert_eq!(check(&Ok(outputs([&deep; 6]))), Ok(()));
        let fields = [
            "error",
            "error-details",
            "error-details-custom-key-value",
            "metadata",
            "metadata-custom-key-value",
            "response",
        ];
        for (at, field) in fields.into_iter().enumerate() {
            for text in ["", "hello", "{}\n{}", "{\"a\":\"\n\"}", "1,\"forged\":2"] {
                let mut json = VALID;
                json[at] = text;
                let expected = format!("`{field}` holds text that is not one JSON value");
                assert_eq!(check(&Ok(outputs(json))), Err(expected), "{text:?}");
            }
        }
        let mut of_response = outputs(VALID);
        of_response.response_custom_key_value = members("hello");
        let problem = check(&Ok(of_response)).unwrap_err();
        assert!(problem.contains("`response-custom-key-value`"), "{problem}");
    }

    #[test]
    fn a_failure_has_a_message_of_one_line_and_a_service_error_of_json() {
        let failure = |message: &str, detail: &str, error: &str| {
            let failure = Failure {
                reason: Reason::NotFound,
                message: message.to_owned(),
                concerns_caller: false,
                http_status: Some(404),
                service_error: Some(ServiceError {
                    code: 5,
                    status: "NOT\nFOUND".to_owned(),
                    message: "as it\ncame".to_owned(),
                    details: vec![detail.to_owned()],
                    error: error.to_owned(),
                }),
                retry_after_ms: None,
            };
            [
                check(&Err(GetError::Permanent(failure.clone()))),
                check(&Err(GetError::Transient(failure))),
            ]
        };
        let not_json = |field| Err(format!("`{field}` holds text that is not one JSON value"));
        assert_eq!(failure("“é”", "{}", "{}"), [Ok(()), Ok(())]);
        for message in ["a\nb", "a\u{1b}[31m", "a\u{85}"] {
            let expected = Err("`message` holds a control character".to_owned());
            assert_eq!(failure(message, "{}", "{}"), [expected.clone(), expected]);
        }
        let expected = [
            not_json("service-error.details"),
            not_json("service-error.details"),
        ];
        assert_eq!(failure("m", "{}\n", "{}"), [Ok(()), Ok(())]);
        assert_eq!(failure("m", "{}\n{}", "{}"), expected);
        let expected = [
            not_json("service-error.error"),
            not_json("service-error.error"),
        ];
        assert_eq!(failure("m", "{}", "{\n"), expected);
        assert_eq!(check(&Err(GetError::ExecutionFailed)), Ok(()));
    }
}
