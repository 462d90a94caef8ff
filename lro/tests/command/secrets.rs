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
    for name in [CANARY.to_owned(), format!("operations/{CANARY}")] {
        let ended = get(&name, &resets.endpoint(), "table").await.with_code(1);
        assert!(!ended.shown().contains(PIECE), "{}", ended.shown());
    }
}

#[tokio::test]
async fn a_secret_in_place_of_its_path_or_variable_is_not_shown() {
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
