//! The spans that the command sends to a collector, where it is built with `otel`.

use operations_host::emulator::{self, Emulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::common::CANARY;
use crate::common::server::{Server, closed_port, head};
use crate::{lro, run};

/// Takes what is posted to it, and hands on the heads and bodies.
async fn collector() -> (Server, mpsc::UnboundedReceiver<(String, Vec<u8>)>) {
    let (posted, received) = mpsc::unbounded_channel();
    let server = Server::raw(move |mut stream| {
        let posted = posted.clone();
        async move {
            while let Some(head) = head(&mut stream).await {
                let head = head.to_ascii_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.unwrap().parse().unwrap()];
                stream.read_exact(&mut body).await.unwrap();
                posted.send((head, body)).unwrap();
                let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(ok).await.unwrap();
            }
        }
    })
    .await;
    (server, received)
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn a_collector_gets_the_span_of_a_call_and_nothing_of_what_it_held() {
    let running = Emulator::builtin()
        .bind(([127, 0, 0, 1], 0).into())
        .await
        .unwrap();
    let (_, name) = emulator::builtin_names()[1];
    let (collector, mut received) = collector().await;
    let mut command = lro(&["get", name, "--endpoint", &running.endpoint()]);
    command.env("GOOGLE_OAUTH_ACCESS_TOKEN", CANARY).env(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        format!("http://{}", collector.address),
    );
    run(command).await.with_code(0);

    let (head, body) = received.try_recv().unwrap();
    assert!(head.starts_with("post /v1/traces "), "{head}");
    for text in ["call", "outcome", "running", "attempts"] {
        assert!(holds(&body, text), "{text}");
    }
    for text in [CANARY, name] {
        assert!(!holds(&body, text), "{text}");
    }
    assert!(!head.contains(CANARY), "{head}");
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_said_and_the_answer_shown() {
    let running = Emulator::builtin()
        .bind(([127, 0, 0, 1], 0).into())
        .await
        .unwrap();
    let (_, name) = emulator::builtin_names()[1];
    let mut command = lro(&["get", name, "--endpoint", &running.endpoint()]);
    command.env(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        format!("http://{}", closed_port().await),
    );
    let ended = run(command).await.with_code(0);
    assert!(ended.stdout.contains(name), "{}", ended.shown());
    assert!(
        ended
            .stderr
            .starts_with("warning: the spans could not be sent to OTEL_EXPORTER_OTLP_ENDPOINT"),
        "{}",
        ended.shown()
    );
}
