//! What takes too long, and whose time it is.

use super::*;

#[tokio::test]
async fn a_name_that_is_not_resolved_in_time() {
    let client = client(resolving(&Names::always(Found::Silence)));
    let timeouts = Timeouts {
        connect: SHORT,
        ..PATIENT
    };
    let answer = get_within(&client, "https://service.example/", timeouts).await;
    assert_eq!(answer, Err(SendError::DnsTimeout));
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_by_each_requests_own_measure() {
    let server = Server::always(Answer::nothing().then_silence()).await;
    let client = client(config());
    let url = https(&server);
    let timed = |milliseconds| {
        let (client, url) = (&client, &url);
        async move {
            let began = std::time::Instant::now();
            let timeouts = Timeouts {
                connect: Duration::from_millis(milliseconds),
                ..PATIENT
            };
            let answer = get_within(client, url, timeouts).await;
            (answer, began.elapsed())
        }
    };
    // The second waits for the first one's connection, then opens its own.
    let (short, long) = tokio::join!(timed(100), timed(400));
    for ((answer, took), expected) in [(short, 100), (long, 400)] {
        assert_eq!(answer, Err(SendError::ConnectionTimeout));
        let expected = Duration::from_millis(expected);
        assert!(
            (expected..expected + Duration::from_secs(4)).contains(&took),
            "{took:?}"
        );
    }
    assert_eq!(server.seen().accepted, 2);
}

#[tokio::test]
async fn no_response_in_time_closes_the_connection() {
    let server = Server::always(Answer::nothing().then_silence()).await;
    let timeouts = Timeouts {
        first_byte: SHORT,
        ..PATIENT
    };
    let client = client(config());
    let answer = get_within(&client, &server.url("/"), timeouts).await;
    assert_eq!(answer, Err(SendError::ReadTimeout));
    server.until(|seen| seen.open == 0).await;
}

#[tokio::test]
async fn each_wait_within_the_body_has_its_own_time() {
    let pause = Duration::from_millis(200);
    let answer = Answer::head(9).then_drip("half", pause).then_silence();
    let server = Server::always(answer).await;
    let timeouts = Timeouts {
        between_bytes: Duration::from_millis(500),
        ..PATIENT
    };
    let client = client(config());
    let began = std::time::Instant::now();
    let answer = get_within(&client, &server.url("/"), timeouts).await;
    assert_eq!(answer, Err(SendError::ReadTimeout));
    // Four bytes were in time.
    assert!(began.elapsed() > 4 * pause + timeouts.between_bytes);
    server.until(|seen| seen.open == 0).await;
}
