//! The exchange as text: one JSON string in, one out, for engines to which typed values cost more than the work that
//! is done with them. `exchange.schema.json` has the forms.
//!
//! Read and written by hand: serde's derived types would be a third of the component.

use std::borrow::Cow;
use std::time::Duration;

use operations_json as json;
use operations_json::write_string;

use crate::answer::Answer;
use crate::bindings::{Failure, Member, Outputs, Reason};
use crate::exchange::{Attempt, Exchange, Next};
use crate::fault::{Fault, FaultKind};
use crate::limits::{CONNECT_TIMEOUT, MAX_BODY};
use crate::request::Request;
use crate::settings::Settings;

/// `exchange-text.start`.
pub fn start(call: &str) -> String {
    let started = read(call, "start", Call::read).and_then(|call| {
        let exchange = Exchange::start(&call.name, call.settings()?)?;
        let request = exchange.request()?;
        Ok(written("request", |object| {
            write_request(object, request, exchange.timeout());
        }))
    });
    started.unwrap_or_else(|failure| written("failed", |failed| write_failure(failed, &failure)))
}

/// `exchange-text.finish`.
pub fn finish(attempt: &str) -> String {
    let next = read(attempt, "finish", Finish::read).and_then(|finish| {
        let exchange = Exchange::start(&finish.call.name, finish.call.settings()?)?;
        Ok(exchange.finish(finish.attempt, finish.answer))
    });
    match next {
        Ok(Next::Done(outputs)) => written("done", |done| write_outputs(done, &outputs)),
        Ok(Next::Again(delay)) => written("again", |again| {
            again.number("afterMs", delay.as_millis() as u32);
        }),
        Ok(Next::Failed(failure)) | Err(failure) => {
            written("failed", |failed| write_failure(failed, &failure))
        }
    }
}

/// Why a text is not of its form: where, by the keys.
struct Malformed(&'static str);

/// # Errors
///
/// `invalid-setting`. It quotes nothing of the text, which may hold a credential.
fn read<'a, T>(
    text: &'a str,
    function: &str,
    read: impl FnOnce(&'a str) -> Result<T, Malformed>,
) -> Result<T, Failure> {
    read(text).map_err(|Malformed(what)| {
        Failure::new(
            Reason::InvalidSetting,
            format!(
                "The text that the engine gave `{function}` is not of its form ({what}): see \
                 exchange.schema.json."
            ),
        )
    })
}

/// The members of an object of the engine's, each once and all of them known. `null` is absent.
struct Members<'a>(Vec<json::Member<'a>>);

impl<'a> Members<'a> {
    fn read(text: &'a str, what: &'static str, known: &[&str]) -> Result<Members<'a>, Malformed> {
        let members = json::members(text).map_err(|_| Malformed(what))?;
        let count = |key: &str| members.iter().filter(|member| member.key == key).count();
        let is_known = members.iter().all(|member| known.contains(&&*member.key));
        let is_twice = || known.iter().any(|key| count(key) > 1);
        match is_known && !is_twice() {
            true => Ok(Members(members)),
            false => Err(Malformed(what)),
        }
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        json::first(&self.0, key)
    }

    fn text(&self, key: &'static str) -> Result<Option<Cow<'a, str>>, Malformed> {
        let text = self.get(key).map(json::string);
        text.transpose().map_err(|_| Malformed(key))
    }

    fn number<T: std::str::FromStr>(&self, key: &'static str) -> Result<T, Malformed> {
        let number = self.get(key).and_then(|number| number.parse().ok());
        number.ok_or(Malformed(key))
    }
}

/// A key and its text.
type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The members of an object whose keys are free and whose values are texts.
fn texts<'a>(object: Option<&'a str>, what: &'static str) -> Result<Vec<Pair<'a>>, Malformed> {
    let members = object.map(json::members).unwrap_or(Ok(Vec::new()));
    let texts = members.map_err(|_| Malformed(what))?.into_iter();
    texts
        .filter(|member| member.value != "null")
        .map(|member| {
            let value = json::string(member.value).map_err(|_| Malformed(what))?;
            Ok((member.key, value))
        })
        .collect()
}

struct Call<'a> {
    name: Cow<'a, str>,
    settings: Vec<Pair<'a>>,
    adds_credential: bool,
}

impl<'a> Call<'a> {
    fn read(text: &'a str) -> Result<Call<'a>, Malformed> {
        let call = Members::read(text, "a call", &["name", "settings", "addsCredential"])?;
        Ok(Call {
            name: call.text("name")?.ok_or(Malformed("name"))?,
            settings: texts(call.get("settings"), "settings")?,
            adds_credential: match call.get("addsCredential") {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => return Err(Malformed("addsCredential")),
            },
        })
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let settings = self.settings.iter();
        let variables = settings.map(|(variable, value)| (variable.to_string(), value.to_string()));
        Settings::of_call(variables, self.adds_credential)
    }
}

struct Finish<'a> {
    call: Call<'a>,
    attempt: Attempt,
    answer: Result<Answer, Fault>,
}

impl<'a> Finish<'a> {
    fn read(text: &'a str) -> Result<Finish<'a>, Malformed> {
        let known = ["call", "attempt", "response", "fault"];
        let finish = Members::read(text, "an attempt", &known)?;
        let attempt = finish.get("attempt").ok_or(Malformed("attempt"))?;
        let attempt = Members::read(attempt, "attempt", &["number", "elapsedMs", "random"])?;
        Ok(Finish {
            call: Call::read(finish.get("call").ok_or(Malformed("call"))?)?,
            attempt: Attempt {
                number: attempt.number("number")?,
                elapsed: Duration::from_millis(attempt.number::<u32>("elapsedMs")?.into()),
                random: attempt.number("random")?,
            },
            answer: match (finish.get("response"), finish.get("fault")) {
                (Some(response), None) => Ok(read_response(response)?),
                (None, Some(fault)) => Err(read_fault(fault)?),
                _ => return Err(Malformed("one of response and fault")),
            },
        })
    }
}

fn read_response(text: &str) -> Result<Answer, Malformed> {
    let known = ["status", "headers", "body", "bodyBase64", "bodyFault"];
    let response = Members::read(text, "response", &known)?;
    let bodies = [response.text("body")?, response.text("bodyBase64")?];
    let body = match (bodies, response.get("bodyFault")) {
        ([Some(body), None], None) => Ok(body.into_owned().into_bytes()),
        ([None, Some(body)], None) => Ok(base64(&body).ok_or(Malformed("bodyBase64"))?),
        ([None, None], Some(fault)) => Err(read_fault(fault)?),
        _ => return Err(Malformed("one of body, bodyBase64 and bodyFault")),
    };
    let mut answer = Answer::new(response.number("status")?, body);
    for (name, value) in texts(response.get("headers"), "headers")? {
        answer.add_header(&name, value.into_owned());
    }
    Ok(answer)
}

fn read_fault(text: &str) -> Result<Fault, Malformed> {
    let fault = Members::read(text, "a fault", &["kind", "proxy"])?;
    let kind = fault.text("kind")?.ok_or(Malformed("kind"))?;
    Ok(Fault {
        kind: FaultKind::named(&kind).ok_or(Malformed("kind"))?,
        proxy: fault.text("proxy")?.map(Cow::into_owned),
    })
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

/// An object with one member, which is an object.
fn written(key: &str, write: impl FnOnce(&mut Object)) -> String {
    let mut text = String::new();
    let mut outer = Object::open(&mut text);
    outer.object(key, write);
    outer.close();
    text
}

/// An object that is being written.
struct Object<'a> {
    text: &'a mut String,
    is_empty: bool,
}

impl Object<'_> {
    fn open(text: &mut String) -> Object<'_> {
        text.push('{');
        Object {
            text,
            is_empty: true,
        }
    }

    fn close(self) {
        self.text.push('}');
    }

    fn key(&mut self, key: &str) -> &mut String {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.text.push(',');
        }
        write_string(self.text, key);
        self.text.push(':');
        self.text
    }

    fn object(&mut self, key: &str, write: impl FnOnce(&mut Object)) {
        let mut inner = Object::open(self.key(key));
        write(&mut inner);
        inner.close();
    }

    fn string<'a>(&mut self, key: &str, value: impl Into<Option<&'a str>>) {
        let text = self.key(key);
        match value.into() {
            Some(value) => write_string(text, value),
            None => text.push_str("null"),
        }
    }

    fn number(&mut self, key: &str, value: impl Into<Option<u32>>) {
        let value = value.into().map(|value| value.to_string());
        self.key(key).push_str(value.as_deref().unwrap_or("null"));
    }

    fn boolean(&mut self, key: &str, value: bool) {
        self.key(key).push_str(if value { "true" } else { "false" });
    }

    fn array<T>(&mut self, key: &str, items: &[T], write: impl Fn(&mut String, &T)) {
        write_array(self.key(key), items, write);
    }

    /// The members of an object that is absent where `object` is.
    fn members(&mut self, key: &str, object: &Option<String>, members: &[Member]) {
        let text = self.key(key);
        match object {
            Some(_) => write_array(text, members, write_member),
            None => text.push_str("null"),
        }
    }
}

fn write_array<T>(text: &mut String, items: &[T], write: impl Fn(&mut String, &T)) {
    text.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        write(text, item);
    }
    text.push(']');
}

fn write_member(text: &mut String, member: &Member) {
    let mut object = Object::open(text);
    object.string("key", &*member.key);
    object.string("value", &*member.value);
    object.close();
}

fn write_request(object: &mut Object, request: &Request, timeout: Duration) {
    object.string("method", request.method.name());
    object.string("url", &*request.url());
    object.object("headers", |headers| {
        for (name, value) in &request.headers {
            headers.string(name, value.as_str());
        }
    });
    object.string("body", request.body.as_deref());
    object.number("connectTimeoutMs", CONNECT_TIMEOUT.as_millis() as u32);
    object.number("timeoutMs", timeout.as_millis() as u32);
    object.number("maxBodyBytes", MAX_BODY as u32);
}

/// The outputs by the names of the variables. JSON is text here too, so that no engine's parser takes a digit of it.
fn write_outputs(object: &mut Object, outputs: &Outputs) {
    let string = |text: &mut String, value: &String| write_string(text, value);
    object.string("name", &*outputs.name);
    object.boolean("done", outputs.done);
    object.string("error", outputs.error.as_deref());
    let code = outputs.error_code.map(|code| code.to_string());
    let code = code.as_deref().unwrap_or("null");
    object.key("error.code").push_str(code);
    object.string("error.message", outputs.error_message.as_deref());
    object.array("error.details[]", &outputs.error_details, string);
    let details = &outputs.error_details_custom_key_value;
    object.array(
        "error.details[].customKey.value",
        details,
        |text, members| {
            write_array(text, members, write_member);
        },
    );
    object.string("metadata", outputs.metadata.as_deref());
    let members = &outputs.metadata_custom_key_value;
    object.members("metadata.customKey.value", &outputs.metadata, members);
    object.string("response", outputs.response.as_deref());
    let members = &outputs.response_custom_key_value;
    object.members("response.customKey.value", &outputs.response, members);
}

fn write_failure(object: &mut Object, failure: &Failure) {
    let is_permanent = failure.is_permanent();
    object.string(
        "case",
        if is_permanent {
            "permanent"
        } else {
            "transient"
        },
    );
    object.string("reason", failure.reason_name());
    object.string("message", &*failure.message);
    object.number("httpStatus", failure.http_status.map(u32::from));
    match &failure.service_error {
        None => object.string("serviceError", None),
        Some(error) => object.object("serviceError", |object| {
            object.number("code", error.code.unsigned_abs());
            object.string("status", &*error.status);
            object.string("message", &*error.message);
            object.array("details", &error.details, |text, value| {
                write_string(text, value)
            });
            object.string("error", &*error.error);
        }),
    }
    object.number("retryAfterMs", failure.retry_after_ms);
    object.boolean("concernsCaller", failure.concerns_caller);
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
                .contains("(bodyBase64)")
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
