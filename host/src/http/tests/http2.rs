//! What is HTTP/2's alone: streams that share connections, and connections that end under them.

use http::Version;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::*;

fn server(ca: &Ca) -> ServerConfig {
    ca.server("service.example", &["h2"])
}

// RFC 9113, section 6; the codes in section 7.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const NO_ERROR: u32 = 0;
const REFUSED_STREAM: u32 = 7;

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, 0], &stream.to_be_bytes(), payload].concat()
}

/// Nothing was done with any stream.
fn go_away() -> Vec<u8> {
    let payload = [0, NO_ERROR].map(u32::to_be_bytes).concat();
    frame(GOAWAY, 0, &payload)
}

/// Answers the first request of a connection with these frames, and then nothing.
async fn answer_with_frames(mut stream: TlsStream<TcpStream>, frames: &[u8]) {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, &[])).await.unwrap();
    let mut header = [0; 9];
    while stream.read_exact(&mut header).await.is_ok() {
        let [a, b, c, kind, ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await.unwrap();
        if kind == HEADERS {
            stream.write_all(frames).await.unwrap();
        }
    }
}

#[tokio::test]
async fn it_is_spoken_if_the_server_has_it_and_has_no_host_field() {
    let ca = Ca::new();
    let settings = ca.server("service.example", &["h2", "http/1.1"]);
    let server = Server::tls(settings, |_, _| async { hello() }).await;
    let client = client(trusting(&ca));
    let response = client.send(request(&https(&server)), PATIENT).await;
    let response = response.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(read(response).await.unwrap(), "hello");
    let url = https(&server);
    assert_eq!(
        server.request().head.trim_end(),
        format!("GET {url} HTTP/2")
    );
}

#[tokio::test]
async fn a_request_that_the_server_did_nothing_with_is_sent_once_more_even_the_first() {
    let refused = frame(RST_STREAM, 1, &REFUSED_STREAM.to_be_bytes());
    for frames in [refused, go_away()] {
        for good in [1, usize::MAX] {
            let ca = Ca::new();
            let server = {
                let frames = frames.clone();
                raw_tls(server(&ca), move |stream, number| {
                    let frames = frames.clone();
                    async move {
                        match number >= good {
                            true => serve_http2(stream, 100, || ready(())).await,
                            false => answer_with_frames(stream, &frames).await,
                        }
                    }
                })
                .await
            };
            let answer = get(&client(trusting(&ca)), &https(&server)).await;
            match good {
                1 => assert_eq!(answer.unwrap(), "hello"),
                _ => assert_eq!(answer, Err(SendError::ConnectionTerminated)),
            }
            assert_eq!(server.seen().accepted, 2);
        }
    }
}

#[tokio::test]
async fn a_request_is_sent_once_more_if_its_connection_ended_while_it_waited_for_its_stream() {
    let ca = Ca::new();
    let server = raw_tls(server(&ca), |stream, number| async move {
        let (second, has_second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let asked = Arc::new(AtomicUsize::new(0));
        let told = has_second.clone();
        let serving = serve_http2(stream, 1, move || {
            let (second, told, asked) = (second.clone(), told.clone(), asked.clone());
            async move {
                // The second request on the first connection has no answer.
                if number == 0 && asked.fetch_add(1, Ordering::SeqCst) == 1 {
                    told.notify_one();
                    second.notified().await;
                }
            }
        });
        tokio::select! { () = serving => (), () = has_second.notified() => () }
    })
    .await;
    let client = client(trusting(&ca));
    // From here on it is known that the server takes one stream at a time.
    get(&client, &https(&server)).await.unwrap();
    for answer in get_all(&client, &https(&server), 5).await {
        assert_eq!(answer.unwrap(), "hello");
    }
    assert_eq!(server.seen().accepted, 2);
}

#[tokio::test]
async fn requests_that_one_connection_lost_share_a_new_one() {
    const COUNT: usize = 50;
    let ca = Ca::new();
    let server = raw_tls(server(&ca), |stream, number| async move {
        let asked = Arc::new(AtomicUsize::new(0));
        let all_asked = Arc::new(Notify::new());
        let last = all_asked.clone();
        let serving = serve_http2(stream, 100, move || {
            let is_lost = number == 0 && asked.fetch_add(1, Ordering::SeqCst) > 0;
            if asked.load(Ordering::SeqCst) == COUNT + 1 {
                last.notify_one();
            }
            async move {
                if is_lost {
                    std::future::pending().await
                }
            }
        });
        tokio::select! { () = serving => (), () = all_asked.notified() => () }
    })
    .await;
    let client = client(trusting(&ca));
    get(&client, &https(&server)).await.unwrap();
    for answer in get_all(&client, &https(&server), COUNT).await {
        assert_eq!(answer.unwrap(), "hello");
    }
    assert_eq!(server.seen().accepted, 2);
}

#[tokio::test]
async fn a_response_that_ends_early_is_no_whole_one() {
    let ca = Ca::new();
    let was_read = Arc::new(Notify::new());
    let close = was_read.clone();
    let server = raw_tls(server(&ca), move |stream, _| {
        let close = close.clone();
        async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (_, mut answer) = connection.accept().await.unwrap().unwrap();
            let mut body = answer.send_response(Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"half"), false).unwrap();
            tokio::select! { _ = connection.accept() => (), () = close.notified() => () }
        }
    })
    .await;
    let client = client(trusting(&ca));
    let response = client.send(request(&https(&server)), PATIENT).await;
    let mut body = response.unwrap().into_body();
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

#[tokio::test]
async fn a_head_over_the_limit_is_too_large() {
    use super::super::connection::HEADER_BYTES;
    use super::super::send::HEADER_FIELDS;
    let ca = Ca::new();
    for (fields, size) in [(HEADER_FIELDS + 1, 1), (10, HEADER_BYTES / 10)] {
        let server = Server::tls(server(&ca), move |_, _| async move {
            let mut answer = hello();
            for field in 0..fields {
                let name = http::HeaderName::try_from(format!("x-{field}")).unwrap();
                let value = http::HeaderValue::try_from("v".repeat(size)).unwrap();
                answer.headers_mut().insert(name, value);
            }
            answer
        })
        .await;
        let answer = get(&client(trusting(&ca)), &https(&server)).await;
        assert_eq!(answer, Err(SendError::HeaderTooLarge));
    }
}
