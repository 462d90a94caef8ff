//! Settings, as the component sees them in its environment.

use std::collections::BTreeSet;

use operations_host::{Call, CallError, Manifest, Reason};

use crate::block::{NAME, ask, assert_failed, call, load};
use crate::hooked::{self, GetError, ok};
use crate::server::{Answer, Server};

const DONE: &str = r#"{"done":true}"#;

/// For each setting a value that is not of its form, and what the failure says of it.
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
async fn a_value_of_another_form_is_an_invalid_setting() {
    let server = Server::always(Answer::operation(DONE)).await;
    for &(variable, value, message) in BAD {
        let failure = assert_failed(
            ask(&server, NAME, &[(variable, value)]).await,
            "permanent",
            Reason::InvalidSetting,
        );
        assert_eq!(failure.message, message);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_empty_variable_is_unset() {
    let server = Server::always(Answer::operation(DONE)).await;
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
    let (result, sent) = hooked::call(|_| Ok(ok(DONE)), NAME, &[("OPERATIONS_ENDPOINT", "")]).await;
    assert!(result.unwrap().done);
    assert_eq!(sent[0].uri.host(), Some("workspaceevents.googleapis.com"));
}

/// Each is read by the block, since [`a_value_of_another_form_is_an_invalid_setting`].
#[test]
fn the_settings_of_the_manifest_are_those_that_the_block_reads() {
    let manifest = Manifest::builtin();
    let named: BTreeSet<&str> = manifest
        .settings
        .iter()
        .map(|setting| setting.variable.as_str())
        .collect();
    assert_eq!(named.len(), manifest.settings.len());
    assert_eq!(named, BAD.iter().map(|bad| bad.0).collect());
    // No other variable has an arm where the environment is read.
    let source = include_str!("../../src/settings.rs");
    let (source, _) = source.split_once("mod tests").expect("it has unit tests");
    let arms = source.lines().filter_map(|line| {
        let (variable, _) = line.trim().strip_prefix('"')?.split_once("\" =>")?;
        Some(variable)
    });
    assert_eq!(named, arms.collect());
}

#[tokio::test]
async fn numbers_have_the_bounds_and_defaults_of_the_manifest() {
    let manifest: serde_json::Value =
        serde_json::from_str(include_str!("../../manifest.json")).unwrap();
    let server = Server::always(Answer::operation(DONE)).await;
    let mut numbers = 0;
    for setting in manifest["settings"].as_array().unwrap() {
        if setting["type"] != "integer" {
            continue;
        }
        numbers += 1;
        let variable = setting["variable"].as_str().unwrap();
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
    // The defaults: deadline::only_503_is_tried_again and deadline::the_host_is_given_the_deadline_too.
    let default = |variable: &str| {
        let settings = manifest["settings"].as_array().unwrap();
        let setting = settings
            .iter()
            .find(|setting| setting["variable"] == variable);
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
async fn a_token_and_a_key_exclude_each_other() {
    let server = Server::always(Answer::operation(DONE)).await;
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
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_credential_goes_over_tls_or_stays_on_this_machine() {
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
            let (result, sent) = hooked::call(|_| Ok(ok(DONE)), NAME, &settings).await;
            let Err(GetError::Permanent(failure)) = result else {
                panic!("{endpoint}: {result:?}");
            };
            assert_eq!(failure.reason, hooked::Reason::InvalidSetting, "{endpoint}");
            assert_eq!(sent.len(), 0, "{endpoint}");
            // Without the credential it is allowed.
            let (result, sent) = hooked::call(|_| Ok(ok(DONE)), NAME, &settings[..1]).await;
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
            let (result, sent) = hooked::call(|_| Ok(ok(DONE)), NAME, &settings).await;
            assert!(result.unwrap().done, "{endpoint}");
            assert_eq!(sent.len(), 1, "{endpoint}");
        }
    }
}

#[tokio::test]
async fn a_service_outside_of_the_catalogue_is_unknown_unless_it_has_an_endpoint() {
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
    let server = Server::always(Answer::operation(DONE)).await;
    let service = [("OPERATIONS_SERVICE", "own.example.com")];
    for name in [NAME, "//own.example.com/operations/o"] {
        assert!(ask(&server, name, &service).await.unwrap().done, "{name}");
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_pinned_service_or_an_endpoint_refuses_the_names_of_another() {
    let server = Server::always(Answer::operation(DONE)).await;
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
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_that_is_none_is_not_sent() {
    let server = Server::always(Answer::operation(DONE)).await;
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
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_setting_that_the_manifest_does_not_name_never_reaches_the_block() {
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
