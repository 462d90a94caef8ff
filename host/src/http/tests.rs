//! Against servers on loopback.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, StatusCode, Version, header};
use http_body_util::{Empty, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

mod server;

use server::{Ca, head, http, https, raw, text, tls};

/// What the tests allow themselves: they are all on loopback.
const HERE: SendOptions = SendOptions {
    connect_timeout: Some(Duration::from_secs(10)),
    first_byte_timeout: Some(Duration::from_secs(10)),
    between_bytes_timeout: Some(Duration::from_secs(10)),
    allow_private_addresses: true,
};

const SHORT: Option<Duration> = Some(Duration::from_millis(100));

/// Every name has these addresses, one list per call, the last one for good.
struct Answers(Vec<Vec<IpAddr>>, AtomicUsize);

impl Answers {
    fn new(lists: &[&[&str]]) -> Arc<Answers> {
        let parse = |list: &&[&str]| list.iter().map(|a| a.parse().unwrap()).collect();
        Arc::new(Answers(
            lists.iter().map(parse).collect(),
            AtomicUsize::new(0),
        ))
    }
}

impl Resolve for Answers {
    fn resolve(&self, _name: &str) -> Resolving {
        let call = self.1.fetch_add(1, Ordering::SeqCst);
        let found = self.0[call.min(self.0.len() - 1)].clone();
        Box::pin(std::future::ready(Ok(found)))
    }
}

/// Answers with an error, or not at all.
struct NoAnswer(Option<&'static str>);

impl Resolve for NoAnswer {
    fn resolve(&self, _name: &str) -> Resolving {
        match self.0 {
            Some(text) => Box::pin(std::future::ready(Err(std::io::Error::other(text)))),
            None => Box::pin(std::future::pending()),
        }
    }
}

/// Names are 127.0.0.1.
fn config() -> ConnectionsConfig {
    ConnectionsConfig {
        resolver: Answers::new(&[&["127.0.0.1"]]),
        ..ConnectionsConfig::default()
    }
}

fn trusting(ca: &Ca) -> ConnectionsConfig {
    ConnectionsConfig {
        extra_ca: vec![Pem::new("ca.pem", ca.pem.as_str())],
        ..config()
    }
}

fn connections(config: ConnectionsConfig) -> Connections {
    Connections::new(config).unwrap()
}

fn request(url: &str) -> Request<Empty<Bytes>> {
    Request::get(url).body(Empty::new()).unwrap()
}

async fn read(response: Response<ResponseBody>) -> Result<String, SendError> {
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

/// A `GET`, with its body.
async fn get(connections: &Connections, url: &str) -> Result<String, SendError> {
    get_with(connections, url, HERE).await
}

async fn get_with(
    connections: &Connections,
    url: &str,
    options: SendOptions,
) -> Result<String, SendError> {
    read(connections.send(request(url), options).await?).await
}

/// A server that answers every connection's first request with these bytes, then closes.
async fn answering(bytes: impl Into<Vec<u8>>) -> server::Server {
    let bytes = bytes.into();
    raw(move |mut stream, _| {
        let bytes = bytes.clone();
        async move {
            head(&mut stream).await;
            stream.write_all(&bytes).await.unwrap();
        }
    })
    .await
}

mod reuse {
    use super::*;

    #[tokio::test]
    async fn a_hundred_requests_on_one_connection() {
        let server = http(|_| async { text("hello") }).await;
        let connections = connections(config());
        for _ in 0..100 {
            assert_eq!(get(&connections, &server.url()).await.unwrap(), "hello");
        }
        assert_eq!(server.accepted(), 1);
    }

    #[tokio::test]
    async fn the_request_arrives_as_it_was_sent() {
        let server = http(|request| async move {
            assert_eq!(request.uri(), "/v1/operations/o?prettyPrint=false");
            assert_eq!(request.version(), Version::HTTP_11);
            let host = request.headers()[header::HOST].to_str().unwrap();
            assert!(host.starts_with("service.example:"), "{host}");
            assert_eq!(request.headers().len(), 2);
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Response::new(Full::from(body))
        })
        .await;
        let url = format!(
            "http://service.example:{}/v1/operations/o?prettyPrint=false",
            server.address.port()
        );
        let request = Request::post(url).body(Full::from("ping")).unwrap();
        let response = connections(config()).send(request, HERE).await.unwrap();
        assert_eq!(read(response).await.unwrap(), "ping");
    }

    #[tokio::test]
    async fn a_connection_for_private_addresses_is_for_requests_that_allow_them() {
        let server = http(|_| async { text("hello") }).await;
        let connections = connections(config());
        get(&connections, &server.url()).await.unwrap();
        let strict = SendOptions {
            allow_private_addresses: false,
            ..HERE
        };
        for url in [
            server.url(),
            format!("http://service.example:{}/", server.address.port()),
        ] {
            assert_eq!(
                get_with(&connections, &url, strict).await,
                Err(SendError::DestinationProhibited)
            );
        }
        assert_eq!(server.accepted(), 1);
    }

    #[tokio::test]
    async fn a_name_is_resolved_once_per_connection() {
        let server = http(|_| async { text("hello") }).await;
        let resolver = Answers::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
        let connections = connections(ConnectionsConfig {
            resolver: resolver.clone(),
            ..config()
        });
        let url = format!("http://rebind.example:{}/", server.address.port());
        for _ in 0..5 {
            get(&connections, &url).await.unwrap();
        }
        assert_eq!(resolver.1.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn unused_connections_are_closed() {
        let server = http(|_| async { text("hello") }).await;
        let connections = connections(ConnectionsConfig {
            idle_timeout: Duration::from_millis(100),
            ..config()
        });
        get(&connections, &server.url()).await.unwrap();
        server.has_open(0).await;
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert!(connections.shared.hosts.lock().unwrap().is_empty());
        get(&connections, &server.url()).await.unwrap();
        assert_eq!(server.accepted(), 2);
    }

    #[tokio::test]
    async fn dropping_the_pool_closes_what_is_idle() {
        let server = http(|_| async { text("hello") }).await;
        let connections = connections(ConnectionsConfig {
            idle_timeout: Duration::from_secs(3600),
            ..config()
        });
        get(&connections, &server.url()).await.unwrap();
        server.has_open(1).await;
        drop(connections);
        server.has_open(0).await;
    }
}

mod stale {
    use super::*;

    /// Answers `answers` requests per connection, then reads one more and closes.
    async fn closing_after(answers: usize) -> server::Server {
        raw(move |mut stream, _| async move {
            for _ in 0..answers {
                head(&mut stream).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
            }
            head(&mut stream).await;
        })
        .await
    }

    #[tokio::test]
    async fn a_get_that_met_a_closing_connection_is_sent_once_more() {
        let server = closing_after(1).await;
        let connections = connections(config());
        for sent in 1..=3 {
            assert_eq!(get(&connections, &server.url()).await.unwrap(), "ok");
            assert_eq!(server.accepted(), sent);
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_meanwhile_is_not_used() {
        let server = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        let connections = connections(config());
        for sent in 1..=3 {
            assert_eq!(get(&connections, &server.url()).await.unwrap(), "ok");
            assert_eq!(server.accepted(), sent);
            server.has_open(0).await;
        }
    }

    #[tokio::test]
    async fn a_post_is_not_sent_twice() {
        let server = closing_after(1).await;
        let connections = connections(config());
        get(&connections, &server.url()).await.unwrap();
        let post = Request::post(server.url()).body(Empty::new()).unwrap();
        let answer = connections.send(post, HERE).await.map(|_| ());
        assert_eq!(answer, Err(SendError::ConnectionTerminated));
        assert_eq!(server.accepted(), 1);
    }

    #[tokio::test]
    async fn a_new_connection_that_is_closed_is_an_error() {
        let server = closing_after(0).await;
        let answer = get(&connections(config()), &server.url()).await;
        assert_eq!(answer, Err(SendError::ConnectionTerminated));
        assert_eq!(server.accepted(), 1);
    }

    #[tokio::test]
    async fn a_response_that_has_begun_is_not_asked_for_again() {
        let server = raw(|mut stream, _| async move {
            head(&mut stream).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 O").await.unwrap();
        })
        .await;
        let connections = connections(config());
        get(&connections, &server.url()).await.unwrap();
        let answer = get(&connections, &server.url()).await;
        assert_eq!(answer, Err(SendError::ResponseIncomplete));
        assert_eq!(server.accepted(), 1);
    }
}

mod https {
    use super::*;

    const BOTH: &[&str] = &["h2", "http/1.1"];

    fn url(server: &server::Server) -> String {
        format!("https://service.example:{}/", server.address.port())
    }

    #[tokio::test]
    async fn http2_where_the_server_has_it() {
        let ca = Ca::new();
        let server = https(
            tls(&ca.issue("service.example"), BOTH, None),
            |request| async move {
                assert_eq!(request.version(), Version::HTTP_2);
                assert!(!request.headers().contains_key(header::HOST));
                let authority = request.uri().authority().unwrap().as_str();
                assert!(authority.starts_with("service.example:"));
                text("hello")
            },
        )
        .await;
        let connections = connections(trusting(&ca));
        let response = connections
            .send(request(&url(&server)), HERE)
            .await
            .unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(read(response).await.unwrap(), "hello");
    }

    #[tokio::test]
    async fn http1_where_it_has_not() {
        let ca = Ca::new();
        for alpn in [&["http/1.1"][..], &[]] {
            let server = https(tls(&ca.issue("service.example"), alpn, None), |_| async {
                text("hello")
            })
            .await;
            let connections = connections(trusting(&ca));
            for _ in 0..10 {
                let sent = connections.send(request(&url(&server)), HERE).await;
                let response = sent.unwrap();
                assert_eq!(response.version(), Version::HTTP_11);
                assert_eq!(read(response).await.unwrap(), "hello");
            }
            assert_eq!(server.accepted(), 1);
        }
    }

    #[tokio::test]
    async fn an_http2_server_that_goes_away_between_requests_or_under_one() {
        let ca = Ca::new();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls(
            &ca.issue("service.example"),
            &["h2"],
            None,
        )));
        let server = raw(move |stream, _| {
            let acceptor = acceptor.clone();
            async move {
                let stream = acceptor.accept(stream).await.unwrap();
                let served = Arc::new(AtomicUsize::new(0));
                let count = Arc::clone(&served);
                let service = hyper::service::service_fn(move |_| {
                    let count = Arc::clone(&count);
                    async move {
                        // The second request on a connection is left without an answer.
                        if count.fetch_add(1, Ordering::SeqCst) == 1 {
                            std::future::pending::<()>().await;
                        }
                        Ok::<_, std::convert::Infallible>(text("hello"))
                    }
                });
                let connection =
                    hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
                        .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
                let gone = async {
                    while served.load(Ordering::SeqCst) < 2 {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                tokio::select! { _ = connection => (), () = gone => () }
            }
        })
        .await;
        let connections = connections(trusting(&ca));
        for sent in 1..=5 {
            assert_eq!(get(&connections, &url(&server)).await.unwrap(), "hello");
            assert_eq!(server.accepted(), sent);
        }
        let post = Request::post(url(&server)).body(Empty::new()).unwrap();
        let answer = connections.send(post, HERE).await.map(|_| ());
        assert_eq!(answer, Err(SendError::ConnectionTerminated));
    }

    #[tokio::test]
    async fn an_http2_response_that_ends_early() {
        let ca = Ca::new();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls(
            &ca.issue("service.example"),
            &["h2"],
            None,
        )));
        let was_read = Arc::new(tokio::sync::Notify::new());
        let close = Arc::clone(&was_read);
        let server = raw(move |stream, _| {
            let (acceptor, close) = (acceptor.clone(), Arc::clone(&close));
            async move {
                let stream = acceptor.accept(stream).await.unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let (_, mut answer) = connection.accept().await.unwrap().unwrap();
                let mut body = answer.send_response(Response::new(()), false).unwrap();
                body.send_data(Bytes::from_static(b"half"), false).unwrap();
                tokio::select! { _ = connection.accept() => (), () = close.notified() => () }
            }
        })
        .await;
        let connections = connections(trusting(&ca));
        let sent = connections.send(request(&url(&server)), HERE).await;
        let mut body = sent.unwrap().into_body();
        let half = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(half, "half");
        was_read.notify_one();
        let end = body.frame().await.unwrap().map(|_| ());
        // A socket that closes with something unread is reset, as the system happens to see it.
        assert!(matches!(
            end,
            Err(SendError::ResponseIncomplete | SendError::ConnectionTerminated)
        ));
        assert!(body.frame().await.is_none());
    }

    /// Sends `count` requests at a time to a server that takes half a second each.
    async fn burst(alpn: &[&str], count: usize, limit: usize) -> server::Server {
        let ca = Ca::new();
        let server = https(tls(&ca.issue("service.example"), alpn, None), |_| async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            text("hello")
        })
        .await;
        let connections = connections(ConnectionsConfig {
            connections_per_host: NonZeroUsize::new(limit).unwrap(),
            ..trusting(&ca)
        });
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..count {
            let (connections, url) = (connections.clone(), url(&server));
            calls.spawn(async move { get(&connections, &url).await });
        }
        for answer in calls.join_all().await {
            assert_eq!(answer.unwrap(), "hello");
        }
        server
    }

    #[tokio::test]
    async fn a_burst_is_one_handshake() {
        assert_eq!(burst(BOTH, 100, 64).await.accepted(), 1);
    }

    #[tokio::test]
    async fn more_streams_than_a_connection_takes_are_more_connections() {
        assert_eq!(burst(BOTH, 250, 64).await.accepted(), 3);
        assert_eq!(burst(BOTH, 250, 2).await.accepted(), 2);
    }

    #[tokio::test]
    async fn a_burst_over_http1_keeps_to_the_limit() {
        let server = burst(&["http/1.1"], 40, 8).await;
        assert_eq!((server.accepted(), server.peak()), (8, 8));
    }

    #[tokio::test]
    async fn certificates_that_are_not_trusted() {
        let ca = Ca::new();
        let past = |parameters: &mut rcgen::CertificateParams| {
            parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
        };
        let key = rcgen::KeyPair::generate().unwrap();
        let self_signed = rcgen::CertificateParams::new(["service.example".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        for (certificate, expected) in [
            (ca.issue_with("service.example", past), "expired"),
            (ca.issue("other.example"), "not valid for name"),
            (
                Ca::new().issue("service.example"),
                "issuer is none of the trusted CAs",
            ),
            ((self_signed.pem(), key.serialize_pem()), "issuer is none"),
        ] {
            let server = https(tls(&certificate, BOTH, None), |_| async { text("") }).await;
            match get(&connections(trusting(&ca)), &url(&server)).await {
                Err(SendError::Certificate(text)) => assert!(text.contains(expected), "{text}"),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn one_failure_is_told_to_all_that_wait_for_it() {
        let ca = Ca::new();
        let certificate = ca.issue("other.example");
        let server = https(tls(&certificate, BOTH, None), |_| async { text("") }).await;
        let connections = connections(trusting(&ca));
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (connections, url) = (connections.clone(), url(&server));
            calls.spawn(async move { get(&connections, &url).await });
        }
        for answer in calls.join_all().await {
            assert!(matches!(answer, Err(SendError::Certificate(_))));
        }
        assert_eq!(server.accepted(), 1);
    }

    #[tokio::test]
    async fn a_client_certificate_where_it_is_asked_for() {
        let (ca, clients) = (Ca::new(), Ca::new());
        let (chain, key) = clients.issue("client");
        for alpn in [BOTH, &["http/1.1"]] {
            let config = tls(&ca.issue("service.example"), alpn, Some(&clients));
            let server = https(config, |_| async { text("hello") }).await;
            let with = connections(ConnectionsConfig {
                client_identity: Some(ClientIdentity {
                    chain: Pem::new("client.pem", chain.as_str()),
                    key: Pem::new("client.key", key.as_str()),
                }),
                ..trusting(&ca)
            });
            assert_eq!(get(&with, &url(&server)).await.unwrap(), "hello");
            for _ in 0..20 {
                assert_eq!(
                    get(&connections(trusting(&ca)), &url(&server)).await,
                    Err(SendError::TlsAlert {
                        id: 116,
                        name: "CertificateRequired".into()
                    }),
                    "{alpn:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_tls() {
        let server = raw(|mut stream, _| async move {
            let _hello = stream.read(&mut [0; 1024]).await.unwrap();
            let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        })
        .await;
        let answer = get(&connections(config()), &url(&server)).await;
        assert!(
            matches!(answer, Err(SendError::TlsProtocol(_))),
            "{answer:?}"
        );
    }

    #[tokio::test]
    async fn a_head_over_the_limit_in_http2() {
        let ca = Ca::new();
        for (fields, size) in [(HEADER_FIELDS + 1, 1), (10, HEADER_BYTES / 10)] {
            let certificate = ca.issue("service.example");
            let server = https(tls(&certificate, BOTH, None), move |_| async move {
                let mut answer = text("hello");
                for field in 0..fields {
                    let name = header::HeaderName::try_from(format!("x-{field}")).unwrap();
                    let value = header::HeaderValue::try_from("v".repeat(size)).unwrap();
                    answer.headers_mut().insert(name, value);
                }
                answer
            })
            .await;
            let answer = get(&connections(trusting(&ca)), &url(&server)).await;
            assert_eq!(answer, Err(SendError::HeaderTooLarge));
        }
    }

    #[tokio::test]
    async fn a_dropped_response_frees_its_stream() {
        let ca = Ca::new();
        let server = https(tls(&ca.issue("service.example"), BOTH, None), |_| async {
            Response::new(Full::from(vec![b'x'; 4 << 20]))
        })
        .await;
        let connections = connections(ConnectionsConfig {
            connections_per_host: NonZeroUsize::MIN,
            ..trusting(&ca)
        });
        for _ in 0..250 {
            let sent = connections.send(request(&url(&server)), HERE).await;
            drop(sent.unwrap());
        }
        assert_eq!(server.accepted(), 1);
    }
}

mod proxied {
    use super::*;

    /// A proxy that answers CONNECT with `status`, and leads every tunnel to `to`.
    async fn proxy(status: &'static str, to: std::net::SocketAddr) -> server::Server {
        raw(move |mut stream, _| async move {
            let asked = head(&mut stream).await.unwrap();
            let asked: Vec<&str> = asked.split("\r\n").collect();
            assert!(
                asked[0].starts_with("CONNECT service.example:"),
                "{asked:?}"
            );
            assert!(asked[0].ends_with(" HTTP/1.1"), "{asked:?}");
            let lower: Vec<String> = asked.iter().map(|line| line.to_lowercase()).collect();
            assert!(lower[1..].contains(&"proxy-authorization: basic dtpw".to_owned()));
            let answer = format!("HTTP/1.1 {status}\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            if status.starts_with("200") {
                let mut there = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
            }
        })
        .await
    }

    fn through(proxy: &server::Server, no_proxy: &str, ca: &Ca) -> Connections {
        let url = format!("http://u:p@{}", proxy.address);
        connections(ConnectionsConfig {
            proxy: Some(Arc::new(Proxy::new(&url, no_proxy).unwrap())),
            // Only the proxy can resolve it.
            resolver: Arc::new(NoAnswer(Some("no such name"))),
            ..trusting(ca)
        })
    }

    /// What a request meets that allows no private address: behind a proxy, only names count.
    const STRICT: SendOptions = SendOptions {
        allow_private_addresses: false,
        ..HERE
    };

    #[tokio::test]
    async fn a_tunnel_carries_http2() {
        let ca = Ca::new();
        let certificate = ca.issue("service.example");
        let server = https(tls(&certificate, &["h2"], None), |_| async {
            text("hello")
        })
        .await;
        let proxy = proxy("200 Connection established", server.address).await;
        let connections = through(&proxy, "", &ca);
        let url = format!("https://service.example:{}/", server.address.port());
        for _ in 0..10 {
            assert_eq!(get_with(&connections, &url, STRICT).await.unwrap(), "hello");
        }
        assert_eq!((proxy.accepted(), server.accepted()), (1, 1));
    }

    #[tokio::test]
    async fn a_tunnel_that_is_not_given() {
        let ca = Ca::new();
        let url = "https://service.example/";
        for (status, expected) in [
            (
                "403 Forbidden",
                SendError::Denied("the proxy answered 403 to CONNECT".into()),
            ),
            (
                "407 Proxy Authentication Required",
                SendError::Denied(
                    "the proxy answered 407 to CONNECT: it asks for another user and password \
                     than its URL has"
                        .into(),
                ),
            ),
            (
                "503 Service Unavailable",
                SendError::DestinationUnavailable("the proxy answered 503 to CONNECT".into()),
            ),
        ] {
            let proxy = proxy(status, "127.0.0.1:1".parse().unwrap()).await;
            let answer = get_with(&through(&proxy, "", &ca), url, STRICT).await;
            assert_eq!(answer, Err(expected));
        }
    }

    #[tokio::test]
    async fn hosts_of_no_proxy_are_reached_directly() {
        let ca = Ca::new();
        let proxy = proxy("200 OK", "127.0.0.1:1".parse().unwrap()).await;
        let connections = through(&proxy, "example", &ca);
        let answer = get_with(&connections, "https://service.example/", STRICT).await;
        assert_eq!(answer, Err(SendError::Dns("no such name".into())));
        let server = http(|_| async { text("hello") }).await;
        assert_eq!(get(&connections, &server.url()).await.unwrap(), "hello");
        assert_eq!(proxy.accepted(), 0);
    }

    #[tokio::test]
    async fn names_of_the_inside_are_not_asked_for() {
        let ca = Ca::new();
        let proxy = proxy("200 OK", "127.0.0.1:1".parse().unwrap()).await;
        let connections = through(&proxy, "", &ca);
        for host in ["metadata.google.internal", "10.0.0.1", "[fd00::1]", "db"] {
            let url = format!("https://{host}/");
            let answer = get_with(&connections, &url, STRICT).await;
            assert_eq!(answer, Err(SendError::DestinationProhibited), "{host}");
        }
        assert_eq!(proxy.accepted(), 0);
    }

    #[tokio::test]
    async fn a_proxy_over_tls() {
        let ca = Ca::new();
        let certificate = ca.issue("service.example");
        let server = https(tls(&certificate, &["h2"], None), |_| async {
            text("hello")
        })
        .await;
        let config = Arc::new(tls(&ca.issue("proxy.example"), &["http/1.1"], None));
        let there = server.address;
        let proxy = raw(move |stream, _| {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&config));
            async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    asked.push(stream.read_u8().await.unwrap());
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut there = TcpStream::connect(there).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
            }
        })
        .await;
        let url = format!("https://proxy.example:{}", proxy.address.port());
        let connections = connections(ConnectionsConfig {
            proxy: Some(Arc::new(Proxy::new(&url, "").unwrap())),
            ..trusting(&ca)
        });
        let url = "https://service.example/";
        assert_eq!(get_with(&connections, url, STRICT).await.unwrap(), "hello");
    }
}

mod time {
    use super::*;

    #[tokio::test]
    async fn a_name_that_is_not_resolved_in_time() {
        let connections = connections(ConnectionsConfig {
            resolver: Arc::new(NoAnswer(None)),
            ..config()
        });
        let options = SendOptions {
            connect_timeout: SHORT,
            ..HERE
        };
        let answer = get_with(&connections, "https://service.example/", options).await;
        assert_eq!(answer, Err(SendError::DnsTimeout));
    }

    #[tokio::test]
    async fn a_name_that_is_not_resolved() {
        let connections = connections(ConnectionsConfig {
            resolver: Arc::new(NoAnswer(Some("Name or service not known"))),
            ..config()
        });
        let error = get(&connections, "https://service.example/").await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "the name was not resolved: Name or service not known"
        );
    }

    #[tokio::test]
    async fn a_handshake_that_takes_too_long_by_each_requests_own_measure() {
        let server = raw(|stream, _| async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(stream);
        })
        .await;
        let connections = connections(config());
        let url = format!("https://service.example:{}/", server.address.port());
        let timed = |milliseconds| {
            let (connections, url) = (&connections, &url);
            async move {
                let began = std::time::Instant::now();
                let options = SendOptions {
                    connect_timeout: Some(Duration::from_millis(milliseconds)),
                    ..HERE
                };
                let answer = get_with(connections, url, options).await;
                (answer, began.elapsed().as_millis() as u64)
            }
        };
        // The second waits for the first one's connection, then opens its own.
        let (short, long) = tokio::join!(timed(100), timed(400));
        for ((answer, took), expected) in [(short, 100), (long, 400)] {
            assert_eq!(answer, Err(SendError::ConnectionTimeout));
            assert!((expected..expected + 2_000).contains(&took), "{took} ms");
        }
    }

    #[tokio::test]
    async fn a_port_where_nothing_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let answer = get(&connections(config()), &format!("http://{address}/")).await;
        assert_eq!(answer, Err(SendError::ConnectionRefused));
    }

    #[tokio::test]
    async fn no_response_in_time() {
        let server = http(|_| async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            text("late")
        })
        .await;
        let options = SendOptions {
            first_byte_timeout: SHORT,
            ..HERE
        };
        let connections = connections(config());
        let answer = get_with(&connections, &server.url(), options).await;
        assert_eq!(answer, Err(SendError::ReadTimeout));
        server.has_open(0).await;
    }

    #[tokio::test]
    async fn no_further_byte_in_time() {
        let server = raw(|mut stream, _| async move {
            head(&mut stream).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            for _ in 0..4 {
                stream.write_all(b".").await.unwrap();
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        })
        .await;
        let options = SendOptions {
            between_bytes_timeout: Some(Duration::from_millis(500)),
            ..HERE
        };
        let connections = connections(config());
        let began = std::time::Instant::now();
        let answer = get_with(&connections, &server.url(), options).await;
        assert_eq!(answer, Err(SendError::ReadTimeout));
        // Four bytes were in time: the timeout is for each wait.
        assert!(began.elapsed() > Duration::from_millis(900));
        server.has_open(0).await;
    }
}

mod faults {
    use super::*;

    #[tokio::test]
    async fn a_reset_is_a_connection_that_was_terminated() {
        let server = raw(|mut stream, _| async move {
            head(&mut stream).await;
            stream.set_zero_linger().unwrap();
        })
        .await;
        let answer = get(&connections(config()), &server.url()).await;
        assert_eq!(answer, Err(SendError::ConnectionTerminated));
    }

    #[tokio::test]
    async fn a_reset_within_the_body() {
        let server = raw(|mut stream, _| async move {
            head(&mut stream).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
            stream.write_all(answer).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.set_zero_linger().unwrap();
        })
        .await;
        let answer = get(&connections(config()), &server.url()).await;
        assert_eq!(answer, Err(SendError::ConnectionTerminated));
    }

    #[tokio::test]
    async fn responses_that_end_early() {
        for bytes in [
            "HTTP/1.1 200 OK\r\ncontent-le",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ] {
            let answer = get(&connections(config()), &answering(bytes).await.url()).await;
            assert_eq!(answer, Err(SendError::ResponseIncomplete), "{bytes}");
        }
    }

    #[tokio::test]
    async fn responses_that_break_the_protocol() {
        for bytes in [
            "SSH-2.0-OpenSSH_9.6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nsecret value\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -secret\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsecret\r\n",
        ] {
            match get(&connections(config()), &answering(bytes).await.url()).await {
                Err(SendError::ProtocolError(text)) => {
                    assert!(!text.contains("secret") && !text.contains("SSH"), "{text}");
                }
                other => panic!("{bytes}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_head_over_the_limit() {
        let many: String = (0..=HEADER_FIELDS)
            .map(|n| format!("x-{n}: v\r\n"))
            .collect();
        let long = format!("x: {}\r\n", "v".repeat(HEADER_BYTES));
        for fields in [many, long] {
            let server = answering(format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).await;
            let answer = get(&connections(config()), &server.url()).await;
            assert_eq!(answer, Err(SendError::HeaderTooLarge));
        }
        let most: String = (1..HEADER_FIELDS)
            .map(|n| format!("x-{n}: v\r\n"))
            .collect();
        let bytes = format!("HTTP/1.1 200 OK\r\n{most}content-length: 0\r\n\r\n");
        let server = answering(bytes).await;
        assert_eq!(
            get(&connections(config()), &server.url()).await.unwrap(),
            ""
        );
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer() {
        let elsewhere = http(|_| async { text("elsewhere") }).await;
        let location = elsewhere.url();
        let server = http(move |_| {
            let location = location.clone();
            async move {
                let mut answer = text("");
                *answer.status_mut() = StatusCode::FOUND;
                let value = header::HeaderValue::try_from(location).unwrap();
                answer.headers_mut().insert(header::LOCATION, value);
                answer
            }
        })
        .await;
        let connections = connections(config());
        let sent = connections.send(request(&server.url()), HERE).await;
        assert_eq!(sent.unwrap().status(), StatusCode::FOUND);
        assert_eq!(elsewhere.accepted(), 0);
    }

    #[tokio::test]
    async fn urls_that_are_not_absolute_or_of_another_scheme() {
        let connections = connections(config());
        for url in [
            "/v1/operations/o",
            "ftp://service.example/",
            "https://apigateway.googleapis.com@service.example/",
        ] {
            assert_eq!(get(&connections, url).await, Err(SendError::UriInvalid));
        }
    }
}

mod limits {
    use super::*;

    fn at_most(limit: usize) -> Connections {
        connections(ConnectionsConfig {
            connections_per_host: NonZeroUsize::new(limit).unwrap(),
            ..config()
        })
    }

    async fn slow(milliseconds: u64) -> server::Server {
        http(move |_| async move {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            text("hello")
        })
        .await
    }

    #[tokio::test]
    async fn requests_beyond_the_limit_wait() {
        let server = slow(20).await;
        let connections = at_most(3);
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..30 {
            let (connections, url) = (connections.clone(), server.url());
            calls.spawn(async move { get(&connections, &url).await });
        }
        for answer in calls.join_all().await {
            assert_eq!(answer.unwrap(), "hello");
        }
        assert_eq!((server.accepted(), server.peak()), (3, 3));
    }

    #[tokio::test]
    async fn a_wait_is_not_connecting_and_ends_with_the_first_byte_timeout() {
        let server = slow(1_500).await;
        let connections = at_most(1);
        let options = |connect, first_byte| SendOptions {
            connect_timeout: Some(Duration::from_millis(connect)),
            first_byte_timeout: Some(Duration::from_millis(first_byte)),
            ..HERE
        };
        let url = server.url();
        let (first, patient, hasty) = tokio::join!(
            get_with(&connections, &url, options(500, 10_000)),
            get_with(&connections, &url, options(500, 10_000)),
            get_with(&connections, &url, options(500, 1_000)),
        );
        assert_eq!(first.unwrap(), "hello");
        assert_eq!(patient.unwrap(), "hello");
        assert_eq!(
            hasty.unwrap_err().to_string(),
            "no connection to spare: every connection that the host may have was busy"
        );
    }

    #[tokio::test]
    async fn a_dropped_request_closes_its_connection_and_frees_its_place() {
        let server = slow(60_000).await;
        let connections = at_most(1);
        for _ in 0..3 {
            let url = server.url();
            let sent = timeout(Duration::from_millis(50), get(&connections, &url)).await;
            assert!(sent.is_err());
            server.has_open(0).await;
        }
        assert_eq!(server.accepted(), 3);
    }

    #[tokio::test]
    async fn a_dropped_response_frees_its_place() {
        let server = raw(|mut stream, _| async move {
            while head(&mut stream).await.is_some() {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
                stream.write_all(answer).await.unwrap();
            }
        })
        .await;
        let connections = at_most(1);
        for _ in 0..3 {
            let sent = connections.send(request(&server.url()), HERE).await;
            drop(sent.unwrap());
        }
        server.has_open(0).await;
        assert_eq!(server.accepted(), 3);
    }

    #[tokio::test]
    async fn a_response_may_be_dropped_off_the_runtime() {
        let server = slow(0).await;
        let connections = at_most(1);
        let sent = connections.send(request(&server.url()), HERE).await;
        let response = sent.unwrap();
        std::thread::spawn(move || drop(response)).join().unwrap();
        assert_eq!(get(&connections, &server.url()).await.unwrap(), "hello");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_lost_when_requests_are_dropped_at_any_time() {
        let ca = Ca::new();
        let answer = |_| async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            text("hello")
        };
        let certificate = ca.issue("service.example");
        let http1 = https(tls(&certificate, &["http/1.1"], None), answer).await;
        let http2 = https(tls(&certificate, &["h2"], None), answer).await;
        let plain = http(answer).await;
        let connections = connections(ConnectionsConfig {
            connections_per_host: NonZeroUsize::new(4).unwrap(),
            ..trusting(&ca)
        });
        let urls = [
            plain.url(),
            format!("https://service.example:{}/", http1.address.port()),
            format!("https://service.example:{}/", http2.address.port()),
        ];
        let mut calls = tokio::task::JoinSet::new();
        for call in 0..3_000_u64 {
            let (connections, url) = (connections.clone(), urls[call as usize % 3].clone());
            calls.spawn(async move {
                // Some are dropped at once, some in the queue, some on the way, some are done.
                let patience = Duration::from_micros(call * call * 7 % 300_000);
                let _ = timeout(patience, get(&connections, &url)).await;
            });
        }
        calls.join_all().await;
        for url in &urls {
            let mut calls = tokio::task::JoinSet::new();
            for _ in 0..50 {
                let (connections, url) = (connections.clone(), url.clone());
                calls.spawn(async move { get(&connections, &url).await });
            }
            for answer in calls.join_all().await {
                assert_eq!(answer.unwrap(), "hello");
            }
        }
        drop(connections);
        plain.has_open(0).await;
        http1.has_open(0).await;
        http2.has_open(0).await;
    }
}

#[test]
fn the_future_and_the_body_may_change_threads() {
    fn is_send<T: Send>(_: &T) {}
    let connections = connections(config());
    is_send(&connections.send(request("http://a.example/"), HERE));
    fn body_is_send<T: Send + Unpin>() {}
    body_is_send::<ResponseBody>();
    assert_eq!(Method::GET, request("http://a.example/").method());
}
