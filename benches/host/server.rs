//! The server: HTTP/1.1 in the clear, and HTTP/2 or HTTP/1.1 over TLS.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The operation that every request gets: 660 bytes.
pub const BODY: &str = r#"{"name":"projects/demo/locations/global/operations/operation-create-api","metadata":{"@type":"type.googleapis.com/google.cloud.apigateway.v1.OperationMetadata","createTime":"2026-03-02T09:30:00.123456789Z","endTime":"2026-03-02T09:30:03.987654321Z","target":"projects/demo/locations/global/apis/orders","verb":"create","requestedCancellation":false,"apiVersion":"v1"},"done":true,"response":{"@type":"type.googleapis.com/google.cloud.apigateway.v1.Api","name":"projects/demo/locations/global/apis/orders","createTime":"2026-03-02T09:30:00.123456789Z","labels":{"team":"orders"},"displayName":"Orders","state":"ACTIVE"}}"#;

/// The name that is asked for.
pub const NAME: &str = "projects/demo/locations/global/operations/operation-create-api";

/// How long an answer under `/slow/` takes.
pub const SLOW: Duration = Duration::from_secs(3);

/// The server's process; it ends with this.
pub struct Server {
    child: Child,
    _folder: tempfile::TempDir,
    /// Host and port in the clear.
    pub plain: String,
    /// Host and port over TLS.
    pub tls: String,
    /// The certificate, which is its own CA.
    pub ca: std::path::PathBuf,
}

impl Server {
    /// Starts it.
    pub fn start() -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = folder.path().join("ca.pem");
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg("serve")
            .arg(&ca)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut line = || lines.next().expect("a line").expect("text");
        Server {
            plain: line(),
            tls: line(),
            child,
            _folder: folder,
            ca,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until standard input closes, which it does with the process that started this one.
pub async fn serve(ca_file: &str) {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["localhost".to_owned()])
        .expect("a name")
        .self_signed(&key)
        .expect("a certificate");
    std::fs::write(ca_file, certificate.pem()).expect("the folder is writable");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the defaults")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("key and certificate fit");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let tls = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "127.0.0.1:{}",
        plain.local_addr().expect("bound").port()
    )
    .expect("a reader");
    writeln!(out, "localhost:{}", tls.local_addr().expect("bound").port()).expect("a reader");
    drop(out);

    tokio::spawn(async move {
        while let Ok((stream, _)) = plain.accept().await {
            stream.set_nodelay(true).expect("a socket");
            tokio::spawn(connection(stream, false));
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = tls.accept().await {
            stream.set_nodelay(true).expect("a socket");
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    connection(stream, is_http2).await;
                }
            });
        }
    });
    let _ = tokio::io::stdin().read(&mut [0]).await;
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, is_http2: bool) {
    let stream = TokioIo::new(stream);
    // A client that goes away is no fault of the server's.
    let _ = match is_http2 {
        true => {
            http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(100)
                .serve_connection(stream, service_fn(answer))
                .await
        }
        false => {
            http1::Builder::new()
                .serve_connection(stream, service_fn(answer))
                .await
        }
    };
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path().starts_with("/slow/") {
        tokio::time::sleep(SLOW).await;
    }
    let mut response = Response::new(Full::new(Bytes::from_static(BODY.as_bytes())));
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json; charset=UTF-8"),
    );
    Ok(response)
}
