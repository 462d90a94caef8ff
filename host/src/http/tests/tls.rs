//! Whom a client trusts, and who it is.

use http::Version;
use testing::tls::server_self_signed;
use tokio::io::AsyncReadExt;

use super::*;

const BOTH: &[&str] = &["h2", "http/1.1"];

#[tokio::test]
async fn a_server_that_chooses_no_protocol_speaks_http_1() {
    let ca = Ca::new();
    for alpn in [&["http/1.1"][..], &[]] {
        let settings = ca.server("service.example", alpn);
        let server = Server::tls(settings, |_, _| async { hello() }).await;
        let client = client(trusting(&ca));
        for _ in 0..2 {
            let response = client.send(request(&https(&server)), PATIENT).await;
            let response = response.unwrap();
            assert_eq!(response.version(), Version::HTTP_11);
            assert_eq!(read(response).await.unwrap(), "hello");
        }
        assert_eq!(server.seen().accepted, 1);
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_named_with_its_fault() {
    let ca = Ca::new();
    for (settings, expected) in [
        (ca.server_expired("service.example"), "expired"),
        (ca.server("other.example", BOTH), "not valid for name"),
        (
            Ca::new().server("service.example", BOTH),
            "its issuer is none of the trusted CAs",
        ),
        (
            server_self_signed("service.example"),
            "its issuer is none of the trusted CAs",
        ),
    ] {
        let server = Server::tls(settings, |_, _| async { hello() }).await;
        match get(&client(trusting(&ca)), &https(&server)).await {
            Err(SendError::Certificate(text)) => assert!(text.contains(expected), "{text}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn one_failure_to_connect_is_that_of_all_who_wait_for_the_connection() {
    let ca = Ca::new();
    let settings = ca.server("other.example", BOTH);
    let server = Server::tls(settings, |_, _| async { hello() }).await;
    let client = client(trusting(&ca));
    for answer in get_all(&client, &https(&server), 50).await {
        assert!(matches!(answer, Err(SendError::Certificate(_))));
    }
    assert_eq!(server.seen().accepted, 1);
}

#[tokio::test]
async fn a_client_shows_its_certificate_if_it_is_asked_for_one() {
    let ca = Ca::new();
    let (chain, key) = ca.issue("client");
    for alpn in [BOTH, &["http/1.1"]] {
        let mut settings = ca.server_for_clients("service.example");
        settings.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let server = Server::tls(settings, |_, _| async { hello() }).await;
        let with = client(ConnectionsConfig {
            client_identity: Some(ClientIdentity {
                chain: Pem::new("client.pem", chain.as_str()),
                key: Pem::new("client.key", key.as_str()),
            }),
            ..trusting(&ca)
        });
        assert_eq!(get(&with, &https(&server)).await.unwrap(), "hello");
        // The alert comes after the client's part of the handshake, before or after its request.
        for _ in 0..20 {
            assert_eq!(
                get(&client(trusting(&ca)), &https(&server)).await,
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
async fn a_server_that_speaks_no_tls_is_a_fault_of_tls() {
    let server = Server::raw(|mut stream| async move {
        let _hello = stream.read(&mut [0; 1024]).await.unwrap();
        let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let answer = get(&client(config()), &https(&server)).await;
    assert!(
        matches!(answer, Err(SendError::TlsProtocol(_))),
        "{answer:?}"
    );
}
