//! Golden cases: a folder of `tests/cases` each, with the answer of the service and what the block
//! makes of it. A new case is a new folder.
//!
//! - `operations/CASE/answer.json`: the body of a 200, served byte for byte. `expected.json`: the eleven
//!   outputs.
//! - `failures/CASE/answer.http`: status line, header fields, an empty line, and the body byte for byte.
//!   Lines of the head may end in LF, and `Content-Length` is added. `expected.json`: the failure, with
//!   `{endpoint}` for the URL of the server and `{authority}` for its host and port.
//! - either may have an `input.json`: `{"name": …, "settings": {…}}`. Without one, `operations/o` is
//!   asked for. Failures are asked for once, unless the settings say otherwise.
//!
//! White space between the tokens of `expected.json` does not count; all else does: digits, escapes and
//! the order of keys. `UPDATE_EXPECTED=1 cargo test golden` writes the files anew: read what it changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{env, fs};

use base64::Engine as _;
use operations_host::{CallError, Manifest, Outputs, compact, failure_json, outputs_json};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use testing::answer::{Answer, json as json_answer};
use testing::server::Server;

use crate::block::{NAME, ask_both};
use crate::manifest::parse;

/// `input.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(default = "default_name")]
    name: String,
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

fn default_name() -> String {
    NAME.to_owned()
}

/// A case that is to be run.
struct Case {
    folder: PathBuf,
    name: String,
    settings: BTreeMap<String, String>,
}

impl Case {
    /// The cases of a kind, of which each has the answer under this file name.
    fn all(kind: &str, answer: &str) -> Vec<Case> {
        let kind = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("cases")
            .join(kind);
        let mut folders: Vec<PathBuf> = fs::read_dir(kind)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        folders.sort();
        folders
            .into_iter()
            .map(|folder| Case::open(folder, answer))
            .collect()
    }

    fn open(folder: PathBuf, answer: &str) -> Case {
        for file in fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().file_name();
            let known = [answer, "expected.json", "input.json"];
            assert!(
                known.iter().any(|known| file == *known),
                "{} is none of {known:?}",
                folder.join(&file).display()
            );
        }
        let input = match fs::read_to_string(folder.join("input.json")) {
            Ok(text) => text,
            Err(_) => "{}".to_owned(),
        };
        let input: Input = serde_json::from_str(&input)
            .unwrap_or_else(|error| panic!("{}/input.json: {error}", folder.display()));
        Case {
            folder,
            name: input.name,
            settings: input.settings,
        }
    }

    fn read(&self, file: &str) -> Vec<u8> {
        let file = self.folder.join(file);
        fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    async fn ask(&self, server: &Server) -> Result<Outputs, CallError> {
        let settings: Vec<(&str, &str)> = self
            .settings
            .iter()
            .map(|(variable, value)| (variable.as_str(), value.as_str()))
            .collect();
        ask_both(server, &self.name, &settings).await
    }

    /// Compares with `expected.json`, and says what differs.
    fn compare(&self, actual: &str) -> Option<String> {
        let file = self.folder.join("expected.json");
        if env::var_os("UPDATE_EXPECTED").is_some_and(|set| set == "1") {
            fs::write(&file, indented(actual)).unwrap();
            return None;
        }
        let expected = String::from_utf8(self.read("expected.json")).unwrap();
        let expected = compact(&expected);
        (actual != expected).then(|| {
            format!(
                "{}\n  expected {expected}\n  actual   {actual}",
                self.folder.display()
            )
        })
    }
}

#[tokio::test]
async fn every_operation_case_gives_the_outputs_it_expects() {
    let manifest = Manifest::builtin();
    let mut differences = Vec::new();
    let cases = Case::all("operations", "answer.json");
    for case in &cases {
        let answer = String::from_utf8(case.read("answer.json")).unwrap();
        let server = Server::always(json_answer(200, answer.clone())).await;
        match case.ask(&server).await {
            Ok(outputs) => {
                differences.extend(case.compare(&outputs_json(&manifest, &outputs)));
                for text in texts(&outputs) {
                    assert!(
                        answer.contains(text),
                        "{}: not as it came: {text}",
                        case.folder.display()
                    );
                }
            }
            Err(error) => differences.push(format!("{}: {error}", case.folder.display())),
        }
    }
    assert_no_differences(&cases, differences);
}

/// Every JSON text of the outputs.
fn texts(outputs: &Outputs) -> impl Iterator<Item = &str> {
    let objects = [&outputs.error, &outputs.metadata, &outputs.response];
    let members = outputs
        .error_details_custom_key_value
        .iter()
        .chain([
            &outputs.metadata_custom_key_value,
            &outputs.response_custom_key_value,
        ])
        .flatten();
    objects
        .into_iter()
        .flatten()
        .chain(&outputs.error_details)
        .chain(members.map(|member| &member.value))
        .map(String::as_str)
}

#[tokio::test]
async fn every_failure_case_gives_the_failure_it_expects() {
    let mut differences = Vec::new();
    let mut cases = Case::all("failures", "answer.http");
    for case in &mut cases {
        let once = "OPERATIONS_MAX_ATTEMPTS".to_owned();
        case.settings.entry(once).or_insert_with(|| "1".to_owned());
        let server = Server::always(Answer::raw(http(&case.read("answer.http")))).await;
        match case.ask(&server).await {
            Err(error) => {
                let actual = failure_json(&error)
                    .replace(&server.endpoint(), "{endpoint}")
                    .replace(&server.address.to_string(), "{authority}");
                differences.extend(case.compare(&actual));
            }
            Ok(outputs) => differences.push(format!("{}: {outputs:?}", case.folder.display())),
        }
    }
    assert_no_differences(&cases, differences);
}

/// The same cases through the functions that take and give text: the answer is handed to `finish` as an engine would.
#[test]
fn the_functions_of_text_say_the_same() {
    let finish = |case: &Case, response: Value| -> Value {
        let mut settings = case.settings.clone();
        let once = "OPERATIONS_MAX_ATTEMPTS".to_owned();
        settings.entry(once).or_insert_with(|| "1".to_owned());
        settings.insert(
            "OPERATIONS_ENDPOINT".to_owned(),
            "https://h.example/v1".to_owned(),
        );
        let attempt = json!({
            "call": {"name": case.name, "settings": settings},
            "attempt": {"number": settings["OPERATIONS_MAX_ATTEMPTS"].parse::<u32>().unwrap(), "elapsedMs": 0, "random": 0},
            "response": response,
        });
        let said = operations_get::text::finish(&attempt.to_string());
        let said = serde_json::from_str(&said).unwrap();
        assert_form("finish", &attempt);
        assert_form("finished", &said);
        assert_form("start", &attempt["call"]);
        let started = operations_get::text::start(&attempt["call"].to_string());
        assert_form("started", &serde_json::from_str(&started).unwrap());
        said
    };
    for case in Case::all("operations", "answer.json") {
        let body = String::from_utf8(case.read("answer.json")).unwrap();
        let said = finish(&case, json!({"status": 200, "body": body}));
        let expected: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(&case.read("expected.json")).unwrap();
        let expected: BTreeMap<&String, Value> = expected
            .iter()
            .map(|(variable, value)| (variable, as_text(variable, value.get())))
            .collect();
        let said = said["done"].as_object().unwrap().iter();
        let said: BTreeMap<&String, Value> = said
            .map(|(variable, value)| (variable, compacted(variable, value)))
            .collect();
        assert_eq!(json!(said), json!(expected), "{}", case.folder.display());
    }
    for case in Case::all("failures", "answer.http") {
        let sent = http(&case.read("answer.http"));
        let head_ends = sent
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap();
        let head = std::str::from_utf8(&sent[..head_ends]).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let mut headers = BTreeMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let values: &mut String = headers.entry(name.to_ascii_lowercase()).or_default();
            if !values.is_empty() {
                values.push_str(", ");
            }
            values.push_str(value.trim());
        }
        let body = &sent[head_ends + 4..];
        let base64 = base64::engine::general_purpose::STANDARD.encode(body);
        let response = json!({"status": status.parse::<u16>().unwrap(), "headers": headers, "bodyBase64": base64});
        let said = finish(&case, response)["failed"].take();
        let expected: Value = serde_json::from_slice(&case.read("expected.json")).unwrap();
        let message = expected["message"].as_str().unwrap();
        let message = message
            .replace("{endpoint}", "https://h.example/v1")
            .replace("{authority}", "h.example")
            .replace(" The host says: no credential was sent.", "");
        // The name of a case is that of its status alone: a few only exist on the wire.
        assert_eq!(said["message"], message, "{}", case.folder.display());
        for field in ["case", "reason", "httpStatus", "retryAfterMs"] {
            assert_eq!(said[field], expected[field], "{}", case.folder.display());
        }
    }
}

/// Checks a text against `exchange.schema.json`.
#[track_caller]
fn assert_form(form: &str, value: &Value) {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| parse("exchange.schema.json"));
    let mut schema = SCHEMA.clone();
    schema["$ref"] = json!(format!("#/$defs/{form}"));
    assert!(
        jsonschema::draft202012::is_valid(&schema, value),
        "not of the form {form}: {value}"
    );
}

/// A value of the outputs as the functions of text have it: JSON is text.
fn as_text(variable: &str, value: &str) -> Value {
    let text = |value: &RawValue| json!(compact(value.get()));
    match variable {
        _ if value == "null" => Value::Null,
        "error" | "metadata" | "response" => json!(compact(value)),
        "error.details[]" => {
            let details: Vec<&RawValue> = serde_json::from_str(value).unwrap();
            details.into_iter().map(text).collect()
        }
        "error.details[].customKey.value" => {
            let details: Vec<&RawValue> = serde_json::from_str(value).unwrap();
            let members = details.into_iter().map(|object| members(object.get()));
            members.collect()
        }
        "metadata.customKey.value" | "response.customKey.value" => members(value),
        _ => serde_json::from_str(value).unwrap(),
    }
}

/// The same without white space between the tokens of what is JSON.
fn compacted(variable: &str, value: &Value) -> Value {
    match (variable, value) {
        ("name" | "error.message", value) => value.clone(),
        (_, Value::String(text)) => json!(compact(text)),
        (_, Value::Array(values)) => values
            .iter()
            .map(|value| compacted(variable, value))
            .collect(),
        (_, Value::Object(member)) => json!({
            "key": member["key"],
            "value": compact(member["value"].as_str().unwrap()),
        }),
        (_, value) => value.clone(),
    }
}

fn members(object: &str) -> Value {
    let members = operations_json::members(object).unwrap();
    let members = members.iter();
    members
        .map(|member| json!({"key": member.key, "value": compact(member.value)}))
        .collect()
}

/// An `answer.http` as it goes over the wire.
fn http(file: &[u8]) -> Vec<u8> {
    let (separator, head) = [&b"\r\n\r\n"[..], b"\n\n"]
        .into_iter()
        .filter_map(|end| {
            let at = file.windows(end.len()).position(|window| window == end)?;
            Some((end.len(), &file[..at]))
        })
        .min_by_key(|(_, head)| head.len())
        .expect("an empty line ends the head");
    let body = &file[head.len() + separator..];
    let head = std::str::from_utf8(head).expect("the head is ASCII");
    let mut sent = Vec::new();
    for line in head.lines() {
        sent.extend_from_slice(line.as_bytes());
        sent.extend_from_slice(b"\r\n");
    }
    // A 204 and a 304 have no body, and a 204 must not announce one (RFC 9110, section 8.6).
    let has_no_body = head.starts_with("HTTP/1.1 204") || head.starts_with("HTTP/1.1 304");
    if !has_no_body {
        sent.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    sent.extend_from_slice(b"\r\n");
    sent.extend_from_slice(body);
    sent
}

#[track_caller]
fn assert_no_differences(cases: &[Case], differences: Vec<String>) {
    assert!(!cases.is_empty());
    assert!(
        differences.is_empty(),
        "{} of {} cases differ:\n{}",
        differences.len(),
        cases.len(),
        differences.join("\n")
    );
}

/// Compact JSON with a line for each member and element.
fn indented(json: &str) -> String {
    let mut text = String::new();
    let mut depth = 0;
    let (mut in_string, mut escaped) = (false, false);
    let mut chars = json.chars().peekable();
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    };
    while let Some(c) = chars.next() {
        if in_string {
            text.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                text.push(c);
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(close);
                } else {
                    depth += 1;
                    line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth -= 1;
                line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c => {
                in_string = c == '"';
                text.push(c);
            }
        }
    }
    text.push('\n');
    text
}
