//! Properties of the component, held against some hundred generated cases each: what comes out stands in the body,
//! no name and no setting leads elsewhere, and every error answer is the failure of the contract's table.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use operations_host::{Access, Call, CallError, HostConfig, Reason, failure_json};
use operations_oracles::operation::REQUESTED;
use operations_oracles::{Member, Outputs, answer, message, operation};
use percent_encoding::percent_decode_str;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{config, load, resolving};
use testing::names::Names;
use testing::server::{Server, json};
use testing::{CANARY, DONE};

/// So many cases, none of which is kept in a file: a failure prints the smallest one.
fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

/// What a server answers next.
type Next = Arc<Mutex<(u16, String)>>;

fn answering(runtime: &Runtime) -> (Next, Server) {
    let next = Next::default();
    let server = runtime.block_on(Server::start({
        let next = next.clone();
        move |_, _| {
            let (status, body) = next.lock().unwrap().clone();
            std::future::ready(json(status, body))
        }
    }));
    (next, server)
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

// JSON, as text: white space, escapes and digits that no printer would make.

fn space() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[^\"\\\\\\x00-\\x1f]{0,6}",
        1 => "\\\\[\"\\\\/bfnrt]",
        1 => "\\\\u00[0-7][0-9a-fA-F]",
        1 => "\\\\u[1-9a-cA-C][0-9a-fA-F]{3}",
        1 => "\\\\u[dD][89abAB][0-9a-f]{2}\\\\u[dD][c-fC-F][0-9A-F]{2}",
    ];
    vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        2 => select(vec!["null", "true", "false", "{}", "[]", "9007199254740993"]).prop_map(str::to_owned),
        2 => "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?",
        3 => string(),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            object(inner.clone()),
            vec(inner, 0..5).prop_map(|elements| format!("[{}]", elements.join(","))),
        ]
    })
}

/// An object without a key twice.
fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    vec((string(), value), 0..6).prop_flat_map(written)
}

/// The members, the first of each key, with odd white space.
fn written(members: Vec<(String, String)>) -> impl Strategy<Value = String> {
    vec([space(), space(), space(), space()], members.len()).prop_map(move |spaces| {
        let mut keys = HashSet::new();
        let mut written = Vec::new();
        for ((key, value), [a, b, c, d]) in members.iter().zip(spaces) {
            if keys.insert(serde_json::from_str::<String>(key).unwrap()) {
                written.push(format!("{a}{key}{b}:{c}{value}{d}"));
            }
        }
        format!("{{{}}}", written.join(","))
    })
}

fn status() -> impl Strategy<Value = String> {
    let details =
        vec(object(value()), 0..4).prop_map(|details| format!("[{}]", details.join(", ")));
    let members = (
        option::of(prop_oneof![Just("null".to_owned()), "-?[1-9][0-9]{0,8}"]),
        option::of(prop_oneof![Just("null".to_owned()), string().boxed()]),
        option::of(prop_oneof![Just("null".to_owned()), details.boxed()]),
        option::of(value()),
    );
    members.prop_flat_map(|(code, message, details, other)| {
        let members = [
            ("message", message),
            ("details", details),
            ("code", code),
            ("other", other),
        ];
        written(present(members))
    })
}

fn present<const N: usize>(members: [(&str, Option<String>); N]) -> Vec<(String, String)> {
    let members = members.into_iter();
    let members = members.filter_map(|(key, value)| Some((format!("\"{key}\""), value?)));
    members.collect()
}

fn operation_body() -> impl Strategy<Value = String> {
    let members = (
        option::of(prop_oneof![Just("null".to_owned()), string().boxed()]),
        any::<bool>(),
        option::of(prop_oneof![1 => Just("null".to_owned()), 4 => status().boxed()]),
        option::of(prop_oneof![1 => Just("null".to_owned()), 4 => object(value()).boxed()]),
        option::of(prop_oneof![1 => Just("null".to_owned()), 4 => object(value()).boxed()]),
        option::of(value()),
    );
    let members = members.prop_map(|(name, done, error, metadata, response, other)| {
        present([
            ("name", name),
            ("done", Some(done.to_string())),
            ("error", error),
            ("metadata", metadata),
            ("response", response),
            ("other", other),
        ])
    });
    members.prop_shuffle().prop_flat_map(written)
}

/// The outputs as the oracle has them: both types are made from the same interface.
fn plain(outputs: operations_host::Outputs) -> Outputs {
    let members = |members: Vec<operations_host::Member>| -> Vec<Member> {
        let member = |operations_host::Member { key, value }| Member { key, value };
        members.into_iter().map(member).collect()
    };
    let details = outputs.error_details_custom_key_value;
    Outputs {
        name: outputs.name,
        done: outputs.done,
        error: outputs.error,
        error_code: outputs.error_code,
        error_message: outputs.error_message,
        error_details: outputs.error_details,
        error_details_custom_key_value: details.into_iter().map(members).collect(),
        metadata: outputs.metadata,
        metadata_custom_key_value: members(outputs.metadata_custom_key_value),
        response: outputs.response,
        response_custom_key_value: members(outputs.response_custom_key_value),
    }
}

#[test]
fn every_output_is_in_the_body_byte_for_byte() {
    let runtime = runtime();
    let (next, server) = answering(&runtime);
    let (_host, get) = load(config());
    let call = Call::new(REQUESTED).setting("OPERATIONS_ENDPOINT", server.endpoint());
    let held = runner(400).run(
        &(space(), operation_body(), space()),
        |(before, text, after)| {
            let body = format!("{before}{text}{after}");
            *next.lock().unwrap() = (200, body.clone());
            let outputs = runtime.block_on(get.call(&call)).unwrap();
            operation::check_outputs(&plain(outputs), body.as_bytes());
            Ok(())
        },
    );
    held.unwrap_or_else(|error| panic!("{error}"));
}

/// What a name is made of to lead elsewhere.
fn segment() -> impl Strategy<Value = String> {
    let hostile = select(vec![
        "operations",
        "o",
        "..",
        ".",
        "",
        "%2e%2e",
        "%2F",
        "%",
        "@evil.example",
        "evil.example:80",
        "?a=b",
        "#f",
        "\\..\\",
        ";",
        ":",
        "*",
        "a b",
        "\0",
        "\r\nhost: evil.example",
        " HTTP/1.1\r\n\r\n",
        "ü",
        "\u{202e}",
        "..;",
        "%00",
        "operations?",
        "+",
        "&",
        "~",
    ]);
    prop_oneof![4 => hostile.prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}

fn name() -> impl Strategy<Value = String> {
    let before = select(vec![
        "",
        "",
        "",
        "",
        "/",
        "//",
        "//apigateway.googleapis.com/",
        "//evil.example/",
        "https://evil.example/",
    ]);
    let behind = select(vec![
        "",
        "/operations/o",
        "/operations/o",
        "/operations/../o",
        "/operations",
    ]);
    let hostile = (before, vec(segment(), 0..5), behind).prop_map(|(before, segments, behind)| {
        let segments = segments.join("/");
        match segments.is_empty() {
            true => format!("{before}{}", behind.trim_start_matches('/')),
            false => format!("{before}{segments}{behind}"),
        }
    });
    let plain = "(projects/[a-z]{1,9}/locations/[a-z]{1,9}/)?operations/[a-zA-Z0-9._~+ :-]{1,20}";
    prop_oneof![3 => hostile.boxed(), 1 => plain.boxed()]
}

/// Whether a failure says that nothing was sent, and why.
fn is_refusal(error: &CallError) -> bool {
    matches!(error, CallError::Permanent(failure) if matches!(
        failure.reason,
        Reason::InvalidName | Reason::InvalidSetting | Reason::UnknownService
    ))
}

#[test]
fn behind_an_endpoint_a_request_keeps_to_its_host_and_prefix_and_names_what_was_asked_for() {
    let runtime = runtime();
    let (next, server) = answering(&runtime);
    *next.lock().unwrap() = (200, DONE.to_owned());
    let (_host, get) = load(config());
    let endpoint = server.url("/base/v1");
    let (sent, refused) = (Cell::new(0), Cell::new(0));
    let cases = (name(), option::of("\\PC{0,12}"));
    let held = runner(500).run(&cases, |(name, project)| {
        let mut call = Call::new(name.as_str()).setting("OPERATIONS_ENDPOINT", &*endpoint);
        if let Some(project) = &project {
            call = call.setting("GOOGLE_CLOUD_QUOTA_PROJECT", project);
        }
        let before = server.asked().len();
        let result = runtime.block_on(get.call(&call));
        let asked = server.asked().split_off(before);
        match (result, &asked[..]) {
            (Ok(_), [asked]) => {
                let (path, query) = asked.path.split_once('?').unwrap();
                prop_assert_eq!(query, "$.xgafv=2&prettyPrint=false");
                let relative = path.strip_prefix("/base/v1/").unwrap();
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/%".contains(&byte);
                prop_assert!(relative.bytes().all(is_plain), "{}", path);
                let decoded = percent_decode_str(relative).decode_utf8().unwrap();
                prop_assert_eq!(&*decoded, name.trim());
                let mut segments = decoded.split('/');
                prop_assert!(
                    segments.all(|segment| !matches!(segment, "" | "." | "..")),
                    "{}",
                    path
                );
                prop_assert_eq!(asked.all("host"), [server.address.to_string()]);
                let project: Vec<&str> = project.iter().map(String::as_str).collect();
                prop_assert_eq!(asked.all("x-goog-user-project").join(""), project.concat());
                sent.set(sent.get() + 1);
            }
            (Err(error), []) => {
                prop_assert!(is_refusal(&error), "{:?}", error);
                refused.set(refused.get() + 1);
            }
            (result, asked) => prop_assert!(false, "{:?} and {:?}", result, asked),
        }
        Ok(())
    });
    held.unwrap_or_else(|error| panic!("{error}"));
    let (sent, refused) = (sent.get(), refused.get());
    assert!(sent > 20 && refused > 20, "{sent} sent, {refused} refused");
}

#[test]
fn without_an_endpoint_no_host_is_looked_up_but_those_of_the_manifest() {
    let runtime = runtime();
    let names = Names::all(&["10.0.0.1"]);
    let (_host, get) = load(HostConfig {
        connections: resolving(&names),
        ..config()
    });
    let hosts: HashSet<&String> = get
        .manifest()
        .permissions
        .network
        .allowed_hosts
        .iter()
        .collect();
    let service = select(vec![
        "",
        "",
        "apigateway.googleapis.com",
        "apigateway.googleapis.com/v1",
        "drive.googleapis.com",
        "storage.googleapis.com",
        "aiplatform.googleapis.com",
        "evil.example",
        "evil.example/v1",
        "x@y",
    ]);
    let domain = select(vec![
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "apis.example",
        "evil.example/",
        "evil.example:80",
        "a@evil.example",
        "..",
        "-",
        "a.b?c",
        "googleapis.com.evil.example",
        "evil.example#",
        "APIS.example",
    ]);
    let location = select(vec![
        "us-central1",
        "evil.example",
        "evil.example/",
        "x@y",
        "..",
        "a.b",
    ]);
    let name = prop_oneof![
        2 => name().boxed(),
        1 => location.prop_map(|location| format!("projects/p/locations/{location}/operations/o")).boxed(),
        1 => segment().prop_map(|segment| format!("//{segment}.googleapis.com/operations/o")).boxed(),
    ];
    let (asked_for, refused) = (Cell::new(0), Cell::new(0));
    let held = runner(500).run(&(name, service, domain), |(name, service, domain)| {
        let call = Call::new(name)
            .setting("OPERATIONS_SERVICE", service)
            .setting("GOOGLE_CLOUD_UNIVERSE_DOMAIN", domain);
        let before = names.asked().len();
        let error = runtime.block_on(get.call(&call)).unwrap_err();
        match &names.asked()[before..] {
            [host] => {
                let suffix = match domain {
                    "" => "googleapis.com".to_owned(),
                    domain => domain.to_ascii_lowercase(),
                };
                let service = host.strip_suffix(&suffix).unwrap();
                let host = format!("{service}googleapis.com");
                prop_assert!(hosts.contains(&host), "{}", host);
                asked_for.set(asked_for.get() + 1);
            }
            asked => {
                prop_assert!(
                    asked.is_empty() && is_refusal(&error),
                    "{:?}: {:?}",
                    asked,
                    error
                );
                refused.set(refused.get() + 1);
            }
        }
        Ok(())
    });
    held.unwrap_or_else(|error| panic!("{error}"));
    let (asked_for, refused) = (asked_for.get(), refused.get());
    assert!(
        asked_for > 20 && refused > 20,
        "{asked_for} looked up, {refused} refused"
    );
}

fn error_body() -> impl Strategy<Value = String> {
    let words = prop_oneof![
        2 => "[\\x00-\\x{2fff}]{0,20}",
        1 => "x{490,510}".prop_map(|words| words + CANARY),
        1 => Just(format!("Bearer {CANARY}\r\n\u{1b}[31m{CANARY}\u{202e}\u{2028}")),
    ]
    .boxed();
    let status = prop_oneof![
        1 => Just("ABORTED".to_owned()),
        1 => Just(CANARY.to_owned()),
        1 => words.clone(),
    ];
    let object =
        (words.clone(), status, any::<[bool; 3]>()).prop_map(|(message, status, forms)| {
            let [nested, wrapped, with_status] = forms;
            let mut error = serde_json::json!({"code": 400, "message": message});
            if with_status {
                error["status"] = status.as_str().into();
            }
            let body = match nested {
                true => serde_json::json!({"error": error}),
                false => error,
            };
            match wrapped {
                true => format!("[{body}]"),
                false => body.to_string(),
            }
        });
    let other = prop_oneof![
        words.clone(),
        words.prop_map(|words| format!("<html><title>{words}</title></html>")),
        select(vec![
            "",
            "{}",
            "[]",
            "[{}]",
            "null",
            "{\"a\":1}",
            "{\"error\":null}",
            "{\"message\":"
        ])
        .prop_map(str::to_owned),
    ];
    prop_oneof![object.boxed(), other.boxed()]
}

#[test]
fn every_error_answer_is_the_failure_of_the_table_and_its_message_one_line_without_the_token() {
    let runtime = runtime();
    let (next, server) = answering(&runtime);
    let (_host, get) = load(HostConfig {
        access: Access::token(CANARY.to_owned()).unwrap(),
        ..config()
    });
    let call = Call::new("operations/o")
        .setting("OPERATIONS_ENDPOINT", server.endpoint())
        .setting("OPERATIONS_MAX_ATTEMPTS", "1");
    let named = select(vec![
        401, 403, 404, 404, 408, 409, 409, 410, 429, 500, 501, 502, 503, 504,
    ]);
    let statuses = prop_oneof![2 => named.boxed(), 1 => (201..600_u16).boxed()];
    let held = runner(500).run(&(statuses, error_body()), |(status, body)| {
        *next.lock().unwrap() = (status, body.clone());
        let error = runtime.block_on(get.call(&call)).unwrap_err();
        let failure = error.failure().unwrap();
        let shown: Value = serde_json::from_str(&failure_json(&error)).unwrap();
        let expected = answer::expected(status, body.as_bytes());
        prop_assert_eq!(&shown["reason"], expected.reason, "{}", failure.message);
        let is_permanent = matches!(error, CallError::Permanent(_));
        prop_assert_eq!(is_permanent, expected.is_permanent, "{}", failure.message);
        prop_assert_eq!(failure.http_status, Some(status));
        message::check_line(&failure.message);
        prop_assert!(
            !failure.message.contains(&CANARY[..10]),
            "{}",
            failure.message
        );
        prop_assert!(failure.message.len() < 4096, "{}", failure.message);
        Ok(())
    });
    held.unwrap_or_else(|error| panic!("{error}"));
}

/// A token's characters, and names that hold parts of it: of any length, in any place.
fn guesses() -> impl Strategy<Value = (String, String, String)> {
    ("[a-z0-9._~+/=-]{20,60}", "[a-z0-9._~+/=-]{20,60}").prop_flat_map(|(one, other)| {
        let parts = (0..one.len(), 0..one.len());
        let name = (
            select(vec!["", "x/", "operations/", "operations/a/b/c/"]),
            parts,
            "[a-z]{0,4}",
        );
        let (token, another) = (one.clone(), other);
        name.prop_map(move |(before, (from, to), behind)| {
            let part = &one[from.min(to)..from.max(to)];
            (
                token.clone(),
                another.clone(),
                format!("{before}{part}{behind}"),
            )
        })
    })
}

#[test]
fn a_message_is_the_same_whatever_the_credential_is() {
    let runtime = runtime();
    let nobody = runtime.block_on(testing::server::closed_port());
    let held = runner(60).run(&guesses(), |(token, another, name)| {
        let said = |credential: &str| {
            let (_host, get) = load(HostConfig {
                access: Access::token(credential.to_owned()).unwrap(),
                ..config()
            });
            let call = Call::new(name.as_str())
                .setting("OPERATIONS_ENDPOINT", format!("http://{nobody}/{name}"))
                .setting("OPERATIONS_MAX_ATTEMPTS", "1");
            let without = Call::new(name.as_str());
            let quick = without.setting("OPERATIONS_SERVICE", &*name);
            [call, quick].map(|call| runtime.block_on(get.call(&call)).unwrap_err().to_string())
        };
        prop_assert_eq!(said(&token), said(&another));
        Ok(())
    });
    held.unwrap_or_else(|error| panic!("{error}"));
}
