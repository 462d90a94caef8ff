//! A front for the block: an HTTP request with a name, answered with its operation.
//!
//! `GET /get?name=NAME` gives the eleven outputs by the fields of the WIT record, with JSON text as text; a failed
//! call gives its `case`, `reason`, `message`, … with 422 (permanent) or 503 (transient). The block is asked through
//! its interface, and put in by `wac plug`.

use serde::Serialize;
use serde_json::{Value, json};
use waki::{ErrorCode, Method, Request, Response, handler};

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package blocks:front;
        world front { import blocks:google-longrunning/operations@1.0.0; }
    ",
    world: "blocks:front/front",
    generate_all,
    additional_derives: [serde::Serialize],
});

use blocks::google_longrunning::operations::{self, Failure, GetError};

#[handler]
fn answer(request: Request) -> Result<Response, ErrorCode> {
    let query = request.query();
    match (request.method(), request.path(), query.get("name")) {
        (Method::Get, "/get", Some(name)) => match operations::get(name) {
            Ok(outputs) => respond(200, None, outputs),
            Err(GetError::Permanent(failure)) => respond(422, None, said("permanent", &failure)),
            Err(GetError::Transient(failure)) => {
                let seconds = failure.retry_after_ms.map(|ms| ms.div_ceil(1000));
                respond(503, seconds, said("transient", &failure))
            }
            Err(GetError::ExecutionFailed) => {
                respond(500, None, json!({"case": "execution-failed"}))
            }
        },
        _ => respond(404, None, json!({"usage": "GET /get?name=NAME"})),
    }
}

/// A failure as the contract names it.
fn said(case: &str, failure: &Failure) -> Value {
    json!({
        "case": case,
        "reason": kebab(&json!(failure.reason)),
        "message": failure.message,
        "http_status": failure.http_status,
        "service_error": failure.service_error,
        "retry_after_ms": failure.retry_after_ms,
    })
}

/// The name of an enum's case in WIT: `NotFound` is `not-found`.
fn kebab(case: &Value) -> String {
    let mut kebab = String::new();
    for letter in case.as_str().unwrap_or_default().chars() {
        if letter.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

fn respond(
    status: u16,
    retry_after: Option<u32>,
    body: impl Serialize,
) -> Result<Response, ErrorCode> {
    let body = serde_json::to_vec(&body)
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    let response = Response::builder()
        .status_code(status)
        .header("Content-Type", "application/json");
    match retry_after {
        Some(seconds) => response.header("Retry-After", seconds.to_string()),
        None => response,
    }
    .body(body)
    .build()
}
