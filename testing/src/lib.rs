//! What the tests and benches share: one server on loopback, and what it shows, hands out or resolves.
//!
//! | what | where |
//! |---|---|
//! | a server: how it answers, what it has seen | [`server`] |
//! | what it answers with: a response, or bytes at the pace of a script | [`answer`] |
//! | a request as it was received | [`recorded`] |
//! | certificates, and a server's settings for TLS | [`tls`] |
//! | tokens, and the credentials that they are issued for | [`tokens`] |
//! | the addresses of names | [`names`] |
//! | a service that repeats the credential of a request | [`echo`] |
//! | this program again, as a process of its own | [`process`] |
//!
//! Nothing that ships depends on it.

pub mod answer;
mod connection;
pub mod echo;
pub mod names;
pub mod process;
pub mod recorded;
pub mod server;
pub mod tls;
pub mod tokens;

use std::time::Duration;

pub use tokens::{authorized_user, token_server};

/// In every secret that is handed over, and in nothing else.
pub const CANARY: &str = "not-a-real-token-canary";

/// How long a test waits for what has to come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An operation that is done.
pub const DONE: &str = r#"{"name":"operations/o","done":true,"response":{"n":1}}"#;
