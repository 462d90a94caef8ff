//! Calls of the block, which is compiled once per process.

use std::sync::LazyLock;

use operations_host::{
    Block, Call, CallError, Failure, Host, LoadedBlock, Manifest, Outputs, Reason, failure_json,
};
use testing::server::Server;

/// The name that a call asks for if any will do.
pub const NAME: &str = "operations/o";

/// An operation that is done and has nothing else.
pub const DONE: &str = r#"{"done":true}"#;

static HOST: LazyLock<Host> = LazyLock::new(|| Host::new().expect("this machine runs wasmtime"));

static GET: LazyLock<LoadedBlock> = LazyLock::new(|| load(Manifest::builtin()));

static SANS_IO: LazyLock<LoadedBlock> = LazyLock::new(|| {
    HOST.load(&Block::sans_io())
        .expect("the block without imports fits its host")
});

/// The block under a manifest of a test's own. It is compiled again.
pub fn load(manifest: Manifest) -> LoadedBlock {
    let component = Block::builtin().component().to_vec();
    HOST.load(&Block::new(component, manifest))
        .expect("the block fits its host")
}

/// One call, under the settings that are given and no others.
pub async fn call(name: &str, settings: &[(&str, &str)]) -> Result<Outputs, CallError> {
    GET.call(&with(name, settings)).await
}

fn with(name: &str, settings: &[(&str, &str)]) -> Call {
    let mut call = Call::new(name);
    for (variable, value) in settings {
        call = call.setting(*variable, *value);
    }
    call
}

/// One call of each world that a server answers: what both say.
pub async fn ask_both(
    server: &Server,
    name: &str,
    settings: &[(&str, &str)],
) -> Result<Outputs, CallError> {
    let result = ask(server, name, settings).await;
    let endpoint = server.endpoint();
    let call = with(name, settings).setting("OPERATIONS_ENDPOINT", endpoint);
    let other = SANS_IO.call(&call).await;
    match (&result, &other) {
        (Ok(outputs), Ok(other)) => assert_eq!(outputs, other),
        (Err(error), Err(other)) => assert_eq!(failure_json(error), failure_json(other)),
        _ => panic!("the worlds differ: {result:?} and {other:?}"),
    }
    result
}

/// One call that a server answers.
pub async fn ask(
    server: &Server,
    name: &str,
    settings: &[(&str, &str)],
) -> Result<Outputs, CallError> {
    let endpoint = server.endpoint();
    let mut all = vec![("OPERATIONS_ENDPOINT", endpoint.as_str())];
    all.extend(settings);
    call(name, &all).await
}

/// How a call failed: the case of `get-error`, and what it carries.
pub fn failed(result: Result<Outputs, CallError>) -> (&'static str, Failure) {
    match result {
        Err(CallError::Permanent(failure)) => ("permanent", failure),
        Err(CallError::Transient(failure)) => ("transient", failure),
        other => panic!("expected a failure of the block, got {other:?}"),
    }
}

/// Asserts the case and the reason of a failed call, and gives the rest of it.
#[track_caller]
pub fn assert_failed(result: Result<Outputs, CallError>, case: &str, reason: Reason) -> Failure {
    let (actual, failure) = failed(result);
    assert_eq!(
        (actual, &failure.reason),
        (case, &reason),
        "{}",
        failure.message
    );
    failure
}
