//! Against a token server and a metadata server on loopback. Where a test takes 10 seconds, that is
//! the crate's pause between two token requests.

mod application_default;
mod elsewhere;
mod failures;
mod files;
mod kinds;
mod refresh;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use testing::CANARY;
use testing::answer::{self, Answer, Reply};
use testing::server::{Server, refusing_port};
use testing::tokens::{authorized_user, refusal, token, token_server};

use super::*;

/// The waits that a test can shorten; it cannot shorten the crate's own.
const QUICK: Timing = Timing {
    answer: Duration::from_secs(20),
    failed: Duration::from_millis(300),
    rejected: Duration::from_millis(600),
};

fn paced(access: Access, timing: Timing) -> Access {
    let AccessSource::Credentials(credentials) = access.0 else {
        panic!("there is no source to ask");
    };
    let cache = CredentialCache::new(Arc::clone(&credentials.source), timing);
    Access(AccessSource::Credentials(Arc::new(cache)))
}

/// The error, checked to hold no secret.
fn refused<T: std::fmt::Debug>(result: Result<T, AccessError>) -> AccessError {
    let error = result.unwrap_err();
    let said = format!("{error} {error:?} {error:#?}");
    assert!(!said.contains(CANARY), "{said}");
    assert!(!error.to_string().contains('\n'), "{said}");
    error
}

async fn bearer(access: &Access) -> String {
    text(
        access
            .authorization(&Scopes::default())
            .await
            .unwrap()
            .unwrap()
            .value(),
    )
}

fn text(value: &HeaderValue) -> String {
    value.to_str().unwrap().to_owned()
}

fn user(server: &Server) -> Value {
    authorized_user(&server.url("/token"))
}

fn user_access(server: &Server) -> Access {
    paced(
        Access::from_credentials_json(user(server), None).unwrap(),
        QUICK,
    )
}

/// A file of this test's own, removed when dropped.
struct File(PathBuf);

impl File {
    fn with(content: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("access-test-{}-{number}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// 100 calls at once, each on a task of its own.
async fn at_once<T: Send + 'static, F>(call: impl Fn() -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        calls.spawn(call());
    }
    calls.join_all().await
}

fn external_account(server: &Server, source: Value) -> Value {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": server.url("/v1/token"),
        "credential_source": source,
        "quota_project_id": "of-the-file",
    })
}

/// An answer of `generateAccessToken`.
fn impersonated(expires: &str) -> Reply {
    let body = json!({"accessToken": format!("{CANARY}-impersonated"), "expireTime": expires});
    answer::json(200, body.to_string())
}

const IMPERSONATE: &str =
    "/v1/projects/-/serviceAccounts/robot@demo.iam.gserviceaccount.com:generateAccessToken";

fn impersonation(tokens: &Server, iam: &Server) -> Value {
    json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": iam.url(IMPERSONATE),
        "source_credentials": user(tokens),
    })
}

fn machine(server: &Server) -> Access {
    let mut source = CredentialSource::metadata_server(Some("billed")).unwrap();
    source.metadata_endpoint = Some(server.url(""));
    paced(Access::from_source(source), QUICK)
}
