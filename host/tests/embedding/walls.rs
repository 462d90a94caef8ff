//! What a block cannot do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use operations_host::{
    Block, Call, CallError, ConnectionsConfig, Host, HostConfig, Manifest, Proxy, Reason,
};

use crate::{NAME, Names, call, config, crafted, load, metric, permanent, to, trusting};
use testing::DONE;
use testing::server::{Server, json};
use testing::tls::Ca;

fn resolving(names: &Arc<Names>) -> HostConfig {
    HostConfig {
        connections: ConnectionsConfig {
            resolver: names.clone(),
            ..ConnectionsConfig::default()
        },
        ..config()
    }
}

#[tokio::test]
async fn a_service_whose_name_has_an_inner_address_is_not_connected_to() {
    for address in ["169.254.169.254", "10.0.0.1", "127.0.0.1", "::1", "fd00::1"] {
        let names = Names::all(address);
        let (host, get) = load(resolving(&names));
        let failure = permanent(get.call(&Call::new(NAME)).await);
        assert_eq!(failure.reason, Reason::RequestDenied, "{}", failure.message);
        assert!(
            failure.message.contains("denies requests to this address"),
            "{}",
            failure.message
        );
        // It was looked up, and not tried again.
        assert_eq!(names.asked(), ["apigateway.googleapis.com"]);
        let requests =
            r#"operations_requests_total{host="apigateway.googleapis.com",status="none"}"#;
        assert_eq!(metric(&host, requests), 1);
    }
}

#[tokio::test]
async fn an_endpoint_may_have_an_inner_address() {
    let server = Server::always(DONE).await;
    let names = Names::all("127.0.0.1");
    let (_host, get) = load(resolving(&names));
    let port = server.address.port();
    let outputs = get
        .call(&to(format!("http://service.example:{port}/v1")))
        .await;
    assert!(outputs.unwrap().done);
    assert_eq!(
        server.the_one().all("host"),
        [format!("service.example:{port}")]
    );
    assert_eq!(names.asked(), ["service.example"]);
}

#[tokio::test]
async fn a_manifest_that_is_narrowed_takes_hosts_and_methods_away() {
    let host_of_the_name = |manifest: &mut Manifest| {
        let hosts = &mut manifest.permissions.network.allowed_hosts;
        hosts.retain(|host| host != "apigateway.googleapis.com");
    };
    let every_method = |manifest: &mut Manifest| manifest.permissions.network.methods.clear();
    let changes: [&dyn Fn(&mut Manifest); 2] = [&host_of_the_name, &every_method];
    for change in changes {
        let mut manifest = Manifest::builtin();
        change(&mut manifest);
        let names = Names::all("127.0.0.1");
        let host = Host::with(resolving(&names)).unwrap();
        let component = Block::builtin().component().to_vec();
        let get = host.load(&Block::new(component, manifest)).unwrap();
        let failure = permanent(get.call(&Call::new(NAME)).await);
        assert_eq!(failure.reason, Reason::RequestDenied, "{}", failure.message);
        assert!(
            failure.message.contains("denies this request"),
            "{}",
            failure.message
        );
        assert_eq!(names.count.load(Ordering::SeqCst), 0);
    }
}

/// A host behind a proxy that leads to this server, whatever is asked for.
async fn behind_a_proxy(ca: &Ca, server: &Server, names: &Arc<Names>) -> (Server, HostConfig) {
    let proxy = Server::proxy(server.address).await;
    let config = HostConfig {
        connections: ConnectionsConfig {
            proxy: Some(Proxy::new(&proxy.url(""), "").unwrap().into()),
            resolver: names.clone(),
            ..trusting(ca)
        },
        ..config()
    };
    (proxy, config)
}

#[tokio::test]
async fn behind_a_proxy_the_name_of_the_service_goes_to_the_proxy() {
    let ca = Ca::new();
    let settings = ca.server("apigateway.googleapis.com", &["http/1.1"]);
    let server = Server::tls(settings, |_, _| async { json(200, DONE) }).await;
    let names = Names::all("10.0.0.1");
    let (proxy, config) = behind_a_proxy(&ca, &server, &names).await;
    let (host, get) = load(config);
    for _ in 0..2 {
        assert!(get.call(&Call::new(NAME)).await.unwrap().done);
    }
    assert_eq!(
        proxy.the_one().path,
        "CONNECT apigateway.googleapis.com:443 HTTP/1.1"
    );
    // What the network answers for the name is the proxy's concern.
    assert_eq!(names.asked(), [""; 0]);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(
        asked[0].path,
        "/v1/projects/p/locations/global/operations/o?$.xgafv=2&prettyPrint=false"
    );
    assert_eq!(asked[0].all("host"), ["apigateway.googleapis.com"]);
    let requests = r#"operations_requests_total{host="apigateway.googleapis.com",status="200"}"#;
    assert_eq!(metric(&host, requests), 2);
}

#[tokio::test]
async fn what_a_proxy_refuses_is_told_with_its_answer() {
    for (status, says) in [
        (
            407,
            "it answered 407 to CONNECT: it requires another user and password than its URL has.",
        ),
        (403, "it answered 403 to CONNECT."),
    ] {
        let proxy = Server::refusing_proxy(status).await;
        let (_, get) = load(HostConfig {
            connections: ConnectionsConfig {
                proxy: Some(Proxy::new(&proxy.url(""), "").unwrap().into()),
                ..ConnectionsConfig::default()
            },
            ..config()
        });
        let error = get.call(&Call::new(NAME)).await.unwrap_err();
        let CallError::Permanent(failure) = error else {
            panic!("{error:?}");
        };
        assert_eq!(failure.reason, Reason::RequestDenied);
        let url = proxy.url("");
        let ends = format!(" The host says: cannot connect through the proxy {url}: {says}");
        assert!(failure.message.ends_with(&ends), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::always(DONE).await;
    let target = other.url("/v1/operations/o");
    let server = Server::start(move |_, _| {
        let target = target.clone();
        async move {
            let reply = Response::builder().status(302).header("location", target);
            reply.body(Full::new(Bytes::new())).unwrap()
        }
    })
    .await;
    let (_host, get) = load(config());
    let failure = permanent(get.call(&call(&server)).await);
    assert_eq!(
        (failure.reason, failure.http_status),
        (Reason::Redirected, Some(302))
    );
    server.the_one();
    assert_eq!(other.seen().accepted, 0);
}

#[tokio::test]
async fn a_block_that_loops_is_ended_and_the_calls_beside_it_go_on() {
    let server = Server::always(DONE).await;
    let host = Host::with(config()).unwrap();
    let loops = Arc::new(host.load(&crafted::block(crafted::LOOPS)).unwrap());
    let get = host.load(&Block::builtin()).unwrap();
    let since = Instant::now();
    // All on one thread: the loop has to give way, at each tick of the host's clock.
    let looping = tokio::spawn({
        let call = Call::new("operations/o").setting("OPERATIONS_TIMEOUT_MS", "100");
        async move { loops.call(&call).await }
    });
    crate::until(|| metric(&host, "operations_calls_in_flight") == 1).await;
    for _ in 0..10 {
        assert!(get.call(&call(&server)).await.unwrap().done);
    }
    assert!(!looping.is_finished());
    let error = looping.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Overran), "{error:?}");
    // Its deadline and the grace of 5 s.
    assert!(since.elapsed() >= Duration::from_millis(5100));
    assert!(
        since.elapsed() < Duration::from_secs(15),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(
        metric(
            &host,
            r#"operations_calls_total{outcome="aborted",reason=""}"#
        ),
        1
    );
    assert_eq!(metric(&host, "operations_calls_in_flight"), 0);
}

#[tokio::test]
async fn a_block_that_loops_while_its_instance_is_made_is_ended_too() {
    let (host, _) = load(config());
    let loops = host
        .load(&crafted::starting(crafted::LOOPS_FOR_EVER))
        .unwrap();
    let call = Call::new("operations/o").setting("OPERATIONS_TIMEOUT_MS", "1");
    let (called, prepared) = tokio::join!(loops.call(&call), loops.prepare(&call));
    assert!(matches!(called, Err(CallError::Overran)), "{called:?}");
    assert!(matches!(prepared, Err(CallError::Overran)), "{prepared:?}");
    assert_eq!(metric(&host, "operations_calls_in_flight"), 0);
    host.stop().await;
}

#[tokio::test]
async fn dropping_a_call_ends_a_block_that_loops() {
    let (host, _) = load(config());
    let loops = host.load(&crafted::block(crafted::LOOPS)).unwrap();
    let call = Call::new("operations/o");
    let ended = tokio::time::timeout(Duration::from_millis(50), loops.call(&call)).await;
    assert!(ended.is_err());
    assert_eq!(metric(&host, "operations_calls_in_flight"), 0);
    assert_eq!(
        metric(
            &host,
            r#"operations_calls_total{outcome="cancelled",reason=""}"#
        ),
        1
    );
}

#[tokio::test]
async fn a_block_that_traps_or_gives_up_ends_its_own_call_alone() {
    let server = Server::always(DONE).await;
    let host = Host::with(HostConfig {
        instances: crate::reused(100),
        ..config()
    })
    .unwrap();
    let get = host.load(&Block::builtin()).unwrap();
    let traps = host.load(&crafted::block(crafted::TRAPS)).unwrap();
    let gives_up = host.load(&crafted::block(crafted::GIVES_UP)).unwrap();
    for _ in 0..2 {
        for block in [&traps, &gives_up] {
            let error = block.call(&Call::new("operations/o")).await.unwrap_err();
            assert!(matches!(error, CallError::Aborted(_)), "{error:?}");
            assert!(!error.is_transient());
        }
        assert!(get.call(&call(&server)).await.unwrap().done);
    }
    // Of the three, the one that trapped is new each time.
    assert_eq!(crate::instances_got(&host), (4, 2));
    assert_eq!(
        metric(
            &host,
            r#"operations_calls_total{outcome="aborted",reason=""}"#
        ),
        4
    );
}
