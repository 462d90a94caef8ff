//! Reads error answers (AIP-193) in every form that the services send: v2 with `status` and
//! `details`, v1 with `errors[]`, either of them without `status`, any of these in an array, a bare
//! `google.rpc.Status` as API proxies send it, and OAuth's (RFC 6749, section 5.2).

use std::borrow::Cow;

use operations_json as json;
use operations_json::first;

use crate::bindings::ServiceError;

/// The names of `google.rpc.Code`, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The code of an HTTP status, as Google's client libraries map it (gax, `HttpJsonStatusCode`). Of the
/// two codes that `google/rpc/code.proto` gives to 409, it is the one that asks for no new attempt:
/// only a service can say `ABORTED`.
fn code_of(http_status: u16) -> usize {
    match http_status {
        400 => 3,
        401 => 16,
        403 => 7,
        404 | 410 => 5,
        408 | 504 => 4,
        409 => 6,
        416 => 11,
        429 => 8,
        499 => 1,
        501 => 12,
        502 | 503 => 14,
        402..=498 => 9,
        500..=599 => 13,
        _ => 2,
    }
}

/// The service's error in the body of an answer with `http_status`, if it holds one.
pub fn parse(body: &[u8], http_status: u16) -> Option<ServiceError> {
    let text = std::str::from_utf8(body).ok()?;
    let object = match json::elements(text) {
        // Streaming routes wrap the error in an array.
        Ok(wrapped) => *wrapped.first()?,
        Err(_) => text.trim_ascii(),
    };
    let outer = json::members(object).ok()?;
    let error = match first(&outer, "error") {
        Some(error) if error.starts_with('{') => error,
        // A bare Status, or OAuth's two strings: the outer object is the error object.
        Some(_) => object,
        None if first(&outer, "code").is_some() || first(&outer, "message").is_some() => object,
        None => return None,
    };
    let members = json::members(error).ok()?;
    let status = first(&members, "status").map(string).unwrap_or_default();
    let code = CODES
        .iter()
        .position(|name| *name == status)
        .unwrap_or_else(|| code_of(http_status));
    let message = ["message", "error_description", "error"]
        .iter()
        .find_map(|key| first(&members, key))
        .map(string)
        .unwrap_or_default();
    Some(ServiceError {
        code: code as i32,
        status: if status.is_empty() {
            CODES[code].to_owned()
        } else {
            status.into_owned()
        },
        message: message.into_owned(),
        details: first(&members, "details")
            .and_then(|details| json::elements(details).ok())
            .map(|details| details.into_iter().map(str::to_owned).collect())
            .unwrap_or_default(),
        error: error.to_owned(),
    })
}

impl ServiceError {
    /// A member of the first detail of this type (`google.rpc.ErrorInfo`) that has it.
    fn detail(&self, of_type: &str, key: &str) -> Option<&str> {
        self.details.iter().find_map(|detail| {
            let members = json::members(detail).ok()?;
            let name = first(&members, "@type").map(string)?;
            (name.rsplit('/').next() == Some(of_type)).then(|| first(&members, key))?
        })
    }

    /// Why the service refused: `google.rpc.ErrorInfo.reason`, in the older form `errors[].reason`.
    pub fn info_reason(&self) -> Option<Cow<'_, str>> {
        let info = self.detail("google.rpc.ErrorInfo", "reason");
        info.or_else(|| {
            let members = json::members(&self.error).ok()?;
            let errors = json::elements(first(&members, "errors")?).ok()?;
            first(&json::members(errors.first()?).ok()?, "reason")
        })
        .map(string)
    }

    /// A value of `google.rpc.ErrorInfo.metadata`.
    pub fn info_metadata(&self, key: &str) -> Option<Cow<'_, str>> {
        let metadata = json::members(self.detail("google.rpc.ErrorInfo", "metadata")?).ok()?;
        first(&metadata, key).map(string)
    }

    /// How long to wait: `google.rpc.RetryInfo.retryDelay`, a ProtoJSON `Duration`.
    pub fn retry_delay(&self) -> Option<Cow<'_, str>> {
        self.detail("google.rpc.RetryInfo", "retryDelay")
            .map(string)
    }
}

/// A string, decoded. Any other value, and a string that cannot be decoded, is its JSON text: no word
/// of an error is lost.
fn string(text: &str) -> Cow<'_, str> {
    json::string(text).unwrap_or(Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, http_status: u16) -> ServiceError {
        parse(body.as_bytes(), http_status).unwrap()
    }

    #[test]
    fn every_form_of_an_error_is_read() {
        let v2 = read(
            r#" {"error": {"code": 404, "message": "gone\n", "status": "NOT_FOUND", "details": [{"@type":"x"}, 1]}} "#,
            404,
        );
        assert_eq!(
            (v2.code, &*v2.status, &*v2.message),
            (5, "NOT_FOUND", "gone\n")
        );
        assert_eq!(v2.details, [r#"{"@type":"x"}"#, "1"]);
        assert!(v2.error.starts_with(r#"{"code": 404, "message": "gone\n""#));

        let v1 = read(
            r#"{"error":{"errors":[{"reason":"notFound"}],"code":404,"message":"m"}}"#,
            404,
        );
        assert_eq!((v1.code, &*v1.status, &*v1.message), (5, "NOT_FOUND", "m"));
        assert_eq!(
            v1.error,
            r#"{"errors":[{"reason":"notFound"}],"code":404,"message":"m"}"#
        );

        let wrapped = read(
            r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
            400,
        );
        assert_eq!(
            (wrapped.code, &*wrapped.error),
            (
                3,
                r#"{"code":400,"message":"m","status":"INVALID_ARGUMENT"}"#
            )
        );

        let bare = read(r#"{"code":5,"message":"m","details":[]}"#, 404);
        assert_eq!(
            (bare.code, &*bare.error),
            (5, r#"{"code":5,"message":"m","details":[]}"#)
        );

        let oauth = read(
            r#"{"error":"invalid_grant","error_description":"expired"}"#,
            400,
        );
        assert_eq!((&*oauth.message, oauth.code), ("expired", 3));
        assert_eq!(
            oauth.error,
            r#"{"error":"invalid_grant","error_description":"expired"}"#
        );
        assert_eq!(
            read(r#"{"error":"invalid_grant"}"#, 400).message,
            "invalid_grant"
        );
    }

    #[test]
    fn a_status_takes_precedence_over_the_http_status_and_an_unknown_one_is_kept() {
        let read = |status: &str| {
            let read = read(&format!(r#"{{"error":{{"status":"{status}"}}}}"#), 409);
            (read.code, read.status)
        };
        assert_eq!(read("ALREADY_EXISTS"), (6, "ALREADY_EXISTS".into()));
        assert_eq!(read("SOMETHING_NEW"), (6, "SOMETHING_NEW".into()));
    }

    #[test]
    fn every_http_status_has_its_code() {
        let names = [
            (400, "INVALID_ARGUMENT"),
            (401, "UNAUTHENTICATED"),
            (403, "PERMISSION_DENIED"),
            (404, "NOT_FOUND"),
            (405, "FAILED_PRECONDITION"),
            (408, "DEADLINE_EXCEEDED"),
            (409, "ALREADY_EXISTS"),
            (410, "NOT_FOUND"),
            (412, "FAILED_PRECONDITION"),
            (416, "OUT_OF_RANGE"),
            (429, "RESOURCE_EXHAUSTED"),
            (499, "CANCELLED"),
            (500, "INTERNAL"),
            (501, "UNIMPLEMENTED"),
            (502, "UNAVAILABLE"),
            (503, "UNAVAILABLE"),
            (504, "DEADLINE_EXCEEDED"),
            (599, "INTERNAL"),
            (302, "UNKNOWN"),
        ];
        for (http_status, name) in names {
            assert_eq!(
                read(r#"{"error":{"message":"m"}}"#, http_status).status,
                name,
                "{http_status}"
            );
        }
    }

    #[test]
    fn a_message_that_cannot_be_decoded_is_kept_as_json() {
        let odd = read(
            r#"{"error":{"message":"\ud800 lone","status":"ABORTED"}}"#,
            409,
        );
        assert_eq!(odd.message, r#""\ud800 lone""#);
        assert_eq!(
            read(r#"{"error":{"message":{"a":1}}}"#, 400).message,
            r#"{"a":1}"#
        );
    }

    #[test]
    fn a_body_without_an_error_object_has_no_service_error() {
        for body in [
            "",
            "<html>",
            "[]",
            "[1]",
            "{}",
            "7",
            "\"error\"",
            r#"{"error":null}"#,
            "{\"error\":",
        ] {
            assert_eq!(parse(body.as_bytes(), 404), None, "{body}");
        }
        assert_eq!(parse(b"{\"error\":\"\xff\"}", 404), None);
    }

    #[test]
    fn details_are_found_by_their_type() {
        let error = read(
            r#"{"error":{"details":[7,{"@type":"type.googleapis.com/google.rpc.Help"},
               {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SERVICE_DISABLED","metadata":{"activationUrl":"https:\/\/x"}},
               {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"33s"}]}}"#,
            403,
        );
        assert_eq!(error.info_reason().as_deref(), Some("SERVICE_DISABLED"));
        assert_eq!(
            error.info_metadata("activationUrl").as_deref(),
            Some("https://x")
        );
        assert_eq!(error.retry_delay().as_deref(), Some("33s"));
        assert_eq!(error.info_metadata("service"), None);
    }
}
