//! Answers other than an operation: AIP-193 errors in the v2 error format, and the HTML page that Google's front end
//! gives for a URL that no API serves.

use bytes::Bytes;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::response;

/// The statuses that an `operations/error-STATUS` asks for, each with the `google.rpc.Code` that maps to it (see the
/// HTTP mapping in google/rpc/code.proto).
const CODES: [(StatusCode, &str); 11] = [
    (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
    (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
    (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
    (StatusCode::NOT_FOUND, "NOT_FOUND"),
    (StatusCode::CONFLICT, "ABORTED"),
    (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
    (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
    (StatusCode::NOT_IMPLEMENTED, "UNIMPLEMENTED"),
    (StatusCode::BAD_GATEWAY, "UNAVAILABLE"),
    (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    (StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED"),
];

/// The failure that a special name asks for: `operations/error-STATUS` or `operations/html-404`, alone or at the end
/// of a longer name. None when the name asks for nothing, or for a status outside `CODES`.
pub(crate) fn asked_for(name: &str, path: &str) -> Option<Response<Full<Bytes>>> {
    let (parent, id) = name.rsplit_once('/')?;
    if parent != "operations" && !parent.ends_with("/operations") {
        return None;
    }
    if id == "html-404" {
        return Some(page_not_found(path));
    }
    let digits = id.strip_prefix("error-")?;
    let (status, code) = CODES
        .into_iter()
        .find(|(status, _)| status.as_str() == digits)?;
    Some(match status {
        StatusCode::UNAUTHORIZED => unauthenticated(),
        StatusCode::FORBIDDEN => service_disabled(),
        StatusCode::NOT_FOUND => not_found(name),
        StatusCode::TOO_MANY_REQUESTS => retryable(
            status,
            code,
            "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute'.",
            error_info(
                "RATE_LIMIT_EXCEEDED",
                json!({
                    "consumer": "projects/123456789012",
                    "quota_limit": "ReadRequestsPerMinutePerProject",
                    "quota_metric": "apigateway.googleapis.com/read_requests",
                    "service": "apigateway.googleapis.com"
                }),
            ),
        ),
        StatusCode::SERVICE_UNAVAILABLE => retryable(
            status,
            code,
            "The service is currently unavailable.",
            error_info("SERVICE_UNAVAILABLE", json!({"resource": name})),
        ),
        _ => error(
            status,
            code,
            &format!("The emulator answers {status}, as the name asks for."),
            vec![error_info(code, json!({"resource": name}))],
        ),
    })
}

/// 404 for a name that no operation has.
pub(crate) fn not_found(name: &str) -> Response<Full<Bytes>> {
    error(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        &format!("Operation \"{name}\" not found."),
        vec![error_info("RESOURCE_NOT_FOUND", json!({"resource": name}))],
    )
}

/// 400 for a path that cannot be percent-decoded.
pub(crate) fn bad_escape(path: &str) -> Response<Full<Bytes>> {
    error(
        StatusCode::BAD_REQUEST,
        "INVALID_ARGUMENT",
        "The request path has a percent escape that is not two hexadecimal digits, or is not UTF-8 once decoded.",
        vec![error_info("INVALID_PERCENT_ESCAPE", json!({"path": path}))],
    )
}

/// 405 for any method but GET, which is the one that `operations.get` is mapped to nearly everywhere.
pub(crate) fn method_not_allowed(method: &str) -> Response<Full<Bytes>> {
    // No google.rpc.Code maps to 405. UNIMPLEMENTED is the one for an operation that the service does not support.
    let mut response = error(
        StatusCode::METHOD_NOT_ALLOWED,
        "UNIMPLEMENTED",
        &format!("The HTTP method {method} is not allowed: operations.get is a GET."),
        vec![error_info("METHOD_NOT_ALLOWED", json!({"method": method}))],
    );
    // RFC 9110, section 15.5.6: a 405 says which methods there are.
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET"));
    response
}

/// 400 for a request without a host, or with several.
pub(crate) fn no_host() -> Response<Full<Bytes>> {
    error(
        StatusCode::BAD_REQUEST,
        "INVALID_ARGUMENT",
        "The request does not have exactly one valid host.",
        vec![error_info("INVALID_HOST", json!({}))],
    )
}

/// 421 for a request that was meant for another host (RFC 9110, section 15.5.20).
pub(crate) fn misdirected(host: &str) -> Response<Full<Bytes>> {
    error(
        StatusCode::MISDIRECTED_REQUEST,
        "INVALID_ARGUMENT",
        &format!("The emulator answers for localhost and loopback addresses, not for \"{host}\"."),
        vec![error_info("MISDIRECTED_REQUEST", json!({"host": host}))],
    )
}

/// 400 for a `fetchPredictOperation` without the name of an operation of its model.
pub(crate) fn no_operation_name(model: &str) -> Response<Full<Bytes>> {
    error(
        StatusCode::BAD_REQUEST,
        "INVALID_ARGUMENT",
        &format!("The body must be {{\"operationName\": \"{model}/operations/OPERATION\"}}."),
        vec![error_info(
            "INVALID_OPERATION_NAME",
            json!({"resource": model}),
        )],
    )
}

/// 404 as an HTML page, for a path outside every API.
pub(crate) fn page_not_found(path: &str) -> Response<Full<Bytes>> {
    let path = path
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    let page = format!(
        "<!DOCTYPE html>\n\
         <html lang=en>\n  \
         <meta charset=utf-8>\n  \
         <meta name=viewport content=\"initial-scale=1, minimum-scale=1, width=device-width\">\n  \
         <title>Error 404 (Not Found)!!1</title>\n  \
         <p><b>404.</b> <ins>That’s an error.</ins>\n  \
         <p>The requested URL <code>{path}</code> was not found on this server.  \
         <ins>That’s all we know.</ins>\n"
    );
    response::new(StatusCode::NOT_FOUND, response::HTML, page)
}

fn unauthenticated() -> Response<Full<Bytes>> {
    let mut response = error(
        StatusCode::UNAUTHORIZED,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid \
         authentication credential.",
        vec![error_info(
            "ACCESS_TOKEN_EXPIRED",
            json!({"service": "apigateway.googleapis.com"}),
        )],
    );
    // RFC 9110, section 15.5.2: a 401 carries a challenge.
    response.headers_mut().insert(
        WWW_AUTHENTICATE,
        HeaderValue::from_static(
            "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"",
        ),
    );
    response
}

fn service_disabled() -> Response<Full<Bytes>> {
    const ACTIVATION_URL: &str = "https://console.developers.google.com/apis/api/apigateway.googleapis.com/overview?project=123456789012";
    error(
        StatusCode::FORBIDDEN,
        "PERMISSION_DENIED",
        &format!(
            "API Gateway API has not been used in project 123456789012 before or it is disabled. Enable it by \
             visiting {ACTIVATION_URL} then retry. If you enabled this API recently, wait a few minutes for the \
             action to propagate to our systems and retry."
        ),
        vec![
            error_info(
                "SERVICE_DISABLED",
                json!({
                    "activationUrl": ACTIVATION_URL,
                    "consumer": "projects/123456789012",
                    "containerInfo": "123456789012",
                    "service": "apigateway.googleapis.com",
                    "serviceTitle": "API Gateway API"
                }),
            ),
            json!({
                "@type": "type.googleapis.com/google.rpc.Help",
                "links": [{
                    "description": "Google developers console API activation",
                    "url": ACTIVATION_URL
                }]
            }),
        ],
    )
}

/// An error that says to come back after one second, in the header and in a `google.rpc.RetryInfo`.
fn retryable(status: StatusCode, code: &str, message: &str, info: Value) -> Response<Full<Bytes>> {
    let retry_info = json!({
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": "1s"
    });
    let mut response = error(status, code, message, vec![info, retry_info]);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// AIP-193: every error has an `ErrorInfo` among its details.
fn error_info(reason: &str, metadata: Value) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": metadata
    })
}

fn error(
    status: StatusCode,
    code: &str,
    message: &str,
    details: Vec<Value>,
) -> Response<Full<Bytes>> {
    let body = json!({
        "error": {
            "code": status.as_u16(),
            "message": message,
            "status": code,
            "details": details
        }
    });
    response::new(status, response::JSON, format!("{body:#}\n"))
}
