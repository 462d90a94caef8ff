//! The server, a process of its own: HTTP/1.1 in the clear, and HTTP/2 or HTTP/1.1 over TLS.

use std::path::PathBuf;
use std::time::Duration;

use testing::answer::{Reply, reply};
use testing::process::Process;
use testing::recorded::Recorded;
use testing::tls::Ca;
use tokio::io::AsyncReadExt;

/// The operation that every request gets: 660 bytes.
pub const BODY: &str = r#"{"name":"projects/demo/locations/global/operations/operation-create-api","metadata":{"@type":"type.googleapis.com/google.cloud.apigateway.v1.OperationMetadata","createTime":"2026-03-02T09:30:00.123456789Z","endTime":"2026-03-02T09:30:03.987654321Z","target":"projects/demo/locations/global/apis/orders","verb":"create","requestedCancellation":false,"apiVersion":"v1"},"done":true,"response":{"@type":"type.googleapis.com/google.cloud.apigateway.v1.Api","name":"projects/demo/locations/global/apis/orders","createTime":"2026-03-02T09:30:00.123456789Z","labels":{"team":"orders"},"displayName":"Orders","state":"ACTIVE"}}"#;

/// The name that is asked for.
pub const NAME: &str = "projects/demo/locations/global/operations/operation-create-api";

/// How long an answer under `/slow/` takes.
pub const SLOW: Duration = Duration::from_secs(3);

/// The server's process; it ends with this.
pub struct Server {
    _process: Process,
    _folder: tempfile::TempDir,
    /// Host and port in the clear.
    pub plain: String,
    /// Host and port over TLS.
    pub tls: String,
    /// The CA of its certificate.
    pub ca: PathBuf,
}

impl Server {
    /// Starts it.
    pub fn start() -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = folder.path().join("ca.pem");
        let mut process = Process::start(&["serve", ca.to_str().expect("a path in UTF-8")]);
        Server {
            plain: process.line(),
            tls: process.line(),
            _process: process,
            _folder: folder,
            ca,
        }
    }
}

/// Serves until standard input closes, which it does with the process that started this one.
pub async fn serve(ca_file: &str) {
    let ca = Ca::new();
    std::fs::write(ca_file, &ca.pem).expect("the folder is writable");
    let config = ca.server("localhost", &["h2", "http/1.1"]);
    let plain = testing::server::Server::start(answer)
        .await
        .without_records();
    let tls = testing::server::Server::tls(config, answer)
        .await
        .without_records();
    println!("{}", plain.address);
    println!("localhost:{}", tls.address.port());
    let _ = tokio::io::stdin().read(&mut [0]).await;
}

async fn answer(_number: usize, request: Recorded) -> Reply {
    if request.path.starts_with("/slow/") {
        tokio::time::sleep(SLOW).await;
    }
    reply(
        200,
        &[("content-type", "application/json; charset=UTF-8")],
        BODY,
    )
}
