//! Tokens: a server that issues them, and the credentials that it issues them for.

use serde_json::{Value, json};

use crate::CANARY;
use crate::answer::{self, Reply};
use crate::recorded::Recorded;
use crate::server::Server;

/// A token server, and a metadata server, that gives `{CANARY}-1`, `{CANARY}-2` and so on, each for an hour.
pub async fn token_server() -> Server {
    Server::start(|number, _| async move { token(number, 3600) }).await
}

/// The token of this number, which is valid for so many seconds.
pub fn token(number: usize, seconds: u64) -> Reply {
    let body = json!({
        "access_token": format!("{CANARY}-{number}"),
        "expires_in": seconds,
        "token_type": "Bearer",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    });
    answer::json(200, body.to_string())
}

/// What a careless token server does: an error that repeats the request, with its secrets.
pub fn refusal(status: u16, error: &str, request: &Recorded) -> Reply {
    let said = format!("{CANARY} {} {}", request.head, request.text());
    let body = json!({"error": error, "error_description": said});
    answer::json(status, body.to_string())
}

/// The credentials file of an authorized user, whose tokens come from here.
pub fn authorized_user(token_uri: &str) -> Value {
    json!({
        "type": "authorized_user",
        "client_id": "app.example",
        "client_secret": format!("{CANARY}-client"),
        "refresh_token": format!("{CANARY}-refresh"),
        "token_uri": token_uri,
    })
}
