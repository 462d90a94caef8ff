//! Answers that are not a 200 with an operation. An input is an HTTP answer: a line with the status, a
//! line per header field, an empty line, and the body.

use std::sync::LazyLock;
use std::time::Duration;

use operations_get::answer::{self, Answer};
use operations_get::bindings::{Failure, GetError, Reason, ServiceError};
use operations_get::request::Request;

use crate::choices::{Choices, text_of};
use crate::grammar;
use crate::message;
use crate::name;
use crate::operation::{in_order, object, string, value};
use crate::read;
use crate::retry::{self, Wait};

/// Runs one input.
pub fn check(input: &[u8]) {
    let text = text_of(input, make);
    let (head, body) = split(&text);
    let head = String::from_utf8_lossy(head);
    let field = |name: &str| {
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let of_name = fields.filter(|(other, _)| other.trim().eq_ignore_ascii_case(name));
        let values: Vec<&str> = of_name.map(|(_, value)| value.trim()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    };
    let status = head.split_ascii_whitespace().nth(1);
    let status = status.and_then(|status| status.parse().ok()).unwrap_or(500);
    let case = Case {
        status,
        encoding: field("content-encoding"),
        retry_after: field("retry-after"),
        date: field("date"),
        body,
    };
    case.check(&text);
}

fn split(text: &[u8]) -> (&[u8], &[u8]) {
    for at in 0..text.len() {
        for end in [&b"\r\n\r\n"[..], b"\n\n"] {
            if text[at..].starts_with(end) {
                return (&text[..at], &text[at + end.len()..]);
            }
        }
    }
    (text, b"")
}

struct Case<'a> {
    status: u16,
    encoding: Option<String>,
    retry_after: Option<String>,
    date: Option<String>,
    body: &'a [u8],
}

impl Case<'_> {
    fn check(&self, input: &[u8]) {
        static ASKED: LazyLock<Request> = LazyLock::new(|| {
            let name = "projects/p/locations/l/operations/o";
            name::asked(name, ["apigateway.googleapis.com", "", ""])
        });
        let request = &*ASKED;
        let answer = Answer {
            status: self.status,
            content_encoding: self.encoding.clone(),
            retry_after: self.retry_after.clone(),
            date: self.date.clone(),
            content_length: None,
            body: Ok(self.body.to_vec()),
        };
        let is_plain = self.encoding.as_deref().is_none_or(|encoding| {
            let mut codings = encoding.split(',').map(str::trim);
            codings.all(|coding| coding.eq_ignore_ascii_case("identity"))
        });
        let failure = match answer.operation() {
            Ok(body) => {
                assert!(self.status == 200 && is_plain);
                assert_eq!(body, self.body);
                return;
            }
            Err(answer) => answer::failure(request, answer, Duration::ZERO),
        };
        message::check(&failure.message, input);
        assert!(
            failure.message.contains(&request.authority),
            "{}",
            failure.message
        );
        assert!(
            failure.message.contains(&request.path),
            "{}",
            failure.message
        );
        assert_eq!(failure.http_status, Some(self.status));
        if self.status == 200 {
            assert!(!is_plain);
            assert_eq!(failure.reason, Reason::NotAnOperation);
            return;
        }
        let body = &*message::without_token(self.body);
        let text = std::str::from_utf8(body).ok().filter(|_| is_plain);
        let error = text.and_then(|text| service_error(text, self.status));
        assert_eq!(failure.service_error, error);
        if let (Some(text), Some(error)) = (text, &error) {
            check_slices(text, error);
        }
        self.check_reason(&failure, &table(self.status, body, error.as_ref()));
        self.check_wait(&failure, error.as_ref());
    }

    fn check_reason(&self, failure: &Failure, expected: &Expected) {
        assert_eq!(kebab_case(&failure.reason), expected.reason);
        let case = GetError::from(failure.clone());
        let is_permanent = matches!(case, GetError::Permanent(_));
        assert_eq!(is_permanent, expected.is_permanent);
        let is_retried = operations_get::retry::is_retried(failure);
        assert_eq!(is_retried, expected.is_retried);
    }

    /// The larger of `Retry-After` and `RetryInfo`.
    fn check_wait(&self, failure: &Failure, error: Option<&ServiceError>) {
        let delay = error.and_then(|error| {
            let text = error.details.iter().find_map(|detail| {
                let members = read::object(detail)?;
                let of_type = decoded(read::first(&members, "@type")?);
                let is_info =
                    of_type == "google.rpc.RetryInfo" || of_type.ends_with("/google.rpc.RetryInfo");
                is_info.then(|| read::first(&members, "retryDelay"))?
            })?;
            retry::expected_delay(&decoded(text))
        });
        let after = match &self.retry_after {
            None => None,
            Some(after) => match retry::expected_after(after, self.date.as_deref()) {
                Wait::Exactly(ms) => ms,
                Wait::Unspecified => return assert!(failure.retry_after_ms >= delay),
            },
        };
        assert_eq!(failure.retry_after_ms, after.max(delay));
    }
}

/// What the failure of an answer must be.
#[derive(Debug, PartialEq)]
pub struct Expected {
    /// As the contract spells it: `not-found`.
    pub reason: &'static str,
    /// Whether its case is `permanent`; otherwise it is `transient`.
    pub is_permanent: bool,
    /// Whether the block itself sends the request again.
    pub is_retried: bool,
}

/// What the contract's table says about an answer without `Content-Encoding` that is not a 200.
pub fn expected(status: u16, body: &[u8]) -> Expected {
    let text = std::str::from_utf8(body).ok();
    let error = text.and_then(|text| service_error(text, status));
    table(status, body, error.as_ref())
}

/// The contract's table of answers.
fn table(status: u16, body: &[u8], error: Option<&ServiceError>) -> Expected {
    let is_json = std::str::from_utf8(body).is_ok_and(grammar::is_json);
    let is_aborted = error.is_some_and(|error| error.status == "ABORTED");
    let (reason, is_permanent) = match status {
        201..=299 => ("not-an-operation", true),
        300..=399 => ("redirected", true),
        401 => ("unauthenticated", true),
        403 => ("permission-denied", true),
        404 if !is_json && error.is_none() => ("wrong-address", true),
        404 | 410 => ("not-found", true),
        408 => ("timeout", false),
        409 if is_aborted => ("aborted", false),
        429 => ("quota-exceeded", false),
        400..=499 => ("rejected", true),
        501 => ("service-fault", true),
        502..=504 => ("unavailable", false),
        ..=199 => ("connection-lost", false),
        // Other 5xx, and numbers that are not a status of HTTP.
        _ => ("service-fault", false),
    };
    Expected {
        reason,
        is_permanent,
        is_retried: status == 503,
    }
}

/// A reason as the contract spells it.
fn kebab_case(reason: &Reason) -> String {
    let shown = format!("{reason:?}");
    let name = shown.trim_start_matches("Reason::");
    let dashed = name.char_indices().map(|(at, c)| match c {
        'A'..='Z' if at > 0 => format!("-{}", c.to_ascii_lowercase()),
        c => c.to_ascii_lowercase().to_string(),
    });
    dashed.collect()
}

fn check_slices(body: &str, error: &ServiceError) {
    assert!(grammar::is_bare_json(&error.error), "{}", error.error);
    in_order([&*error.error], body);
    let mut details = error.details.iter();
    assert!(details.all(|detail| grammar::is_bare_json(detail)));
    in_order(error.details.iter().map(String::as_str), &error.error);
}

/// The names of `google.rpc.Code`, by number.
const CODES: &str = "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS \
                     PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE \
                     UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED";

/// What the service said, by another reading of JSON: v2, v1, without `status`, wrapped in an array, a
/// bare `Status`, OAuth's.
fn service_error(body: &str, http_status: u16) -> Option<ServiceError> {
    let outer_text = match read::array(body) {
        Some(elements) => *elements.first()?,
        None => body.trim_matches([' ', '\t', '\n', '\r', '\u{c}']),
    };
    let outer = read::object(outer_text)?;
    let has = |key: &str| read::first(&outer, key).is_some();
    let error = match read::first(&outer, "error") {
        Some(error) if read::object(error).is_some() => error,
        // An object with a key that cannot be decoded holds no error that can be read.
        Some(error) if error.starts_with('{') => return None,
        Some(_) => outer_text,
        None if has("code") || has("message") => outer_text,
        None => return None,
    };
    let members = read::object(error)?;
    let text = |key: &str| read::first(&members, key).map(decoded);
    let names: Vec<&str> = CODES.split(' ').collect();
    let status = text("status").unwrap_or_default();
    let code = match names.iter().position(|name| *name == status) {
        Some(code) => code,
        None => code_of(http_status),
    };
    let message = text("message")
        .or_else(|| text("error_description"))
        .or_else(|| text("error"));
    let details = read::first(&members, "details").and_then(read::array);
    Some(ServiceError {
        code: code as i32,
        status: match &*status {
            "" => names[code].to_owned(),
            _ => status,
        },
        message: message.unwrap_or_default(),
        details: details
            .unwrap_or_default()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        error: error.to_owned(),
    })
}

/// `google/rpc/code.proto` read backwards, with FAILED_PRECONDITION for the other refusals.
fn code_of(http_status: u16) -> usize {
    match http_status {
        400 => 3,
        401 => 16,
        403 => 7,
        404 | 410 => 5,
        409 => 6,
        408 | 504 => 4,
        416 => 11,
        429 => 8,
        499 => 1,
        501 => 12,
        502 | 503 => 14,
        _ if http_status / 100 == 4 => 9,
        _ if http_status / 100 == 5 => 13,
        _ => 2,
    }
}

/// A string, decoded; anything that cannot be decoded, unchanged.
fn decoded(text: &str) -> String {
    read::string(text).unwrap_or_else(|| text.to_owned())
}

/// An answer in one of the forms, or close to one.
fn make(choices: &mut Choices) -> Vec<u8> {
    const STATUSES: [u16; 26] = [
        400, 401, 403, 404, 405, 408, 409, 410, 412, 416, 429, 499, 418, 500, 501, 502, 503, 504,
        505, 599, 201, 204, 301, 304, 308, 200,
    ];
    let status = match choices.one_in(20) {
        true => 100 + choices.up_to(899) as u16,
        false => choices.of(&STATUSES),
    };
    let mut head = format!("HTTP/1.1 {status}\n");
    let now = choices.number() % 253_402_300_800;
    if choices.one_in(2) {
        let after = match choices.one_in(2) {
            true => choices.digits(),
            false => retry::date(choices, now + 60),
        };
        head.push_str(&format!("Retry-After: {after}\n"));
    }
    if choices.one_in(2) {
        head.push_str(&format!("Date: {}\n", retry::date(choices, now)));
    }
    if choices.one_in(8) {
        let coding = choices.of(&["identity", "gzip", "identity, br", "Identity", ""]);
        head.push_str(&format!("Content-Encoding: {coding}\n"));
    }
    let error = error(choices);
    let body = match choices.up_to(9) {
        0 => error,
        1..=4 => format!("{{\"error\":{error}}}"),
        5 => format!("[{{\"error\": {error}}} ]"),
        6 => {
            let (word, why) = (choices.words(), choices.words());
            let (word, why) = (string(choices, &word), string(choices, &why));
            format!("{{\"error\":{word},\"error_description\":{why}}}")
        }
        7 => format!(
            "<!DOCTYPE html><html><title>{}</title>{}",
            choices.words(),
            choices.words()
        ),
        8 => value(choices, 0),
        _ => choices.words(),
    };
    let mut text = format!("{head}\n{body}").into_bytes();
    match choices.up_to(20) {
        1 => text.truncate(choices.up_to(text.len())),
        2 => {
            let at = choices.up_to(text.len() - 1);
            text[at] = choices.of(b"\xff\x00\"{}[],:\\");
        }
        _ => {}
    }
    text
}

fn error(choices: &mut Choices) -> String {
    let mut members = Vec::new();
    if choices.up_to(3) > 0 {
        members.push(format!("\"code\":{}", choices.up_to(599)));
    }
    if choices.up_to(3) > 0 {
        let words = choices.words();
        members.push(format!("\"message\":{}", string(choices, &words)));
    }
    if choices.up_to(3) > 0 {
        let status = match choices.up_to(4) {
            0 => choices.words(),
            1 => "ABORTED".to_owned(),
            _ => {
                let names: Vec<&str> = CODES.split(' ').collect();
                choices.of(&names).to_owned()
            }
        };
        members.push(format!("\"status\":{}", string(choices, &status)));
    }
    if choices.one_in(3) {
        members.push(format!("\"errors\":[{}]", object(choices, 1)));
    }
    if choices.up_to(2) > 0 {
        let count = choices.up_to(3);
        let details: Vec<String> = (0..count).map(|_| detail(choices)).collect();
        members.push(format!("\"details\": [{}]", details.join(" ,\n")));
    }
    if choices.one_in(6) {
        members.push(format!(
            "\"{}\":{}",
            choices.of(&["status", "message", "x"]),
            value(choices, 1)
        ));
    }
    format!("{{{}}}", members.join(choices.of(&[",", " , ", ",\n"])))
}

fn detail(choices: &mut Choices) -> String {
    let domain = choices.of(&["type.googleapis.com/", "", "x/y/", "type.googleapis.com"]);
    match choices.up_to(5) {
        0 => value(choices, 1),
        1 => object(choices, 1),
        2 | 3 => {
            let delay = retry::delay(choices);
            let delay = string(choices, &delay);
            format!("{{\"@type\":\"{domain}google.rpc.RetryInfo\",\"retryDelay\":{delay}}}")
        }
        _ => {
            let reason = choices.of(&["SERVICE_DISABLED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "X"]);
            let url = choices.words();
            let url = string(choices, &url);
            format!(
                "{{\"@type\":\"{domain}google.rpc.ErrorInfo\",\"reason\":\"{reason}\",\
                 \"metadata\":{{\"activationUrl\":{url}}}}}"
            )
        }
    }
}
