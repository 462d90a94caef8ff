//! What a server can do wrong in its answer, over HTTP/1.1.

use super::super::connection::HEADER_BYTES;
use super::super::send::HEADER_FIELDS;
use super::*;

/// What a client makes of these bytes, and then the end of the connection.
async fn fault(bytes: impl Into<Bytes>) -> SendError {
    let server = Server::always(Answer::raw(bytes.into())).await;
    get(&client(config()), &server.url("/")).await.unwrap_err()
}

#[tokio::test]
async fn a_reset_ends_the_connection_before_the_head_and_within_the_body() {
    let before = Server::always(Answer::nothing().then_reset()).await;
    let answer = get(&client(config()), &before.url("/")).await;
    assert_eq!(answer, Err(SendError::ConnectionTerminated));

    let (was_read, read) = tokio::sync::oneshot::channel();
    let read = std::sync::Mutex::new(Some(read));
    let within = Server::raw(move |mut stream| {
        let read = read.lock().unwrap().take().unwrap();
        async move {
            head(&mut stream).await;
            let begin = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
            stream.write_all(begin).await.unwrap();
            // What is not read before the reset is lost with it.
            read.await.unwrap();
            stream.set_zero_linger().unwrap();
        }
    })
    .await;
    let response = client(config())
        .send(request(&within.url("/")), PATIENT)
        .await;
    let mut body = response.unwrap().into_body();
    let half = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(half, "half");
    was_read.send(()).unwrap();
    let end = body.frame().await.unwrap().map(|_| ());
    assert_eq!(end, Err(SendError::ConnectionTerminated));
}

#[tokio::test]
async fn an_answer_that_ends_early_is_incomplete() {
    for bytes in [
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        assert_eq!(fault(bytes).await, SendError::ResponseIncomplete, "{bytes}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_the_protocol_is_named_without_its_text() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nsecret value\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -secret\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsecret\r\n",
    ] {
        match fault(bytes).await {
            SendError::ProtocolError(text) => {
                assert!(!text.contains("secret") && !text.contains("SSH"), "{text}");
            }
            other => panic!("{bytes}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_head_over_the_limit_is_too_large_and_one_at_the_limit_is_not() {
    let fields = |count: usize| -> String {
        let fields = (0..count).map(|number| format!("x-{number}: v\r\n"));
        fields.collect()
    };
    let long = format!("x: {}\r\n", "v".repeat(HEADER_BYTES));
    for too_large in [fields(HEADER_FIELDS + 1), long] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{too_large}\r\n");
        assert_eq!(fault(bytes).await, SendError::HeaderTooLarge);
    }
    let most = fields(HEADER_FIELDS - 1);
    let bytes = format!("HTTP/1.1 200 OK\r\n{most}content-length: 0\r\n\r\n");
    let server = Server::always(Answer::raw(bytes)).await;
    assert_eq!(get(&client(config()), &server.url("/")).await.unwrap(), "");
}
