//! RFC 8259 by hand, with a stack of its own instead of recursion. It decides what is JSON without any
//! code of serde_json, which both the block and the other oracles build on.

/// Whether `text` is one JSON value, with only white space around it.
pub fn is_json(text: &str) -> bool {
    let bytes = text.as_bytes();
    match value(bytes, space(bytes, 0)) {
        Some(end) => space(bytes, end) == bytes.len(),
        None => false,
    }
}

/// Whether `text` is one JSON value with nothing around it.
pub fn is_bare_json(text: &str) -> bool {
    value(text.as_bytes(), 0) == Some(text.len())
}

fn space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Where the value that begins at `at` ends.
fn value(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut open: Vec<u8> = Vec::new();
    loop {
        // Here a value must begin.
        at = match bytes.get(at)? {
            b'{' => {
                let inner = space(bytes, at + 1);
                if bytes.get(inner) == Some(&b'}') {
                    inner + 1
                } else {
                    open.push(b'{');
                    at = key(bytes, inner)?;
                    continue;
                }
            }
            b'[' => {
                let inner = space(bytes, at + 1);
                if bytes.get(inner) == Some(&b']') {
                    inner + 1
                } else {
                    open.push(b'[');
                    at = inner;
                    continue;
                }
            }
            b'"' => string(bytes, at)?,
            b'-' | b'0'..=b'9' => number(bytes, at)?,
            _ => {
                let word = ["null", "true", "false"];
                let word = word
                    .iter()
                    .find(|word| bytes[at..].starts_with(word.as_bytes()))?;
                at + word.len()
            }
        };
        // Here one has ended.
        loop {
            let Some(kind) = open.last() else {
                return Some(at);
            };
            at = space(bytes, at);
            match (kind, bytes.get(at)?) {
                (b'{', b'}') | (b'[', b']') => {
                    open.pop();
                    at += 1;
                }
                (b'{', b',') => {
                    at = key(bytes, space(bytes, at + 1))?;
                    break;
                }
                (b'[', b',') => {
                    at = space(bytes, at + 1);
                    break;
                }
                _ => return None,
            }
        }
    }
}

/// Where the value begins of the member whose key begins at `at`.
fn key(bytes: &[u8], at: usize) -> Option<usize> {
    let colon = space(bytes, string(bytes, at)?);
    (bytes.get(colon) == Some(&b':')).then(|| space(bytes, colon + 1))
}

fn string(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += match bytes.get(at)? {
            b'"' => return Some(at + 1),
            0..=0x1f => return None,
            b'\\' => match bytes.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                b'u' => {
                    let digits = bytes.get(at + 2..at + 6)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    6
                }
                _ => return None,
            },
            _ => 1,
        };
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let start = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > start).then_some(at)
    };
    let at = at + usize::from(bytes.get(at) == Some(&b'-'));
    let mut at = match bytes.get(at)? {
        b'0' => at + 1,
        _ => digits(at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = digits(at + 1 + sign)?;
    }
    Some(at)
}

/// Whether `text` is a JSON number.
pub fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && is_bare_json(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_recognized_as_rfc_8259_defines_it() {
        for text in [
            "0",
            " -0.5E+3 ",
            "[]",
            "[ ]",
            "{ }",
            r#"{"a":[1,{"b":null}],"c":"\ud800"}"#,
            "[[],[[]]]",
            "true",
        ] {
            assert!(is_json(text), "{text}");
        }
        for text in [
            "",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "[",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{a:1}",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "nul",
            "1 2",
            "{\"a\":1,}",
            "\u{feff}1",
            "\u{a0}1",
            "]",
        ] {
            assert!(!is_json(text), "{text}");
        }
    }
}
