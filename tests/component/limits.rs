//! How large, how deep and how many an answer may be, and what is not followed or decoded.

use std::time::Duration;

use operations_host::{CallError, Outputs, Reason};
use testing::answer::{Answer, json, reply};
use testing::server::Server;

use crate::block::{DONE, NAME, ask, assert_failed};

/// The most that a body may have, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// A call whose answer is large: it must be over long before its deadline.
async fn get(answer: impl Into<Answer>) -> Result<Outputs, CallError> {
    let server = Server::always(answer).await;
    tokio::time::timeout(Duration::from_secs(50), ask(&server, NAME, &[]))
        .await
        .expect("a large answer is read or refused, and not waited for")
}

/// An operation of exactly so many bytes, almost all of them in one member of its metadata.
fn operation(size: usize) -> String {
    let around = r#"{"done":true,"metadata":{"blob":""}}"#.len();
    let blob = "x".repeat(size - around);
    format!(r#"{{"done":true,"metadata":{{"blob":"{blob}"}}}}"#)
}

fn chunked(body: &str) -> Answer {
    body.as_bytes()
        .chunks(100_000)
        .fold(Answer::chunked_head(), Answer::then_chunk)
        .then_chunk("")
}

#[track_caller]
fn assert_too_large(result: Result<Outputs, CallError>) {
    let failure = assert_failed(result, "permanent", Reason::TooLarge);
    assert!(
        failure.message.ends_with(
            "/v1/operations/o has a body over the limit (16 MiB for a body). An operation of that \
             size cannot be read by this block."
        ),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_body_of_16_mib_passes() {
    let body = operation(MAX_BODY);
    for answer in [
        json(200, body.clone()).into(),
        chunked(&body),
        Answer::raw(format!("HTTP/1.1 200 OK\r\n\r\n{body}")),
    ] {
        let outputs = get(answer).await.unwrap();
        assert!(outputs.done);
        let metadata = outputs.metadata.expect("it has metadata");
        assert!(body.contains(&metadata), "metadata is not as it came");
        let [member] = &outputs.metadata_custom_key_value[..] else {
            panic!("metadata has one member");
        };
        assert_eq!(
            (member.key.as_str(), member.value.len()),
            ("blob", metadata.len() - 9)
        );
    }
}

#[tokio::test]
async fn a_body_of_one_byte_more_is_too_large() {
    let body = operation(MAX_BODY + 1);
    for answer in [
        json(200, body.clone()).into(),
        chunked(&body),
        Answer::raw(format!("HTTP/1.1 200 OK\r\n\r\n{body}")),
        json(200, operation(17 * 1024 * 1024)).into(),
    ] {
        assert_too_large(get(answer).await);
    }
}

#[tokio::test]
async fn an_announced_length_over_the_limit_is_believed() {
    for length in [MAX_BODY as u64 + 1, u64::from(u32::MAX) + 1, 1 << 62] {
        assert_too_large(get(Answer::head(length).then_silence()).await);
    }
}

#[tokio::test]
async fn a_body_without_end_is_too_large() {
    let kilobyte = " ".repeat(1024);
    assert_too_large(
        get(Answer::chunked_head().then_forever(format!("400\r\n{kilobyte}\r\n"))).await,
    );
    assert_too_large(get(Answer::raw("HTTP/1.1 200 OK\r\n\r\n").then_forever(kilobyte)).await);
}

/// Its status says more than its size.
#[tokio::test]
async fn an_error_over_the_limit_keeps_its_status() {
    let answer = Answer::raw("HTTP/1.1 500 x\r\nContent-Length: 99999999\r\n\r\n").then_silence();
    let failure = assert_failed(get(answer).await, "transient", Reason::ServiceFault);
    assert_eq!(failure.http_status, Some(500));
}

/// RFC 9110, section 8.6: the length there is that of the answer to another request.
#[tokio::test]
async fn a_304_has_no_body_whatever_its_content_length() {
    for length in [5, 99_999_999] {
        let answer = Answer::raw(format!(
            "HTTP/1.1 304 x\r\nContent-Length: {length}\r\n\r\n"
        ));
        let failure = assert_failed(get(answer).await, "permanent", Reason::Redirected);
        assert_eq!(failure.http_status, Some(304));
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let answer = Answer::raw("HTTP/1.1 200 OK\r\n").then_forever("X-Field: value\r\n");
    let failure = assert_failed(get(answer).await, "permanent", Reason::TooLarge);
    assert_eq!(failure.http_status, None);
}

#[tokio::test]
async fn a_body_may_be_nested_to_any_depth() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let body = format!(r#"{{"done":true,"response":{{"deep":{deep}}}}}"#);
    let outputs = get(json(200, body)).await.unwrap();
    assert!(outputs.response_custom_key_value[0].value == deep);
    // Closed one short of it.
    let body = format!(
        r#"{{"done":true,"response":{{"deep":{}}}}}"#,
        &deep[..deep.len() - 1]
    );
    assert_failed(
        get(json(200, body)).await,
        "permanent",
        Reason::NotAnOperation,
    );
}

#[tokio::test]
async fn a_hundred_thousand_members_pass() {
    let members: Vec<String> = (0..100_000).map(|n| format!(r#""key {n}":{n}"#)).collect();
    let body = format!(r#"{{"done":true,"response":{{{}}}}}"#, members.join(","));
    let outputs = get(json(200, body)).await.unwrap();
    let read: Vec<String> = outputs
        .response_custom_key_value
        .iter()
        .map(|member| format!(r#""{}":{}"#, member.key, member.value))
        .collect();
    assert!(read == members, "the members are not those that were sent");
}

#[tokio::test]
async fn ten_thousand_details_pass() {
    let details: Vec<String> = (0..10_000)
        .map(|n| format!(r#"{{"@type":"t","n":{n}}}"#))
        .collect();
    let body = format!(
        r#"{{"done":true,"error":{{"code":9,"details":[{}]}}}}"#,
        details.join(",")
    );
    let outputs = get(json(200, body)).await.unwrap();
    assert!(outputs.error_details == details);
    assert_eq!(outputs.error_details_custom_key_value.len(), details.len());
}

/// As many things as fit into a body, in place of the `#`.
fn filled(around: &str, thing: impl Fn(usize) -> String) -> String {
    let room = MAX_BODY - (around.len() - 1);
    let mut things = thing(0);
    for number in 1.. {
        let thing = thing(number);
        if things.len() + 1 + thing.len() > room {
            break;
        }
        things.push(',');
        things.push_str(&thing);
    }
    around.replace('#', &things)
}

fn member(number: usize) -> String {
    format!(r#""{number:x}":1"#)
}

/// Which of these calls did not end by themselves.
async fn aborted(answers: impl IntoIterator<Item = (&'static str, Answer)>) -> Vec<&'static str> {
    let mut aborted = Vec::new();
    for (what, answer) in answers {
        if let Err(CallError::Aborted(_)) = get(answer).await {
            aborted.push(what);
        }
    }
    aborted
}

#[tokio::test]
async fn sixteen_mib_of_unknown_members_do_not_trap() {
    let error = filled(r#"{"error":{"code":500,#}}"#, member);
    let answers = [
        (
            "of an operation",
            json(200, filled(r#"{"done":true,#}"#, member)).into(),
        ),
        ("of an error answer", json(500, error).into()),
    ];
    assert_eq!(aborted(answers).await, [""; 0]);
}

#[tokio::test]
async fn sixteen_mib_of_metadata_members_or_details_do_not_trap() {
    let metadata = filled(r#"{"done":true,"metadata":{#}}"#, member);
    let details = filled(r#"{"done":true,"error":{"details":[#]}}"#, |_| "{}".into());
    let error = filled(r#"{"error":{"code":500,"details":[#]}}"#, |_| "1".into());
    let array = filled("[#]", |_| "1".into());
    let answers = [
        ("members of metadata", json(200, metadata).into()),
        ("details", json(200, details).into()),
        ("details of an error answer", json(500, error).into()),
        ("elements of an error answer", json(500, array).into()),
    ];
    assert_eq!(aborted(answers).await, [""; 0]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::always(DONE).await;
    let token = ("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token");
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/operations/o", other.endpoint());
        let server = Server::always(reply(status, &[("location", &location)], "")).await;
        let result = ask(&server, NAME, &[token]).await;
        let failure = assert_failed(result, "permanent", Reason::Redirected);
        assert_eq!(failure.http_status, Some(status));
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(other.seen().accepted, 0);
}

#[tokio::test]
async fn a_content_encoding_is_not_decoded() {
    // `{"done":true}`, as gzip makes it.
    const GZIP: &[u8] = &[
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xab, 0x56, 0x4a, 0xc9, 0xcf,
        0x4b, 0x55, 0xb2, 0x2a, 0x29, 0x2a, 0x4d, 0xad, 0x05, 0x00, 0x4b, 0x33, 0x0b, 0xe4, 0x0d,
        0x00, 0x00, 0x00,
    ];
    let answer = reply(200, &[("content-encoding", "gzip")], GZIP);
    let failure = assert_failed(get(answer).await, "permanent", Reason::NotAnOperation);
    assert_eq!(failure.http_status, Some(200));
    for identity in ["identity", "Identity", " identity "] {
        let answer = reply(200, &[("content-encoding", identity)], DONE);
        assert!(get(answer).await.unwrap().done, "{identity:?}");
    }
}
