//! What an HTTP answer means: the body of an operation, or a failure.

use std::time::Duration;

use operations_json as json;

use crate::bindings::{Failure, Reason, ServiceError};
use crate::fault::{Fault, FaultKind};
use crate::limits::MAX_BODY;
use crate::message::{excerpt, shortened};
use crate::operation::NotAnOperation;
use crate::refusal::{Refusal, is_page};
use crate::request::Request;
use crate::{advice, retry, service_error};

/// An answer: its status, the header fields that count, and its body.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Encoding`, if there is one; several fields joined by commas (RFC 9110, section 5.2).
    pub content_encoding: Option<String>,
    /// `Content-Length`.
    pub content_length: Option<String>,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// `Date`.
    pub date: Option<String>,
    /// The body, as sent, or why it did not come whole.
    pub body: Result<Vec<u8>, Fault>,
}

/// What a `Content-Length` says: 64 bits, as a `usize` of 32 would not take a length over 4 GiB.
pub fn announced(content_length: Option<&str>) -> Option<u64> {
    content_length?.parse().ok()
}

impl Answer {
    /// An answer of which no header field is known yet.
    pub fn new(status: u16, body: Result<Vec<u8>, Fault>) -> Answer {
        Answer {
            status,
            content_encoding: None,
            content_length: None,
            retry_after: None,
            date: None,
            body,
        }
    }

    /// Adds a header field, if it counts. Several of one name are joined by commas (RFC 9110, section 5.2).
    pub fn add_header(&mut self, name: &str, value: String) {
        let field = match name.to_ascii_lowercase().as_str() {
            "content-encoding" => &mut self.content_encoding,
            "content-length" => &mut self.content_length,
            "retry-after" => &mut self.retry_after,
            "date" => &mut self.date,
            _ => return,
        };
        match field {
            Some(values) => *values = format!("{values}, {value}"),
            None => *field = Some(value),
        }
    }

    /// The body, if it is that of an operation: of a 200, whole and as it was sent.
    ///
    /// # Errors
    ///
    /// The answer itself, which is a [`failure`].
    pub fn operation(mut self) -> Result<Vec<u8>, Answer> {
        if self.status != 200 || !self.is_readable() {
            return Err(self);
        }
        match self.body() {
            Ok(body) => Ok(body),
            Err(fault) => {
                self.body = Err(fault);
                Err(self)
            }
        }
    }

    /// Whether the body has no coding.
    fn is_readable(&self) -> bool {
        let encoding = self.content_encoding.as_deref().unwrap_or("identity");
        encoding
            .split(',')
            .all(|coding| coding.trim().eq_ignore_ascii_case("identity"))
    }

    /// The body, as far as the status needs it.
    ///
    /// # Errors
    ///
    /// Why it did not come whole.
    fn body(&mut self) -> Result<Vec<u8>, Fault> {
        let announced = announced(self.content_length.as_deref());
        let is_too_large = |length: u64| length > MAX_BODY as u64;
        let body = match std::mem::replace(&mut self.body, Ok(Vec::new())) {
            _ if announced.is_some_and(is_too_large) => Err(FaultKind::BodyTooLarge.into()),
            Ok(body) if is_too_large(body.len() as u64) => Err(FaultKind::BodyTooLarge.into()),
            // Not every sender checks a body against its length.
            Ok(body) if announced.is_some_and(|length| length != body.len() as u64) => {
                Err(FaultKind::Incomplete.into())
            }
            body => body,
        };
        match (self.status, body) {
            (_, Ok(body)) => Ok(body),
            (200, Err(fault)) => Err(fault),
            // Only the body says which failure these are, and whether it may pass.
            (404 | 409, Err(fault)) if fault.is_cut() => Err(fault),
            // The status says what matters; a body that is cut, late or too large counts as none. (A 204 or 304
            // has none, whatever its Content-Length: RFC 9110, section 8.6.)
            (_, Err(_)) => Ok(Vec::new()),
        }
    }
}

/// What an answer that is no operation is: by the HTTP status, with what the service said. `timeout` is that of the
/// whole call.
pub fn failure(request: &Request, mut answer: Answer, timeout: Duration) -> Failure {
    let body = match answer.body() {
        Ok(body) => body,
        Err(fault) => return fault.failure(request, timeout),
    };
    if answer.status == 200 {
        let message = format!(
            "The answer to {request} has a content encoding that nobody asked for. Check what stands \
             between this host and the service."
        );
        return Failure {
            http_status: Some(200),
            ..Failure::new(Reason::NotAnOperation, message)
        };
    }
    // Nothing behind this point has to look for an echo of the credential.
    let body = request.clean(body);
    let error = if answer.is_readable() {
        service_error::parse(&body, answer.status)
    } else {
        None
    };
    let reason = reason(answer.status, error.as_ref(), &body);
    let words = words(answer.status, &body, error.as_ref());
    // A service's words mostly end with a full stop of their own.
    let end = if words.ends_with(".”") { "" } else { "." };
    let refusal = Refusal::of(request, answer.status, error.as_ref(), &body);
    let advice = match refusal {
        Some(refusal) => refusal.advice(request, error.as_ref()),
        None => advice::what_to_do(request, &reason, answer.status, error.as_ref()),
    };
    let message = format!("{request} was answered with {words}{end} {advice}");
    let by_header = answer.retry_after.as_deref();
    let by_header = by_header.and_then(|text| retry::retry_after_ms(text, answer.date.as_deref()));
    let by_detail = error.as_ref().and_then(ServiceError::retry_delay);
    let by_detail = by_detail.and_then(|delay| retry::duration_ms(&delay));
    Failure {
        http_status: Some(answer.status),
        concerns_caller: refusal.is_some(),
        retry_after_ms: by_header.max(by_detail),
        service_error: error,
        ..Failure::new(reason, message)
    }
}

/// The failure for a 200 whose body cannot be read as a `google.longrunning.Operation`.
pub fn not_an_operation(request: &Request, body: &[u8], why: NotAnOperation) -> Failure {
    let is_page = is_page(body);
    let message = match why.reason {
        Reason::TooLarge => {
            format!(
                "The answer to {request} is too large: {why}. This block cannot read such an operation."
            )
        }
        _ if is_page => format!(
            "The answer to {request} is a page of HTML, not an operation. {}",
            Refusal::Page.advice(request, None)
        ),
        _ => format!(
            "The answer to {request} is no google.longrunning.Operation: {why}. Check that the \
             service and the name are those of an AIP-151 operation."
        ),
    };
    Failure {
        http_status: Some(200),
        concerns_caller: is_page,
        ..Failure::new(why.reason, message)
    }
}

/// The contract's table of answers.
fn reason(status: u16, error: Option<&ServiceError>, body: &[u8]) -> Reason {
    match status {
        // Nobody asked for another protocol, and no answer followed.
        ..=199 => Reason::ConnectionLost,
        201..=299 => Reason::NotAnOperation,
        300..=399 => Reason::Redirected,
        401 => Reason::Unauthenticated,
        403 => Reason::PermissionDenied,
        // The API answers in JSON; the front end, which does not know the host or path, does not.
        404 if error.is_none() && !is_json(body) => Reason::WrongAddress,
        404 | 410 => Reason::NotFound,
        408 => Reason::Timeout,
        409 if error.is_some_and(|error| error.status == "ABORTED") => Reason::Aborted,
        429 => Reason::QuotaExceeded,
        502..=504 => Reason::Unavailable,
        // A number that is not a status is read as a 500 (RFC 9110, section 15).
        500.. => Reason::ServiceFault,
        _ => Reason::Rejected,
    }
}

fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(json::is_value)
}

/// The status and the service's words, as the middle of a sentence.
fn words(status: u16, body: &[u8], error: Option<&ServiceError>) -> String {
    // Usually a name of `google.rpc.Code`.
    let name = error.map(|error| shortened(&error.status, 100));
    let name = name.unwrap_or_default();
    match error {
        Some(error) if error.message.is_empty() => format!("{status} {name}"),
        Some(error) => format!("{status} {name} and says {}", excerpt(&error.message)),
        None if body.is_empty() => format!("{status} and no readable body"),
        None => match title(body) {
            Some(title) => format!("{status} and a page titled {}", excerpt(&title)),
            None => format!(
                "{status} and {} bytes that hold no error object",
                body.len()
            ),
        },
    }
}

/// The title of an HTML page: the only words in it for people.
fn title(body: &[u8]) -> Option<String> {
    let page = String::from_utf8_lossy(&body[..body.len().min(4096)]);
    let (_, rest) = page.split_once("<title>")?;
    let (title, _) = rest.split_once("</title>")?;
    Some(title.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Operation;

    const NAME: &str = "projects/p/locations/global/operations/o";

    fn answer(status: u16, body: &str) -> Answer {
        Answer::new(status, Ok(body.as_bytes().to_vec()))
    }

    /// What the message of an answer says after the request.
    fn said(request: &Request, status: u16, body: &str) -> String {
        let failure = super::failure(request, answer(status, body), Duration::ZERO);
        let asked = format!("{request} was answered with ");
        failure.message.strip_prefix(&asked).unwrap().to_owned()
    }

    fn apigateway() -> Request {
        let service = "apigateway.googleapis.com/v1";
        Request::of(NAME, &[("OPERATIONS_SERVICE", service)])
    }

    #[test]
    fn a_body_may_have_16_mebibytes() {
        assert_eq!(MAX_BODY, 16_777_216);
    }

    #[test]
    fn every_status_says_what_to_do() {
        let none = |status| format!("{status} and no readable body. ");
        for (status, what_to_do) in [
            (
                101,
                "That is no answer: try again, and check what stands between this host and the service.",
            ),
            (204, "Only a 200 holds an operation: check the endpoint."),
            (
                302,
                "Redirects are not followed: set OPERATIONS_ENDPOINT to the address that serves the API.",
            ),
            (
                400,
                "The service does not take this request: check the name, the version and the settings.",
            ),
            (401, "Get a new access token, or have the host add one."),
            (
                403,
                "Grant the caller the permission to get this operation.",
            ),
            (
                404,
                "The host apigateway.googleapis.com, version v1 or the path \
                 /v1/projects/p/locations/global/operations/o is wrong: check OPERATIONS_SERVICE, \
                 OPERATIONS_ENDPOINT and the name.",
            ),
            (
                408,
                "The service waited too long for the request: try again.",
            ),
            (
                409,
                "The service does not take this request: check the name, the version and the settings.",
            ),
            (
                410,
                "There is no such operation, or it has expired (services keep one for about 30 days): \
                 check the name and the service.",
            ),
            (
                429,
                "Wait before the next call, poll less often, or ask for more quota.",
            ),
            (500, "The service failed: try again later."),
            (
                501,
                "The service does not implement this method: check the version.",
            ),
            (502, "The service cannot answer now: try again later."),
            (503, "The service cannot answer now: try again later."),
            (504, "The service cannot answer now: try again later."),
            (505, "The service failed: try again later."),
            (700, "The service failed: try again later."),
        ] {
            assert_eq!(
                said(&apigateway(), status, ""),
                none(status) + what_to_do,
                "{status}"
            );
        }
        let aborted = r#"{"error":{"status":"ABORTED"}}"#;
        assert_eq!(
            said(&apigateway(), 409, aborted),
            "409 ABORTED. Another request was in the way: try again."
        );
    }

    #[test]
    fn the_service_is_quoted_up_to_a_limit() {
        let message = |words: &str| format!(r#"{{"error":{{"status":"S","message":"{words}"}}}}"#);
        let quoted = |body: &str| {
            let said = said(&apigateway(), 400, body);
            said.split_once(" The service").unwrap().0.to_owned()
        };
        assert_eq!(quoted(&message("words")), "400 S and says “words”.");
        assert_eq!(
            quoted(&message("A sentence.")),
            "400 S and says “A sentence.”"
        );
        assert_eq!(quoted(&message("")), "400 S.");
        assert_eq!(
            quoted("0123456789"),
            "400 and 10 bytes that hold no error object."
        );
        assert_eq!(
            quoted("<html><title> Error 400 </title></html>"),
            "400 and a page titled “Error 400”."
        );
        let most = "ü".repeat(500);
        assert_eq!(quoted(&message(&most)), format!("400 S and says “{most}”."));
        assert_eq!(
            quoted(&message(&format!("{most}ü"))),
            format!("400 S and says “{most}…”.")
        );
        let status = format!(r#"{{"error":{{"status":"{}"}}}}"#, "S".repeat(101));
        assert_eq!(quoted(&status), format!("400 {}….", "S".repeat(100)));
    }

    fn refusal(request: &Request, body: &str) -> Failure {
        let why = Operation::parse(body.as_bytes()).unwrap_err();
        not_an_operation(request, body.as_bytes(), why)
    }

    #[test]
    fn a_body_that_is_not_an_operation_is_a_failure_that_says_why() {
        let failure = refusal(&apigateway(), "[]");
        assert_eq!(failure.reason, Reason::NotAnOperation);
        assert_eq!(failure.http_status, Some(200));
        assert_eq!(
            failure.message,
            format!(
                "The answer to {} is no google.longrunning.Operation: it is not an object. Check that \
                 the service and the name are those of an AIP-151 operation.",
                apigateway()
            )
        );
    }

    #[test]
    fn an_operation_with_too_many_members_is_still_called_an_operation() {
        let body = format!(
            r#"{{"metadata":{{{}"a":1}}}}"#,
            r#""a":1,"#.repeat(1_000_000)
        );
        let failure = refusal(&apigateway(), &body);
        assert_eq!(failure.reason, Reason::TooLarge);
        assert_eq!(
            failure.message,
            format!(
                "The answer to {} is too large: its metadata has over 1000000 members or elements. \
                 This block cannot read such an operation.",
                apigateway()
            )
        );
    }
}
