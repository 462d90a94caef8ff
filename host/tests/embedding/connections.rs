//! How services are connected to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Version;
use operations_host::{ClientIdentity, ConnectionsConfig, HostConfig, Instances, Pem, Reason};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{call, config, load, permanent, reused, to, transient, trusting};
use testing::DONE;
use testing::answer::reply;
use testing::server::{Server, head, json};
use testing::tls::Ca;

#[tokio::test]
async fn calls_share_one_connection_whether_instances_are_fresh_or_reused() {
    for instances in [Instances::Fresh, reused(10)] {
        let server = Server::always(DONE).await;
        let (_host, get) = load(HostConfig {
            instances,
            ..config()
        });
        for _ in 0..3 {
            assert!(get.call(&call(&server)).await.unwrap().done);
        }
        let seen = server.seen();
        assert_eq!((seen.asked.len(), seen.accepted), (3, 1), "{instances:?}");
    }
}

#[tokio::test]
async fn over_tls_with_an_extra_ca_alpn_picks_the_protocol_and_calls_share_the_connection() {
    let ca = Ca::new();
    for (alpn, version) in [
        (&["http/1.1"][..], Version::HTTP_11),
        (&["h2", "http/1.1"], Version::HTTP_2),
    ] {
        let settings = ca.server("127.0.0.1", alpn);
        let server = Server::tls(settings, |_, _| async { json(200, DONE) }).await;
        let (_host, get) = load(HostConfig {
            connections: trusting(&ca),
            ..config()
        });
        let call = to(format!("https://{}/v1", server.address));
        for _ in 0..2 {
            assert!(get.call(&call).await.unwrap().done);
        }
        let seen = server.seen();
        assert_eq!((seen.asked.len(), seen.accepted), (2, 1));
        assert_eq!(seen.asked[1].version, version);
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_permanent_and_nothing_is_sent() {
    let (ca, other) = (Ca::new(), Ca::new());
    let settings = ca.server("127.0.0.1", &["http/1.1"]);
    let server = Server::tls(settings, |_, _| async { json(200, DONE) }).await;
    let call = to(format!("https://{}/v1", server.address));
    for connections in [ConnectionsConfig::default(), trusting(&other)] {
        let (_host, get) = load(HostConfig {
            connections,
            ..config()
        });
        let failure = permanent(get.call(&call).await);
        assert_eq!(failure.reason, Reason::Certificate, "{}", failure.message);
    }
    assert_eq!(server.asked().len(), 0);
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_the_hosts() {
    let ca = Ca::new();
    let settings = ca.server_for_clients("127.0.0.1");
    let server = Server::tls(settings, |_, _| async { json(200, DONE) }).await;
    let call = to(format!("https://{}/v1", server.address));

    let (_host, without) = load(HostConfig {
        connections: trusting(&ca),
        ..config()
    });
    let failure = permanent(without.call(&call).await);
    assert_eq!(failure.reason, Reason::Certificate, "{}", failure.message);
    assert_eq!(server.asked().len(), 0);

    let (chain, key) = ca.issue("client.example");
    let (_host, with) = load(HostConfig {
        connections: ConnectionsConfig {
            client_identity: Some(ClientIdentity {
                chain: Pem::new("client.pem", chain),
                key: Pem::new("client.key", key),
            }),
            ..trusting(&ca)
        },
        ..config()
    });
    assert!(with.call(&call).await.unwrap().done);
    server.the_one();
}

#[tokio::test]
async fn fifty_calls_at_once_open_no_more_connections_than_allowed() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::gated(&gate).await;
    let (_host, get) = load(HostConfig {
        connections: ConnectionsConfig {
            connections_per_host: 4.try_into().unwrap(),
            ..ConnectionsConfig::default()
        },
        ..config()
    });
    let (get, call) = (Arc::new(get), call(&server));
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let (get, call) = (get.clone(), call.clone());
        calls.spawn(async move { get.call(&call).await.unwrap().done });
    }
    server.until(|seen| seen.in_flight == 4).await;
    gate.add_permits(50);
    assert_eq!(calls.join_all().await, vec![true; 50]);
    let seen = server.seen();
    assert_eq!((seen.asked.len(), seen.peak_open), (50, 4));
}

#[tokio::test]
async fn a_header_over_the_limit_is_too_large_and_one_under_it_is_not() {
    let server = Server::start(|number, _| async move {
        let size = if number == 1 { 70_000 } else { 60_000 };
        reply(200, &[("x-large", &"x".repeat(size))], DONE)
    })
    .await;
    let (_host, get) = load(config());
    let failure = permanent(get.call(&call(&server)).await);
    assert_eq!(failure.reason, Reason::TooLarge, "{}", failure.message);
    assert!(get.call(&call(&server)).await.unwrap().done);
}

#[tokio::test]
async fn the_deadline_ends_a_silent_or_dripping_server_and_closes_its_connection() {
    let silent = Server::raw(|mut stream| async move {
        head(&mut stream).await;
        // Until the client closes the connection.
        head(&mut stream).await;
    })
    .await;
    let drips = Server::raw(|mut stream| async move {
        head(&mut stream).await;
        let begin = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
        let mut sent = stream.write_all(begin).await;
        while sent.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            sent = stream.write_all(b" ").await;
        }
    })
    .await;
    let (_host, get) = load(config());
    for server in [silent, drips] {
        let since = Instant::now();
        let call = call(&server).setting("OPERATIONS_TIMEOUT_MS", "400");
        let failure = transient(get.call(&call).await);
        assert_eq!(failure.reason, Reason::Timeout, "{}", failure.message);
        assert!(since.elapsed() >= Duration::from_millis(400));
        assert!(since.elapsed() < Duration::from_secs(4));
        server.until(|seen| seen.open == 0).await;
    }
}
