//! What a block cannot do: where it cannot go, what it cannot hold, and what it cannot return.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use operations_host::{
    Block, Call, CallError, ConnectionsConfig, Host, HostConfig, Manifest, Proxy, Reason,
    failure_json,
};
use tokio::io::AsyncWriteExt;

use crate::{
    NAME, call, config, crafted, load, metric, permanent, resolving, to, transient, trusting,
};
use testing::DONE;
use testing::answer::reply;
use testing::names::Names;
use testing::server::{Server, head, json, refusing_port};
use testing::tls::Ca;

fn with(names: &Arc<Names>) -> HostConfig {
    HostConfig {
        connections: resolving(names),
        ..config()
    }
}

/// Over TLS the certificate says who answers (Private Service Connect gives services private addresses).
#[tokio::test]
async fn the_address_of_a_service_is_not_judged() {
    // On this machine, where nothing listens.
    let names = Names::all(&["127.0.0.9"]);
    let (_host, get) = load(with(&names));
    let call = Call::new(NAME).setting("OPERATIONS_MAX_ATTEMPTS", "1");
    let failure = transient(get.call(&call).await);
    assert_eq!(failure.reason, Reason::Unreachable, "{}", failure.message);
    assert_eq!(names.asked(), ["apigateway.googleapis.com"]);
}

#[tokio::test]
async fn an_endpoint_may_have_a_private_address() {
    let server = Server::always(DONE).await;
    let names = Names::all(&["127.0.0.1"]);
    let (_host, get) = load(with(&names));
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
async fn a_narrowed_manifest_takes_hosts_and_methods_away() {
    let host_of_the_name = |manifest: &mut Manifest| {
        let hosts = &mut manifest.permissions.network.allowed_hosts;
        hosts.retain(|host| host != "apigateway.googleapis.com");
    };
    let every_method = |manifest: &mut Manifest| manifest.permissions.network.methods.clear();
    let changes: [&dyn Fn(&mut Manifest); 2] = [&host_of_the_name, &every_method];
    for change in changes {
        let mut manifest = Manifest::builtin();
        change(&mut manifest);
        let names = Names::all(&["127.0.0.1"]);
        let host = Host::with(with(&names)).unwrap();
        let component = Block::builtin().component().to_vec();
        let get = host.load(&Block::new(component, manifest)).unwrap();
        let failure = permanent(get.call(&Call::new(NAME)).await);
        assert_eq!(failure.reason, Reason::RequestDenied, "{}", failure.message);
        assert!(
            failure.message.contains("denies this request"),
            "{}",
            failure.message
        );
        assert_eq!(names.asked(), [""; 0]);
    }
}

/// A host behind a proxy that leads to this server, whatever is asked for.
async fn behind_a_proxy(ca: &Ca, server: &Server, names: &Arc<Names>) -> (Server, HostConfig) {
    let proxy = Server::proxy(server.address).await;
    let config = HostConfig {
        connections: ConnectionsConfig {
            proxy: Some(Proxy::new(&proxy.url(""), "").unwrap().into()),
            resolver: resolving(names).resolver,
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
    let names = Names::all(&["10.0.0.1"]);
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
async fn the_message_of_a_request_that_a_proxy_refuses_has_its_answer() {
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
async fn a_proxy_that_is_down_is_named_in_the_failure() {
    let port = refusing_port();
    let url = format!("http://{}", port.local_addr().unwrap());
    let (_, get) = load(HostConfig {
        connections: ConnectionsConfig {
            proxy: Some(Proxy::new(&url, "").unwrap().into()),
            ..ConnectionsConfig::default()
        },
        ..config()
    });
    let call = Call::new(NAME).setting("OPERATIONS_MAX_ATTEMPTS", "1");
    let failure = transient(get.call(&call).await);
    assert_eq!(failure.reason, Reason::Unreachable);
    let ends = format!(
        " The host says: cannot connect through the proxy {url}: the connection was refused."
    );
    assert!(failure.message.ends_with(&ends), "{}", failure.message);
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_fails_only_the_calls_that_need_it() {
    let variable = |name: &str| (name == "HTTPS_PROXY").then(|| "socks5://proxy:1080".to_owned());
    let (_, get) = load(HostConfig {
        connections: ConnectionsConfig {
            proxy: Proxy::from_variables(variable).map(Into::into),
            ..ConnectionsConfig::default()
        },
        ..config()
    });
    let failure = permanent(get.call(&Call::new(NAME)).await);
    assert_eq!(failure.reason, Reason::RequestDenied);
    let ends =
        " The host says: HTTPS_PROXY: only proxies of the schemes http and https are supported.";
    assert!(failure.message.ends_with(ends), "{}", failure.message);
    let server = Server::always(DONE).await;
    assert!(get.call(&call(&server)).await.unwrap().done);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::always(DONE).await;
    let target = other.url("/v1/operations/o");
    let server = Server::always(reply(302, &[("location", &target)], "")).await;
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
async fn a_block_that_loops_is_ended_while_other_calls_go_on() {
    let server = Server::always(DONE).await;
    let host = Host::with(config()).unwrap();
    let loops = Arc::new(host.load(&crafted::block(crafted::LOOPS)).unwrap());
    let get = host.load(&crate::block()).unwrap();
    let since = Instant::now();
    // All on one thread: the loop has to yield, at each tick of the host's clock.
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
    let loops = host.load(&crafted::starting(crafted::LOOPS)).unwrap();
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
async fn a_block_that_traps_or_gives_up_ends_only_its_own_call() {
    let server = Server::always(DONE).await;
    let host = Host::with(HostConfig {
        instances: crate::reused(100),
        ..config()
    })
    .unwrap();
    let get = host.load(&crate::block()).unwrap();
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

/// A block that makes so many header fields of so many bytes each, keeps them, and returns empty outputs.
fn making_fields(count: u32, size: u32) -> Block {
    let get = format!(
        "(local $left i32)
        ;; A list of one field, whose name is short and whose value is not.
        (memory.fill (i32.const 65536) (i32.const 97) (i32.const {size}))
        (i32.store (i32.const 4096) (i32.const 65536)) (i32.store (i32.const 4100) (i32.const 1))
        (i32.store (i32.const 4104) (i32.const 65536)) (i32.store (i32.const 4108) (i32.const {size}))
        (local.set $left (i32.const {count}))
        (loop $again
            (call $fields (i32.const 4096) (i32.const 1) (i32.const 8192))
            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (i32.const 0)"
    );
    crafted::sending(&get, "")
}

#[tokio::test]
async fn a_component_that_makes_resources_or_header_fields_without_end_is_ended() {
    let host = Host::with(config()).unwrap();
    for (count, size, is_fine) in [
        (50, 10, true),
        (1_000, 10, false),
        (1, 60_000, true),
        (1, 70_000, false),
    ] {
        let block = host.load(&making_fields(count, size)).unwrap();
        let result = block.call(&Call::new("operations/o")).await;
        let is_as_expected = match &result {
            Ok(outputs) => is_fine && outputs.name.is_empty(),
            Err(error) => !is_fine && matches!(error, CallError::Aborted(_)),
        };
        assert!(is_as_expected, "{count} of {size} bytes: {result:?}");
    }
}

#[tokio::test]
async fn the_authority_of_a_request_has_a_limit() {
    let host = Host::with(config()).unwrap();
    for (size, is_refused) in [(60_000, false), (70_000, true)] {
        // `done` of the outputs, at address 12, says whether it was refused.
        let get = format!(
            "(memory.fill (i32.const 65536) (i32.const 97) (i32.const {size}))
            (call $fields (i32.const 0) (i32.const 0) (i32.const 8192))
            (i32.store8 (i32.const 12) (call $set-authority
                (call $request (i32.load (i32.const 8196)))
                (i32.const 1) (i32.const 65536) (i32.const {size})))
            (i32.const 0)"
        );
        let block = host.load(&crafted::sending(&get, "")).unwrap();
        let outputs = block.call(&Call::new("operations/o")).await.unwrap();
        assert_eq!(outputs.done, is_refused, "{size}");
    }
}

#[tokio::test]
async fn the_method_of_a_request_has_a_limit() {
    let http = "package wasi:http@0.2.0 { interface types {
        variant method { get, head, post, put, delete, connect, options, trace, patch, other(string) }
        resource fields { constructor(); }
        resource outgoing-request {
            constructor(headers: fields);
            set-method: func(method: method) -> result;
        }
    } }";
    let exports = "    export operations;";
    let imports = format!("    import wasi:http/types@0.2.0;\n{exports}");
    let wit = format!("{}\n{http}", crafted::WIT.replace(exports, &imports));
    let imports = r#"
        (import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
        (import "wasi:http/types@0.2.0" "[constructor]outgoing-request"
            (func $request (param i32) (result i32)))
        (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-method"
            (func $set-method (param i32 i32 i32 i32) (result i32)))"#;
    let host = Host::with(config()).unwrap();
    for (size, is_refused) in [(60_000, false), (70_000, true)] {
        let get = format!(
            "(memory.fill (i32.const 65536) (i32.const 97) (i32.const {size}))
            (i32.store8 (i32.const 12) (call $set-method (call $request (call $fields))
                (i32.const 9) (i32.const 65536) (i32.const {size})))
            (i32.const 0)"
        );
        let module = crafted::module(crafted::GET, &get, imports);
        let component = crafted::component(&wit, &module);
        let block = Block::new(component, Manifest::builtin());
        let block = host.load(&block).unwrap();
        let outputs = block.call(&Call::new("operations/o")).await.unwrap();
        assert_eq!(outputs.done, is_refused, "{size}");
    }
}

#[tokio::test]
async fn a_component_that_holds_64_responses_does_not_hold_up_other_calls() {
    let server = Server::raw(|mut stream| async move {
        let asked = head(&mut stream).await.unwrap_or_default();
        let length = DONE.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
        match asked.starts_with("GET / ") {
            // Of the component that does not read it anyway.
            true => std::future::pending().await,
            false => drop(stream.write_all(DONE.as_bytes()).await),
        }
    })
    .await;
    let host = Host::with(HostConfig {
        connections: ConnectionsConfig {
            connections_per_host: NonZeroUsize::new(5).unwrap(),
            ..ConnectionsConfig::default()
        },
        ..config()
    })
    .unwrap();
    let authority = server.address.to_string();
    let get = format!(
        "(local $left i32) (local $request i32)
        (local.set $left (i32.const 64))
        (loop $again
            (call $fields (i32.const 0) (i32.const 0) (i32.const 8192))
            (local.set $request (call $request (i32.load (i32.const 8196))))
            (drop (call $set-scheme (local.get $request)
                (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
            (drop (call $set-authority (local.get $request)
                (i32.const 1) (i32.const 4096) (i32.const {})))
            (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 12288))
            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        {}",
        authority.len(),
        crafted::LOOPS
    );
    let data = format!("(data (i32.const 4096) \"{authority}\")");
    let holds = host.load(&crafted::sending(&get, &data)).unwrap();
    let get = host.load(&crate::block()).unwrap();
    let to_server = call(&server);
    let holding = async {
        let held = holds.call(&to_server).await;
        panic!("it goes on for a minute: {held:?}");
    };
    let others = async {
        server.until(|seen| seen.accepted >= 4).await;
        for _ in 0..10 {
            let call = call(&server).setting("OPERATIONS_TIMEOUT_MS", "5000");
            assert!(get.call(&call).await.unwrap().done);
        }
    };
    tokio::select! {
        () = holding => {}
        () = others => {}
    }
}

#[tokio::test]
async fn a_result_that_breaks_the_contract_ends_the_call_as_a_fault_of_the_block() {
    const AT: u32 = crafted::TEXT;
    let host = Host::with(HostConfig {
        instances: crate::reused(100),
        ..config()
    })
    .unwrap();
    let forged = "{}\n{\"name\":\"forged\"}";
    let length = forged.len() as u32;
    let json = |field: &str| format!("`{field}` holds text that is not one JSON value");
    for (words, text, problem) in [
        // `ok`, whose `metadata` is at 64.
        (vec![(64, 1), (68, AT), (72, 5)], "hello", json("metadata")),
        // `err(permanent)`, whose `message` is at 12.
        (
            vec![(0, 1), (12, AT), (16, length)],
            forged,
            "`message` holds a control character".to_owned(),
        ),
        // `err(transient)`, whose `service-error` is at 24, and its `error` at 56.
        (
            vec![(0, 1), (4, 1), (24, 1), (56, AT), (60, length)],
            forged,
            json("service-error.error"),
        ),
    ] {
        let block = host.load(&crafted::returning(&words, text)).unwrap();
        for _ in 0..2 {
            let error = block.call(&Call::new("operations/o")).await.unwrap_err();
            assert!(!error.is_transient());
            assert_eq!(
                error.to_string(),
                format!(
                    "the block returned an invalid result, which is a bug in the block: {problem}"
                )
            );
            let shown = failure_json(&error);
            assert!(
                shown.starts_with(r#"{"case":"aborted","reason":null,"#),
                "{shown}"
            );
            assert!(
                !shown.contains('\n') && !shown.contains("forged"),
                "{shown}"
            );
        }
    }
    // Such an instance is not used again.
    assert_eq!(crate::instances_got(&host), (6, 0));
    let aborted = r#"operations_calls_total{outcome="aborted",reason=""}"#;
    assert_eq!(metric(&host, aborted), 6);
}
