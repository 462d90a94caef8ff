//! The exchange as text: one JSON string in, one out, for engines to which typed values cost more than the work that
//! is done with them. `exchange.schema.json` has the forms.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, MAX_BODY};
use crate::bindings::{Failure, Member, Outputs, Reason, ServiceError};
use crate::exchange::{Attempt, CONNECT_TIMEOUT, Exchange, Next};
use crate::fault::{Fault, FaultKind};
use crate::request::Request;
use crate::settings::Settings;

/// `exchange-text.start`.
pub fn start(call: &str) -> String {
    let started = parse::<Call>(call, "start").and_then(|call| {
        let settings = call.settings()?;
        let exchange = Exchange::start(&call.name, settings)?;
        Ok(text(&Started::Request(RequestText::of(&exchange))))
    });
    started.unwrap_or_else(|failure| text(&Ended::failed(&failure)))
}

/// `exchange-text.finish`.
pub fn finish(attempt: &str) -> String {
    let next = parse::<AttemptText>(attempt, "finish").and_then(|attempt| {
        let settings = attempt.call.settings()?;
        let exchange = Exchange::start(&attempt.call.name, settings)?;
        let answer = match (attempt.response, attempt.fault) {
            (Some(response), None) => Ok(response.answer()?),
            (None, Some(fault)) => Err(fault.into()),
            _ => return Err(malformed("finish", "it has one of `response` and `fault`")),
        };
        Ok(exchange.finish(attempt.attempt.into(), answer))
    });
    text(&match &next {
        Ok(Next::Done(outputs)) => Ended::Done(OutputsText(outputs)),
        Ok(Next::Again(delay)) => Ended::Again {
            after_ms: delay.as_millis() as u32,
        },
        Ok(Next::Failed(failure)) | Err(failure) => Ended::failed(failure),
    })
}

fn text(value: &impl Serialize) -> String {
    // Nothing in these types can fail to be JSON.
    serde_json::to_string(value).unwrap_or_default()
}

/// # Errors
///
/// `invalid-setting`. It quotes nothing of the text, which may hold a credential.
fn parse<'a, T: Deserialize<'a>>(text: &'a str, function: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        malformed(function, &place)
    })
}

fn malformed(function: &str, why: &str) -> Failure {
    Failure::new(
        Reason::InvalidSetting,
        format!(
            "The text that the engine gave `{function}` is not of its form ({why}): see exchange.schema.json."
        ),
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Call<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default, borrow)]
    settings: BTreeMap<Cow<'a, str>, Option<Cow<'a, str>>>,
    #[serde(default)]
    adds_credential: bool,
}

impl Call<'_> {
    fn settings(&self) -> Result<Settings, Failure> {
        let variables = self.settings.iter().map(|(variable, value)| {
            let value = value.as_deref().unwrap_or_default();
            (variable.clone().into_owned(), value.to_owned())
        });
        Settings::of_call(variables, self.adds_credential)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AttemptText<'a> {
    #[serde(borrow)]
    call: Call<'a>,
    attempt: AttemptNumbers,
    #[serde(borrow)]
    response: Option<Response<'a>>,
    fault: Option<FaultText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AttemptNumbers {
    number: u32,
    elapsed_ms: u32,
    random: u32,
}

impl From<AttemptNumbers> for Attempt {
    fn from(attempt: AttemptNumbers) -> Attempt {
        Attempt {
            number: attempt.number,
            elapsed: Duration::from_millis(attempt.elapsed_ms.into()),
            random: attempt.random,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Response<'a> {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(borrow)]
    body: Option<Cow<'a, str>>,
    #[serde(borrow)]
    body_base64: Option<Cow<'a, str>>,
    body_fault: Option<FaultText>,
}

impl Response<'_> {
    fn answer(self) -> Result<Answer, Failure> {
        let body =
            match (self.body, self.body_base64, self.body_fault) {
                (Some(body), None, None) => Ok(body.into_owned().into_bytes()),
                (None, Some(body), None) => Ok(base64(&body)
                    .ok_or_else(|| malformed("finish", "`bodyBase64` is not base64"))?),
                (None, None, Some(fault)) => Err(fault.into()),
                _ => {
                    let why = "a response has one of `body`, `bodyBase64` and `bodyFault`";
                    return Err(malformed("finish", why));
                }
            };
        let mut answer = Answer::new(self.status, body);
        for (name, value) in self.headers {
            answer.add_header(&name, value);
        }
        Ok(answer)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultText {
    kind: FaultKind,
    proxy: Option<String>,
}

impl From<FaultText> for Fault {
    fn from(fault: FaultText) -> Fault {
        Fault {
            kind: fault.kind,
            proxy: fault.proxy,
        }
    }
}

/// The bytes of base64 (RFC 4648, section 4), with or without padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        let count = match group.len() {
            1 => return None,
            length => length - 1,
        };
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..1 + count]);
    }
    Some(bytes)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Started<'a> {
    Request(RequestText<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestText<'a> {
    method: &'static str,
    url: String,
    headers: Headers<'a>,
    body: Option<&'a str>,
    connect_timeout_ms: u32,
    timeout_ms: u32,
    max_body_bytes: usize,
}

impl<'a> RequestText<'a> {
    fn of(exchange: &'a Exchange) -> RequestText<'a> {
        let request = exchange.request();
        RequestText {
            method: request.method.name(),
            url: request.url(),
            headers: Headers(request),
            body: request.body.as_deref(),
            connect_timeout_ms: CONNECT_TIMEOUT.as_millis() as u32,
            timeout_ms: exchange.timeout().as_millis() as u32,
            max_body_bytes: MAX_BODY,
        }
    }
}

struct Headers<'a>(&'a Request);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let headers = self.0.headers.iter();
        serializer.collect_map(headers.map(|(name, value)| (name, value)))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Ended<'a> {
    Done(OutputsText<'a>),
    Again { after_ms: u32 },
    Failed(FailureText<'a>),
}

impl<'a> Ended<'a> {
    fn failed(failure: &'a Failure) -> Ended<'a> {
        Ended::Failed(FailureText {
            case: match failure.is_permanent() {
                true => "permanent",
                false => "transient",
            },
            reason: failure.reason_name(),
            message: &failure.message,
            concerns_caller: failure.concerns_caller,
            http_status: failure.http_status,
            service_error: failure.service_error.as_ref().map(ServiceErrorText::of),
            retry_after_ms: failure.retry_after_ms,
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailureText<'a> {
    case: &'static str,
    reason: &'static str,
    message: &'a str,
    concerns_caller: bool,
    http_status: Option<u16>,
    service_error: Option<ServiceErrorText<'a>>,
    retry_after_ms: Option<u32>,
}

#[derive(Serialize)]
struct ServiceErrorText<'a> {
    code: i32,
    status: &'a str,
    message: &'a str,
    details: &'a [String],
    error: &'a str,
}

impl<'a> ServiceErrorText<'a> {
    fn of(error: &'a ServiceError) -> ServiceErrorText<'a> {
        ServiceErrorText {
            code: error.code,
            status: &error.status,
            message: &error.message,
            details: &error.details,
            error: &error.error,
        }
    }
}

/// The outputs by the names of the variables. JSON is text here too, so that no engine's parser takes a digit of it.
struct OutputsText<'a>(&'a Outputs);

impl Serialize for OutputsText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let outputs = self.0;
        let mut map = serializer.serialize_map(Some(11))?;
        map.serialize_entry("name", &outputs.name)?;
        map.serialize_entry("done", &outputs.done)?;
        map.serialize_entry("error", &outputs.error)?;
        map.serialize_entry("error.code", &outputs.error_code)?;
        map.serialize_entry("error.message", &outputs.error_message)?;
        map.serialize_entry("error.details[]", &outputs.error_details)?;
        let details = outputs.error_details_custom_key_value.iter();
        let details: Vec<Members> = details.map(|members| Members(members)).collect();
        map.serialize_entry("error.details[].customKey.value", &details)?;
        map.serialize_entry("metadata", &outputs.metadata)?;
        let metadata = Members(&outputs.metadata_custom_key_value);
        let metadata = outputs.metadata.as_ref().map(|_| metadata);
        map.serialize_entry("metadata.customKey.value", &metadata)?;
        map.serialize_entry("response", &outputs.response)?;
        let response = Members(&outputs.response_custom_key_value);
        let response = outputs.response.as_ref().map(|_| response);
        map.serialize_entry("response.customKey.value", &response)?;
        map.end()
    }
}

struct Members<'a>(&'a [Member]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct MemberText<'a> {
            key: &'a str,
            value: &'a str,
        }
        serializer.collect_seq(self.0.iter().map(|member| MemberText {
            key: &member.key,
            value: &member.value,
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NAME: &str = "operations/o";

    fn started(call: Value) -> Value {
        serde_json::from_str(&start(&call.to_string())).unwrap()
    }

    fn finished(what: Value) -> Value {
        let mut attempt = json!({
            "call": {"name": NAME},
            "attempt": {"number": 1, "elapsedMs": 5, "random": u32::MAX},
        });
        for (key, value) in what.as_object().unwrap() {
            attempt[key] = value.clone();
        }
        serde_json::from_str(&finish(&attempt.to_string())).unwrap()
    }

    #[test]
    fn a_call_starts_with_its_request() {
        let call = json!({"name": NAME, "settings": {"GOOGLE_OAUTH_ACCESS_TOKEN": "not-a-real-token", "OPERATIONS_SERVICE": null}});
        let agent = concat!("operations-get/", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            started(call),
            json!({"request": {
                "method": "GET",
                "url": "https://workspaceevents.googleapis.com/v1beta/operations/o?$.xgafv=2&prettyPrint=false",
                "headers": {"accept": "application/json", "user-agent": agent, "authorization": "Bearer not-a-real-token"},
                "body": null,
                "connectTimeoutMs": 10_000,
                "timeoutMs": 60_000,
                "maxBodyBytes": 16_777_216,
            }})
        );
    }

    #[test]
    fn an_answer_ends_the_call_or_asks_for_another_attempt() {
        let body = r#"{"done":true,"metadata":{"n":1.10},"response":{}}"#;
        assert_eq!(
            finished(json!({"response": {"status": 200, "headers": {"Date": "x"}, "body": body}})),
            json!({"done": {
                "name": NAME, "done": true, "error": null, "error.code": null, "error.message": null,
                "error.details[]": [], "error.details[].customKey.value": [],
                "metadata": "{\"n\":1.10}", "metadata.customKey.value": [{"key": "n", "value": "1.10"}],
                "response": "{}", "response.customKey.value": [],
            }})
        );
        let again = finished(
            json!({"response": {"status": 503, "headers": {"Retry-After": "2"}, "body": ""}}),
        );
        assert_eq!(again, json!({"again": {"afterMs": 2000}}));
        let again = finished(json!({"fault": {"kind": "refused", "proxy": "127.0.0.1:3128"}}));
        assert_eq!(again, json!({"again": {"afterMs": 1000}}));
        let body = r#"{"error":{"code":404,"message":"m","details":[{"n":1.0}]}}"#;
        let failed = finished(json!({"response": {"status": 404, "body": body}}));
        let failed = &failed["failed"];
        assert_eq!(
            [
                &failed["case"],
                &failed["reason"],
                &failed["httpStatus"],
                &failed["concernsCaller"]
            ],
            [
                &json!("permanent"),
                &json!("not-found"),
                &json!(404),
                &json!(false)
            ]
        );
        assert_eq!(
            failed["serviceError"],
            json!({"code": 5, "status": "NOT_FOUND", "message": "m", "details": ["{\"n\":1.0}"],
                "error": r#"{"code":404,"message":"m","details":[{"n":1.0}]}"#})
        );
        let cut =
            finished(json!({"response": {"status": 200, "bodyFault": {"kind": "incomplete"}}}));
        assert_eq!(cut["failed"]["reason"], "connection-lost");
    }

    #[test]
    fn bytes_that_are_no_text_come_as_base64() {
        let of =
            |base64: &str| finished(json!({"response": {"status": 200, "bodyBase64": base64}}));
        assert_eq!(of("eyJkb25lIjp0cnVlfQ==")["done"]["done"], true);
        let said = of("/w==");
        assert_eq!(said["failed"]["reason"], "not-an-operation");
        assert!(
            of("*")["failed"]["message"]
                .as_str()
                .unwrap()
                .contains("`bodyBase64` is not base64")
        );
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYmE=", b"fooba"),
        ] {
            assert_eq!(base64(text).unwrap(), bytes);
        }
        for text in ["Z", "Zm9vY", "Zm 9", "Zm9v\n"] {
            assert_eq!(base64(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_not_of_its_form_is_a_failure_that_quotes_nothing() {
        let secret = "not-a-real-token";
        for text in [
            "",
            "{}",
            "[]",
            "\u{0}",
            r#"{"name":7}"#,
            &format!(r#"{{"name":{{"{secret}":1}}}}"#),
            &format!(r#"{{"name":"o","{secret}":1}}"#),
            &format!(
                r#"{{"call":{{"name":"operations/o","settings":{{"GOOGLE_API_KEY":["{secret}"]}}}}}}"#
            ),
        ] {
            for (function, said) in [("start", start(text)), ("finish", finish(text))] {
                let said: Value = serde_json::from_str(&said).unwrap();
                assert_eq!(said["failed"]["reason"], "invalid-setting", "{text}");
                let message = said["failed"]["message"].as_str().unwrap();
                assert!(message.starts_with(&format!(
                    "The text that the engine gave `{function}` is not"
                )));
                assert!(!message.contains(secret), "{message}");
            }
        }
        for what in [
            json!({}),
            json!({"response": {"status": 200, "body": ""}, "fault": {"kind": "closed"}}),
            json!({"response": {"body": ""}}),
            json!({"response": {"status": 200}}),
            json!({"response": {"status": 70_000, "body": ""}}),
            json!({"fault": {"kind": "other"}}),
            json!({"response": {"status": 200, "body": ""}, "attempt": {"number": -1, "elapsedMs": 0, "random": 0}}),
        ] {
            let said = finished(what.clone());
            assert_eq!(said["failed"]["reason"], "invalid-setting", "{what}");
        }
    }

    #[test]
    fn a_setting_that_is_none_is_refused() {
        let said = started(json!({"name": NAME, "settings": {"OPERATION_SERVICE": "x"}}));
        assert_eq!(said["failed"]["reason"], "invalid-setting");
    }
}
