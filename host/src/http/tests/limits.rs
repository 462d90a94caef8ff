//! How many connections a host may have, who waits, and what gives a place back.

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::*;

/// Sends so many requests at a time, and answers them once all that can be there are.
async fn burst(alpn: &[&str], count: usize, limit: usize, at_a_time: usize) -> usize {
    let ca = Ca::new();
    let gate = Arc::new(Semaphore::new(0));
    let answer = gate.clone();
    let server = Server::tls(ca.server("service.example", alpn), move |_, _| {
        let gate = answer.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            hello()
        }
    })
    .await;
    let client = limited(limit, trusting(&ca));
    let url = https(&server);
    let answers = get_all(&client, &url, count);
    let opening = async {
        server.until(|seen| seen.in_flight == at_a_time).await;
        gate.add_permits(count);
    };
    let (answers, ()) = tokio::join!(answers, opening);
    for answer in answers {
        assert_eq!(answer.unwrap(), "hello");
    }
    server.seen().accepted
}

const BOTH: &[&str] = &["h2", "http/1.1"];

#[tokio::test]
async fn a_burst_over_http_2_is_one_handshake() {
    assert_eq!(burst(BOTH, 100, 64, 100).await, 1);
}

#[tokio::test]
async fn more_requests_than_one_connection_takes_open_more_connections_up_to_the_limit() {
    assert_eq!(burst(BOTH, 250, 64, 250).await, 3);
    assert_eq!(burst(BOTH, 250, 2, 200).await, 2);
    assert_eq!(burst(&["http/1.1"], 40, 8, 8).await, 8);
}

#[tokio::test]
async fn a_wait_is_not_connecting_and_ends_with_the_first_byte_timeout() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::gated(&gate).await;
    let client = limited(1, config());
    let within = |connect, first_byte| Timeouts {
        connect: Duration::from_millis(connect),
        first_byte: Duration::from_millis(first_byte),
        ..PATIENT
    };
    let url = server.url("/");
    let hasty = async {
        server.until(|seen| seen.in_flight == 1).await;
        let hasty = get_within(&client, &url, within(100, 500)).await;
        gate.add_permits(2);
        hasty
    };
    let (first, patient, hasty) = tokio::join!(
        get_within(&client, &url, within(100, 10_000)),
        get_within(&client, &url, within(100, 10_000)),
        hasty,
    );
    assert_eq!(first.unwrap(), testing::DONE);
    assert_eq!(patient.unwrap(), testing::DONE);
    assert_eq!(
        hasty.unwrap_err().to_string(),
        "no connection to spare: every connection that the host may have was busy"
    );
}

#[tokio::test]
async fn a_dropped_request_closes_its_connection_and_frees_its_place() {
    let server = Server::gated(&Arc::new(Semaphore::new(0))).await;
    let client = limited(1, config());
    for sent in 1..=3 {
        let url = server.url("/");
        let sending = get(&client, &url);
        let asked = server.until(|seen| seen.asked.len() == sent);
        tokio::select! { answer = sending => panic!("{answer:?}"), () = asked => () }
        server.until(|seen| seen.open == 0).await;
    }
    assert_eq!(server.seen().accepted, 3);
}

/// The head of an answer whose body does not end.
async fn endless() -> Server {
    Server::always(Answer::head(9).then("half").then_silence()).await
}

#[tokio::test]
async fn a_dropped_response_frees_its_place() {
    let server = endless().await;
    let client = limited(1, config());
    for _ in 0..3 {
        let response = client.send(request(&server.url("/")), PATIENT).await;
        drop(response.unwrap());
    }
    server.until(|seen| seen.open == 0).await;
    assert_eq!(server.seen().accepted, 3);
}

#[tokio::test]
async fn a_response_that_is_held_keeps_its_connection_and_no_other_request_waits_for_it() {
    let held = endless().await;
    let client = limited(2, config());
    let url = held.url("/");
    let first = client.send(request(&url), PATIENT).await.unwrap();
    // The second connection, over and over.
    for _ in 0..3 {
        drop(client.send(request(&url), PATIENT).await.unwrap());
    }
    let second = client.send(request(&url), PATIENT).await.unwrap();
    let full = get_within(
        &client,
        &url,
        Timeouts {
            first_byte: SHORT,
            ..PATIENT
        },
    );
    assert!(matches!(full.await, Err(SendError::ConnectionLimit(_))));
    // Another host has its own connections.
    let other = Server::always("hello").await;
    assert_eq!(get(&client, &other.url("/")).await.unwrap(), "hello");
    drop(first);
    drop(client.send(request(&url), PATIENT).await.unwrap());
    drop(second);
    held.until(|seen| seen.open == 0).await;
}

#[tokio::test]
async fn a_dropped_response_over_http_2_frees_its_stream() {
    let ca = Ca::new();
    let settings = ca.server("service.example", BOTH);
    let server = Server::tls(settings, |_, _| async { json(200, vec![b'x'; 4 << 20]) }).await;
    let client = limited(1, trusting(&ca));
    for _ in 0..250 {
        let response = client.send(request(&https(&server)), PATIENT).await;
        drop(response.unwrap());
    }
    assert_eq!(server.seen().accepted, 1);
}

#[tokio::test]
async fn a_response_may_be_dropped_off_the_runtime() {
    let server = Server::always("hello").await;
    let client = limited(1, config());
    let response = client.send(request(&server.url("/")), PATIENT).await;
    let response = response.unwrap();
    std::thread::spawn(move || drop(response)).join().unwrap();
    assert_eq!(get(&client, &server.url("/")).await.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_requests_are_dropped_at_any_time() {
    let ca = Ca::new();
    let answer = |_, _| async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        hello()
    };
    let http1 = Server::tls(ca.server("service.example", &["http/1.1"]), answer).await;
    let http2 = Server::tls(ca.server("service.example", &["h2"]), answer).await;
    let plain = Server::start(answer).await;
    // Each of its connections ends after an answer, so that requests are sent again as well.
    let closing = super::stale::closing().await;
    let client = limited(4, trusting(&ca));
    let urls = [
        plain.url("/"),
        https(&http1),
        https(&http2),
        closing.url("/"),
    ];
    let mut requests = JoinSet::new();
    for number in 0..4_000_u64 {
        let (client, url) = (client.clone(), urls[number as usize % 4].clone());
        requests.spawn(async move {
            // Some are dropped at once, some in the queue, some on the way, some are done.
            let patience = Duration::from_micros(number * number * 7 % 300_000);
            let _ = timeout(patience, get(&client, &url)).await;
        });
    }
    requests.join_all().await;
    for url in &urls {
        for answer in get_all(&client, url, 50).await {
            assert_eq!(answer.unwrap(), "hello");
        }
    }
    drop(client);
    for server in [plain, http1, http2, closing] {
        server.until(|seen| seen.open == 0).await;
    }
}
