//! From the body of a 200 to the outputs. An input is a body.

use std::collections::HashSet;
use std::sync::LazyLock;

use operations_get::bindings::{Failure, Reason};
use operations_get::operation::Operation;
use operations_get::request::Request;
use operations_get::{answer, flatten};
use serde_json::Value;

use crate::choices::{Choices, text_of};
use crate::grammar;
use crate::message::{self, TOKEN};
use crate::name;
use crate::read;
use crate::{Member, Outputs};

/// The relative name that every body answers.
pub const REQUESTED: &str = "operations/requested";

/// Runs one input.
pub fn check(input: &[u8]) {
    let body = text_of(input, make);
    match get(&body) {
        Ok(outputs) => check_outputs(&outputs, &body),
        Err(failure) => {
            assert_eq!(failure.reason, Reason::NotAnOperation);
            assert!(failure.is_permanent());
            assert_eq!(failure.http_status, Some(200));
            assert_eq!(
                (&failure.service_error, failure.retry_after_ms),
                (&None, None)
            );
            message::check(&failure.message, &body);
            let shown = String::from_utf8_lossy(&body);
            assert_eq!(expected(&body), None, "{}: {shown}", failure.message);
            if failure.message.contains(": it is not JSON") {
                assert!(!grammar::is_json(&shown), "{}: {shown}", failure.message);
            }
        }
    }
}

/// Checks the outputs of the body of a 200 for the name [`REQUESTED`].
pub fn check_outputs(outputs: &Outputs, body: &[u8]) {
    let text = std::str::from_utf8(body).expect("a body with outputs is text");
    assert!(grammar::is_json(text), "it is not JSON: {text}");
    check_slices(outputs, text);
    check_values(outputs, text);
    assert_eq!(Some(outputs), expected(body).as_ref(), "{text}");
}

/// What the component does with the body of a 200.
pub fn get(body: &[u8]) -> Result<Outputs, Failure> {
    static ASKED: LazyLock<Request> = LazyLock::new(|| name::asked(REQUESTED, ["", "", ""]));
    Operation::parse(body)
        .map(|operation| flatten::flatten(operation, REQUESTED))
        .map_err(|why| answer::not_an_operation(&ASKED, body, why))
}

/// Checks that every text is bare JSON and is in the body; those within an object, in their order.
fn check_slices(outputs: &Outputs, body: &str) {
    let error = outputs.error.as_deref();
    assert_eq!(
        (
            outputs.error_code.is_some(),
            outputs.error_message.is_some()
        ),
        (error.is_some(), error.is_some())
    );
    for object in [
        error,
        outputs.metadata.as_deref(),
        outputs.response.as_deref(),
    ]
    .into_iter()
    .flatten()
    {
        assert!(
            grammar::is_bare_json(object) && object.starts_with('{'),
            "{object}"
        );
        in_order([object], body);
    }
    in_order(
        outputs.error_details.iter().map(String::as_str),
        error.unwrap_or_default(),
    );
    assert_eq!(
        outputs.error_details.len(),
        outputs.error_details_custom_key_value.len()
    );
    let details = outputs.error_details.iter().map(String::as_str);
    let details = details.zip(&outputs.error_details_custom_key_value);
    let metadata = outputs.metadata.as_deref().unwrap_or_default();
    let response = outputs.response.as_deref().unwrap_or_default();
    for (object, members) in [
        (metadata, &outputs.metadata_custom_key_value),
        (response, &outputs.response_custom_key_value),
    ]
    .into_iter()
    .chain(details)
    {
        in_order(members.iter().map(|member| member.value.as_str()), object);
        let bare = |member: &Member| grammar::is_bare_json(&member.value);
        assert!(members.iter().all(bare), "{members:?}");
    }
}

/// Checks that each of `parts` is in `whole`, after the one before it.
pub fn in_order<'a>(parts: impl IntoIterator<Item = &'a str>, whole: &str) {
    let mut rest = whole;
    for part in parts {
        let at = rest.find(part);
        let at = at.unwrap_or_else(|| panic!("{part} is not, or not in this place, in {whole}"));
        rest = &rest[at + part.len()..];
    }
}

/// Checks the values against what serde_json makes of the body as a whole, if it can: it reads no lone
/// surrogate, no number past f64 and no depth over 127. This finds a text under another's key.
fn check_values(outputs: &Outputs, body: &str) {
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        return;
    };
    let value = |text: &Option<String>| match text {
        Some(text) => serde_json::from_str(text).expect("a part of a good text"),
        None => Value::Null,
    };
    let error = &body["error"];
    assert_eq!(value(&outputs.metadata), body["metadata"]);
    assert_eq!(value(&outputs.response), body["response"]);
    assert_eq!(value(&outputs.error), *error);
    assert_eq!(outputs.done, body["done"] == true);
    assert_eq!(outputs.name, body["name"].as_str().unwrap_or(REQUESTED));
    if error.is_object() {
        let message = error["message"].as_str().unwrap_or_default();
        assert_eq!(outputs.error_message.as_deref(), Some(message));
    }
    if let Some(code) = error["code"].as_f64() {
        assert_eq!(outputs.error_code.map(f64::from), Some(code));
    }
    check_members(&outputs.metadata_custom_key_value, &body["metadata"]);
    check_members(&outputs.response_custom_key_value, &body["response"]);
    for (at, members) in outputs.error_details_custom_key_value.iter().enumerate() {
        check_members(members, &error["details"][at]);
    }
}

fn check_members(members: &[Member], object: &Value) {
    assert_eq!(
        members.len(),
        object.as_object().map_or(0, serde_json::Map::len)
    );
    for member in members {
        let value: Value = serde_json::from_str(&member.value).expect("a part of a good text");
        assert_eq!(Some(&value), object.get(&member.key), "{}", member.key);
    }
}

/// The contract's table of outputs and its list of what is not an Operation, by another reading of JSON.
/// It does not know that a body with over a million parts is too large.
pub fn expected(body: &[u8]) -> Option<Outputs> {
    read_operation(body).ok()
}

/// The body is not an operation.
struct NotOne;

fn read_operation(body: &[u8]) -> Result<Outputs, NotOne> {
    let body = std::str::from_utf8(body).map_err(|_| NotOne)?;
    let members = read::object(body).ok_or(NotOne)?;
    let [name, done, error, metadata, response] = [
        once(&members, "name")?,
        once(&members, "done")?,
        once(&members, "error")?,
        once(&members, "metadata")?,
        once(&members, "response")?,
    ];
    let is_own_kind = read::given(&members, "kind")
        .into_iter()
        .filter_map(read::string)
        .any(|kind| {
            let service = kind.strip_suffix("#operation");
            service.is_some_and(|service| {
                "compute dns deploymentmanager sql"
                    .split(' ')
                    .any(|own| own == service)
            })
        });
    let is_there = |key: &str| read::first(&members, key).is_some();
    if done.is_none() && (is_own_kind || is_there("operationType") && is_there("status")) {
        return Err(NotOne);
    }
    if [name, done, error, metadata, response] == [None; 5] {
        return Err(NotOne);
    }
    let name = optional(name, read::string)?;
    let error = optional(error, |text| Some((text, unique(text)?)))?;
    if let Some((_, error)) = &error {
        let is_envelope = ["status", "errors"]
            .iter()
            .any(|key| !read::given(error, key).is_empty());
        if is_envelope && name.is_none() && done.is_none() {
            return Err(NotOne);
        }
    }
    let is_done = optional(done, |text| serde_json::from_str(text).ok())?;
    let metadata = optional(metadata, |text| Some((text, unique(text)?)))?;
    let response = optional(response, |text| Some((text, unique(text)?)))?;
    if done.is_none() && error.is_none() && response.is_none() {
        let is_another =
            |name: &String| name.contains('/') && !format!("/{name}/").contains("/operations/");
        if name.as_ref().is_some_and(is_another) {
            return Err(NotOne);
        }
    }

    let mut outputs = Outputs {
        name: name.unwrap_or_else(|| REQUESTED.to_owned()),
        done: is_done.unwrap_or_default(),
        error: None,
        error_code: None,
        error_message: None,
        error_details: Vec::new(),
        error_details_custom_key_value: Vec::new(),
        metadata: metadata.as_ref().map(|(text, _)| (*text).to_owned()),
        metadata_custom_key_value: metadata
            .map(|(_, members)| owned(members))
            .unwrap_or_default(),
        response: response.as_ref().map(|(text, _)| (*text).to_owned()),
        response_custom_key_value: response
            .map(|(_, members)| owned(members))
            .unwrap_or_default(),
    };
    if let Some((text, error)) = error {
        outputs.error = Some(text.to_owned());
        outputs.error_code = Some(optional(once(&error, "code")?, int32)?.unwrap_or_default());
        let message = optional(once(&error, "message")?, read::string)?;
        outputs.error_message = Some(message.unwrap_or_default());
        let details = optional(once(&error, "details")?, read::array)?.unwrap_or_default();
        for detail in details {
            outputs.error_details.push(detail.to_owned());
            let members = owned(unique(detail).ok_or(NotOne)?);
            outputs.error_details_custom_key_value.push(members);
        }
    }
    Ok(outputs)
}

/// The value, if there is one.
fn optional<'a, T>(
    text: Option<&'a str>,
    read: impl Fn(&'a str) -> Option<T>,
) -> Result<Option<T>, NotOne> {
    text.map(|text| read(text).ok_or(NotOne)).transpose()
}

/// The text for a key that may be given once, if it is given; `null` counts as absent.
fn once<'a>(members: &[(String, &'a str)], key: &str) -> Result<Option<&'a str>, NotOne> {
    match read::given(members, key)[..] {
        [] | ["null"] => Ok(None),
        [value] => Ok(Some(value)),
        _ => Err(NotOne),
    }
}

/// The members of an object; `None` if a key is given twice.
fn unique(text: &str) -> Option<Vec<(String, &str)>> {
    let members = read::object(text)?;
    let keys: HashSet<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
    (keys.len() == members.len()).then_some(members)
}

fn owned(members: Vec<(String, &str)>) -> Vec<Member> {
    let member = |(key, value): (String, &str)| Member {
        key,
        value: value.to_owned(),
    };
    members.into_iter().map(member).collect()
}

/// An int32 as ProtoJSON has it, written out as a decimal number without an exponent.
fn int32(text: &str) -> Option<i32> {
    let number = read::string(text).unwrap_or_else(|| text.to_owned());
    if !grammar::is_number(&number) {
        return None;
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((&number, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole
        .chars()
        .chain(fraction.chars())
        .all(|digit| digit == '0')
    {
        return Some(0);
    }
    // An exponent that does not fit moves the point past every digit of a body.
    let exponent: i64 = exponent.parse().ok()?;
    let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
    if exponent.unsigned_abs() > number.len() as u64 + 20 {
        return None;
    }
    for _ in 0..exponent {
        whole.push(if fraction.is_empty() {
            '0'
        } else {
            fraction.remove(0)
        });
    }
    for _ in exponent..0 {
        fraction.insert(0, whole.pop().unwrap_or('0'));
    }
    if fraction.chars().any(|digit| digit != '0') {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    format!("{sign}{whole}").parse().ok()
}

/// A body that is an operation, or nearly one.
fn make(choices: &mut Choices) -> Vec<u8> {
    let mut members: Vec<String> = Vec::new();
    if choices.up_to(4) > 0 {
        members.push(member(choices, "name", |choices| {
            let name = choices.of(&[
                "operations/o",
                "projects/p/locations/l/operations/o",
                "projects/p/secrets/s",
                "operation-1",
                "",
            ]);
            string(choices, name)
        }));
    }
    if choices.up_to(3) > 0 {
        members.push(member(choices, "done", |choices| {
            choices.of(&["true", "false", "null"]).to_owned()
        }));
    }
    if choices.up_to(3) > 1 {
        members.push(member(choices, "error", status));
    }
    for key in ["metadata", "response"] {
        if choices.up_to(2) > 0 {
            members.push(member(choices, key, |choices| object(choices, 0)));
        }
    }
    for _ in 0..choices.up_to(3) {
        let key = key(choices);
        members.push(member(choices, &key, |choices| value(choices, 1)));
    }
    match choices.up_to(5) {
        1 if !members.is_empty() => {
            let again = members[choices.up_to(members.len() - 1)].clone();
            members.push(again);
        }
        2 => members.reverse(),
        3 => {
            let first = choices.up_to(members.len());
            members.rotate_left(first);
        }
        _ => {}
    }
    let text = enclosed(choices, '{', members, '}');
    let text = format!("{}{text}{}", space(choices), space(choices));
    let mut body = text.into_bytes();
    match choices.up_to(15) {
        1 => body.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
        2 => body.truncate(choices.up_to(body.len())),
        3 => {
            let at = choices.up_to(body.len() - 1);
            body[at] = choices.of(b"\xff\xc0\x00\"{}[],:\\ 0e.-");
        }
        4 => body.extend(
            choices
                .of(&["x", "{}", ",", "\u{c}", "\u{a0}", "null"])
                .bytes(),
        ),
        5 => body.splice(0..0, *b"\x0b").for_each(drop),
        6 => {
            let at = choices.up_to(body.len());
            body.insert(at, choices.number() as u8);
        }
        7 => {
            let from = choices.up_to(body.len());
            let to = from + choices.up_to(body.len() - from);
            body.drain(from..to);
        }
        _ => {}
    }
    body
}

/// White space between tokens, sometimes of a kind that JSON does not have.
fn space(choices: &mut Choices) -> &'static str {
    match choices.up_to(250) {
        250 => choices.of(&["\u{a0}", "\u{b}", "\u{c}", "//x\n", "\u{feff}"]),
        n => ["", "", "", " ", "\n", "\t \r\n"][n % 6],
    }
}

fn enclosed(choices: &mut Choices, open: char, parts: Vec<String>, close: char) -> String {
    let mut text = format!("{open}{}", space(choices));
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(space(choices));
        text.push_str(part);
        text.push_str(space(choices));
    }
    if choices.one_in(60) {
        text.push(',');
    }
    text.push(close);
    text
}

/// A member, once in a while with a value of any type.
fn member(choices: &mut Choices, key: &str, usual: impl Fn(&mut Choices) -> String) -> String {
    let key = string(choices, key);
    let before = space(choices);
    let value = match choices.one_in(16) {
        true => value(choices, 1),
        false => usual(choices),
    };
    format!("{key}{before}:{}{value}", space(choices))
}

/// A string, each character as it is or escaped.
pub fn string(choices: &mut Choices, text: &str) -> String {
    let style = choices.up_to(5);
    let mut written = String::from("\"");
    for c in text.chars() {
        let must = u32::from(c) < 0x20 || matches!(c, '"' | '\\');
        if must || style == 4 || style == 5 && choices.one_in(3) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                written.push_str(&match choices.one_in(2) {
                    true => format!("\\u{unit:04X}"),
                    false => format!("\\u{unit:04x}"),
                });
            }
        } else if c == '/' && style == 3 {
            written.push_str("\\/");
        } else {
            written.push(c);
        }
    }
    if choices.one_in(40) {
        written.push_str(choices.of(&[
            "\\ud800",
            "\\udc00",
            "\\ud800\\u0041",
            "\\ud83d\\ude00",
            "\\x",
            "\\u12",
            "\\",
            "\n",
            "\\n",
            "\\ud800\\n",
        ]));
    }
    written.push('"');
    written
}

fn key(choices: &mut Choices) -> String {
    const KEYS: [&str; 22] = [
        "a",
        "b",
        "",
        "@type",
        "name",
        "done",
        "error",
        "metadata",
        "response",
        "code",
        "message",
        "details",
        "status",
        "errors",
        "kind",
        "operationType",
        "__proto__",
        "1",
        "a.b",
        "done ",
        "Done",
        TOKEN,
    ];
    match choices.up_to(24) {
        23 => choices.words(),
        24 => format!("{}{TOKEN}", "k".repeat(choices.up_to(120))),
        n => KEYS[n.min(21)].to_owned(),
    }
}

/// A `google.rpc.Status`.
fn status(choices: &mut Choices) -> String {
    let mut members = Vec::new();
    if choices.up_to(3) > 0 {
        members.push(member(choices, "code", |choices| match choices.up_to(3) {
            0 => choices.up_to(16).to_string(),
            1 => number(choices),
            _ => format!("\"{}\"", number(choices)),
        }));
    }
    if choices.up_to(3) > 0 {
        members.push(member(choices, "message", |choices| {
            let words = choices.words();
            string(choices, &words)
        }));
    }
    if choices.up_to(2) > 0 {
        members.push(member(choices, "details", |choices| {
            let count = choices.up_to(3);
            let details = (0..count)
                .map(|_| match choices.one_in(20) {
                    true => value(choices, 1),
                    false => object(choices, 1),
                })
                .collect();
            enclosed(choices, '[', details, ']')
        }));
    }
    if choices.one_in(4) {
        let key = key(choices);
        members.push(member(choices, &key, |choices| value(choices, 1)));
    }
    enclosed(choices, '{', members, '}')
}

/// An object, with a key given twice once in a while.
pub fn object(choices: &mut Choices, depth: usize) -> String {
    let count = choices.up_to(4);
    let mut members = Vec::new();
    let mut last = key(choices);
    for _ in 0..count {
        if !choices.one_in(12) {
            last = format!("{}{}", key(choices), choices.of(&["", "1", "2", "3", "4"]));
        }
        members.push(member(choices, &last, |choices| value(choices, depth + 1)));
    }
    enclosed(choices, '{', members, '}')
}

/// Any value.
pub fn value(choices: &mut Choices, depth: usize) -> String {
    match choices.up_to(11) {
        0 => "null".to_owned(),
        1 => "true".to_owned(),
        2 => "false".to_owned(),
        3 | 4 => number(choices),
        5 | 6 => {
            let words = choices.words();
            string(choices, &words)
        }
        7 | 8 if depth < 6 => object(choices, depth),
        9 if depth < 6 => {
            let count = choices.up_to(4);
            let elements = (0..count).map(|_| value(choices, depth + 1)).collect();
            enclosed(choices, '[', elements, ']')
        }
        10 => {
            let depth = choices.up_to(300);
            format!("{}{}", "[".repeat(depth), "]".repeat(depth))
        }
        11 if choices.one_in(4) => choices
            .of(&[
                "nul",
                "NaN",
                "'a'",
                "undefined",
                "Infinity",
                "TRUE",
                "",
                "\"dns#operation\"",
                "\"drive#operation\"",
            ])
            .to_owned(),
        _ => "{}".to_owned(),
    }
}

fn number(choices: &mut Choices) -> String {
    const NUMBERS: [&str; 18] = [
        "5",
        "0",
        "-0",
        "5.0",
        "50e-1",
        "1e400",
        "-1E+2",
        "2147483647",
        "2147483648",
        "-2147483648",
        "-2147483649",
        "9007199254740993",
        "01",
        "1.",
        "-",
        "+1",
        ".5",
        "0x10",
    ];
    match choices.up_to(3) {
        0 => choices.of(&NUMBERS).to_owned(),
        1 => format!("{}.{}", choices.digits(), choices.digits()),
        2 => {
            let (whole, exponent) = (choices.digits(), choices.digits());
            format!(
                "{whole}{}{exponent}",
                choices.of(&["e", "E", "e-", "e+", "E-"])
            )
        }
        _ => {
            // Zeros that the exponent takes away again.
            let zeros = choices.up_to(30);
            let (sign, digits) = (choices.of(&["", "-"]), choices.up_to(99_999));
            match choices.one_in(2) {
                true => format!("{sign}{digits}{}e-{zeros}", "0".repeat(zeros)),
                false => format!("{sign}0.{}{digits}e{}", "0".repeat(zeros), zeros + 5),
            }
        }
    }
}
