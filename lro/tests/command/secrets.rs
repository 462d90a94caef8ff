//! Secrets in what the command prints: none.

use serde_json::Value;

use crate::{Ended, lro, run};
use testing::CANARY;
use testing::echo::{STATUSES, bodies, echo};
use testing::server::{Server, closed_port};

/// How the token begins: a text that is cut may hold a piece of it.
const PIECE: &str = CANARY.split_at(10).0;

/// The command with the token, and as much to say as it has.
async fn get(name: &str, endpoint: &str, format: &str) -> Ended {
    let mut command = lro(&[
        "-v",
        "get",
        name,
        "--endpoint",
        endpoint,
        "--max-attempts",
        "1",
        "--output",
        format,
    ]);
    command.env("GOOGLE_OAUTH_ACCESS_TOKEN", CANARY);
    run(command).await
}

#[tokio::test]
async fn a_service_that_repeats_it_does_not_bring_it_onto_the_screen() {
    let server = echo().await;
    let count = bodies("").len();
    let mut cleaned = 0;
    // Every status, and every body, some with two statuses.
    for number in 0..STATUSES.len().max(count) {
        let status = STATUSES[number % STATUSES.len()];
        let name = format!("operations/{status}-{}", number % count);
        let table = get(&name, &server.endpoint(), "table").await;
        assert!(!table.shown().contains(PIECE), "{name}: {}", table.shown());

        let json = get(&name, &server.endpoint(), "json").await;
        assert_eq!((&*json.stdout, json.code), ("", table.code));
        let (log, failure) = json.stderr.trim_end().rsplit_once('\n').unwrap();
        assert!(log.contains("call ended"), "{log}");
        let mut failure: Value = serde_json::from_str(failure).unwrap();
        let said = failure.as_object_mut().unwrap().remove("serviceError");
        let said = said.unwrap().to_string();
        cleaned += usize::from(said.contains("[credential]"));
        let rest = format!("{log}{failure}{said}");
        assert!(!rest.contains(PIECE), "{name}: {rest}");
    }
    assert!(cleaned > 3, "{cleaned}");
}

#[tokio::test]
async fn nor_does_a_connection_that_fails_or_a_name_that_holds_it() {
    let resets = Server::raw(|stream| async move { drop(stream) }).await;
    let nobody = format!("http://{}/v1", closed_port().await);
    for endpoint in [&resets.endpoint(), &nobody] {
        for format in ["table", "json"] {
            let ended = get("operations/o", endpoint, format).await.with_code(75);
            assert!(!ended.shown().contains(PIECE), "{}", ended.shown());
        }
    }
    let accepted = resets.seen().accepted;
    for name in [CANARY.to_owned(), format!("operations/{CANARY}")] {
        for format in ["table", "json"] {
            let ended = get(&name, &resets.endpoint(), format).await.with_code(1);
            assert!(ended.stderr.contains("NAME holds"), "{}", ended.stderr);
            assert!(!ended.shown().contains(PIECE), "{}", ended.shown());
        }
    }
    assert_eq!(resets.seen().accepted, accepted);
}

/// Made-up secrets, one of each form that has one.
const SECRETS: [&str; 9] = [
    "ya29.a0MadeUpSecret_of-no-use",
    "AIzaSyMadeUpSecretOfNoUse",
    "GOCSPX-MadeUpSecretOfNoUse",
    "1//0gMadeUpSecretOfNoUse",
    "eyJhbGciOiJub25lIn0.eyJtYWRlIjoidXAifQ.c2lnbmVk",
    "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "/9j/4AAQSkZJ+gABAQEAYABgAAD/2wBDAAMC",
    "-----BEGIN PRIVATE KEY-----\nTWFkZVVwS2V5\n-----END PRIVATE KEY-----\n",
    r#"{"type":"service_account","private_key":"TWFkZVVwS2V5"}"#,
];

/// Where they may be pasted: `%` stands for the secret.
const ARGUMENTS: &[&[&str]] = &[
    &["%"],
    &["help", "%"],
    &["demo", "%"],
    &["get", "%"],
    &["get", "operations/o", "%"],
    &["get", "operations/o", "--service", "%"],
    &["get", "operations/o", "--endpoint", "%"],
    &["get", "operations/o", "--quota-project", "%"],
    &["get", "operations/o", "--universe-domain", "%"],
    &["get", "operations/o", "--timeout-ms", "%"],
    &["get", "operations/o", "--max-attempts", "%"],
    &["get", "operations/o", "--block", "%"],
    &["get", "operations/o", "--credentials", "%"],
    &["get", "operations/o", "--access-token-env", "%"],
    &["get", "operations/o", "--ca", "%"],
    &[
        "get",
        "operations/o",
        "--client-cert",
        "%",
        "--client-key",
        "/dev/null",
    ],
    &[
        "get",
        "operations/o",
        "--client-cert",
        "/dev/null",
        "--client-key",
        "%",
    ],
    &["get", "operations/o", "--output", "%"],
    &["wait", "%"],
    &["wait", "operations/a", "%"],
    &["wait", "--names", "%"],
    &["wait", "operations/o", "--out", "%"],
    &["wait", "operations/o", "--jobs", "%"],
    &["wait", "operations/o", "--deadline", "%"],
    &["wait", "operations/o", "--service", "%"],
    &["services", "--output", "%"],
    &["emulate", "--port", "%"],
    &["emulate", "--from", "%"],
];

const VARIABLES: &[&str] = &[
    "OPERATIONS_SERVICE",
    "OPERATIONS_ENDPOINT",
    "OPERATIONS_TIMEOUT_MS",
    "OPERATIONS_MAX_ATTEMPTS",
    "GOOGLE_CLOUD_QUOTA_PROJECT",
    "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_CONFIG",
    "SSL_CERT_FILE",
];

/// Nothing of the secret that tells anything is shown.
#[track_caller]
fn assert_not_shown(secret: &str, ended: &Ended, given: &str) {
    let shown = ended.shown();
    let secret: Vec<char> = secret.chars().collect();
    for piece in secret.windows(8) {
        let piece: String = piece.iter().collect();
        assert!(!shown.contains(&piece), "{given}: {piece}: {shown}");
    }
}

#[tokio::test]
async fn a_secret_in_any_argument_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    for secret in SECRETS.into_iter().chain([CANARY]) {
        for arguments in ARGUMENTS {
            let is_name = matches!(
                arguments,
                ["get" | "wait", "%"] | ["wait", "operations/a", "%"]
            );
            let is_valid = matches!(arguments, [_, _, "--quota-project" | "--out", _]);
            if secret == CANARY && (is_name || is_valid) {
                // It has the form of none.
                continue;
            }
            let given = arguments.join(" ");
            let arguments: Vec<&str> = { arguments.iter() }
                .map(|&argument| if argument == "%" { secret } else { argument })
                .collect();
            let mut command = lro(&[&["-v"], &arguments[..]].concat());
            command.current_dir(folder.path());
            let ended = run(command).await;
            assert_not_shown(secret, &ended, &given);
            // A name is invalid; anything else is a mistake of usage, and so is what looks like an option.
            let is_invalid = is_name && !secret.starts_with('-');
            ended.with_code(if is_invalid { 1 } else { 2 });
        }
        let services = run(lro(&["services", secret])).await;
        assert_not_shown(secret, &services, "services");
        assert!(matches!(services.code, Some(1 | 2)), "{services:?}");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn nor_is_a_secret_in_any_variable() {
    let nobody = format!("http://{}/v1", closed_port().await);
    for secret in SECRETS {
        for variable in VARIABLES {
            let mut command = lro(&["-v", "get", "operations/o"]);
            if ["GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG"].contains(variable) {
                command.args(["--credentials", "adc"]);
            }
            command.env(variable, secret);
            let ended = run(command).await;
            assert_not_shown(secret, &ended, variable);
            ended.with_code(2);
        }
        // What is no proxy fails where a proxy is needed, and no folder for the cache is no failure.
        for (variable, endpoint, code) in [
            ("HTTPS_PROXY", "https://a.example/v1", 1),
            ("HTTPS_PROXY", &nobody, 75),
            ("XDG_CACHE_HOME", &nobody, 75),
        ] {
            let arguments = ["-v", "get", "operations/o", "--max-attempts", "1"];
            let mut command = lro(&[&arguments[..], &["--endpoint", endpoint]].concat());
            command.env(variable, secret);
            let ended = run(command).await;
            assert_not_shown(secret, &ended, variable);
            ended.with_code(code);
        }
    }
}

#[tokio::test]
async fn a_file_of_secrets_in_place_of_one_of_names_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    for secret in SECRETS {
        std::fs::write(&file, format!("operations/a\n{secret}\n")).unwrap();
        for output in ["table", "json"] {
            let arguments = ["-v", "wait", "--output", output, "--names"];
            let mut command = lro(&arguments);
            command.arg(&file);
            let ended = run(command).await.with_code(1);
            assert_not_shown(secret, &ended, output);
            assert!(ended.stderr.contains("line 2 of "), "{}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn what_to_do_is_said_in_place_of_a_secret() {
    let json = format!(r#"{{"type":"service_account","private_key":"{CANARY}"}}"#);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n");
    let json_advice = "it holds the JSON itself; give its path";
    let pem_advice = "it holds the PEM itself; give its path";
    for (arguments, exported, named, advice) in [
        (
            &["--credentials", &json][..],
            "",
            "--credentials",
            json_advice,
        ),
        (
            &["--credentials", CANARY],
            "",
            "--credentials",
            "no such file",
        ),
        (
            &["--credentials", "adc"],
            json.as_str(),
            "GOOGLE_APPLICATION_CREDENTIALS",
            json_advice,
        ),
        (
            &["--access-token-env", CANARY],
            "",
            "--access-token-env",
            "give the variable's name",
        ),
        (
            &["--service", SECRETS[0]],
            "",
            "--service",
            "looks like a credential",
        ),
        (&["--ca", &pem], "", "--ca", pem_advice),
        (
            &["--client-cert", "/dev/null", "--client-key", &pem],
            "",
            "--client-key",
            pem_advice,
        ),
    ] {
        let mut command = lro(&[&["-v", "get", "operations/o"], arguments].concat());
        command.env("GOOGLE_APPLICATION_CREDENTIALS", exported);
        let ended = run(command).await.with_code(2);
        assert!(ended.stderr.contains(named), "{}", ended.stderr);
        assert!(ended.stderr.contains(advice), "{}", ended.stderr);
        assert!(!ended.shown().contains(PIECE), "{}", ended.shown());
    }
}
