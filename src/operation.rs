//! Reads an answer as a `google.longrunning.Operation`, or says why it is not one.
//!
//! Nothing is rebuilt: every value is a slice of the answer. Everything that a flow relies on is
//! checked; a body that only resembles an operation must not look like one that never ends.

use std::borrow::Cow;
use std::fmt;

use operations_json as json;
use operations_json::Member;

use crate::bindings::Reason;
use crate::message::quoted;

/// An operation, borrowed from its answer. `null` members are absent.
#[derive(Debug, PartialEq)]
pub struct Operation<'a> {
    /// The name that the service assigned.
    pub name: Option<Cow<'a, str>>,
    /// Whether it is over; `false` if absent (ProtoJSON omits defaults).
    pub done: bool,
    /// Why it failed.
    pub error: Option<Status<'a>>,
    /// What the service says about it.
    pub metadata: Option<Object<'a>>,
    /// Its result.
    pub response: Option<Object<'a>>,
}

/// A `google.rpc.Status` (AIP-193).
#[derive(Debug, PartialEq)]
pub struct Status<'a> {
    /// The whole object.
    pub text: &'a str,
    /// A `google.rpc.Code`; 0 if absent.
    pub code: i32,
    /// For developers; empty if absent.
    pub message: Cow<'a, str>,
    /// By position.
    pub details: Vec<Object<'a>>,
}

/// A JSON object: its text, and its members in order, with unique keys.
#[derive(Debug, PartialEq)]
pub struct Object<'a> {
    /// The exact text, braces included.
    pub text: &'a str,
    /// In the order of the text.
    pub members: Vec<Member<'a>>,
}

/// Why a body cannot be read as an operation, as the end of a sentence that begins "it cannot be read
/// as an operation: ".
#[derive(Debug, PartialEq)]
pub struct NotAnOperation {
    /// `not-an-operation` or `too-large`.
    pub reason: Reason,
    why: String,
}

impl fmt::Display for NotAnOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

fn not_an_operation<T>(why: impl Into<String>) -> Result<T, NotAnOperation> {
    Err(NotAnOperation {
        reason: Reason::NotAnOperation,
        why: why.into(),
    })
}

fn has_twice<T>(what: &str, key: &str) -> Result<T, NotAnOperation> {
    Err(NotAnOperation {
        reason: Reason::NotAnOperation,
        why: format!("{what} has the key {} twice", quoted(key)),
    })
}

/// What was read, or why `what` could not be read as the type that was `expected`.
fn explained<T>(
    what: &str,
    expected: &str,
    read: Result<T, json::Error>,
) -> Result<T, NotAnOperation> {
    read.map_err(|error| NotAnOperation {
        reason: match error {
            json::Error::TooMany => Reason::TooLarge,
            _ => Reason::NotAnOperation,
        },
        why: match error {
            json::Error::OtherType => format!("{what} is not {expected}"),
            error => format!("{what} {error}"),
        },
    })
}

impl<'a> Operation<'a> {
    /// Reads the body of a 200.
    ///
    /// # Errors
    ///
    /// [`NotAnOperation`] says what is wrong with it.
    pub fn parse(body: &'a [u8]) -> Result<Operation<'a>, NotAnOperation> {
        let members = explained("it", "an object", json::members(text(body)?))?;
        let member = |key| single(&members, key);
        let name = member("name")?;
        let done = member("done")?;
        let error = member("error")?;
        let metadata = member("metadata")?;
        let response = member("response")?;

        if done.is_none() && has_own_type(&members) {
            return not_an_operation(
                "it is an operation of the service's own type (kind, operationType, status), not of \
                 AIP-151",
            );
        }
        if name.is_none() && done.is_none() {
            if error.is_some_and(is_envelope) {
                return not_an_operation(
                    "it is an error of the service (AIP-193), sent with HTTP status 200",
                );
            }
            if error.is_none() && metadata.is_none() && response.is_none() {
                return not_an_operation("it has none of name, done, error, metadata and response");
            }
        }
        let operation = Operation {
            name: name
                .map(|text| explained("its name", "a string", json::string(text)))
                .transpose()?,
            done: match done {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => return not_an_operation("its done is neither true nor false"),
            },
            error: error.map(Status::parse).transpose()?,
            metadata: metadata
                .map(|text| Object::parse("its metadata", text))
                .transpose()?,
            response: response
                .map(|text| Object::parse("its response", text))
                .transpose()?,
        };
        if done.is_none()
            && error.is_none()
            && response.is_none()
            && let Some(name) = &operation.name
            && name.contains('/')
            && !name.split('/').any(|segment| segment == "operations")
        {
            return not_an_operation(
                "it is some other resource: its name has no operations segment",
            );
        }
        if operation.parts() > json::MAX_PARTS {
            return explained("it", "an object", Err(json::Error::TooMany));
        }
        Ok(operation)
    }

    /// How many members and details become outputs.
    fn parts(&self) -> usize {
        let objects = [&self.metadata, &self.response].into_iter().flatten();
        let details = self.error.iter().flat_map(|status| &status.details);
        let details = details.map(|detail| 1 + detail.members.len());
        objects.map(|object| object.members.len()).sum::<usize>() + details.sum::<usize>()
    }
}

impl<'a> Status<'a> {
    fn parse(text: &'a str) -> Result<Status<'a>, NotAnOperation> {
        let object = Object::parse("its error", text)?;
        let member = |key| json::first(&object.members, key);
        Ok(Status {
            text,
            code: match member("code") {
                None => 0,
                Some(text) => int32(text).map_or_else(
                    || not_an_operation("its error.code is no 32-bit integer"),
                    Ok,
                )?,
            },
            message: match member("message") {
                None => Cow::default(),
                Some(text) => explained("its error.message", "a string", json::string(text))?,
            },
            details: match member("details") {
                None => Vec::new(),
                Some(text) => explained("its error.details", "an array", json::elements(text))?
                    .into_iter()
                    .map(|detail| Object::parse("its error.details[]", detail))
                    .collect::<Result<_, _>>()?,
            },
        })
    }
}

impl<'a> Object<'a> {
    fn parse(what: &str, text: &'a str) -> Result<Object<'a>, NotAnOperation> {
        let members = explained(what, "an object", json::members(text))?;
        match json::repeated_key(&members) {
            // A key of the service's own is not quoted: it may echo the credential.
            Some(at) => not_an_operation(format!(
                "{what} has a key twice: its member {} has it again",
                at + 1
            )),
            None => Ok(Object { text, members }),
        }
    }
}

/// The body as text.
fn text(body: &[u8]) -> Result<&str, NotAnOperation> {
    if body.starts_with(b"\xef\xbb\xbf") {
        // RFC 8259, section 8.1: a sender must not add one.
        return not_an_operation("it starts with a byte order mark");
    }
    let text = std::str::from_utf8(body).or_else(|error| {
        not_an_operation(format!("it is not UTF-8 at byte {}", error.valid_up_to()))
    })?;
    match text.trim_ascii_start().bytes().next() {
        None => not_an_operation("it is empty"),
        Some(b'<') => not_an_operation("it is not JSON, and looks like HTML"),
        Some(_) => Ok(text),
    }
}

/// A member that may be given once; `null` counts as absent.
fn single<'a>(members: &[Member<'a>], key: &str) -> Result<Option<&'a str>, NotAnOperation> {
    let mut given = members.iter().filter(|member| member.key == key);
    let value = given.next().map(|member| member.value);
    if given.next().is_some() {
        return has_twice("it", key);
    }
    Ok(value.filter(|value| *value != "null"))
}

/// Whether the members are those of an operation of a service's own type, such as compute's and
/// sqladmin's. Read as AIP-151 it would have no `done`, and a flow would poll it for ever.
fn has_own_type(members: &[Member]) -> bool {
    // Others, such as `drive#operation`, stand on operations of AIP-151.
    const KINDS: [&str; 4] = [
        "compute#operation",
        "deploymentmanager#operation",
        "dns#operation",
        "sql#operation",
    ];
    let is_own = |kind: &str| json::string(kind).is_ok_and(|kind| KINDS.contains(&&*kind));
    let has = |key: &str| json::first(members, key).is_some();
    members
        .iter()
        .any(|member| member.key == "kind" && is_own(member.value))
        || (has("operationType") && has("status"))
}

/// Whether the member `error` is one of an error answer (AIP-193), not of an operation.
fn is_envelope(error: &str) -> bool {
    json::members(error).is_ok_and(|members| {
        members
            .iter()
            .any(|member| matches!(&*member.key, "status" | "errors"))
    })
}

/// An int32 as ProtoJSON writes and reads it: a number or a string that holds one, in any form whose
/// value is integral (`5`, `5.0`, `50e-1`, `"5"`).
fn int32(text: &str) -> Option<i32> {
    let string = json::string(text).ok();
    let number = string.as_deref().unwrap_or(text);
    // What is in a string must be a number, with no white space around it.
    if !(json::is_value(number) && number.ends_with(|c: char| c.is_ascii_digit())) {
        return None;
    }
    let (negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number),
    };
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        None => (number, 0),
        Some((mantissa, exponent)) => (mantissa, saturating_exponent(exponent)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // As digits × 10^exponent, with digits that neither begin nor end with a zero.
    let mut digits = format!("{whole}{fraction}");
    let mut exponent = exponent - fraction.len() as i64;
    let significant = digits.trim_end_matches('0').len();
    exponent += (digits.len() - significant) as i64;
    digits.truncate(significant);
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    if !(0..=10).contains(&exponent) || digits.len() > 10 {
        return None;
    }
    let value = digits
        .parse::<i64>()
        .ok()?
        .checked_mul(10_i64.pow(exponent as u32))?;
    i32::try_from(if negative { -value } else { value }).ok()
}

/// The exponent of a valid JSON number. One past any int32 stays past it.
fn saturating_exponent(text: &str) -> i64 {
    const FAR: i64 = 1 << 40;
    let digits = text.trim_start_matches(['+', '-']);
    let size = digits.bytes().fold(0_i64, |size, digit| {
        (size * 10 + i64::from(digit - b'0')).min(FAR)
    });
    if text.starts_with('-') { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        Operation::parse(body.as_bytes()).unwrap_err().to_string()
    }

    fn code(code: &str) -> Option<i32> {
        let body = format!(r#"{{"done":true,"error":{{"code":{code}}}}}"#);
        let operation = Operation::parse(body.as_bytes()).ok()?;
        Some(operation.error?.code)
    }

    #[test]
    fn null_is_absent() {
        let body = r#"{"name":null,"done":null,"error":null,"metadata":null,"response":{}}"#;
        let operation = Operation::parse(body.as_bytes()).unwrap();
        assert_eq!(
            operation,
            Operation {
                name: None,
                done: false,
                error: None,
                metadata: None,
                response: Some(Object {
                    text: "{}",
                    members: Vec::new()
                }),
            }
        );
        let body = r#"{"error":{"code":null,"message":null,"details":null},"done":true}"#;
        let status = Operation::parse(body.as_bytes()).unwrap().error.unwrap();
        assert_eq!(
            (status.code, &*status.message, status.details.len()),
            (0, "", 0)
        );
    }

    #[test]
    fn a_code_has_any_integral_form_within_int32() {
        for (text, value) in [
            ("5", 5),
            ("5.0", 5),
            ("\"5\"", 5),
            ("\"5.00\"", 5),
            ("50e-1", 5),
            ("0.5e1", 5),
            ("0.05E+2", 5),
            ("-0", 0),
            ("0e99999999999999999999", 0),
            ("2147483647", i32::MAX),
            ("-2147483648", i32::MIN),
            ("\"-1\"", -1),
        ] {
            assert_eq!(code(text), Some(value), "{text}");
        }
        let long = format!("5{}e-9999", "0".repeat(9999));
        assert_eq!(code(&long), Some(5));
        for text in [
            "5.5",
            "4.99999999999999999999",
            "2147483648",
            "-2147483649",
            "1e10",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "1e400",
            "\"\"",
            "\" 5\"",
            "\"5 \"",
            "\"+5\"",
            "\"05\"",
            "\"0x5\"",
            "\"NOT_FOUND\"",
            "true",
            "[5]",
            "{}",
        ] {
            assert_eq!(code(text), None, "{text}");
        }
    }

    #[test]
    fn a_body_that_is_not_an_operation_says_why() {
        for (body, why) in [
            ("", "it is empty"),
            (" \n", "it is empty"),
            ("<!DOCTYPE html>", "it is not JSON, and looks like HTML"),
            ("\u{feff}{}", "it starts with a byte order mark"),
            (
                "not json",
                "it is not JSON, at byte 0 or in the value there",
            ),
            (r#"{"done":tru"#, "it is not JSON: it ends in the middle"),
            ("[]", "it is not an object"),
            ("null", "it is not an object"),
            (
                "{}",
                "it has none of name, done, error, metadata and response",
            ),
            (
                r#"{"kind":"x"}"#,
                "it has none of name, done, error, metadata and response",
            ),
            (r#"{"name":7}"#, "its name is not a string"),
            (r#"{"done":"true"}"#, "its done is neither true nor false"),
            (r#"{"done":1}"#, "its done is neither true nor false"),
            (r#"{"metadata":[]}"#, "its metadata is not an object"),
            (r#"{"response":"x"}"#, "its response is not an object"),
            (r#"{"name":"n","error":"x"}"#, "its error is not an object"),
            (
                r#"{"error":{"code":"x"}}"#,
                "its error.code is no 32-bit integer",
            ),
            (
                r#"{"error":{"message":1}}"#,
                "its error.message is not a string",
            ),
            (
                r#"{"error":{"details":{}}}"#,
                "its error.details is not an array",
            ),
            (
                r#"{"error":{"details":[1]}}"#,
                "its error.details[] is not an object",
            ),
            (
                r#"{"done":true,"done":true}"#,
                "it has the key \"done\" twice",
            ),
            (
                r#"{"done":true,"d\u006fne":true}"#,
                "it has the key \"done\" twice",
            ),
            (
                r#"{"error":{"x":1,"x":2}}"#,
                "its error has a key twice: its member 2 has it again",
            ),
            (
                r#"{"metadata":{"a":1,"\u0061":2}}"#,
                "its metadata has a key twice: its member 2 has it again",
            ),
            (
                r#"{"response":{"a":1,"a":1}}"#,
                "its response has a key twice: its member 2 has it again",
            ),
            (
                r#"{"error":{"details":[{"a":1,"a":1}]}}"#,
                "its error.details[] has a key twice: its member 2 has it again",
            ),
            (
                r#"{"name":"\ud800"}"#,
                "its name has a lone surrogate in a key or string",
            ),
            (
                r#"{"x\udc00":1}"#,
                "it has a lone surrogate in a key or string",
            ),
            (
                r#"{"error":{"message":"\ud800"}}"#,
                "its error.message has a lone surrogate in a key or string",
            ),
            (
                r#"{"metadata":{"\ud800":1}}"#,
                "its metadata has a lone surrogate in a key or string",
            ),
            (
                r#"{"error":{"code":404,"message":"m","status":"NOT_FOUND"}}"#,
                "it is an error of the service (AIP-193), sent with HTTP status 200",
            ),
            (
                r#"{"error":{"errors":[],"code":404}}"#,
                "it is an error of the service (AIP-193), sent with HTTP status 200",
            ),
            (
                r#"{"name":"projects/p/secrets/s","metadata":{}}"#,
                "it is some other resource: its name has no operations segment",
            ),
        ] {
            assert_eq!(refusal(body), why, "{body}");
        }
        assert_eq!(
            Operation::parse(b"{\"name\":\"\xff\"}")
                .unwrap_err()
                .to_string(),
            "it is not UTF-8 at byte 9"
        );
        let own = "it is an operation of the service's own type (kind, operationType, status), not of AIP-151";
        assert_eq!(
            refusal(r#"{"kind":"compute#operation","name":"operation-1"}"#),
            own
        );
        assert_eq!(
            refusal(r#"{"kind":"x","kind":"compute\u0023operation","name":"o"}"#),
            own
        );
        assert_eq!(
            refusal(r#"{"name":"o","operationType":"CREATE","status":"DONE"}"#),
            own
        );
    }

    #[test]
    fn an_operation_with_over_a_million_members_is_too_large() {
        let members: String = (0..=json::MAX_PARTS)
            .map(|n| format!(",\"{n}\":0"))
            .collect();
        let body = format!(r#"{{"done":true,"metadata":{{{}}}}}"#, &members[1..]);
        let error = Operation::parse(body.as_bytes()).unwrap_err();
        assert_eq!(error.reason, Reason::TooLarge);
        assert_eq!(
            error.to_string(),
            "its metadata has over 1000000 members or elements"
        );
    }

    #[test]
    fn members_and_details_are_counted_together() {
        let details = vec![r#"{"a":1,"b":1}"#; 333_334].join(",");
        let body = format!(r#"{{"done":true,"error":{{"details":[{details}]}}}}"#);
        assert_eq!(
            Operation::parse(body.as_bytes()).unwrap_err().reason,
            Reason::TooLarge
        );
        let fits = body.replacen(r#"{"a":1,"b":1},"#, "", 1);
        assert_eq!(Operation::parse(fits.as_bytes()).unwrap().parts(), 999_999);
        let full = fits.replacen('{', r#"{"metadata":{"a":1},"#, 1);
        assert_eq!(
            Operation::parse(full.as_bytes()).unwrap().parts(),
            1_000_000
        );
    }

    #[test]
    fn a_body_that_only_resembles_something_else_is_an_operation() {
        for body in [
            r#"{"kind":"storage#operation","done":false,"name":"projects/_/buckets/b/operations/o"}"#,
            r#"{"name":"o","operationType":"CREATE","done":true}"#,
            r#"{"name":"operation-1"}"#,
            r#"{"name":"operations/o","operationType":"CREATE"}"#,
            r#"{"name":"operations/o","status":"DONE"}"#,
            r#"{"name":"projects/p/secrets/s","done":true}"#,
            r#"{"name":"projects/p/secrets/s","response":{}}"#,
            r#"{"done":true,"error":{"code":5,"status":"NOT_FOUND"}}"#,
            r#"{"error":{"code":5,"message":"m"}}"#,
            r#"{"metadata":{"deep":{"a":1,"a":2},"lone":"\ud800","n":1e400}}"#,
            r#"{"x":1,"x":2,"done":false}"#,
        ] {
            assert!(Operation::parse(body.as_bytes()).is_ok(), "{body}");
        }
    }
}
