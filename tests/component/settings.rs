//! Settings, as the component sees them in its environment.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use operations_host::{Call, CallError, Manifest, Reason};
use testing::server::Server;

use crate::block::{DONE, NAME, ask, assert_failed, call, load};
use crate::fake_network::{self, Network, permanent};
use crate::manifest::{MANIFEST, list, text};

/// For each setting a malformed value, and the message of the failure.
const BAD: &[(&str, &str, &str)] = &[
    (
        "OPERATIONS_SERVICE",
        "apigateway",
        "OPERATIONS_SERVICE is \"apigateway\": set a service such as apigateway.googleapis.com, or one \
         with its version such as apigateway.googleapis.com/v1beta.",
    ),
    (
        "OPERATIONS_ENDPOINT",
        "https://user:hunter2@127.0.0.1/v1",
        "OPERATIONS_ENDPOINT has user info: set a base URL with its version, such as \
         https://us-central1-aiplatform.googleapis.com/v1, without user info, query, fragment or dot \
         segments.",
    ),
    (
        "GOOGLE_OAUTH_ACCESS_TOKEN",
        "not-a-real token",
        "GOOGLE_OAUTH_ACCESS_TOKEN is not of visible ASCII characters alone: set it as it was issued, \
         without spaces or line breaks.",
    ),
    (
        "GOOGLE_API_KEY",
        "not-a-real\r\nkey: x",
        "GOOGLE_API_KEY is not of visible ASCII characters alone: set it as it was issued, without \
         spaces or line breaks.",
    ),
    (
        "GOOGLE_CLOUD_QUOTA_PROJECT",
        "a project\r\nx: y",
        "GOOGLE_CLOUD_QUOTA_PROJECT is \"a project  x: y\": set the id or number of a project, in \
         visible ASCII characters.",
    ),
    (
        "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
        "example.org/v1",
        "GOOGLE_CLOUD_UNIVERSE_DOMAIN is \"example.org/v1\": set a domain of letters, digits, hyphens \
         and dots, such as googleapis.com.",
    ),
    (
        "OPERATIONS_TIMEOUT_MS",
        "1s",
        "OPERATIONS_TIMEOUT_MS is \"1s\": set a whole number from 1 to 600000.",
    ),
    (
        "OPERATIONS_MAX_ATTEMPTS",
        "0",
        "OPERATIONS_MAX_ATTEMPTS is \"0\": set a whole number from 1 to 10.",
    ),
];

#[tokio::test]
async fn a_malformed_value_is_an_invalid_setting() {
    let server = Server::always(DONE).await;
    for &(variable, value, message) in BAD {
        let failure = assert_failed(
            ask(&server, NAME, &[(variable, value)]).await,
            "permanent",
            Reason::InvalidSetting,
        );
        assert_eq!(failure.message, message);
    }
    assert_eq!(server.seen().accepted, 0);
}

#[tokio::test]
async fn an_empty_variable_is_unset() {
    let server = Server::always(DONE).await;
    for &(variable, ..) in BAD.iter().filter(|bad| bad.0 != "OPERATIONS_ENDPOINT") {
        let outputs = ask(&server, NAME, &[(variable, "")]).await;
        assert!(outputs.unwrap().done, "{variable}");
    }
    let fields = server.requests()[0].head.clone();
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.head == fields)
    );
    let (result, sent) = Network::done()
        .call(NAME, &[("OPERATIONS_ENDPOINT", "")])
        .await;
    assert!(result.unwrap().done);
    assert_eq!(sent[0].uri.host(), Some("workspaceevents.googleapis.com"));
}

/// That the block reads each of them is what [`a_malformed_value_is_an_invalid_setting`] asserts.
#[test]
fn the_block_reads_the_settings_of_the_manifest_and_no_others() {
    let manifest = Manifest::builtin();
    let settings = manifest.settings.iter();
    let named: BTreeSet<String> = settings.map(|setting| setting.variable.clone()).collect();
    assert_eq!(named.len(), manifest.settings.len());
    assert_eq!(named, BAD.iter().map(|bad| bad.0.to_owned()).collect());
    let mut in_sources = BTreeSet::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    collect_variables(&sources, &mut in_sources);
    assert_eq!(named, in_sources);
}

/// The variables that the sources in this folder name in string literals, unit tests aside.
fn collect_variables(folder: &Path, variables: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_variables(&path, variables);
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let is_variable = |text: &&str| {
            let starts = text.starts_with("OPERATIONS_") || text.starts_with("GOOGLE_");
            // A prefix is not a variable.
            let is_whole = !text.ends_with('_');
            starts && is_whole && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        };
        variables.extend(source.split('"').filter(is_variable).map(str::to_owned));
    }
}

#[tokio::test]
async fn numbers_have_the_bounds_and_defaults_of_the_manifest() {
    let server = Server::always(DONE).await;
    let mut numbers = 0;
    for setting in list(&MANIFEST["settings"]) {
        if setting["type"] != "integer" {
            continue;
        }
        numbers += 1;
        let variable = text(&setting["variable"]);
        let [least, most, default] =
            ["minimum", "maximum", "default"].map(|key| setting[key].as_u64().unwrap());
        assert!((least..=most).contains(&default), "{variable}");
        for bad in [
            (least - 1).to_string(),
            (most + 1).to_string(),
            format!("+{least}"),
            format!(" {least}"),
            format!("{least}.0"),
            format!("-{least}"),
            "99999999999999999999".to_owned(),
        ] {
            let result = ask(&server, NAME, &[(variable, &bad)]).await;
            let failure = assert_failed(result, "permanent", Reason::InvalidSetting);
            let said =
                format!("{variable} is \"{bad}\": set a whole number from {least} to {most}.");
            assert_eq!(failure.message, said);
        }
        let ended = ask(&server, NAME, &[(variable, &most.to_string())]).await;
        assert!(ended.unwrap().done, "{variable}");
        // A millisecond may be over before the answer is there; it is a valid deadline all the same.
        match ask(&server, NAME, &[(variable, &least.to_string())]).await {
            Ok(outputs) => assert!(outputs.done),
            timeout => drop(assert_failed(timeout, "transient", Reason::Timeout)),
        }
    }
    assert_eq!(numbers, 2);
    // deadline::only_503_is_tried_again and deadline::the_host_gets_the_deadline_too assert the defaults.
    let default = |variable: &str| {
        let mut settings = list(&MANIFEST["settings"]).iter();
        let setting = settings.find(|setting| setting["variable"] == variable);
        setting.unwrap()["default"].as_u64()
    };
    assert_eq!(default("OPERATIONS_TIMEOUT_MS"), Some(60_000));
    assert_eq!(default("OPERATIONS_MAX_ATTEMPTS"), Some(5));
}

#[tokio::test]
async fn a_secret_is_in_no_message() {
    for (variable, value) in [
        ("GOOGLE_OAUTH_ACCESS_TOKEN", "hunter2 hunter2"),
        ("GOOGLE_API_KEY", "hunter2\0"),
        ("OPERATIONS_ENDPOINT", "https://hunter2@example.com/v1"),
        ("OPERATIONS_ENDPOINT", "https://example.com/v1?key=hunter2"),
        ("OPERATIONS_ENDPOINT", "https://example.com/v1#hunter2"),
        ("OPERATIONS_ENDPOINT", "hunter2"),
    ] {
        let failure = assert_failed(
            call(NAME, &[(variable, value)]).await,
            "permanent",
            Reason::InvalidSetting,
        );
        assert!(failure.message.starts_with(variable), "{}", failure.message);
        assert!(!failure.message.contains("hunter2"), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_token_and_a_key_cannot_both_be_set() {
    let server = Server::always(DONE).await;
    let settings = [
        ("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token"),
        ("GOOGLE_API_KEY", "not-a-real-key"),
    ];
    let result = ask(&server, NAME, &settings).await;
    let failure = assert_failed(result, "permanent", Reason::InvalidSetting);
    assert!(
        failure
            .message
            .starts_with("GOOGLE_API_KEY and GOOGLE_OAUTH_ACCESS_TOKEN are both set"),
        "{}",
        failure.message
    );
    assert_eq!(server.seen().accepted, 0);
}

#[tokio::test]
async fn a_credential_is_sent_over_tls_or_to_this_machine() {
    let credentials = [
        ("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token"),
        ("GOOGLE_API_KEY", "not-a-real-key"),
    ];
    for credential in credentials {
        for endpoint in [
            "http://192.0.2.1/v1",
            "http://example.com/v1",
            "http://localhost.example.com/v1",
            "http://127.0.0.1.example.com/v1",
            "http://128.0.0.1/v1",
            "http://[::2]/v1",
        ] {
            let settings = [("OPERATIONS_ENDPOINT", endpoint), credential];
            let (result, sent) = Network::done().call(NAME, &settings).await;
            let reason = permanent(result).reason;
            assert_eq!(reason, fake_network::Reason::InvalidSetting, "{endpoint}");
            assert_eq!(sent.len(), 0, "{endpoint}");
            // Without the credential it is allowed.
            let (result, sent) = Network::done().call(NAME, &settings[..1]).await;
            assert!(result.unwrap().done, "{endpoint}");
            assert_eq!(sent.len(), 1, "{endpoint}");
        }
        for endpoint in [
            "https://192.0.2.1/v1",
            "http://localhost:8080/v1",
            "http://127.1.2.3/v1",
            "http://[::1]:8080/v1",
        ] {
            let settings = [("OPERATIONS_ENDPOINT", endpoint), credential];
            let (result, sent) = Network::done().call(NAME, &settings).await;
            assert!(result.unwrap().done, "{endpoint}");
            assert_eq!(sent.len(), 1, "{endpoint}");
        }
    }
}

#[tokio::test]
async fn a_service_outside_the_catalogue_is_unknown_unless_it_has_an_endpoint() {
    for (name, settings) in [
        ("//nothing.googleapis.com/operations/o", vec![]),
        (NAME, vec![("OPERATIONS_SERVICE", "nothing.googleapis.com")]),
        (
            NAME,
            vec![("OPERATIONS_SERVICE", "workspaceevents.googleapis.com/v9")],
        ),
    ] {
        let result = call(name, &settings).await;
        assert_failed(result, "permanent", Reason::UnknownService);
    }
    let server = Server::always(DONE).await;
    let service = [("OPERATIONS_SERVICE", "own.example.com")];
    for name in [NAME, "//own.example.com/operations/o"] {
        assert!(ask(&server, name, &service).await.unwrap().done, "{name}");
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_pinned_service_and_an_endpoint_refuse_the_names_of_another_service() {
    let server = Server::always(DONE).await;
    let other = "//apigateway.googleapis.com/projects/p/locations/l/operations/o";
    let pinned = [("OPERATIONS_SERVICE", "workspaceevents.googleapis.com")];
    for failure in [
        assert_failed(call(other, &pinned).await, "permanent", Reason::InvalidName),
        assert_failed(
            ask(&server, other, &pinned).await,
            "permanent",
            Reason::InvalidName,
        ),
        assert_failed(
            ask(&server, other, &[]).await,
            "permanent",
            Reason::InvalidName,
        ),
    ] {
        assert!(
            failure.message.starts_with(
                "The name is of the service \"apigateway.googleapis.com\", but OPERATIONS_"
            ),
            "{}",
            failure.message
        );
    }
    assert_eq!(server.seen().accepted, 0);
}

#[tokio::test]
async fn an_invalid_name_is_not_sent() {
    let server = Server::always(DONE).await;
    for name in [
        "",
        "/operations/o",
        "operations",
        "operations/",
        "operations//o",
        "operations/.",
        "operations/../secrets",
        "./operations/o",
        "//",
        "///operations/o",
        "//apigateway.googleapis.com",
        "//apigateway.googleapis.com/",
        "//apigateway.googleapis.com//operations/o",
        "projects/acme-operations/secrets/x",
        "projects/p/operations/a/b/c",
        "https://apigateway.googleapis.com/v1/operations/o",
    ] {
        let result = ask(&server, name, &[]).await;
        let failure = assert_failed(result, "permanent", Reason::InvalidName);
        assert!(
            failure.message.starts_with("The name \""),
            "{}",
            failure.message
        );
        assert_eq!(failure.http_status, None);
    }
    assert_eq!(server.seen().accepted, 0);
}

#[tokio::test]
async fn a_setting_that_the_manifest_does_not_list_never_reaches_the_block() {
    let call = Call::new(NAME).setting("PATH", "/bin");
    let result = load(Manifest::builtin()).call(&call).await;
    let Err(error @ CallError::UnknownSetting(_)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(
        error.to_string(),
        "the block has no setting PATH: its manifest lists them"
    );
    assert!(error.failure().is_none());
}
