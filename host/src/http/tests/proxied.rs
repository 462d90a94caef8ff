//! Behind a proxy.

use tokio::io::copy_bidirectional;

use super::*;

const URL: &str = "https://service.example/";

/// A client of a proxy with a user and a password. It can resolve no name: that is the proxy's
/// task.
fn through(proxy: &Server, no_proxy: &str, ca: &Ca) -> Arc<Client> {
    let url = format!("http://u:p@{}", proxy.address);
    client(ConnectionsConfig {
        proxy: Some(Arc::new(Proxy::new(&url, no_proxy).unwrap())),
        resolver: Arc::new(Resolver(no_such_name())),
        ..trusting(ca)
    })
}

fn no_such_name() -> Arc<Names> {
    Names::always(Found::Error("no such name"))
}

#[tokio::test]
async fn a_tunnel_is_asked_for_once_and_carries_http_2() {
    let ca = Ca::new();
    let settings = ca.server("service.example", &["h2"]);
    let server = Server::tls(settings, |_, _| async { hello() }).await;
    let proxy = Server::proxy(server.address).await;
    let client = through(&proxy, "", &ca);
    for _ in 0..10 {
        assert_eq!(get(&client, URL).await.unwrap(), "hello");
    }
    assert_eq!(
        proxy.request().head,
        "CONNECT service.example:443 HTTP/1.1\r\nhost: service.example:443\r\n\
         proxy-authorization: Basic dTpw\r\n\r\n"
    );
    assert_eq!((proxy.seen().accepted, server.seen().accepted), (1, 1));
}

#[tokio::test]
async fn a_proxy_may_itself_be_behind_tls() {
    let ca = Ca::new();
    let settings = ca.server("service.example", &["h2"]);
    let server = Server::tls(settings, |_, _| async { hello() }).await;
    let there = server.address;
    let settings = ca.server("proxy.example", &["http/1.1"]);
    let proxy = raw_tls(settings, move |mut stream, _| async move {
        head(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut there = TcpStream::connect(there).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut there).await;
    })
    .await;
    let url = format!("https://proxy.example:{}", proxy.address.port());
    let client = client(ConnectionsConfig {
        proxy: Some(Arc::new(Proxy::new(&url, "").unwrap())),
        ..trusting(&ca)
    });
    assert_eq!(get(&client, URL).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel_is_named_with_its_answer_and_without_its_password() {
    let ca = Ca::new();
    for (status, kind, says) in [
        (403, "Denied", "it answered 403 to CONNECT"),
        (
            407,
            "Denied",
            "it answered 407 to CONNECT: it requires another user and password than its URL has",
        ),
        (503, "DestinationUnavailable", "it answered 503 to CONNECT"),
    ] {
        let proxy = Server::refusing_proxy(status).await;
        let fault = get(&through(&proxy, "", &ca), URL).await.unwrap_err();
        let url = format!("http://{}", proxy.address);
        assert_eq!(
            fault.to_string(),
            format!("cannot connect through the proxy {url}: {says}")
        );
        let SendError::Proxy { url: named, fault } = fault else {
            panic!("{fault:?}");
        };
        assert_eq!(named, url);
        assert!(format!("{fault:?}").starts_with(kind), "{fault:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_named() {
    let ca = Ca::new();
    let silent = Server::always(Answer::nothing().then_silence()).await;
    let closing = Server::always(Answer::nothing()).await;
    let not_http = Server::always(Answer::raw("SSH-2.0-OpenSSH_9.6\r\n\r\n")).await;
    let closed = testing::server::closed_port().await;
    for (proxy, fault) in [
        (closed.to_string(), SendError::ConnectionRefused),
        (silent.address.to_string(), SendError::ConnectionTimeout),
        (closing.address.to_string(), SendError::ConnectionTerminated),
        (
            "proxy.example:3128".to_owned(),
            SendError::Dns("no such name".into()),
        ),
        (
            not_http.address.to_string(),
            SendError::ProtocolError("invalid HTTP version parsed".into()),
        ),
    ] {
        let url = format!("http://{proxy}");
        let client = client(ConnectionsConfig {
            proxy: Some(Arc::new(Proxy::new(&url, "").unwrap())),
            resolver: Arc::new(Resolver(no_such_name())),
            ..trusting(&ca)
        });
        let timeouts = Timeouts {
            connect: Duration::from_millis(500),
            ..PATIENT
        };
        assert_eq!(
            get_within(&client, URL, timeouts).await,
            Err(SendError::Proxy {
                url,
                fault: Box::new(fault)
            })
        );
    }
}

#[tokio::test]
async fn a_fault_behind_the_tunnel_is_not_the_proxys() {
    let ca = Ca::new();
    let settings = ca.server("other.example", &["h2"]);
    let server = Server::tls(settings, |_, _| async { hello() }).await;
    let proxy = Server::proxy(server.address).await;
    let fault = get(&through(&proxy, "", &ca), URL).await.unwrap_err();
    assert!(matches!(fault, SendError::Certificate(_)), "{fault:?}");
}

#[tokio::test]
async fn hosts_of_no_proxy_and_what_is_in_the_clear_are_reached_directly() {
    let ca = Ca::new();
    let proxy = Server::refusing_proxy(403).await;
    let client = through(&proxy, "example", &ca);
    let answer = get(&client, URL).await;
    assert_eq!(answer, Err(SendError::Dns("no such name".into())));
    let server = Server::always("hello").await;
    assert_eq!(get(&client, &server.url("/")).await.unwrap(), "hello");
    assert_eq!(proxy.seen().accepted, 0);
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_fails_what_would_go_through_it_and_nothing_else() {
    let proxy = Proxy::from_variables(|name| {
        (name == "HTTPS_PROXY").then(|| "socks5://u:p@proxy.example:1080".to_owned())
    });
    let client = client(ConnectionsConfig {
        proxy: proxy.map(Arc::new),
        ..config()
    });
    assert_eq!(
        get(&client, URL).await.unwrap_err().to_string(),
        "HTTPS_PROXY: only proxies of the schemes http and https are supported"
    );
    let server = Server::always("hello").await;
    assert_eq!(get(&client, &server.url("/")).await.unwrap(), "hello");
}
