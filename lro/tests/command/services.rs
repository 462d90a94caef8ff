//! `lro services`.

use serde_json::Value;

use crate::{lro, run};

#[tokio::test]
async fn services_are_found_by_a_part_of_their_name() {
    let table = run(lro(&["services", "APIGateway"])).await.with_code(0);
    assert!(
        table.stdout.contains("apigateway.googleapis.com"),
        "{}",
        table.stdout
    );
    assert!(
        table.stdout.contains("projects/*/locations/*/operations/*"),
        "{}",
        table.stdout
    );
    assert!(
        !table.stdout.contains("workspaceevents"),
        "{}",
        table.stdout
    );
    let none = run(lro(&["services", "no-such-service"]))
        .await
        .with_code(1);
    assert!(
        none.stderr.contains("no service has that"),
        "{}",
        none.stderr
    );
}

#[tokio::test]
async fn as_json_a_service_is_an_object_with_words_for_keys() {
    let json = run(lro(&[
        "services",
        "apigateway.googleapis.com",
        "--output",
        "json",
    ]))
    .await
    .with_code(0);
    let service: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(service["service"], "apigateway.googleapis.com");
    assert_eq!(service["title"], "API Gateway API");
    let mut keys: Vec<&String> = service.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        ["hosts", "names", "scopes", "service", "title", "versions"]
    );
}

#[tokio::test]
async fn the_help_is_about_services() {
    let help = run(lro(&["services", "--help"])).await.with_code(0);
    for said in ["a row for each service", "one JSON object a line"] {
        assert!(help.stdout.contains(said), "{}", help.stdout);
    }
    assert!(!help.stdout.contains("outputs"), "{}", help.stdout);
    assert!(!help.stdout.contains("variables"), "{}", help.stdout);
}
