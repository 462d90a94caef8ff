//! Waiting until an operation is done.

use std::sync::Arc;
use std::time::Duration;

use operations_host::{Backoff, Call, CallError, LoadedBlock, NotDone, Outputs, Reason};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::{call, config, load, load_for, metric};
use testing::DONE;
use testing::answer::{Answer, error, reply};
use testing::server::Server;

const RUNNING: &str = r#"{"name":"operations/o","metadata":{"progress":40}}"#;

const QUICK: Backoff = Backoff {
    first: Duration::from_millis(1),
    factor: 1.0,
    longest: Duration::from_millis(1),
};

/// A call that the block makes once.
fn once(server: &Server) -> Call {
    call(server).setting("OPERATIONS_MAX_ATTEMPTS", "1")
}

/// The result of waiting, and whether the operation ran or the reason of the failure after each call before it.
async fn wait(
    get: &LoadedBlock,
    call: &Call,
    backoff: Backoff,
    deadline: Option<Duration>,
) -> (Result<Outputs, NotDone>, Vec<Option<Reason>>) {
    let mut seen = Vec::new();
    let deadline = deadline.map(|time| Instant::now() + time);
    let result = get.until_done(call, backoff, deadline, |result| {
        seen.push(match result {
            Ok(outputs) => {
                assert!(!outputs.done);
                None
            }
            Err(error) => Some(error.failure().unwrap().reason),
        });
    });
    (result.await, seen)
}

#[tokio::test]
async fn calls_are_repeated_until_the_operation_is_done() {
    let running: Answer = RUNNING.into();
    let server = Server::script([running.clone(), running.clone(), running, DONE.into()]).await;
    let (host, get) = load(config());
    let (result, seen) = wait(&get, &once(&server), QUICK, None).await;
    assert_eq!(result.unwrap().response.as_deref(), Some(r#"{"n":1}"#));
    assert_eq!(seen, [None, None, None]);
    assert_eq!(server.asked().len(), 4);
    let running = r#"operations_calls_total{outcome="running",reason=""}"#;
    assert_eq!(metric(&host, running), 3);
}

#[tokio::test]
async fn transient_failures_are_waited_out_and_the_first_permanent_one_ends_it() {
    let server = Server::script([
        error(503, "UNAVAILABLE", "later").into(),
        RUNNING.into(),
        error(429, "RESOURCE_EXHAUSTED", "slowly").into(),
        error(404, "NOT_FOUND", "gone").into(),
    ])
    .await;
    let (_host, get) = load(config());
    let (result, seen) = wait(&get, &once(&server), QUICK, None).await;
    let Err(NotDone::Failed(CallError::Permanent(failure))) = result else {
        panic!("{result:?}");
    };
    assert_eq!(failure.reason, Reason::NotFound);
    let expected = [Some(Reason::Unavailable), None, Some(Reason::QuotaExceeded)];
    assert_eq!(seen, expected);
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn a_service_that_asks_for_a_longer_pause_gets_it() {
    let busy = reply(503, &[("retry-after", "1")], "");
    let server = Server::script([busy.into(), DONE.into()]).await;
    let (_host, get) = load(config());
    let since = Instant::now();
    let (result, _) = wait(&get, &once(&server), QUICK, None).await;
    assert!(result.unwrap().done);
    assert!(since.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn at_the_deadline_the_wait_ends_with_a_last_call_and_its_failure() {
    let long = Backoff {
        first: Duration::from_secs(3600),
        ..Backoff::default()
    };
    let soon = Some(Duration::from_millis(100));
    let slowly = error(429, "RESOURCE_EXHAUSTED", "slowly");
    for (answer, last) in [
        (Answer::from(RUNNING), None),
        (slowly.into(), Some(Reason::QuotaExceeded)),
    ] {
        let server = Server::always(answer).await;
        let (_host, get) = load(config());
        let since = Instant::now();
        let (result, seen) = wait(&get, &once(&server), long, soon).await;
        assert!(since.elapsed() >= Duration::from_millis(100));
        let Err(NotDone::Deadline { last: failed }) = result else {
            panic!("{result:?}");
        };
        let failed = failed.map(|error| error.failure().unwrap().reason);
        assert_eq!((failed, seen), (last, vec![last, last]));
        assert_eq!(server.asked().len(), 2);
    }
}

#[tokio::test]
async fn even_a_deadline_that_has_passed_leaves_time_for_one_call() {
    let server = Server::always(DONE).await;
    let (_host, get) = load(config());
    let (result, _) = wait(&get, &once(&server), QUICK, Some(Duration::ZERO)).await;
    assert!(result.unwrap().done);
    server.the_one();
}

#[tokio::test]
async fn the_deadline_ends_a_call_that_runs_and_one_that_waits_for_its_turn() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::gated(&gate).await;
    let (host, get) = load_for(1);
    let late = async || {
        let (result, seen) = wait(&get, &once(&server), QUICK, Some(Duration::ZERO)).await;
        let Err(NotDone::Deadline { last }) = result else {
            panic!("{result:?}");
        };
        (last.map(|error| error.failure().unwrap().reason), seen)
    };
    // The block reports its deadline itself.
    let timeout = Some(Reason::Timeout);
    assert_eq!(late().await, (timeout, vec![timeout]));
    server.the_one();

    let call = once(&server);
    tokio::select! {
        // It comes first, and takes the one place.
        biased;
        _ = get.call(&call) => panic!("the gate is closed"),
        result = late() => assert_eq!(result, (None, Vec::new())),
    }
    assert_eq!(server.asked().len(), 2);
    assert_eq!(metric(&host, "operations_calls_in_flight"), 0);
    assert_eq!(metric(&host, "operations_calls_waiting"), 0);
}

#[tokio::test]
async fn a_host_that_is_stopping_ends_a_wait() {
    let server = Server::always(RUNNING).await;
    let (host, get) = load(config());
    let call = once(&server);
    let stopped = async {
        server.until(|seen| seen.asked.len() > 1).await;
        host.stop().await;
    };
    let ((result, _), ()) = tokio::join!(wait(&get, &call, QUICK, None), stopped);
    assert!(
        matches!(result, Err(NotDone::Failed(CallError::Stopped))),
        "{result:?}"
    );
}

/// What a wait holds while it waits for its turn or for the next call: its future, besides what `call` has.
#[tokio::test]
async fn a_wait_for_one_of_many_operations_holds_little() {
    let (_host, get) = load(config());
    let call = Call::new("operations/o");
    let one = std::mem::size_of_val(&get.call(&call));
    let until_done = get.until_done(&call, QUICK, Some(Instant::now()), |_| {});
    let waiting = std::mem::size_of_val(&until_done);
    println!("a call that waits: {one} bytes; a wait: {waiting} bytes");
    assert!(one <= 640, "{one}");
    assert!(waiting <= 1280, "{waiting}");
}
