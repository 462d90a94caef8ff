//! How long a call may take, and how often it asks. Bounds are generous: they tell an end from a hang,
//! not a fast machine from a slow one.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use operations_host::{CallError, Failure, Outputs, Reason};
use testing::answer::{Answer, Reply, json, reply};
use testing::server::{Server, closed_port};

use crate::block::{DONE, NAME, ask, assert_failed, call, failed};
use crate::fake_network::{self, Network, transient};

/// A deadline that a test can wait for.
const SHORT: (&str, &str) = ("OPERATIONS_TIMEOUT_MS", "700");

/// When a call with a [`SHORT`] deadline must be over, on however busy a machine.
const BOUND: Duration = Duration::from_secs(10);

/// A call with a [`SHORT`] deadline that this answer outlives, and how long it took.
async fn outlived(answer: Answer) -> (Result<Outputs, CallError>, Duration) {
    let server = Server::always(answer).await;
    let start = Instant::now();
    let result = tokio::time::timeout(BOUND, ask(&server, NAME, &[SHORT])).await;
    let result = result.expect("a call ends with its deadline");
    assert_eq!(server.requests().len(), 1);
    (result, start.elapsed())
}

#[track_caller]
fn assert_deadline(result: Result<Outputs, CallError>, took: Duration, server: &str) {
    let failure = assert_failed(result, "transient", Reason::Timeout);
    assert!(took >= Duration::from_millis(700), "{server}: {took:?}");
    assert!(
        failure.message.ends_with(
            "/v1/operations/o was not answered within 700 ms (OPERATIONS_TIMEOUT_MS). Try again, or \
             allow more time."
        ),
        "{server}: {}",
        failure.message
    );
    assert_eq!(failure.http_status, None, "{server}");
}

#[tokio::test]
async fn the_deadline_holds_against_a_silent_server() {
    let (result, took) = outlived(Answer::nothing().then_silence()).await;
    assert_deadline(result, took, "silent");
}

#[tokio::test]
async fn the_deadline_holds_against_a_server_that_drips() {
    let second = Duration::from_secs(1);
    let tenth = Duration::from_millis(100);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    for (what, answer) in [
        (
            "head, a byte a second",
            Answer::nothing().then_drip(head, second),
        ),
        (
            "head, a byte in 100 ms",
            Answer::nothing().then_drip(head, tenth),
        ),
        (
            "body, a byte a second",
            Answer::head(1000).then_drip(DONE, second),
        ),
        (
            "body, a byte in 100 ms",
            Answer::head(1000).then_drip(" ".repeat(1000), tenth),
        ),
        (
            "chunks, a byte in 100 ms",
            Answer::chunked_head().then_drip("1\r\n{\r\n".repeat(200), tenth),
        ),
    ] {
        let (result, took) = outlived(answer).await;
        assert_deadline(result, took, what);
    }
}

#[tokio::test]
async fn the_deadline_holds_against_a_server_that_stops() {
    for (what, answer) in [
        (
            "in the head",
            Answer::raw("HTTP/1.1 200 OK\r\nContent-").then_silence(),
        ),
        ("before the body", Answer::head(13).then_silence()),
        (
            "in the body",
            Answer::head(1000).then(r#"{"done":"#).then_silence(),
        ),
        (
            "between chunks",
            Answer::chunked_head().then_chunk("{").then_silence(),
        ),
    ] {
        let (result, took) = outlived(answer).await;
        assert_deadline(result, took, what);
    }
}

/// What the status says outweighs a body that does not come: a refused credential is not asked with again.
#[tokio::test]
async fn the_status_of_an_error_counts_even_if_its_body_never_arrives() {
    for (status, case, reason) in [
        (503, "transient", Reason::Unavailable),
        (401, "permanent", Reason::Unauthenticated),
        (302, "permanent", Reason::Redirected),
    ] {
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: 9\r\nRetry-After: 7\r\n\r\n{{");
        let (result, took) = outlived(Answer::raw(head.clone()).then_silence()).await;
        assert!(took < Duration::from_secs(10), "{status}: {took:?}");
        let failure = assert_failed(result, case, reason);
        assert_eq!(
            (failure.http_status, failure.retry_after_ms),
            (Some(status), Some(7000))
        );
        // Cut, it ends at once.
        let settings = [("OPERATIONS_MAX_ATTEMPTS", "1")];
        let result = ask(&Server::always(Answer::raw(head)).await, NAME, &settings).await;
        assert_eq!(
            assert_failed(result, case, reason).http_status,
            Some(status)
        );
    }
}

#[tokio::test]
async fn the_deadline_holds_against_a_body_that_never_ends() {
    // Slow enough to stay under the size limit, with a byte always ready.
    let answer =
        Answer::chunked_head().then_drip("1\r\n \r\n".repeat(100_000), Duration::from_millis(1));
    let (result, took) = outlived(answer).await;
    assert_deadline(result, took, "endless");
}

#[tokio::test]
async fn a_connection_that_breaks_is_lost_and_not_tried_again() {
    let head = || Answer::raw("HTTP/1.1 200 OK\r\nContent-");
    for (what, answer) in [
        ("closed before the head", Answer::nothing()),
        ("closed in the head", head()),
        ("reset before the head", Answer::nothing().then_reset()),
        ("reset in the head", head().then_reset()),
        ("closed before the body", Answer::head(13)),
        (
            "closed in the body",
            Answer::head(1000).then(r#"{"done":true}"#),
        ),
        (
            "reset in the body",
            Answer::head(1000).then(r#"{"done":true}"#).then_reset(),
        ),
        (
            "closed between chunks",
            Answer::chunked_head().then_chunk(r#"{"done":true}"#),
        ),
        (
            "closed in a chunk",
            Answer::chunked_head().then("ff\r\n{\"done\":true}"),
        ),
        ("no HTTP", Answer::raw("SSH-2.0-OpenSSH_9.2\r\n")),
        ("a bad chunk", Answer::chunked_head().then("xyz\r\n{}\r\n")),
    ] {
        let server = Server::always(answer).await;
        let result = tokio::time::timeout(BOUND, ask(&server, NAME, &[])).await;
        let failure = assert_failed(result.expect(what), "transient", Reason::ConnectionLost);
        assert!(
            failure
                .message
                .contains("/v1/operations/o was not answered whole: "),
            "{what}: {}",
            failure.message
        );
        assert_eq!(server.requests().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_body_may_end_with_its_connection() {
    let answer = Answer::raw(format!("HTTP/1.1 200 OK\r\n\r\n{DONE}"));
    let server = Server::always(answer).await;
    assert!(ask(&server, NAME, &[]).await.unwrap().done);
    let answer = Answer::chunked_head()
        .then_chunk(r#"{"done""#)
        .then_chunk(":true}")
        .then_chunk("");
    let server = Server::always(answer).await;
    assert!(ask(&server, NAME, &[]).await.unwrap().done);
}

#[tokio::test]
async fn a_body_longer_than_its_content_length_is_cut_or_lost() {
    let answer = Answer::from(DONE).then("and more").then_silence();
    let server = Server::always(answer).await;
    let result = tokio::time::timeout(BOUND, ask(&server, NAME, &[])).await;
    // Whether hyper still delivers the answer depends on when it reads what follows.
    match result.expect("Content-Length ends the body") {
        Ok(outputs) => assert!(outputs.done),
        lost => drop(assert_failed(lost, "transient", Reason::ConnectionLost)),
    }
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_within_the_deadline() {
    let endpoint = format!("http://{}/v1", closed_port().await);
    let start = Instant::now();
    let settings = [
        ("OPERATIONS_ENDPOINT", endpoint.as_str()),
        ("OPERATIONS_MAX_ATTEMPTS", "2"),
    ];
    let failure = assert_failed(
        call(NAME, &settings).await,
        "transient",
        Reason::Unreachable,
    );
    // One wait of 500 ms to 1 s lies between two attempts.
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert_eq!(
        failure.message,
        format!(
            "GET {endpoint}/operations/o did not reach the service: its host refused the connection. \
             Check the host's name and network, or try again later."
        )
    );
    // Where no wait fits into the deadline, the failure comes at once.
    let settings = [
        ("OPERATIONS_ENDPOINT", endpoint.as_str()),
        ("OPERATIONS_TIMEOUT_MS", "400"),
    ];
    assert_failed(
        call(NAME, &settings).await,
        "transient",
        Reason::Unreachable,
    );
}

/// A failure with this status, and the requests that it took.
async fn status(answer: Reply, settings: &[(&str, &str)]) -> (&'static str, Failure, usize) {
    let server = Server::always(answer).await;
    let (case, failure) = failed(ask(&server, NAME, settings).await);
    (case, failure, server.requests().len())
}

fn at_once(status: u16) -> Reply {
    reply(status, &[("retry-after", "0")], "")
}

#[tokio::test]
async fn only_503_is_tried_again() {
    for (code, requests) in [
        (400, 1),
        (401, 1),
        (403, 1),
        (404, 1),
        (408, 1),
        (409, 1),
        (410, 1),
        (429, 1),
        (500, 1),
        (501, 1),
        (502, 1),
        (503, 5),
        (504, 1),
        (302, 1),
        (204, 1),
    ] {
        let (_, failure, sent) = status(at_once(code), &[]).await;
        assert_eq!((failure.http_status, sent), (Some(code), requests));
    }
}

#[tokio::test]
async fn a_call_makes_as_many_attempts_as_it_may() {
    for attempts in 1..=10 {
        let setting = attempts.to_string();
        let settings = [("OPERATIONS_MAX_ATTEMPTS", setting.as_str())];
        let (case, failure, sent) = status(at_once(503), &settings).await;
        assert_eq!(
            (case, failure.reason, failure.retry_after_ms, sent),
            ("transient", Reason::Unavailable, Some(0), attempts)
        );
    }
}

#[tokio::test]
async fn a_call_that_gets_503_and_then_200_gives_the_outputs() {
    let server = Server::script([at_once(503).into(), at_once(503).into(), DONE.into()]).await;
    let outputs = ask(&server, NAME, &[]).await.unwrap();
    assert_eq!((outputs.done, outputs.name.as_str()), (true, NAME));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn the_failure_is_that_of_the_last_attempt() {
    let server = Server::script([at_once(503).into(), json(404, "{}").into()]).await;
    let failure = assert_failed(ask(&server, NAME, &[]).await, "permanent", Reason::NotFound);
    assert_eq!(
        (failure.http_status, server.requests().len()),
        (Some(404), 2)
    );
}

/// The time between the first two requests.
async fn wait_between(first: Reply) -> Duration {
    let server = Server::script([first.into(), DONE.into()]).await;
    assert!(ask(&server, NAME, &[]).await.unwrap().done);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    requests[1].at - requests[0].at
}

fn retry_info(delay: &str) -> String {
    format!(
        r#"{{"error":{{"code":503,"message":"busy","status":"UNAVAILABLE","details":[{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"{delay}"}}]}}}}"#
    )
}

#[tokio::test]
async fn the_wait_is_the_backoff_or_what_the_service_asks_for() {
    let unavailable = |fields: &[(&str, &str)], body: String| reply(503, fields, body);
    let (backoff, header, info, larger, date) = tokio::join!(
        wait_between(unavailable(&[], String::new())),
        wait_between(unavailable(&[("retry-after", "1")], String::new())),
        wait_between(unavailable(&[], retry_info("1.2s"))),
        wait_between(unavailable(&[("retry-after", "1")], retry_info("1.5s"))),
        wait_between(unavailable(
            &[
                ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("retry-after", "Sun, 06 Nov 1994 08:49:39 GMT"),
            ],
            String::new(),
        )),
    );
    for (what, wait, at_least) in [
        ("backoff", backoff, 500),
        ("Retry-After", header, 1000),
        ("RetryInfo", info, 1200),
        ("the larger of both", larger, 1500),
        ("an HTTP date", date, 2000),
    ] {
        assert!(wait >= Duration::from_millis(at_least), "{what}: {wait:?}");
    }
}

#[tokio::test]
async fn a_wait_past_the_deadline_is_left_to_the_engine() {
    for (fields, body, retry_after_ms) in [
        (vec![("retry-after", "120")], String::new(), Some(120_000)),
        (vec![], retry_info("90.0005s"), Some(90_001)),
        (
            vec![("retry-after", "120")],
            retry_info("90s"),
            Some(120_000),
        ),
        (
            vec![("retry-after", "120")],
            retry_info("150s"),
            Some(150_000),
        ),
        (
            vec![("retry-after", "99999999999999")],
            String::new(),
            Some(u32::MAX),
        ),
        // Just past the default deadline of 60 s.
        (vec![("retry-after", "60")], String::new(), Some(60_000)),
    ] {
        let answer = reply(503, &fields, body);
        let ended = tokio::time::timeout(BOUND, status(answer, &[])).await;
        let (case, failure, sent) = ended.expect("it does not wait");
        assert_eq!(
            (case, failure.reason, failure.retry_after_ms, sent),
            ("transient", Reason::Unavailable, retry_after_ms, 1)
        );
    }
}

#[tokio::test]
async fn a_retry_after_that_cannot_be_read_is_ignored() {
    for value in ["soon", "-1", "1.5", "Sun, 06 Nov 1994"] {
        let answer = reply(429, &[("retry-after", value)], "");
        let (case, failure, _) = status(answer, &[]).await;
        assert_eq!(
            (case, failure.reason, failure.retry_after_ms),
            ("transient", Reason::QuotaExceeded, None),
            "{value}"
        );
    }
}

#[tokio::test]
async fn the_host_gets_the_deadline_too() {
    let settings = [("OPERATIONS_TIMEOUT_MS", "5000")];
    for (settings, deadline) in [(&settings[..], 5), (&[], 60)] {
        let (result, sent) = Network::done().call(NAME, settings).await;
        assert!(result.unwrap().done);
        let deadline = Duration::from_secs(deadline);
        let options = sent[0].options;
        // What is left of it by then.
        for timeout in [options.first_byte_timeout, options.between_bytes_timeout] {
            let timeout = timeout.expect("it is set");
            assert!(timeout <= deadline && timeout > deadline / 2, "{timeout:?}");
        }
        let connect = options.connect_timeout.expect("it is set");
        let most = deadline.min(Duration::from_secs(10));
        assert!(connect <= most && connect > most / 2, "{connect:?}");
    }
}

/// A host without timeouts of its own, on a network that never answers, or stops in the middle of a body.
#[tokio::test]
async fn the_block_keeps_its_deadline_even_if_the_host_does_not() {
    let never_answers = Network::done().after(BOUND * 2);
    let never_ends = Network::new(|_| {
        let begun = Full::new(Bytes::from_static(b"{")).map_err(|never| match never {});
        let body = begun.with_trailers(std::future::pending());
        Ok(Response::new(body.boxed_unsync()))
    });
    let start = Instant::now();
    let (head, body) = tokio::time::timeout(BOUND, async {
        tokio::join!(
            never_answers.call(NAME, &[SHORT]),
            never_ends.call(NAME, &[SHORT]),
        )
    })
    .await
    .expect("a call ends with its deadline");
    assert!(start.elapsed() >= Duration::from_millis(700));
    for (what, (result, sent)) in [("head", head), ("body", body)] {
        assert_eq!(
            transient(result).reason,
            fake_network::Reason::Timeout,
            "{what}"
        );
        assert_eq!(sent.len(), 1, "{what}");
    }
}
