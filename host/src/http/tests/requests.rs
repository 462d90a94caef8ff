//! How a request leaves, and which connection it takes.

use http::{Method, Version};

use super::*;

#[tokio::test]
async fn a_request_arrives_as_it_was_sent_and_with_its_host() {
    let server = Server::always("hello").await;
    let client = client(config());
    let host = format!("service.example:{}", server.address.port());
    for (method, body) in [(Method::GET, ""), (Method::POST, "ping")] {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{host}/v1/operations/o?prettyPrint=false"))
            .header("accept", "application/json")
            .body(Bytes::from(body));
        let response = client.send(request.unwrap(), PATIENT).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_11);
        assert_eq!(read(response).await.unwrap(), "hello");
    }
    let [get, post] = &server.requests()[..] else {
        panic!("{:?}", server.requests());
    };
    let rest = format!("accept: application/json\r\nhost: {host}\r\n");
    let line = "/v1/operations/o?prettyPrint=false HTTP/1.1\r\n";
    assert_eq!(get.head, format!("GET {line}{rest}\r\n"));
    assert_eq!(
        post.head,
        format!("POST {line}{rest}content-length: 4\r\n\r\n")
    );
    assert_eq!(post.text(), "ping");
    assert_eq!(server.seen().accepted, 1);
}

#[tokio::test]
async fn urls_that_are_relative_or_of_another_scheme_or_name_a_user_are_not_sent() {
    let client = client(config());
    for url in [
        "/v1/operations/o",
        "ftp://service.example/",
        "https://apigateway.googleapis.com@service.example/",
    ] {
        assert_eq!(get(&client, url).await, Err(SendError::UriInvalid));
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_per_connection() {
    let server = Server::always("hello").await;
    let names = Names::in_turn(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let client = client(resolving(&names));
    let url = format!("http://service.example:{}/", server.address.port());
    for _ in 0..5 {
        get(&client, &url).await.unwrap();
    }
    assert_eq!(names.asked(), ["service.example"]);
    assert_eq!(server.seen().accepted, 1);
}

#[tokio::test]
async fn unused_connections_are_closed_and_their_hosts_forgotten() {
    let server = Server::always("hello").await;
    let client = client(ConnectionsConfig {
        idle_timeout: Duration::from_millis(100),
        ..config()
    });
    let url = server.url("/");
    get(&client, &url).await.unwrap();
    server.until(|seen| seen.open == 0).await;
    while !client.hosts.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    get(&client, &url).await.unwrap();
    assert_eq!(server.seen().accepted, 2);
}

#[tokio::test]
async fn dropping_the_client_closes_what_is_idle() {
    let server = Server::always("hello").await;
    let client = client(ConnectionsConfig {
        idle_timeout: Duration::from_secs(3600),
        ..config()
    });
    get(&client, &server.url("/")).await.unwrap();
    assert_eq!(server.seen().open, 1);
    drop(client);
    server.until(|seen| seen.open == 0).await;
}

#[test]
fn the_future_and_the_body_may_change_threads() {
    fn is_send<T: Send>(_: &T) {}
    let client = client(config());
    is_send(&client.send(request("http://a.example/"), PATIENT));
    fn body_is_send<T: Send + Unpin>() {}
    body_is_send::<ResponseBody>();
}
