//! Whose credential a request carries: it is the host's, and stays there.

use std::process::Command;
use std::sync::Arc;

use operations_host::{
    Access, Block, Call, CallError, Host, HostConfig, LoadedBlock, Proxy, Reason,
};
use serde_json::json as object;
use tokio::task::JoinSet;

use crate::traced::Captured;
use crate::{NAME, call, config, load, metric, permanent, resolving, to, trusting};
use testing::names::Names;
use testing::server::{Server, closed_port, error, json};
use testing::tls::Ca;
use testing::{CANARY, DONE, authorized_user, token_server};

fn with(access: Access) -> (Host, LoadedBlock) {
    load(HostConfig { access, ..config() })
}

/// The tokens of this server.
fn user(tokens: &Server) -> Access {
    Access::from_credentials_json(authorized_user(&tokens.url("/token")), None).unwrap()
}

/// A service that takes this token alone.
async fn takes(token: &'static str) -> Server {
    Server::start(move |_, asked| async move {
        if asked.all("authorization") == [format!("Bearer {token}")] {
            json(200, DONE)
        } else {
            error(401, "UNAUTHENTICATED", "no")
        }
    })
    .await
}

#[tokio::test]
async fn the_token_is_sent_once_and_the_block_never_sees_it() {
    let server = Server::always(DONE).await;
    let (_host, get) = with(Access::token(CANARY.to_owned()).unwrap());
    let call = call(&server);
    assert!(!format!("{call:?}").contains(CANARY));
    let outputs = get.call(&call).await.unwrap();
    assert!(!format!("{outputs:?}").contains(CANARY));
    let asked = server.the_one();
    assert_eq!(asked.all("authorization"), [format!("Bearer {CANARY}")]);
    let everything = format!("{} {:?}", asked.path, asked.headers);
    assert_eq!(everything.matches(CANARY).count(), 1, "{everything}");
}

#[tokio::test]
async fn without_access_no_request_carries_a_credential() {
    let server = Server::always(DONE).await;
    let (_host, get) = with(Access::none());
    get.call(&call(&server)).await.unwrap();
    get.check_access("apigateway.googleapis.com").await.unwrap();
    assert_eq!(server.the_one().all("authorization"), [""; 0]);
}

#[tokio::test]
async fn a_hundred_first_calls_wait_for_one_token() {
    let (server, tokens) = (Server::always(DONE).await, token_server().await);
    let (_host, get) = with(user(&tokens));
    let get = Arc::new(get);
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let (get, call) = (get.clone(), call(&server));
        calls.spawn(async move { get.call(&call).await.unwrap().done });
    }
    assert_eq!(calls.join_all().await, vec![true; 100]);
    assert_eq!(tokens.asked().len(), 1);
    let asked = server.asked();
    assert_eq!(asked.len(), 100);
    for asked in asked {
        assert_eq!(asked.all("authorization"), [format!("Bearer {CANARY}-1")]);
    }
}

#[tokio::test]
async fn check_access_fetches_the_token_that_later_calls_use() {
    let (server, tokens) = (Server::always(DONE).await, token_server().await);
    let (_host, get) = with(user(&tokens));
    get.check_access("apigateway.googleapis.com").await.unwrap();
    assert_eq!((tokens.asked().len(), server.asked().len()), (1, 0));
    get.call(&call(&server)).await.unwrap();
    assert_eq!((tokens.asked().len(), server.asked().len()), (1, 1));
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_the_request_repeated_once() {
    let (server, tokens) = (
        takes("not-a-real-token-canary-2").await,
        token_server().await,
    );
    let (host, get) = with(user(&tokens));
    let get = Arc::new(get);
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let (get, call) = (get.clone(), call(&server));
        calls.spawn(async move { get.call(&call).await.unwrap().done });
    }
    assert_eq!(calls.join_all().await, vec![true; 10]);
    assert_eq!(tokens.asked().len(), 2);
    let requests = |status| {
        metric(
            &host,
            &format!(
                r#"operations_requests_total{{host="{}",status="{status}"}}"#,
                server.address
            ),
        )
    };
    let refused = requests(401);
    assert!((1..=10).contains(&refused), "{refused}");
    assert_eq!(requests(200), 10);
    assert_eq!(server.asked().len() as u64, refused + 10);
}

#[tokio::test]
async fn a_service_that_refuses_every_token_does_not_cost_a_token_request_per_call() {
    let (server, tokens) = (takes("another").await, token_server().await);
    let (_host, get) = with(user(&tokens));
    for requests in [2, 3] {
        let failure = permanent(get.call(&call(&server)).await);
        assert_eq!(
            (failure.reason, failure.http_status),
            (Reason::Unauthenticated, Some(401))
        );
        assert_eq!((server.asked().len(), tokens.asked().len()), (requests, 2));
    }
}

#[tokio::test]
async fn a_refused_token_made_elsewhere_is_not_tried_again() {
    let server = takes("another").await;
    let (_host, get) = with(Access::token(CANARY.to_owned()).unwrap());
    let failure = permanent(get.call(&call(&server)).await);
    assert_eq!(failure.reason, Reason::Unauthenticated);
    server.the_one();
}

#[tokio::test]
async fn if_the_token_source_is_down_the_host_says_so_and_nothing_is_sent() {
    let server = Server::always(DONE).await;
    let down = closed_port().await;
    let file = authorized_user(&format!("http://{down}/token"));
    let (host, get) = with(Access::from_credentials_json(file, None).unwrap());
    let said = format!(
        "the token server {down} could not be reached: check the network and HTTPS_PROXY; it is asked again every 10 seconds"
    );

    let checked = get
        .check_access("apigateway.googleapis.com")
        .await
        .unwrap_err();
    assert_eq!(checked.to_string(), said);
    assert!(checked.is_transient());

    let error = get.call(&call(&server)).await.unwrap_err();
    assert!(matches!(error, CallError::Access(_)), "{error:?}");
    assert!(error.is_transient());
    assert_eq!(error.to_string(), said);
    assert!(!format!("{error:?}").contains(CANARY));
    assert_eq!(server.seen().accepted, 0);
    assert_eq!(
        metric(
            &host,
            r#"operations_calls_total{outcome="access",reason=""}"#
        ),
        1
    );
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_is_permanent() {
    let server = Server::always(DONE).await;
    let tokens = Server::start(|_, _| async {
        json(
            400,
            format!(r#"{{"error":"invalid_grant","error_description":"{CANARY}"}}"#),
        )
    })
    .await;
    let (_host, get) = with(user(&tokens));
    let error = get.call(&call(&server)).await.unwrap_err();
    assert!(matches!(error, CallError::Access(_)), "{error:?}");
    assert!(!error.is_transient());
    assert!(error.to_string().contains("(invalid_grant)"), "{error}");
    assert!(!format!("{error:?} {error}").contains(CANARY));
    assert_eq!(server.seen().accepted, 0);
}

#[tokio::test]
async fn a_credential_in_the_settings_of_a_call_replaces_the_hosts() {
    let (server, tokens) = (Server::always(DONE).await, token_server().await);
    let (_host, get) = with(user(&tokens));
    let token = call(&server).setting("GOOGLE_OAUTH_ACCESS_TOKEN", "of-the-call");
    let key = call(&server).setting("GOOGLE_API_KEY", "key-of-the-call");
    get.call(&token).await.unwrap();
    get.call(&key).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[0].all("authorization"), ["Bearer of-the-call"]);
    assert_eq!(asked[1].all("authorization"), [""; 0]);
    assert_eq!(asked[1].all("x-goog-api-key"), ["key-of-the-call"]);
    assert_eq!(tokens.seen().accepted, 0);
}

#[tokio::test]
async fn the_quota_project_of_a_call_replaces_that_of_the_credential() {
    let (server, tokens) = (Server::always(DONE).await, token_server().await);
    let file = authorized_user(&tokens.url("/token"));
    let (_host, get) = with(Access::from_credentials_json(file, Some("of-the-host")).unwrap());
    get.call(&call(&server)).await.unwrap();
    let own = call(&server).setting("GOOGLE_CLOUD_QUOTA_PROJECT", "of-the-call");
    get.call(&own).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[0].all("x-goog-user-project"), ["of-the-host"]);
    assert_eq!(asked[1].all("x-goog-user-project"), ["of-the-call"]);
}

#[tokio::test]
async fn no_credential_goes_in_the_clear_to_another_machine() {
    let server = Server::always(DONE).await;
    let names = Names::all(&["127.0.0.1"]);
    let port = server.address.port();
    let call = to(format!("http://service.example:{port}/v1"));
    let host_with = |access| {
        load(HostConfig {
            access,
            connections: resolving(&names),
            ..config()
        })
    };
    let (host, get) = host_with(Access::token(CANARY.to_owned()).unwrap());
    let error = get.call(&call).await.unwrap_err();
    assert!(
        matches!(&error, CallError::InTheClear(host) if host == "service.example"),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("service.example in the clear"),
        "{error}"
    );
    assert_eq!((server.seen().accepted, names.asked().len()), (0, 0));
    assert_eq!(
        metric(
            &host,
            r#"operations_calls_total{outcome="refused",reason=""}"#
        ),
        1
    );

    let (_host, get) = host_with(Access::none());
    assert!(get.call(&call).await.unwrap().done);
}

/// A service at this name, behind a proxy.
async fn service_at(name: &str, access: Access) -> (Server, Server, LoadedBlock) {
    let ca = Ca::new();
    let settings = ca.server(name, &["h2"]);
    let server = Server::tls(settings, |_, _| async { json(200, DONE) }).await;
    let proxy = Server::proxy(server.address).await;
    let mut connections = trusting(&ca);
    connections.proxy = Some(Proxy::new(&proxy.url(""), "").unwrap().into());
    let (_, get) = load(HostConfig {
        access,
        connections,
        ..config()
    });
    (server, proxy, get)
}

#[tokio::test]
async fn the_token_goes_to_hosts_of_the_catalogue_and_never_to_the_proxy() {
    let access = Access::token(CANARY.to_owned()).unwrap();
    let (server, proxy, get) = service_at("apigateway.googleapis.com", access).await;
    assert!(get.call(&Call::new(NAME)).await.unwrap().done);
    let asked = server.the_one();
    assert_eq!(asked.version, http::Version::HTTP_2);
    assert_eq!(asked.all("authorization"), [format!("Bearer {CANARY}")]);
    assert_eq!(
        proxy.the_one().path,
        "CONNECT apigateway.googleapis.com:443 HTTP/1.1"
    );
}

#[tokio::test]
async fn the_token_goes_to_the_services_of_another_universe() {
    let access = Access::token(CANARY.to_owned()).unwrap();
    let access = access.in_universe("Apis.Example");
    let (server, proxy, get) = service_at("apigateway.apis.example", access).await;
    let call = Call::new(NAME).setting("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "apis.example");
    assert!(get.call(&call).await.unwrap().done);
    assert_eq!(
        server.the_one().all("authorization"),
        [format!("Bearer {CANARY}")]
    );
    assert_eq!(
        proxy.the_one().path,
        "CONNECT apigateway.apis.example:443 HTTP/1.1"
    );
}

#[tokio::test]
async fn the_token_goes_to_no_universe_but_its_own() {
    let of_google = Access::token(CANARY.to_owned()).unwrap();
    let of_another = of_google.clone().in_universe("apis.example");
    let key = object!({
        "type": "authorized_user",
        "client_id": "c",
        "client_secret": "s",
        "refresh_token": "r",
        "universe_domain": "apis.example",
    });
    let of_a_file = Access::from_credentials_json(key, None).unwrap();
    for (access, universe) in [
        (of_google, "evil.example"),
        (of_another.clone(), "googleapis.com"),
        (of_another, "evil.example"),
        (of_a_file, "googleapis.com"),
    ] {
        let host = format!("apigateway.{universe}");
        let (server, proxy, get) = service_at(&host, access).await;
        let call = Call::new(NAME).setting("GOOGLE_CLOUD_UNIVERSE_DOMAIN", universe);
        let failure = permanent(get.call(&call).await);
        assert_eq!(failure.reason, Reason::RequestDenied);
        let why = format!("The host says: its credential is of another universe than {universe}.");
        assert!(failure.message.ends_with(&why), "{}", failure.message);
        assert_eq!((server.seen().accepted, proxy.seen().accepted), (0, 0));
    }
}

#[tokio::test]
async fn a_name_that_holds_the_token_is_not_sent() {
    // The second is what percent-encoding changes on its way into a URL.
    for token in [CANARY, "not/a+real=token~canary"] {
        let server = Server::always(DONE).await;
        let (_host, get) = with(Access::token(token.to_owned()).unwrap());
        let call = Call::new(format!("operations/{token}"))
            .setting("OPERATIONS_ENDPOINT", server.endpoint());
        for call in [call, Call::new(token)] {
            let error = get.call(&call).await.unwrap_err();
            assert!(error.concerns_caller());
            assert_eq!(
                error.to_string(),
                "the name holds the credential, so nothing was sent: pass each in its own place"
            );
        }
        assert_eq!(server.seen().accepted, 0);
    }
}

#[tokio::test]
async fn a_name_that_holds_the_last_token_of_a_source_is_not_sent_either() {
    let (server, tokens) = (Server::always(DONE).await, token_server().await);
    let (_host, get) = with(user(&tokens));
    get.call(&call(&server)).await.unwrap();
    let token = format!("{CANARY}-1");
    for name in [token.clone(), format!("operations/{token}")] {
        let call = Call::new(name).setting("OPERATIONS_ENDPOINT", server.endpoint());
        let error = get.call(&call).await.unwrap_err();
        assert!(
            matches!(error, CallError::HoldsCredential("the name")),
            "{error}"
        );
    }
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_token_in_capitals_is_recognized_in_a_lower_case_host() {
    let token = "Not-A-Real-TOKEN";
    let (host, get) = with(Access::token(token.to_owned()).unwrap());
    let (captured, _guard) = Captured::ours();
    for (variable, value) in [
        ("OPERATIONS_ENDPOINT", format!("https://{token}.example/v1")),
        ("OPERATIONS_ENDPOINT", format!("http://{token}.example/v1")),
        ("GOOGLE_CLOUD_UNIVERSE_DOMAIN", format!("{token}.example")),
    ] {
        let call = Call::new(NAME).setting(variable, value);
        let error = get.call(&call).await.unwrap_err();
        let shown = format!(
            "{error} {error:?} {} {}",
            captured.kept().all,
            host.metrics()
        );
        let shown = shown.to_ascii_lowercase();
        assert!(!shown.contains(&token.to_ascii_lowercase()), "{shown}");
    }
}

#[tokio::test]
async fn a_token_is_taken_out_before_the_words_of_a_service_are_cut() {
    let server = Server::start(|_, asked| async move {
        let said = format!("{} {}", "x".repeat(400), asked.all("authorization")[0]);
        error(403, "PERMISSION_DENIED", &said)
    })
    .await;
    let token = "ya29.canary-".repeat(20);
    let (_host, get) = with(Access::token(token).unwrap());
    let failure = permanent(get.call(&call(&server)).await);
    assert!(
        failure.message.contains("x Bearer [credential]”"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_token_that_a_service_repeats_is_taken_out_of_its_answer() {
    let server = Server::start(|_, asked| async move {
        let said = format!("not you: {}", asked.all("authorization")[0]);
        error(403, "PERMISSION_DENIED", &said)
    })
    .await;
    let (_host, get) = with(Access::token(CANARY.to_owned()).unwrap());
    let failure = permanent(get.call(&call(&server)).await);
    assert_eq!(failure.reason, Reason::PermissionDenied);
    assert!(
        failure.message.contains("not you: Bearer [credential]"),
        "{}",
        failure.message
    );
    assert!(!failure.message.contains(CANARY));
    let said = failure.service_error.unwrap().message;
    assert_eq!(said, "not you: Bearer [credential]");
}

/// Run by the test below in a process of its own, since variables are the process's.
#[tokio::test]
#[ignore = "a part of the test of the metadata server"]
async fn child_of_the_metadata_server() {
    let server = Server::always(DONE).await;
    let (_host, get) = with(Access::metadata_server(None).unwrap());
    get.check_access("apigateway.googleapis.com").await.unwrap();
    get.call(&call(&server)).await.unwrap();
    println!("sent <{}>", server.the_one().all("authorization").join(","));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_the_machine_comes_from_its_metadata_server() {
    let metadata = token_server().await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("access::child_of_the_metadata_server")
        .env("GCE_METADATA_HOST", metadata.address.to_string());
    let output = tokio::task::spawn_blocking(move || child.output().unwrap())
        .await
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.contains(&format!("sent <Bearer {CANARY}-1>")),
        "{output}"
    );
    let asked = metadata.the_one();
    assert!(
        asked
            .path
            .starts_with("/computeMetadata/v1/instance/service-accounts/default/token"),
        "{}",
        asked.path
    );
    assert_eq!(asked.all("metadata-flavor"), ["Google"]);
}

#[tokio::test]
async fn a_setting_that_the_manifest_does_not_name_is_refused() {
    let (host, get) = with(Access::none());
    let error = get
        .call(&Call::new(NAME).setting("HOME", "/"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, CallError::UnknownSetting(variable) if variable == "HOME"),
        "{error:?}"
    );
    assert_eq!(metric(&host, "operations_calls_waiting"), 0);
    // The token is a setting like another where the manifest names it.
    let settings = &Block::builtin().manifest().settings.clone();
    assert!(
        settings
            .iter()
            .any(|setting| setting.variable == "GOOGLE_OAUTH_ACCESS_TOKEN")
    );
}
