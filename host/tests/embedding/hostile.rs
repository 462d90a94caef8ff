//! Bodies made to break a reader, through the component: what each gives, how long it takes, and how much of the
//! sandbox's memory.
//!
//! ```sh
//! cargo test --release --test embedding hostile -- --nocapture   # prints the table
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use operations_host::{Access, Call, CallError, HostConfig, Outputs, Reason};
use tokio::io::AsyncWriteExt;

use crate::traced::Captured;
use crate::{call, config, load, permanent, reused, secrets};
use testing::server::{Server, head, json};
use testing::{CANARY, DONE};

/// What a body may have.
const CAP: usize = 16 << 20;

/// What one may take: the largest that was seen takes 105 MiB.
const MEMORY: usize = 128 << 20;

/// What a busy machine may take for one body.
const TIME: Duration = Duration::from_secs(60);

/// What a body comes to.
enum Comes {
    /// To outputs, of which this is so; the body is given, too.
    To(fn(&Outputs, &str) -> bool),
    /// To a failure whose message holds this.
    Of(Reason, &'static str),
}

use Comes::{Of, To};

struct Body {
    what: &'static str,
    status: u16,
    body: Bytes,
    comes: Comes,
}

/// The one member of the response stands in the body as it is given.
fn is_verbatim(outputs: &Outputs, body: &str) -> bool {
    let value = body.strip_prefix(r#"{"done":true,"response":{"v":"#);
    let value = value.and_then(|value| value.strip_suffix("}}")).unwrap();
    let [member] = &outputs.response_custom_key_value[..] else {
        return false;
    };
    let response = outputs.response.as_deref().unwrap();
    member.key == "v"
        && member.value == value
        && response.len() == value.len() + 6
        && &response[5..response.len() - 1] == value
}

fn bodies() -> Vec<Body> {
    let million = 1_000_000;
    let value = |value: &str| format!(r#"{{"done":true,"response":{{"v":{value}}}}}"#).into_bytes();
    let arrays = format!("{}{}", "[".repeat(million), "]".repeat(million));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(million), "}".repeat(million));
    let members = |count: usize| {
        let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":{n}")).collect();
        format!(r#"{{"done":true,"metadata":{{{}}}}}"#, members.join(",")).into_bytes()
    };
    let details = |count: usize| {
        let details = vec!["{}"; count].join(",");
        format!(r#"{{"done":true,"error":{{"details":[{details}]}}}}"#).into_bytes()
    };
    let digits = "7".repeat(10_000);
    // With so much around its text that the body has this length.
    let of_length =
        |length: usize| value(&format!("\"{}\"", "x".repeat(length - value("\"\"").len())));
    let bytes = |text: &str| text.as_bytes().to_vec();
    let unfit = |why| Of(Reason::NotAnOperation, why);
    let surrogate = "has a lone surrogate in a key or string";
    let all: Vec<(&'static str, Vec<u8>, Comes)> = vec![
        (
            "1,000,000 nested arrays in response",
            value(&arrays),
            To(is_verbatim),
        ),
        (
            "1,000,000 nested objects in response",
            value(&objects),
            To(is_verbatim),
        ),
        (
            "1,000,000 nested arrays alone",
            bytes(&arrays),
            unfit("it is not an object"),
        ),
        (
            "1,000,000 arrays that do not end",
            bytes(&arrays[..million]),
            unfit("it is not JSON"),
        ),
        (
            "1,000,000 nested arrays as metadata",
            format!(r#"{{"metadata":{arrays}}}"#).into(),
            unfit("its metadata is not an object"),
        ),
        ("16 MiB of [", vec![b'['; CAP], unfit("it is not JSON")),
        (
            "a key twice",
            bytes(r#"{"done":true,"metadata":{"a":1,"a":2}}"#),
            unfit("its metadata has a key twice: its member 2"),
        ),
        (
            "a key twice, once escaped",
            bytes(r#"{"done":true,"response":{"a":1,"\u0061":2}}"#),
            unfit("its response has a key twice: its member 2"),
        ),
        (
            "a key twice, in a detail",
            bytes(r#"{"done":true,"error":{"details":[{"a":1,"a":2}]}}"#),
            unfit("has a key twice: its member 2"),
        ),
        (
            "done twice",
            bytes(r#"{"done":false,"done":true}"#),
            unfit("it has the key \"done\" twice"),
        ),
        (
            "a key twice, deep within",
            value(r#"{"a":1,"a":2}"#),
            To(is_verbatim),
        ),
        (
            "100,000 members",
            members(100_000),
            To(|outputs, _| {
                let members = &outputs.metadata_custom_key_value;
                members.len() == 100_000
                    && members.iter().enumerate().all(|(at, member)| {
                        member.key == at.to_string() && member.value == member.key
                    })
            }),
        ),
        (
            "1,000,000 members",
            members(million),
            To(|outputs, _| outputs.metadata_custom_key_value.len() == 1_000_000),
        ),
        (
            "1,000,001 members",
            members(million + 1),
            Of(
                Reason::TooLarge,
                "its metadata has over 1000000 members or elements",
            ),
        ),
        (
            "1,000,000 details",
            details(million),
            To(|outputs, _| {
                outputs.error_details.len() == 1_000_000
                    && outputs.error_details_custom_key_value.len() == 1_000_000
            }),
        ),
        (
            "1,000,001 details",
            details(million + 1),
            Of(
                Reason::TooLarge,
                "its error.details has over 1000000 members or elements",
            ),
        ),
        (
            "a lone surrogate in a value",
            value(r#""\ud800""#),
            To(is_verbatim),
        ),
        (
            "a lone surrogate in a key",
            bytes(r#"{"done":true,"metadata":{"\ud800":1}}"#),
            unfit(surrogate),
        ),
        (
            "a lone surrogate in the name",
            bytes(r#"{"name":"operations/\udc00"}"#),
            unfit(surrogate),
        ),
        (
            "surrogates in the wrong order in error.message",
            bytes(r#"{"error":{"message":"\udc00\ud800"},"done":true}"#),
            unfit(surrogate),
        ),
        ("NUL in a string", value("\"\0\""), unfit("it is not JSON")),
        (
            "NUL between values",
            bytes("{\"done\":\0true}"),
            unfit("it is not JSON"),
        ),
        (
            "NUL behind the value",
            bytes("{\"done\":true}\0"),
            unfit("it is not JSON"),
        ),
        (
            "NUL escaped, in name and key",
            bytes(r#"{"name":"operations/\u0000","metadata":{"\u0000":"\u0000"}}"#),
            To(|outputs, _| {
                let [member] = &outputs.metadata_custom_key_value[..] else {
                    return false;
                };
                outputs.name == "operations/\0"
                    && member.key == "\0"
                    && member.value == r#""\u0000""#
            }),
        ),
        (
            "ESC in a string",
            value("\"\x1b[31m\""),
            unfit("it is not JSON"),
        ),
        (
            "ESC in a key given twice",
            bytes(r#"{"metadata":{"\u001b[31m\n":1,"\u001b[31m\n":1}}"#),
            unfit("has a key twice: its member 2"),
        ),
        (
            "DEL and NEL in a string",
            value("\"\x7f\u{85}\""),
            To(is_verbatim),
        ),
        ("1e400", value("1e400"), To(is_verbatim)),
        ("-1e-400", value("-1e-400"), To(is_verbatim)),
        (
            "1e400 as error.code",
            bytes(r#"{"done":true,"error":{"code":1e400}}"#),
            unfit("its error.code is no 32-bit integer"),
        ),
        ("10,000 digits", value(&digits), To(is_verbatim)),
        (
            "10,000 digits of a fraction",
            value(&format!("-0.{digits}e+{}", &digits[..9])),
            To(is_verbatim),
        ),
        (
            "10,000 digits as error.code",
            format!(r#"{{"done":true,"error":{{"code":{digits}}}}}"#).into(),
            unfit("its error.code is no 32-bit integer"),
        ),
        (
            "01, +1, .5, NaN",
            value("[01,+1,.5,NaN]"),
            unfit("it is not JSON"),
        ),
        (
            "a byte that is no UTF-8",
            b"{\"done\":true,\"metadata\":{\"v\":\"\xff\"}}".to_vec(),
            unfit("it is not UTF-8 at byte 30"),
        ),
        (
            "an overlong slash",
            b"{\"name\":\"operations\xc0\xafo\"}".to_vec(),
            unfit("it is not UTF-8"),
        ),
        (
            "a surrogate in UTF-8",
            b"{\"name\":\"operations/\xed\xa0\x80\"}".to_vec(),
            unfit("it is not UTF-8"),
        ),
        (
            "UTF-8 cut in a character",
            b"{\"done\":true,\"metadata\":{\"v\":\"\xe2\x82".to_vec(),
            unfit("it is not UTF-8"),
        ),
        (
            "a BOM",
            bytes(&format!("\u{feff}{DONE}")),
            unfit("it starts with a byte order mark"),
        ),
        (
            "UTF-16",
            DONE.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            unfit("it is not JSON"),
        ),
        ("no byte", Vec::new(), unfit("it is empty")),
        (
            "16 MiB of white space",
            vec![b' '; CAP],
            unfit("it is empty"),
        ),
        (
            "a second value behind",
            bytes(&format!("{DONE}{DONE}")),
            unfit("it is not JSON"),
        ),
        (
            "16 MiB of escapes as the name",
            {
                let escapes = r"\u0041".repeat((CAP - 32) / 6);
                format!(r#"{{"name":"operations/{escapes}"}}"#).into()
            },
            To(|outputs, _| outputs.name.len() == 11 + (CAP - 32) / 6),
        ),
        (
            "a value, the body of 16 MiB exactly",
            of_length(CAP),
            To(is_verbatim),
        ),
        (
            "a value, the body a byte over",
            of_length(CAP + 1),
            Of(Reason::TooLarge, "over the limit (16 MiB for a body)"),
        ),
    ];
    let mut bodies: Vec<Body> = all
        .into_iter()
        .map(|(what, body, comes)| Body {
            what,
            status: 200,
            body: body.into(),
            comes,
        })
        .collect();
    for (what, body, status, comes) in [
        (
            "1,000,000 nested arrays as details, 404",
            format!(r#"{{"error":{{"message":"m","details":{arrays}}}}}"#),
            404,
            Of(Reason::NotFound, "404 NOT_FOUND and says “m”"),
        ),
        (
            "1,000,000 nested arrays alone, 404",
            arrays.clone(),
            404,
            Of(
                Reason::NotFound,
                "404 and 2000000 bytes that hold no error object",
            ),
        ),
        (
            "16 MiB of message, 403",
            format!(
                r#"{{"error":{{"message":"{}"}}}}"#,
                "ü".repeat(CAP / 2 - 100)
            ),
            403,
            Of(Reason::PermissionDenied, "üüü…”"),
        ),
        (
            "a message with ESC and NUL, 429",
            r#"{"error":{"message":"a\u001b\u0000b\u202ec"}}"#.to_owned(),
            429,
            Of(Reason::QuotaExceeded, "“a  b c”"),
        ),
        (
            "17 MiB, 500",
            " ".repeat(17 << 20),
            500,
            Of(Reason::ServiceFault, "500 and no readable body"),
        ),
    ] {
        bodies.push(Body {
            what,
            status,
            body: body.into(),
            comes,
        });
    }
    bodies
}

#[tokio::test]
async fn every_body_gives_what_the_contract_says_within_bounds_of_time_and_memory() {
    let bodies = Arc::new(bodies());
    let server = Server::start({
        let bodies = bodies.clone();
        move |_, asked| {
            let body = &bodies[asked.id().parse::<usize>().unwrap()];
            std::future::ready(json(body.status, body.body.clone()))
        }
    })
    .await;
    let (captured, _guard) = Captured::ours();
    // An instance that has grown is not kept, and what is kept has to be as good as new.
    let (host, get) = load(HostConfig {
        access: Access::token(CANARY.to_owned()).unwrap(),
        instances: reused(1000),
        ..config()
    });
    println!(
        "{:<47} {:>9} {:<17} {:>4} {:>6} {:>7}",
        "body", "bytes", "comes to", "HTTP", "ms", "MiB"
    );
    let mut wrong = Vec::new();
    for (
        number,
        Body {
            what, body, comes, ..
        },
    ) in bodies.iter().enumerate()
    {
        let call = Call::new(format!("operations/{number}"))
            .setting("OPERATIONS_ENDPOINT", server.endpoint())
            .setting("OPERATIONS_MAX_ATTEMPTS", "1");
        let since = Instant::now();
        let result = get.call(&call).await;
        let took = since.elapsed();
        let memory = captured.last_call().memory;
        let failure = result.as_ref().err().and_then(CallError::failure);
        let reason = captured.last_call().reason;
        println!(
            "{what:<47} {:>9} {:<17} {:>4} {:>6} {:>7.1}",
            body.len(),
            if result.is_ok() { "outputs" } else { &reason },
            failure
                .and_then(|failure| failure.http_status)
                .map_or("".to_owned(), |status| status.to_string()),
            took.as_millis(),
            memory as f64 / f64::from(1 << 20),
        );
        let as_said = match (comes, &result) {
            (To(is_so), Ok(outputs)) => is_so(outputs, std::str::from_utf8(body).unwrap()),
            (Of(reason, text), Err(error)) => error.failure().is_some_and(|failure| {
                failure.reason == *reason
                    && failure.message.contains(text)
                    && failure.message.len() < 4096
                    && !failure.message.contains(char::is_control)
            }),
            _ => false,
        };
        if !as_said || took > TIME || memory > MEMORY || memory == 0 {
            let error = result.as_ref().err();
            wrong.push(format!("{what}: {took:?}, {memory} bytes, {error:?}"));
        }
        secrets::check(what, &result, &captured, &host);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for asked in server.asked() {
        assert_eq!(asked.all("authorization"), [format!("Bearer {CANARY}")]);
    }
}

#[tokio::test]
async fn the_size_limit_holds_without_a_content_length() {
    for (over, chunked) in [(0, true), (1, true), (0, false), (1, false)] {
        let server = Server::raw(move |mut stream| async move {
            head(&mut stream).await;
            let around = r#"{"done":true,"response":{"v":""}}"#;
            let (before, behind) = around.split_at(around.len() - 3);
            let text = "x".repeat(CAP + over - around.len());
            let body = format!("{before}{text}{behind}");
            let answer = match chunked {
                true => format!(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                ),
                false => format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}"),
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        })
        .await;
        let (_host, get) = load(config());
        let result = get.call(&call(&server)).await;
        match over {
            0 => {
                let response = result.unwrap().response.unwrap();
                assert_eq!(response.len(), CAP - r#"{"done":true,"response":}"#.len());
            }
            _ => assert_eq!(permanent(result).reason, Reason::TooLarge),
        }
    }
}
