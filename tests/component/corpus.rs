//! Real answers, which are not part of this repository: `OPERATIONS_CORPUS=DIR` runs every file of a
//! folder with an `index.json`, a list of `{"file", "kind", "http_status", "content_type"}`.
//!
//! Each `kind` is a way to serve a file, and to read it here, independently of the block:
//!
//! - `operation`: the body of a 200. The outputs equal what is in it.
//! - `http-error`: the body of `http_status`. The failure keeps code, message and details.
//! - `any`: a `google.protobuf.Any`, as the `response` of an operation and as its `metadata`.
//! - `rpc-status`: a `google.rpc.Status`, as the `error` of an operation that is over.

use std::path::PathBuf;
use std::{env, fs};

use operations_host::{Manifest, Member, Outputs, Reason, outputs_json};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use testing::answer::{json, reply};
use testing::server::Server;

use crate::block::{NAME, ask_both as ask, failed};

#[derive(Deserialize)]
struct Entry {
    file: String,
    kind: String,
    http_status: Option<u16>,
    content_type: String,
}

/// The text of the members that a body of any kind here has.
#[derive(Deserialize)]
struct Texts<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

#[tokio::test]
async fn every_file_of_the_corpus_is_read_without_loss() {
    let Some(folder) = env::var_os("OPERATIONS_CORPUS").filter(|folder| !folder.is_empty()) else {
        eprintln!("no corpus: OPERATIONS_CORPUS is not set, and nothing was run");
        return;
    };
    let folder = PathBuf::from(folder);
    let index = fs::read_to_string(folder.join("index.json")).expect("a corpus has an index");
    let index: Vec<Entry> = serde_json::from_str(&index).expect("the index is a list of files");
    let mut ran = 0;
    for entry in &index {
        let text = fs::read_to_string(folder.join(&entry.file)).expect(&entry.file);
        match entry.kind.as_str() {
            "operation" => operation(&entry.file, &text).await,
            "http-error" => http_error(entry, &text).await,
            "any" => {
                operation(
                    &entry.file,
                    &format!(r#"{{"done":true,"response":{text}}}"#),
                )
                .await;
                operation(
                    &entry.file,
                    &format!(r#"{{"name":"operations/o","metadata":{text}}}"#),
                )
                .await;
            }
            "rpc-status" => {
                operation(&entry.file, &format!(r#"{{"done":true,"error":{text}}}"#)).await;
            }
            other => panic!("{}: unknown kind {other}", entry.file),
        }
        ran += 1;
    }
    assert!(ran > 0, "the corpus is empty");
    assert_eq!(ran, index.len());
    eprintln!("corpus: {ran} of {} files", index.len());
}

async fn operation(file: &str, body: &str) {
    let server = Server::always(json(200, body.to_owned())).await;
    let outputs = ask(&server, NAME, &[])
        .await
        .unwrap_or_else(|error| panic!("{file}: {error}"));
    let value: Value = serde_json::from_str(body).expect(file);
    let texts: Texts = serde_json::from_str(body).expect(file);
    let text = |raw: Option<&RawValue>| raw.map(|raw| raw.get().to_owned());

    assert_eq!(
        outputs.name,
        value["name"].as_str().unwrap_or(NAME),
        "{file}"
    );
    assert_eq!(
        outputs.done,
        value["done"].as_bool().unwrap_or(false),
        "{file}"
    );
    assert_eq!(outputs.error, text(texts.error), "{file}");
    assert_eq!(outputs.metadata, text(texts.metadata), "{file}");
    assert_eq!(outputs.response, text(texts.response), "{file}");
    assert_members(file, &outputs.metadata_custom_key_value, texts.metadata);
    assert_members(file, &outputs.response_custom_key_value, texts.response);

    let error = value.get("error");
    let code = error.map(|error| error["code"].as_i64().unwrap_or(0));
    let message = error.map(|error| error["message"].as_str().unwrap_or(""));
    assert_eq!(outputs.error_code.map(i64::from), code, "{file}");
    assert_eq!(outputs.error_message.as_deref(), message, "{file}");
    let details = texts.error.map(details).unwrap_or_default();
    assert_eq!(outputs.error_details, texts_of(&details), "{file}");
    assert_eq!(
        outputs.error_details_custom_key_value.len(),
        details.len(),
        "{file}"
    );
    for (members, detail) in outputs.error_details_custom_key_value.iter().zip(details) {
        assert_members(file, members, Some(detail));
    }
    assert_variables(file, &outputs, &value);
}

/// The members are those of the object: keys, order, and the text of each value.
fn assert_members(file: &str, members: &[Member], object: Option<&RawValue>) {
    let Some(object) = object else {
        assert_eq!(members, [], "{file}");
        return;
    };
    let mut rest = object.get();
    for member in members {
        let key = serde_json::to_string(&member.key).unwrap();
        let (_, behind) = rest
            .split_once(&key)
            .unwrap_or_else(|| panic!("{file}: {key} in {rest}"));
        let value = behind
            .trim_start()
            .strip_prefix(':')
            .expect(file)
            .trim_start();
        rest = value.strip_prefix(&member.value).expect(file);
    }
    assert_eq!(
        rest.trim_start_matches([' ', '\r', '\n', '\t']),
        "}",
        "{file}"
    );
    let value: Value = serde_json::from_str(object.get()).expect(file);
    assert_eq!(
        members.len(),
        value.as_object().expect(file).len(),
        "{file}"
    );
}

/// The eleven variables as a host shows them, against the values of the source.
fn assert_variables(file: &str, outputs: &Outputs, source: &Value) {
    let shown: Value =
        serde_json::from_str(&outputs_json(&Manifest::builtin(), outputs)).expect(file);
    let error = &source["error"];
    let or = |value: &Value, default: Value| match value {
        Value::Null if !error.is_null() => default,
        value => value.clone(),
    };
    let details = match &error["details"] {
        Value::Null => Value::Array(Vec::new()),
        details => details.clone(),
    };
    let expected = serde_json::json!({
        "name": source.get("name").cloned().unwrap_or_else(|| NAME.into()),
        "done": source.get("done").cloned().unwrap_or_else(|| false.into()),
        "error": error,
        "error.code": or(&error["code"], 0.into()),
        "error.message": or(&error["message"], "".into()),
        "error.details[]": details,
        "error.details[].customKey.value": details,
        "metadata": source["metadata"],
        "metadata.customKey.value": source["metadata"],
        "response": source["response"],
        "response.customKey.value": source["response"],
    });
    assert_eq!(shown, expected, "{file}");
}

/// The `details` of a Status.
fn details(status: &RawValue) -> Vec<&RawValue> {
    #[derive(Deserialize)]
    struct Status<'a> {
        #[serde(borrow, default)]
        details: Vec<&'a RawValue>,
    }
    serde_json::from_str::<Status>(status.get())
        .expect("a Status")
        .details
}

fn texts_of(values: &[&RawValue]) -> Vec<String> {
    values.iter().map(|value| value.get().to_owned()).collect()
}

async fn http_error(entry: &Entry, text: &str) {
    let file = &entry.file;
    let status = entry.http_status.expect(file);
    let fields = [("content-type", entry.content_type.as_str())];
    let server = Server::always(reply(status, &fields, text.to_owned())).await;
    let (case, failure) = failed(ask(&server, NAME, &[("OPERATIONS_MAX_ATTEMPTS", "1")]).await);
    // Streaming routes wrap the error in an array.
    let unwrapped = match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(wrapped) => wrapped[0].get(),
        Err(_) => text,
    };
    let error = serde_json::from_str::<Texts>(unwrapped)
        .ok()
        .and_then(|texts| texts.error);
    let value: Value = error.map_or(Value::Null, |error| {
        serde_json::from_str(error.get()).expect(file)
    });
    let expected = match status {
        401 => ("permanent", Reason::Unauthenticated),
        403 => ("permanent", Reason::PermissionDenied),
        404 if error.is_none() => ("permanent", Reason::WrongAddress),
        404 => ("permanent", Reason::NotFound),
        409 if value["status"] == "ABORTED" => ("transient", Reason::Aborted),
        400 | 409 => ("permanent", Reason::Rejected),
        429 => ("transient", Reason::QuotaExceeded),
        500 => ("transient", Reason::ServiceFault),
        502 | 503 => ("transient", Reason::Unavailable),
        other => panic!("{file}: no row for {other}"),
    };
    assert_eq!((case, failure.reason), expected, "{file}");
    assert_eq!(failure.http_status, Some(status), "{file}");
    let Some(error) = error else {
        assert!(
            text.contains("<html"),
            "{file} has neither an error object nor HTML"
        );
        assert_eq!(failure.service_error, None, "{file}");
        return;
    };
    let kept = failure.service_error.expect(file);
    assert_eq!(kept.error, error.get(), "{file}");
    assert_eq!(
        kept.message,
        value["message"].as_str().expect(file),
        "{file}"
    );
    assert_eq!(kept.details, texts_of(&details(error)), "{file}");
    let code = code(value["status"].as_str(), status);
    assert_eq!((kept.code, kept.status.as_str()), code, "{file}");
    let waits = details(error)
        .iter()
        .any(|detail| detail.get().contains("google.rpc.RetryInfo"));
    assert_eq!(failure.retry_after_ms.is_some(), waits, "{file}");
}

/// The `google.rpc.Code` of a status, or of an HTTP status that came without one.
fn code(status: Option<&str>, http_status: u16) -> (i32, &'static str) {
    match status.ok_or(http_status) {
        Ok("INVALID_ARGUMENT") | Err(400) => (3, "INVALID_ARGUMENT"),
        Ok("NOT_FOUND") | Err(404) => (5, "NOT_FOUND"),
        Ok("ALREADY_EXISTS") | Err(409) => (6, "ALREADY_EXISTS"),
        Ok("PERMISSION_DENIED") | Err(403) => (7, "PERMISSION_DENIED"),
        Ok("RESOURCE_EXHAUSTED") | Err(429) => (8, "RESOURCE_EXHAUSTED"),
        Ok("FAILED_PRECONDITION") => (9, "FAILED_PRECONDITION"),
        Ok("ABORTED") => (10, "ABORTED"),
        Ok("INTERNAL") | Err(500) => (13, "INTERNAL"),
        Ok("UNAVAILABLE") | Err(503) => (14, "UNAVAILABLE"),
        Ok("UNAUTHENTICATED") | Err(401) => (16, "UNAUTHENTICATED"),
        other => panic!("no code for {other:?}"),
    }
}
