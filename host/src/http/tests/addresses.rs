//! Which of the addresses of a name are connected to.

use super::*;

#[tokio::test]
async fn in_the_clear_localhost_is_this_machine_whatever_the_resolver_says() {
    let server = Server::always("hello").await;
    // TEST-NET-1, RFC 5737: nothing would answer.
    let client = client(resolving(&Names::all(&[
        "192.0.2.1",
        "::ffff:192.0.2.1",
        "127.0.0.1",
    ])));
    for name in ["localhost", "LOCALHOST"] {
        let url = format!("http://{name}:{}/", server.address.port());
        assert_eq!(get(&client, &url).await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn in_the_clear_localhost_is_not_asked_at_another_machine() {
    let client = client(resolving(&Names::all(&["192.0.2.1"])));
    let fault = get(&client, "http://localhost:8080/").await.unwrap_err();
    assert_eq!(
        fault.to_string(),
        "localhost has no loopback address here, and a request in the clear must not leave this \
         machine"
    );
}

#[tokio::test]
async fn over_tls_the_certificate_says_who_answers_and_not_the_address() {
    let ca = Ca::new();
    for name in ["localhost", "apigateway.googleapis.com"] {
        let server = Server::tls(ca.server(name, &["h2"]), |_, _| async { hello() }).await;
        // Loopback stands for any private address here.
        let client = client(trusting(&ca));
        let url = format!("https://{name}:{}/", server.address.port());
        assert_eq!(get(&client, &url).await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn an_address_that_refuses_does_not_delay_the_next_one() {
    let server = Server::always("hello").await;
    // Nothing listens at this port of the other loopback addresses.
    let port = server.address.port();
    let client_for = |found: &[&str]| client(resolving(&Names::all(found)));
    for found in [
        &["127.0.0.2", "127.0.0.1"][..],
        &["::1", "127.0.0.1"],
        &["127.0.0.2", "::1", "127.0.0.1"],
    ] {
        let url = format!("http://service.example:{port}/");
        assert_eq!(get(&client_for(found), &url).await.unwrap(), "hello");
    }
    let url = format!("http://service.example:{port}/");
    let refused = get(&client_for(&["127.0.0.2", "127.0.0.3"]), &url).await;
    assert_eq!(refused, Err(SendError::ConnectionRefused));
}

#[tokio::test]
async fn a_name_that_has_no_address_or_is_not_known_is_a_fault_of_dns() {
    let nowhere = get(
        &client(resolving(&Names::all(&[]))),
        "https://service.example/",
    )
    .await;
    assert_eq!(
        nowhere.unwrap_err().to_string(),
        "the name was not resolved: it has no address"
    );
    let names = Names::always(Found::Error("no such name"));
    let unknown = client(resolving(&names));
    let unknown = get(&unknown, "https://service.example/").await;
    assert_eq!(
        unknown.unwrap_err().to_string(),
        "the name was not resolved: no such name"
    );
}
