//! The manifest against the catalogue, the golden cases and the block, so that none can drift from the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use operations_host::{Block, Manifest, outputs_json};
use serde_json::{Value, json};
use testing::answer;
use testing::server::Server;

use crate::block::{DONE, NAME, ask};
use crate::fake_network::Network;

/// The most that the component may have, in bytes.
const MAX_COMPONENT: usize = 245_000;

/// The most that the component without imports may have, in bytes.
const MAX_SANS_IO: usize = 205_000;

pub static MANIFEST: LazyLock<Value> = LazyLock::new(|| parse("manifest.json"));

/// A file of the repository.
pub fn root(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

/// A JSON file of the repository.
pub fn parse(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(root(file)).unwrap()).unwrap()
}

pub fn list(value: &'static Value) -> &'static [Value] {
    value.as_array().expect("a list")
}

pub fn text(value: &'static Value) -> &'static str {
    value.as_str().expect("a string")
}

/// The names of a list of the manifest, in its order.
pub fn named(part: &str, key: &str) -> Vec<&'static str> {
    list(&MANIFEST[part])
        .iter()
        .map(|entry| text(&entry[key]))
        .collect()
}

#[test]
fn errors_have_the_case_of_their_golden_failures() {
    let cases: BTreeMap<&str, &str> = list(&MANIFEST["errors"])
        .iter()
        .map(|error| (text(&error["reason"]), text(&error["case"])))
        .collect();
    let mut seen = BTreeSet::new();
    for folder in fs::read_dir(root("tests/cases/failures")).unwrap() {
        let file = folder.unwrap().path().join("expected.json");
        let failure: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let reason = failure["reason"].as_str().unwrap();
        // The one reason with both cases, as its description says.
        let expected = match (reason, failure["httpStatus"].as_u64()) {
            ("service-fault", Some(501)) => "permanent",
            _ => cases[reason],
        };
        assert_eq!(failure["case"], expected, "{}", file.display());
        seen.insert(reason.to_owned());
    }
    // The others have no answer: wasi_errors, deadline, limits and settings assert their cases.
    let without_answer = [
        "certificate",
        "connection-lost",
        "invalid-name",
        "invalid-setting",
        "request-denied",
        "too-large",
        "unknown-service",
        "unreachable",
    ];
    let reasons: BTreeSet<&str> = cases.into_keys().collect();
    let expected: BTreeSet<&str> = seen
        .iter()
        .map(String::as_str)
        .chain(without_answer)
        .collect();
    assert_eq!(reasons, expected);
}

#[test]
fn services_and_hosts_are_those_of_the_catalogue() {
    let table = fs::read_to_string(root("catalog/services.tsv")).unwrap();
    let mut lines = table
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let columns = lines.next().unwrap();
    let mut options: BTreeMap<String, Value> = BTreeMap::new();
    let mut hosts = BTreeSet::new();
    for line in lines {
        assert_eq!(line.len(), columns.len(), "{line:?}");
        let column = |name: &str| line[columns.iter().position(|column| *column == name).unwrap()];
        let host = column("host");
        let of_locations = column("locations")
            .split_whitespace()
            .map(|at| format!("{at}-{host}"));
        let served_by: Vec<String> = of_locations.chain([host.to_owned()]).collect();
        let option = options
            .entry(column("service").to_owned())
            .or_insert_with(|| {
                json!({
                    "value": column("service"), "label": column("title"),
                    "versions": [], "names": [], "scopes": [], "hosts": [],
                })
            });
        option["versions"]
            .as_array_mut()
            .unwrap()
            .push(column("version").into());
        let words = |name| column(name).split_whitespace().map(str::to_owned).collect();
        let columns = [
            ("names", words("patterns")),
            ("scopes", words("scopes")),
            ("hosts", served_by.clone()),
        ];
        hosts.extend(served_by);
        for (key, more) in columns {
            let words = option[key].as_array_mut().unwrap();
            words.extend(more.into_iter().map(Value::from));
            words.sort_by_key(|word| word.as_str().unwrap().to_owned());
            words.dedup();
        }
    }
    let setting = &list(&MANIFEST["settings"])[0];
    assert_eq!(setting["variable"], "OPERATIONS_SERVICE");
    assert_eq!(setting["options"], options.into_values().collect::<Value>());
    let allowed = &MANIFEST["permissions"]["network"]["allowedHosts"];
    assert_eq!(*allowed, hosts.into_iter().collect::<Value>());

    let pattern = json!({ "pattern": setting["pattern"] });
    for option in list(&setting["options"]) {
        for version in list(&option["versions"]) {
            for service in [
                text(&option["value"]).to_owned(),
                format!("{}/{}", text(&option["value"]), text(version)),
            ] {
                assert!(
                    jsonschema::draft202012::is_valid(&pattern, &json!(service)),
                    "{service}"
                );
            }
        }
    }
    for other in [
        "apigateway",
        "apigateway.googleapis.com/",
        "apigateway.googleapis.com/1",
    ] {
        assert!(
            !jsonschema::draft202012::is_valid(&pattern, &json!(other)),
            "{other}"
        );
    }
}

/// Every service that the manifest offers, in each version, is one that the block knows.
#[tokio::test]
async fn every_service_option_is_known_to_the_block() {
    for option in list(&list(&MANIFEST["settings"])[0]["options"]) {
        let service = text(&option["value"]);
        let name = text(&list(&option["names"])[0])
            .replace("**", "*")
            .replace('*', "made-up");
        for version in list(&option["versions"]) {
            let pinned = format!("{service}/{}", text(version));
            let settings = [("OPERATIONS_SERVICE", pinned.as_str())];
            let (result, sent) = Network::done().call(&name, &settings).await;
            assert!(result.is_ok_and(|outputs| outputs.done), "{pinned} {name}");
            let host = sent[0].uri.host().unwrap();
            let allowed = list(&MANIFEST["permissions"]["network"]["allowedHosts"]);
            assert!(
                allowed.iter().any(|allowed| allowed == host),
                "{pinned}: {host}"
            );
        }
    }
}

#[tokio::test]
async fn samples_have_the_outputs_that_the_block_makes_of_their_answers() {
    let manifest = Manifest::builtin();
    let samples = list(&MANIFEST["samples"]);
    for sample in samples {
        let server = Server::always(answer::json(200, sample["answer"].to_string())).await;
        let outputs = ask(&server, text(&sample["inputs"]["name"]), &[])
            .await
            .unwrap();
        let outputs: Value = serde_json::from_str(&outputs_json(&manifest, &outputs)).unwrap();
        assert_eq!(outputs, sample["outputs"], "{}", sample["label"]);
    }
    let labels: Vec<&str> = named("samples", "label");
    for needed in ["running", "succeeded", "failed"] {
        assert!(labels.contains(&needed), "{labels:?}");
    }
}

#[tokio::test]
async fn manifest_package_and_user_agent_have_one_version() {
    let version = text(&MANIFEST["version"]);
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert!(text(&MANIFEST["component"]["package"]).ends_with(&format!("@{version}")));
    let server = Server::always(DONE).await;
    ask(&server, NAME, &[]).await.unwrap();
    let agent = format!("user-agent: operations-get/{version}");
    assert!(server.request().fields().contains(&agent.as_str()));
}

#[test]
fn the_component_is_within_its_size_limit() {
    for (block, limit) in [
        (Block::builtin(), MAX_COMPONENT),
        (Block::sans_io(), MAX_SANS_IO),
    ] {
        let size = block.component().len();
        assert!(size <= limit, "{size} bytes, and {limit} is the limit");
    }
}

#[test]
fn the_files_that_the_manifest_names_exist() {
    let icon = fs::read_to_string(root(text(&MANIFEST["icon"]))).unwrap();
    assert!(icon.trim_start().starts_with("<svg"), "{icon}");
    assert!(root(text(&MANIFEST["$schema"])).is_file());
}

#[test]
fn credentials_are_the_secret_settings() {
    let secret = list(&MANIFEST["settings"])
        .iter()
        .filter(|setting| setting["secret"] == true)
        .map(|setting| text(&setting["variable"]));
    assert!(secret.eq(named("credentials", "variable")));
    // wire asserts that these fields carry them.
    assert_eq!(
        named("credentials", "header"),
        ["authorization", "x-goog-api-key"]
    );
}
