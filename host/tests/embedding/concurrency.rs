//! How many calls run at a time, and how they end.

use std::sync::Arc;

use operations_host::{Call, CallError, Host, LoadedBlock, Outputs};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::{call, load_for, metric, until};
use testing::PATIENCE;
use testing::server::Server;

fn in_flight(host: &Host) -> u64 {
    metric(host, "operations_calls_in_flight")
}

fn waiting(host: &Host) -> u64 {
    metric(host, "operations_calls_waiting")
}

fn start(get: &Arc<LoadedBlock>, call: Call) -> JoinHandle<Result<Outputs, CallError>> {
    let get = get.clone();
    tokio::spawn(async move { get.call(&call).await })
}

/// What ends without the gate's help, or the test does.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, future).await;
    ended.expect("it waits for something")
}

fn is_stopped(result: &Result<Outputs, CallError>) -> bool {
    matches!(result, Err(CallError::Stopped))
}

#[tokio::test]
async fn no_more_calls_run_at_once_than_configured() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::gated(&gate).await;
    let (host, get) = load_for(3);
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let (get, call) = (get.clone(), call(&server));
        calls.spawn(async move { get.call(&call).await.unwrap().done });
    }
    server.until(|seen| seen.in_flight == 3).await;
    until(|| waiting(&host) == 7).await;
    assert_eq!(in_flight(&host), 3);
    gate.add_permits(10);
    assert_eq!(calls.join_all().await, vec![true; 10]);
    let seen = server.seen();
    assert_eq!((seen.asked.len(), seen.peak_in_flight), (10, 3));
    assert_eq!((in_flight(&host), waiting(&host)), (0, 0));
}

#[tokio::test]
async fn waiting_calls_run_in_the_order_in_which_they_came() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::gated(&gate).await;
    let (host, get) = load_for(1);
    let mut calls = Vec::new();
    for number in 0..6 {
        let call = Call::new(format!("operations/{number}"))
            .setting("OPERATIONS_ENDPOINT", server.endpoint());
        calls.push(start(&get, call));
        until(|| in_flight(&host) + waiting(&host) == number + 1).await;
    }
    gate.add_permits(6);
    for call in calls {
        assert!(call.await.unwrap().unwrap().done);
    }
    let asked = server.asked();
    let ids: Vec<_> = asked.iter().map(|asked| asked.id()).collect();
    assert_eq!(ids, ["0", "1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn dropping_waiting_and_running_calls_frees_their_places() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::gated(&gate).await;
    let (host, get) = load_for(4);
    let mut calls: Vec<_> = (0..10).map(|_| start(&get, call(&server))).collect();
    server.until(|seen| seen.in_flight == 4).await;
    until(|| waiting(&host) == 6).await;

    // One that waits: nothing else changes.
    calls.pop().unwrap().abort();
    until(|| waiting(&host) == 5).await;
    assert_eq!(in_flight(&host), 4);
    // One that runs: the next one has its place.
    calls.remove(0).abort();
    server
        .until(|seen| seen.asked.len() == 5 && seen.in_flight == 4)
        .await;
    until(|| waiting(&host) == 4).await;
    assert_eq!(in_flight(&host), 4);

    for call in &calls {
        call.abort();
    }
    server.until(|seen| seen.in_flight == 0).await;
    until(|| in_flight(&host) + waiting(&host) == 0).await;
    let cancelled = r#"operations_calls_total{outcome="cancelled",reason=""}"#;
    assert_eq!(metric(&host, cancelled), 10);

    gate.add_permits(4);
    for _ in 0..4 {
        assert!(get.call(&call(&server)).await.unwrap().done);
    }
}

#[tokio::test]
async fn stopping_waits_for_running_calls_and_refuses_waiting_and_new_ones() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::gated(&gate).await;
    let (host, get) = load_for(2);
    let host = Arc::new(host);
    let running = [start(&get, call(&server)), start(&get, call(&server))];
    server.until(|seen| seen.in_flight == 2).await;
    let queued = [start(&get, call(&server)), start(&get, call(&server))];
    until(|| waiting(&host) == 2).await;

    let mut stop = Box::pin(host.stop());
    assert!(polled(&mut stop).await.is_none());
    let new = soon(get.call(&call(&server))).await;
    assert!(is_stopped(&new), "{new:?}");
    assert_eq!(
        new.unwrap_err().to_string(),
        "the host is stopping and accepts no more calls"
    );
    assert!(polled(&mut stop).await.is_none());

    gate.add_permits(1);
    for call in queued {
        let result = soon(call).await.unwrap();
        assert!(is_stopped(&result), "{result:?}");
    }
    assert!(polled(&mut stop).await.is_none(), "one still runs");
    gate.add_permits(1);
    stop.await;
    for call in running {
        assert!(call.await.unwrap().unwrap().done);
    }
    assert_eq!(server.asked().len(), 2);
    assert_eq!((in_flight(&host), waiting(&host)), (0, 0));
    assert_eq!(
        metric(
            &host,
            r#"operations_calls_total{outcome="refused",reason=""}"#
        ),
        3
    );

    // Again, and with nothing to wait for.
    host.stop().await;
    assert!(is_stopped(&soon(get.call(&call(&server))).await));
}

/// What a future gives when it is polled once.
async fn polled<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_host_keeps_stopping_if_nobody_waits_for_it() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::gated(&gate).await;
    let (host, get) = load_for(1);
    let running = start(&get, call(&server));
    server.until(|seen| seen.in_flight == 1).await;
    let mut stop = Box::pin(host.stop());
    assert!(polled(&mut stop).await.is_none());
    drop(stop);
    assert!(is_stopped(&soon(get.call(&call(&server))).await));
    // To end calls at once, drop their futures.
    running.abort();
    host.stop().await;
    server.until(|seen| seen.in_flight == 0).await;
}

#[tokio::test]
async fn blocks_of_one_host_share_its_places_and_outlive_it() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::gated(&gate).await;
    let (host, get) = load_for(1);
    let other = Arc::new(host.load(&crate::block()).unwrap());
    let first = start(&get, call(&server));
    server.until(|seen| seen.in_flight == 1).await;
    let second = start(&other, call(&server));
    until(|| waiting(&host) == 1).await;
    assert_eq!(server.seen().peak_in_flight, 1);
    drop(host);
    gate.add_permits(2);
    assert!(first.await.unwrap().unwrap().done);
    assert!(second.await.unwrap().unwrap().done);
}
