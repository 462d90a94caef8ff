//! What goes over the wire, byte for byte.

use operations_host::Reason;
use testing::answer::reply;
use testing::recorded::Recorded;
use testing::server::Server;

use crate::block::{DONE, ask, assert_failed, call};
use crate::fake_network::Network;

const TOKEN: &str = "not-a-real-token";
const KEY: &str = "not-a-real-key";

/// The one request of a call for `name`, and the host and port that it was sent to.
async fn sent(name: &str, settings: &[(&str, &str)]) -> (Recorded, String) {
    let server = Server::always(reply(200, &[("connection", "close")], DONE)).await;
    ask(&server, name, settings).await.unwrap();
    // Whatever the client sends behind the request would be recorded as one more.
    server.until(|seen| seen.open == 0).await;
    assert_eq!(server.seen().accepted, 1);
    (server.request(), server.address.to_string())
}

/// The target of the request for `name`, without the query.
async fn path(name: &str) -> String {
    let (request, _) = sent(name, &[]).await;
    let target = request
        .line()
        .strip_prefix("GET ")
        .and_then(|line| line.strip_suffix("?$.xgafv=2&prettyPrint=false HTTP/1.1"));
    target.expect("the query ends the target").to_owned()
}

fn user_agent() -> String {
    format!("user-agent: operations-get/{}", env!("CARGO_PKG_VERSION"))
}

#[tokio::test]
async fn a_request_is_these_bytes_and_no_others() {
    let (request, authority) = sent("operations/o", &[]).await;
    assert_eq!(
        request.line(),
        "GET /v1/operations/o?$.xgafv=2&prettyPrint=false HTTP/1.1"
    );
    // With neither content-length nor transfer-encoding, a request has no body (RFC 9112, section 6.3).
    let expected = [
        "accept: application/json".to_owned(),
        format!("host: {authority}"),
        user_agent(),
    ];
    assert_eq!(request.fields(), expected);
    assert_eq!(request.body, "");
}

#[tokio::test]
async fn an_access_token_is_in_its_header_alone() {
    let settings = [
        ("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN),
        ("GOOGLE_CLOUD_QUOTA_PROJECT", "billed-project"),
    ];
    let (request, authority) = sent("operations/o", &settings).await;
    let expected = [
        "accept: application/json".to_owned(),
        format!("authorization: Bearer {TOKEN}"),
        format!("host: {authority}"),
        user_agent(),
        "x-goog-user-project: billed-project".to_owned(),
    ];
    assert_eq!(request.fields(), expected);
    assert_eq!(request.head.matches(TOKEN).count(), 1);
}

#[tokio::test]
async fn an_api_key_is_in_its_header_alone() {
    let (request, authority) = sent("operations/o", &[("GOOGLE_API_KEY", KEY)]).await;
    let expected = [
        "accept: application/json".to_owned(),
        format!("host: {authority}"),
        user_agent(),
        format!("x-goog-api-key: {KEY}"),
    ];
    assert_eq!(request.fields(), expected);
    assert_eq!(request.head.matches(KEY).count(), 1);
}

#[tokio::test]
async fn a_newline_at_the_end_of_a_secret_is_not_sent() {
    let token = format!("{TOKEN}\n");
    let (request, _) = sent("operations/o", &[("GOOGLE_OAUTH_ACCESS_TOKEN", &token)]).await;
    let field = format!("authorization: Bearer {TOKEN}");
    assert!(request.fields().contains(&field.as_str()), "{request:?}");
}

#[tokio::test]
async fn every_byte_of_a_name_is_encoded_unless_it_is_unreserved() {
    for (name, expected) in [
        ("operations/abcXYZ019-_.~", "/v1/operations/abcXYZ019-_.~"),
        ("operations/a/b/c", "/v1/operations/a/b/c"),
        ("operations/a?b=c", "/v1/operations/a%3Fb%3Dc"),
        ("operations/a#b", "/v1/operations/a%23b"),
        ("operations/a%b", "/v1/operations/a%25b"),
        ("operations/a%2Fb", "/v1/operations/a%252Fb"),
        ("operations/%2e%2e", "/v1/operations/%252e%252e"),
        ("operations/a:cancel", "/v1/operations/a%3Acancel"),
        ("operations/a b", "/v1/operations/a%20b"),
        ("operations/a+b", "/v1/operations/a%2Bb"),
        ("operations/a\\b", "/v1/operations/a%5Cb"),
        ("operations/a&$.xgafv=1", "/v1/operations/a%26%24.xgafv%3D1"),
        (" operations/a\r\n", "/v1/operations/a"),
        (
            "operations/ü/日本/😀",
            "/v1/operations/%C3%BC/%E6%97%A5%E6%9C%AC/%F0%9F%98%80",
        ),
        (
            "operations/!\"'()*,;<=>@[]^`{|}x",
            "/v1/operations/%21%22%27%28%29%2A%2C%3B%3C%3D%3E%40%5B%5D%5E%60%7B%7C%7Dx",
        ),
        (
            "projects/p/locations/l/operations/o",
            "/v1/projects/p/locations/l/operations/o",
        ),
    ] {
        assert_eq!(path(name).await, expected, "{name:?}");
    }
}

#[tokio::test]
async fn a_full_name_is_sent_without_its_service() {
    let service = ("OPERATIONS_SERVICE", "apigateway.googleapis.com");
    let name = "//apigateway.googleapis.com/projects/p/locations/l/operations/o";
    let (request, _) = sent(name, &[service]).await;
    assert_eq!(
        request.line(),
        "GET /v1/projects/p/locations/l/operations/o?$.xgafv=2&prettyPrint=false HTTP/1.1"
    );
}

#[tokio::test]
async fn the_path_of_an_endpoint_is_kept() {
    for (path, expected) in [
        ("", "/operations/o"),
        ("/", "/operations/o"),
        ("/v1/", "/v1/operations/o"),
        ("/proxy/a%20b/v1beta", "/proxy/a%20b/v1beta/operations/o"),
    ] {
        let server = Server::always(DONE).await;
        let endpoint = format!("http://{}{path}", server.address);
        call("operations/o", &[("OPERATIONS_ENDPOINT", &endpoint)])
            .await
            .unwrap();
        assert_eq!(
            server.request().line(),
            format!("GET {expected}?$.xgafv=2&prettyPrint=false HTTP/1.1"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_longest_name_is_sent_and_one_byte_more_is_not() {
    let longest = format!("operations/{}", "a".repeat(2048 - "operations/".len()));
    assert_eq!(path(&longest).await, format!("/v1/{longest}"));
    let server = Server::always(DONE).await;
    let result = ask(&server, &format!("{longest}a"), &[]).await;
    assert_failed(result, "permanent", Reason::InvalidName);
    assert_eq!(server.seen().accepted, 0);
}

#[tokio::test]
async fn every_attempt_sends_the_same_bytes() {
    let again = reply(503, &[("retry-after", "0")], "");
    let server = Server::script([again.into(), DONE.into()]).await;
    ask(
        &server,
        "operations/o",
        &[("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN)],
    )
    .await
    .unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].head, requests[1].head);
}

#[tokio::test]
async fn a_service_is_called_at_its_own_host_over_tls() {
    let name = "projects/p/locations/l/operations/o";
    for (settings, name, expected) in [
        (
            vec![],
            "operations/o".to_owned(),
            "https://workspaceevents.googleapis.com/v1beta/operations/o",
        ),
        (
            vec![],
            format!("//apigateway.googleapis.com/{name}"),
            "https://apigateway.googleapis.com/v1/projects/p/locations/l/operations/o",
        ),
        (
            vec![(
                "OPERATIONS_SERVICE",
                "androiddeviceprovisioning.googleapis.com/v1",
            )],
            "operations/a/b?".to_owned(),
            "https://androiddeviceprovisioning.googleapis.com/v1/operations/a/b%3F",
        ),
        (
            vec![("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "apis.example.org")],
            "operations/o".to_owned(),
            "https://workspaceevents.apis.example.org/v1beta/operations/o",
        ),
    ] {
        let (result, sent) = Network::done().call(&name, &settings).await;
        assert!(result.unwrap().done);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].method, "GET");
        assert_eq!(
            sent[0].uri.to_string(),
            format!("{expected}?$.xgafv=2&prettyPrint=false")
        );
        let authority = sent[0].uri.authority().unwrap().as_str();
        assert_eq!(sent[0].headers["host"], authority);
    }
}
