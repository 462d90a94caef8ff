//! Bodies that are made to break a reader, and too large to check in, each with what the block makes of it.

use operations_get::bindings::{Outputs, Reason};
use operations_get::limits::MAX_BODY;
use operations_oracles::answer;
use operations_oracles::operation::{self, get};

/// The outputs of a body, on which the oracles agree.
fn outputs(body: &[u8]) -> Outputs {
    operation::check(body);
    get(body).expect("the body is an operation")
}

/// Why a body is not an operation.
fn refusal(body: impl AsRef<[u8]>) -> String {
    operation::check(body.as_ref());
    let failure = get(body.as_ref()).expect_err("the body is no operation");
    assert_eq!(failure.reason, Reason::NotAnOperation);
    let said = failure
        .message
        .split("google.longrunning.Operation: ")
        .nth(1);
    let said = said.and_then(|said| said.split(". Check that").next());
    said.expect("the message says why").to_owned()
}

#[test]
fn a_million_nested_arrays_are_read() {
    let nested = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let read = outputs(format!(r#"{{"done":true,"response":{{"a":{nested}}}}}"#).as_bytes());
    assert_eq!(read.response_custom_key_value[0].value, nested);
    assert_eq!(refusal(&nested), "it is not an object");
    assert_eq!(
        refusal(&nested[1..]),
        "it is not JSON, at byte 0 or in the value there"
    );
    assert_eq!(
        refusal(&nested[..1_500_000]),
        "it is not JSON, at byte 0 or in the value there"
    );
    assert_eq!(
        refusal(format!(r#"{{"metadata":{nested}}}"#)),
        "its metadata is not an object"
    );
    for status in ["404", "503"] {
        answer::check(format!("HTTP/1.1 {status}\n\n{nested}").as_bytes());
        answer::check(
            format!("HTTP/1.1 {status}\n\n{{\"error\":{{\"details\":{nested}}}}}").as_bytes(),
        );
    }
}

#[test]
fn a_million_nested_objects_are_read() {
    let nested = format!("{}1{}", "{\"a\":".repeat(1_000_000), "}".repeat(1_000_000));
    let read = outputs(format!(r#"{{"done":true,"metadata":{nested}}}"#).as_bytes());
    assert_eq!(read.metadata.as_deref(), Some(&*nested));
    assert_eq!(
        read.metadata_custom_key_value[0].value.len(),
        nested.len() - 6
    );
}

#[test]
fn a_key_given_twice_is_refused_if_an_output_depends_on_it() {
    for (body, why) in [
        (
            r#"{"done":true,"done":true}"#,
            "it has the key \"done\" twice",
        ),
        (
            r#"{"name":"n","n\u0061me":"n"}"#,
            "it has the key \"name\" twice",
        ),
        (
            r#"{"error":{"x":1,"x":2}}"#,
            "its error has a key twice: its member 2 has it again",
        ),
        (
            r#"{"response":{"":1,"":2}}"#,
            "its response has a key twice: its member 2 has it again",
        ),
        (
            r#"{"error":{"details":[{"@type":1,"\u0040type":2}]}}"#,
            "its error.details[] has a key twice: its member 2 has it again",
        ),
    ] {
        assert_eq!(refusal(body), why);
    }
    let deep = outputs(br#"{"x":1,"x":2,"metadata":{"deep":{"a":1,"a":2}}}"#);
    assert_eq!(deep.metadata_custom_key_value[0].value, r#"{"a":1,"a":2}"#);
}

#[test]
fn a_million_members_are_the_limit() {
    let members = |count: usize| {
        let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":{n}")).collect();
        format!("{{\"done\":true,\"response\":{{{}}}}}", members.join(","))
    };
    let read = outputs(members(100_000).as_bytes()).response_custom_key_value;
    assert_eq!(read.len(), 100_000);
    assert_eq!(
        (&*read[99_999].key, &*read[99_999].value),
        ("99999", "99999")
    );
    let failure = get(members(1_000_001).as_bytes()).expect_err("these are too many");
    assert_eq!(failure.reason, Reason::TooLarge);
    let last_again = members(100_000).replace("\"99999\"", "\"0\"");
    assert_eq!(
        refusal(last_again),
        "its response has a key twice: its member 100000 has it again"
    );
}

#[test]
fn lone_surrogates_pass_only_inside_values() {
    for lone in [
        "\\ud800",
        "\\udfff",
        "\\ude00\\ud83d",
        "\\ud83d \\ude00",
        "\\ud83d\\u0041",
    ] {
        let value = format!("\"{lone}\"");
        let read = outputs(format!(r#"{{"metadata":{{"a":{value}}}}}"#).as_bytes());
        assert_eq!(read.metadata_custom_key_value[0].value, value);
        for (body, what) in [
            (format!(r#"{{"done":true,"name":{value}}}"#), "its name"),
            (
                format!(r#"{{"error":{{"message":{value}}}}}"#),
                "its error.message",
            ),
            (format!(r#"{{"metadata":{{{value}:1}}}}"#), "its metadata"),
            (
                format!(r#"{{"error":{{"details":[{{{value}:1}}]}}}}"#),
                "its error.details[]",
            ),
            (format!(r#"{{"done":true,{value}:1}}"#), "it"),
        ] {
            assert_eq!(
                refusal(body),
                format!("{what} has a lone surrogate in a key or string")
            );
        }
    }
}

#[test]
fn control_characters_pass_only_as_escapes() {
    for code in (0..0x20).filter(|code| !b"\t\n\r".contains(code)) {
        let raw = char::from(code);
        assert_eq!(
            refusal(format!(r#"{{"metadata":{{"a":"{raw}"}}}}"#)),
            "it is not JSON, at byte 12 or in the value there"
        );
        assert_eq!(
            refusal(format!(r#"{{{raw}"done":true}}"#)),
            "it is not JSON, at byte 1 or in the value there"
        );
        let escaped = format!("\\u{code:04x}");
        let body =
            format!(r#"{{"name":"operations/{escaped}","metadata":{{"{escaped}":"{escaped}"}}}}"#);
        let read = outputs(body.as_bytes());
        assert_eq!(read.name, format!("operations/{raw}"));
        let member = &read.metadata_custom_key_value[0];
        assert_eq!(
            (&*member.key, &*member.value),
            (&*raw.to_string(), &*format!("\"{escaped}\""))
        );
    }
}

#[test]
fn numbers_past_any_type_keep_their_digits() {
    let digits = "7".repeat(10_000);
    for number in [
        "1e400",
        "-1e-400",
        "1e99999999999999999999",
        &digits,
        &format!("0.{digits}"),
    ] {
        let read = outputs(format!(r#"{{"metadata":{{"n":{number}}}}}"#).as_bytes());
        assert_eq!(read.metadata_custom_key_value[0].value, number);
        assert_eq!(
            refusal(format!(r#"{{"error":{{"code":{number}}}}}"#)),
            "its error.code is no 32-bit integer"
        );
    }
    let zeros = "0".repeat(10_000);
    for (number, code) in [
        (format!("5.{zeros}"), 5),
        (format!("5{zeros}e-10000"), 5),
        (format!("-0.{zeros}5e10001"), -5),
        (format!("\"0.{zeros}\""), 0),
        (format!("0e{digits}"), 0),
    ] {
        let read = outputs(format!(r#"{{"error":{{"code":{number}}}}}"#).as_bytes());
        assert_eq!(read.error_code, Some(code));
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    for (odd, valid) in [
        (&b"\xff"[..], 9),
        (b"\xc0\x80", 9),
        (b"\xed\xa0\x80", 9),
        (b"a\xe2\x82", 10),
    ] {
        let body = [br#"{"name":""#, odd, br#"","done":true}"#].concat();
        assert_eq!(refusal(body), format!("it is not UTF-8 at byte {valid}"));
    }
    let utf_16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(
        refusal(utf_16),
        "it is not JSON, at byte 1 or in the value there"
    );
    assert_eq!(
        refusal(b"\xef\xbb\xbf{\"done\":true}"),
        "it starts with a byte order mark"
    );
    assert_eq!(
        refusal("{\u{feff}\"done\":true}"),
        "it is not JSON, at byte 1 or in the value there"
    );
}

/// The cap itself is the exchange's, which stops reading there: the readers take one byte more.
#[test]
fn the_largest_body_is_read_and_so_is_one_byte_more() {
    let around = r#"{"done":true,"response":{"a":""}}"#.len();
    for length in [MAX_BODY, MAX_BODY + 1] {
        let value = "x".repeat(length - around);
        let body = format!(r#"{{"done":true,"response":{{"a":"{value}"}}}}"#);
        assert_eq!(body.len(), length);
        let read = outputs(body.as_bytes());
        assert_eq!(
            read.response_custom_key_value[0].value.len(),
            value.len() + 2
        );
    }
}

#[test]
fn a_service_with_many_words_gets_a_short_message() {
    let words = "word ".repeat(300_000);
    for body in [
        format!(r#"{{"error":{{"message":"{words}"}}}}"#),
        format!(r#"{{"error":{{"status":"{words}"}}}}"#),
        format!(r#"{{"error":"{words}","error_description":"{words}"}}"#),
        format!("<title>{words}</title>"),
        words,
    ] {
        for status in ["404", "503"] {
            answer::check(format!("HTTP/1.1 {status}\n\n{body}").as_bytes());
        }
    }
}
