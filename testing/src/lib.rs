//! What the tests of the host and of the command share.

pub mod echo;
pub mod server;
pub mod tls;

use std::time::Duration;

use serde_json::json;

use server::{Server, json};

/// In every secret that is handed over, and in nothing else.
pub const CANARY: &str = "not-a-real-token-canary";

/// How long a test waits for what has to come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An operation that is done.
pub const DONE: &str = r#"{"name":"operations/o","done":true,"response":{"n":1}}"#;

/// A token server that gives `{CANARY}-1`, `{CANARY}-2` and so on.
pub async fn token_server() -> Server {
    Server::start(|number, _| async move {
        let token = format!("{CANARY}-{number}");
        let body = json!({"access_token": token, "expires_in": 3600, "token_type": "Bearer"});
        json(200, body.to_string())
    })
    .await
}

/// The credentials file of an authorized user, whose tokens come from here.
pub fn authorized_user(token_uri: &str) -> serde_json::Value {
    json!({
        "type": "authorized_user",
        "client_id": "app.example",
        "client_secret": format!("{CANARY}-client"),
        "refresh_token": format!("{CANARY}-refresh"),
        "token_uri": token_uri,
    })
}
