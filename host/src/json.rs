//! Outputs and failures as JSON. Values that are JSON text already keep every digit, and every key its place.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::bindings::{Failure, Member, Outputs, Reason, ServiceError};
use crate::error::CallError;
use crate::manifest::Manifest;

/// The value of one output variable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// BOOLEAN.
    Bool(bool),
    /// INTEGER; absent if the operation has no error.
    Integer(Option<i32>),
    /// STRING; absent if the operation has no error.
    Text(Option<&'a str>),
    /// OBJECT: JSON text.
    Json(Option<&'a str>),
    /// A list of OBJECTs.
    JsonList(&'a [String]),
    /// The members of an OBJECT; absent if the object is.
    Members(Option<&'a [Member]>),
    /// The members of each of a list of OBJECTs.
    MembersList(&'a [Vec<Member>]),
}

/// The output variables with their values, in the manifest's order.
pub fn variables<'a>(
    manifest: &'a Manifest,
    outputs: &'a Outputs,
) -> impl Iterator<Item = (&'a str, Value<'a>)> {
    manifest
        .outputs
        .iter()
        .filter_map(|output| Some((output.variable.as_str(), value(outputs, &output.field)?)))
}

/// The fields of the WIT record `outputs`.
pub(crate) const FIELDS: [&str; 11] = [
    "name",
    "done",
    "error",
    "error-code",
    "error-message",
    "error-details",
    "error-details-custom-key-value",
    "metadata",
    "metadata-custom-key-value",
    "response",
    "response-custom-key-value",
];

/// The value of a field of the WIT record `outputs`.
fn value<'a>(outputs: &'a Outputs, field: &str) -> Option<Value<'a>> {
    let of = |object: &Option<String>, members: &'a [Member]| {
        Value::Members(object.is_some().then_some(members))
    };
    Some(match field {
        "name" => Value::Text(Some(&outputs.name)),
        "done" => Value::Bool(outputs.done),
        "error" => Value::Json(outputs.error.as_deref()),
        "error-code" => Value::Integer(outputs.error_code),
        "error-message" => Value::Text(outputs.error_message.as_deref()),
        "error-details" => Value::JsonList(&outputs.error_details),
        "error-details-custom-key-value" => {
            Value::MembersList(&outputs.error_details_custom_key_value)
        }
        "metadata" => Value::Json(outputs.metadata.as_deref()),
        "metadata-custom-key-value" => of(&outputs.metadata, &outputs.metadata_custom_key_value),
        "response" => Value::Json(outputs.response.as_deref()),
        "response-custom-key-value" => of(&outputs.response, &outputs.response_custom_key_value),
        _ => return None,
    })
}

/// One JSON object on one line, with exactly the output variables of the manifest as its keys.
///
/// # Panics
///
/// If a field of `outputs` that holds JSON text holds anything else. Outputs that
/// [`LoadedBlock::call`](crate::LoadedBlock::call) gave never do.
pub fn outputs_json(manifest: &Manifest, outputs: &Outputs) -> String {
    struct Variables<'a>(&'a Manifest, &'a Outputs);
    impl Serialize for Variables<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(variables(self.0, self.1))
        }
    }
    serde_json::to_string(&Variables(manifest, outputs)).expect("outputs of a call are JSON")
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Bool(value) => value.serialize(serializer),
            Value::Integer(value) => value.serialize(serializer),
            Value::Text(value) => value.serialize(serializer),
            Value::Json(value) => value.map(Json).serialize(serializer),
            Value::JsonList(values) => {
                serializer.collect_seq(values.iter().map(|value| Json(value)))
            }
            Value::Members(members) => members.map(Object).serialize(serializer),
            Value::MembersList(list) => {
                serializer.collect_seq(list.iter().map(|members| Object(members)))
            }
        }
    }
}

struct Object<'a>(&'a [Member]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for member in self.0 {
            map.serialize_entry(&member.key, &Json(&member.value))?;
        }
        map.end()
    }
}

/// An error of a call as one JSON object on one line: `case`, `reason`, `message`, `httpStatus`,
/// `serviceError`, `retryAfterMs`, `concernsCaller`. What is absent is `null`.
///
/// # Panics
///
/// If `service-error` holds text that is not JSON. That of a call that failed never does.
pub fn failure_json(error: &CallError) -> String {
    let failure = error.failure();
    let json = FailureJson {
        case: case(error),
        reason: failure.map(reason),
        message: error.to_string(),
        http_status: failure.and_then(|failure| failure.http_status),
        service_error: failure
            .and_then(|failure| failure.service_error.as_ref())
            .map(ServiceErrorJson::from),
        retry_after_ms: failure.and_then(|failure| failure.retry_after_ms),
        concerns_caller: error.concerns_caller(),
    };
    serde_json::to_string(&json).expect("failures of a call are JSON")
}

/// The keys are in the contract's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailureJson<'a> {
    case: &'static str,
    reason: Option<&'static str>,
    message: String,
    http_status: Option<u16>,
    service_error: Option<ServiceErrorJson<'a>>,
    retry_after_ms: Option<u32>,
    concerns_caller: bool,
}

#[derive(Serialize)]
struct ServiceErrorJson<'a> {
    code: i32,
    status: &'a str,
    message: &'a str,
    details: Vec<Json<'a>>,
    error: Json<'a>,
}

impl<'a> From<&'a ServiceError> for ServiceErrorJson<'a> {
    fn from(error: &'a ServiceError) -> ServiceErrorJson<'a> {
        ServiceErrorJson {
            code: error.code,
            status: &error.status,
            message: &error.message,
            details: error.details.iter().map(|detail| Json(detail)).collect(),
            error: Json(&error.error),
        }
    }
}

fn case(error: &CallError) -> &'static str {
    match error {
        CallError::Permanent(_) | CallError::InTheClear(_) => "permanent",
        CallError::Transient(_) => "transient",
        CallError::UnknownSetting(_) | CallError::HoldsCredential(_) => "usage",
        CallError::Access(error) if error.is_transient() => "transient",
        CallError::Access(_) => "permanent",
        CallError::Stopped
        | CallError::Overran
        | CallError::Aborted(_)
        | CallError::InvalidResult { .. } => "aborted",
    }
}

/// A reason as the contract spells it.
pub(crate) fn reason(failure: &Failure) -> &'static str {
    match failure.reason {
        Reason::InvalidName => "invalid-name",
        Reason::UnknownService => "unknown-service",
        Reason::InvalidSetting => "invalid-setting",
        Reason::RequestDenied => "request-denied",
        Reason::Unreachable => "unreachable",
        Reason::Certificate => "certificate",
        Reason::ConnectionLost => "connection-lost",
        Reason::Timeout => "timeout",
        Reason::Unauthenticated => "unauthenticated",
        Reason::PermissionDenied => "permission-denied",
        Reason::NotFound => "not-found",
        Reason::WrongAddress => "wrong-address",
        Reason::Redirected => "redirected",
        Reason::Rejected => "rejected",
        Reason::QuotaExceeded => "quota-exceeded",
        Reason::Aborted => "aborted",
        Reason::Unavailable => "unavailable",
        Reason::ServiceFault => "service-fault",
        Reason::NotAnOperation => "not-an-operation",
        Reason::TooLarge => "too-large",
    }
}

/// JSON text, written without the white space between its tokens.
struct Json<'a>(&'a str);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = RawValue::from_string(compact(self.0)).map_err(serde::ser::Error::custom)?;
        text.serialize(serializer)
    }
}

/// JSON text without the white space between its tokens, so that it fits on a line.
pub fn compact(json: &str) -> String {
    let mut compact = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if matches!(c, ' ' | '\t' | '\r' | '\n') {
            continue;
        } else {
            in_string = c == '"';
        }
        compact.push(c);
    }
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_removes_only_white_space_between_tokens() {
        let json = "{ \"a b\" : [ 1.00 , \"x \\\" y\" ,\t\"\\\\\" , \" \" ] ,\r\n\"c\":{ } }";
        assert_eq!(compact(json), r#"{"a b":[1.00,"x \" y","\\"," "],"c":{}}"#);
    }
}
