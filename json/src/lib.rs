//! JSON text taken apart, never rebuilt: every value is a slice of the text that it came in.
//!
//! A package of its own, because it looks at each byte of an answer: it is built for speed where the rest of the
//! component is built for size.
//!
//! serde_json checks and skips each value (`IgnoredAny`, without recursion, however deep it is nested)
//! and says where it ends; what is between the values of one object or array is read here. serde's
//! own maps would drop a key that is given twice, and its typed values, `RawValue` among them, bring the
//! printing of floats along for errors: 20 KB, a twelfth of the component.

use std::borrow::Cow;
use std::fmt;

use serde::de::IgnoredAny;

/// A member of an object.
#[derive(Debug, PartialEq)]
pub struct Member<'a> {
    /// Decoded.
    pub key: Cow<'a, str>,
    /// The exact text.
    pub value: &'a str,
}

/// The most members that an object, or elements that an array, may have. A million of them take some
/// 100 MB when they leave the sandbox; an engine would end such a call without a word.
pub const MAX_PARTS: usize = 1_000_000;

/// Why a text could not be taken apart.
#[derive(Debug, PartialEq)]
pub enum Error {
    /// It is of another type than was asked for.
    OtherType,
    /// It ends before its value does.
    Ends,
    /// It breaks the grammar of RFC 8259 in the value that begins at this byte, or after it.
    Syntax(usize),
    /// It has more than [`MAX_PARTS`] members or elements.
    TooMany,
    /// A key or string has half of a surrogate pair: legal JSON (RFC 8259, section 8.2), but not text.
    LoneSurrogate,
}

impl fmt::Display for Error {
    /// As the end of a sentence that begins with what was read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::OtherType => f.write_str("is of another type"),
            Error::Ends => f.write_str("is not JSON: it ends in the middle"),
            Error::Syntax(at) => write!(f, "is not JSON, at byte {at} or in the value there"),
            Error::TooMany => write!(f, "has over {MAX_PARTS} members or elements"),
            Error::LoneSurrogate => f.write_str("has a lone surrogate in a key or string"),
        }
    }
}

/// The members of the object in `text`, in order. A key given twice is there twice.
///
/// # Errors
///
/// `OtherType` if it is not an object; any other [`Error`] if it cannot be read.
pub fn members(text: &str) -> Result<Vec<Member<'_>>, Error> {
    let mut reader = Reader::open(text, b'{', b'}')?;
    let mut members = Vec::new();
    while reader.has_next()? {
        if members.len() == MAX_PARTS {
            return Err(Error::TooMany);
        }
        let key = reader.value()?;
        if !key.starts_with('"') {
            return Err(reader.syntax_error());
        }
        reader.expect(b':')?;
        members.push(Member {
            key: string(key)?,
            value: reader.value()?,
        });
    }
    Ok(members)
}

/// The first value that is given for `key` and is not `null`.
pub fn first<'a>(members: &[Member<'a>], key: &str) -> Option<&'a str> {
    members
        .iter()
        .find(|member| member.key == key && member.value != "null")
        .map(|member| member.value)
}

/// The place of the first member whose key an earlier one has; none if all keys are different.
pub fn repeated_key(members: &[Member]) -> Option<usize> {
    let key = |at: usize| &*members[at].key;
    // Most objects have a handful of members: a look at each pair takes no memory and less time.
    if members.len() <= FEW {
        let mut places = 1..members.len();
        return places.find(|at| (0..*at).any(|before| key(before) == key(*at)));
    }
    let mut sorted: Vec<usize> = (0..members.len()).collect();
    sort(&mut sorted, |a, b| (key(a), a) < (key(b), b));
    let repeated = sorted
        .windows(2)
        .filter(|pair| key(pair[0]) == key(pair[1]));
    repeated.map(|pair| pair[1]).min()
}

/// Up to so many members are compared pair by pair.
const FEW: usize = 24;

/// Heapsort: of the library's sorts, the smallest is twenty times as long.
fn sort(items: &mut [usize], is_before: impl Fn(usize, usize) -> bool) {
    let sift = |items: &mut [usize], mut root: usize| {
        while let Some(&left) = items.get(2 * root + 1) {
            let mut child = 2 * root + 1;
            if items
                .get(child + 1)
                .is_some_and(|right| is_before(left, *right))
            {
                child += 1;
            }
            if !is_before(items[root], items[child]) {
                return;
            }
            items.swap(root, child);
            root = child;
        }
    };
    for root in (0..items.len() / 2).rev() {
        sift(items, root);
    }
    for end in (1..items.len()).rev() {
        items.swap(0, end);
        sift(&mut items[..end], 0);
    }
}

/// The elements of the array in `text`.
///
/// # Errors
///
/// `OtherType` if it is not an array; any other [`Error`] if it cannot be read.
pub fn elements(text: &str) -> Result<Vec<&str>, Error> {
    let mut reader = Reader::open(text, b'[', b']')?;
    let mut elements = Vec::new();
    while reader.has_next()? {
        if elements.len() == MAX_PARTS {
            return Err(Error::TooMany);
        }
        elements.push(reader.value()?);
    }
    Ok(elements)
}

/// The string in `text`, decoded; borrowed if it has no escape.
///
/// # Errors
///
/// `OtherType` if it is not a string, `LoneSurrogate` if no text can hold it.
pub fn string(text: &str) -> Result<Cow<'_, str>, Error> {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .ok_or(Error::OtherType)?;
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let mut decoded = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        decoded.push_str(&rest[..at]);
        let escape = rest[at + 1..].chars().next().ok_or(Error::Ends)?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        decoded.push(match escape {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => escaped_char(&mut rest)?,
            // `"`, `\` and `/`; serde_json lets no other through.
            other => other,
        });
    }
    decoded.push_str(rest);
    Ok(Cow::Owned(decoded))
}

/// Writes a string of JSON (RFC 8259, section 7).
pub fn write_string(text: &mut String, value: &str) {
    text.reserve(value.len() + 2);
    text.push('"');
    let mut rest = value;
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    while let Some(at) = rest.bytes().position(is_special) {
        text.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'\n' => text.push_str("\\n"),
            byte @ (b'"' | b'\\') => {
                text.push('\\');
                text.push(char::from(byte));
            }
            byte => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                text.push_str("\\u00");
                text.push(char::from(HEX[usize::from(byte >> 4)]));
                text.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
        rest = &rest[at + 1..];
    }
    text.push_str(rest);
    text.push('"');
}

/// Whether `text` is one JSON value, of any type.
pub fn is_value(text: &str) -> bool {
    let mut reader = Reader {
        text,
        at: 0,
        close: 0,
        first: true,
    };
    reader.value().is_ok() && reader.end().is_ok()
}

/// The character of a `\u` escape, whose digits `rest` begins with: one UTF-16 unit, or two if the
/// escape of the second follows directly.
fn escaped_char(rest: &mut &str) -> Result<char, Error> {
    let first = utf16_unit(rest)?;
    let code = if (0xd800..0xdc00).contains(&first) {
        *rest = rest.strip_prefix("\\u").ok_or(Error::LoneSurrogate)?;
        let second = utf16_unit(rest)?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(Error::LoneSurrogate);
        }
        0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
    } else {
        first
    };
    char::from_u32(code).ok_or(Error::LoneSurrogate)
}

fn utf16_unit(rest: &mut &str) -> Result<u32, Error> {
    let (digits, after) = rest.split_at_checked(4).ok_or(Error::Ends)?;
    *rest = after;
    u32::from_str_radix(digits, 16).map_err(|_| Error::LoneSurrogate)
}

/// Reads the text of an object or array from its first value to its end.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    close: u8,
    first: bool,
}

impl<'a> Reader<'a> {
    fn open(text: &'a str, open: u8, close: u8) -> Result<Reader<'a>, Error> {
        let mut reader = Reader {
            text,
            at: 0,
            close,
            first: true,
        };
        match reader.peek() {
            None => Err(Error::Ends),
            Some(byte) if byte == open => {
                reader.at += 1;
                Ok(reader)
            }
            // It is JSON of another type, or not JSON at all.
            Some(_) if is_value(text) => Err(Error::OtherType),
            Some(_) => Err(reader.syntax_error()),
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
            .count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        match self.peek() {
            None => Err(Error::Ends),
            Some(next) if next == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.syntax_error()),
        }
    }

    /// Whether another value follows; after the last one the text must end.
    fn has_next(&mut self) -> Result<bool, Error> {
        let first = std::mem::replace(&mut self.first, false);
        if self.peek() == Some(self.close) {
            self.at += 1;
            return self.end().map(|()| false);
        }
        if !first {
            self.expect(b',')?;
        }
        Ok(true)
    }

    /// The next value: checked, and skipped.
    fn value(&mut self) -> Result<&'a str, Error> {
        if self.peek().is_none() {
            return Err(Error::Ends);
        }
        let rest = &self.text[self.at..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(IgnoredAny)) => {}
            Some(Err(error)) if error.is_eof() => return Err(Error::Ends),
            Some(Err(_)) => return Err(self.syntax_error()),
            None => return Err(Error::Ends),
        }
        let value = &rest[..values.byte_offset()];
        self.at += value.len();
        Ok(value)
    }

    fn end(&mut self) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax_error()),
        }
    }

    fn syntax_error(&self) -> Error {
        Error::Syntax(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_key_is_found_among_few_and_among_many() {
        let repeated = |keys: &[usize]| {
            let members: Vec<Member> = keys
                .iter()
                .map(|key| Member {
                    key: key.to_string().into(),
                    value: "1",
                })
                .collect();
            repeated_key(&members)
        };
        for count in [0, 1, 2, FEW, FEW + 1, 1000] {
            // Neither in order nor in reverse.
            let mut keys: Vec<usize> = (0..count).map(|at| at * 7919 % 1009).collect();
            assert_eq!(repeated(&keys), None, "{count}");
            for first in [0, count / 2, count.saturating_sub(1)] {
                if let Some(key) = keys.get(first).copied() {
                    keys.push(key);
                    assert_eq!(repeated(&keys), Some(count), "{count}, {first}");
                    keys.pop();
                }
            }
        }
        // Of two, the one whose second place comes first.
        assert_eq!(repeated(&[1, 2, 2, 1]), Some(2));
        let mut many: Vec<usize> = (0..100).collect();
        many.extend([2, 1]);
        assert_eq!(repeated(&many), Some(100));
    }

    #[test]
    fn members_keep_order_text_and_repeated_keys() {
        let text = " {\"b\" : 1.00 ,\"a\\u0062\":{ \"x\": [] },\"b\":\"\\n\"} ";
        let expected = [("b", "1.00"), ("ab", "{ \"x\": [] }"), ("b", "\"\\n\"")];
        let read = members(text).unwrap();
        let read = read.iter().map(|member| (&*member.key, member.value));
        assert!(read.eq(expected));
        assert_eq!(members("{}").unwrap(), []);
        assert_eq!(members("{ }").unwrap(), []);
    }

    #[test]
    fn the_first_value_that_is_not_null_counts() {
        let members = members(r#"{"a":null,"b":0,"a":1,"a":2}"#).unwrap();
        assert_eq!(first(&members, "a"), Some("1"));
        assert_eq!(first(&members, "c"), None);
    }

    #[test]
    fn elements_keep_their_text() {
        assert_eq!(
            elements("[1e400 ,\"\\ud800\", [ 2 ],{}]").unwrap(),
            ["1e400", "\"\\ud800\"", "[ 2 ]", "{}"]
        );
        assert_eq!(elements(" [ ] ").unwrap(), [""; 0]);
    }

    #[test]
    fn text_that_breaks_the_grammar_is_an_error() {
        for (text, error) in [
            ("", Error::Ends),
            (" ", Error::Ends),
            ("{", Error::Ends),
            ("{\"a\"", Error::Ends),
            ("{\"a\":", Error::Ends),
            ("{\"a\":1", Error::Ends),
            ("{\"a\":1,", Error::Ends),
            ("{\"a\":tru", Error::Ends),
            ("{\"a\":\"", Error::Ends),
            ("{,}", Error::Syntax(1)),
            ("{\"a\"}", Error::Syntax(4)),
            ("{\"a\" 1}", Error::Syntax(5)),
            ("{\"a\":1,}", Error::Syntax(7)),
            ("{\"a\":1 \"b\":2}", Error::Syntax(7)),
            ("{\"a\":01}", Error::Syntax(5)),
            ("{\"a\":1x}", Error::Syntax(5)),
            ("{\"a\":+1}", Error::Syntax(5)),
            ("{\"a\":'b'}", Error::Syntax(5)),
            ("{\"a\":\"\n\"}", Error::Syntax(5)),
            ("{\"a\":\"\\x\"}", Error::Syntax(5)),
            ("{\"a\":\"\\u12g4\"}", Error::Syntax(5)),
            ("{a:1}", Error::Syntax(1)),
            ("{1:1}", Error::Syntax(2)),
            ("{}x", Error::Syntax(2)),
            ("{} {}", Error::Syntax(3)),
            ("<html>", Error::Syntax(0)),
            ("nul", Error::Syntax(0)),
            ("[1]", Error::OtherType),
            ("null", Error::OtherType),
            (" \"a\" ", Error::OtherType),
            ("{\"\\ud800\":1}", Error::LoneSurrogate),
        ] {
            assert_eq!(members(text), Err(error), "{text}");
        }
    }

    #[test]
    fn strings_are_decoded() {
        let text = r#""\"\\\/\b\f\n\r\tü\u00fc\u0000\uD83D\uDE00""#;
        assert_eq!(string(text).unwrap(), "\"\\/\u{8}\u{c}\n\r\tüü\u{0}😀");
        assert!(matches!(
            string("\"plain\"").unwrap(),
            Cow::Borrowed("plain")
        ));
        for lone in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800x""#,
            r#""\ud800\n""#,
            r#""\ud800\u0041""#,
        ] {
            assert_eq!(string(lone), Err(Error::LoneSurrogate), "{lone}");
        }
        assert_eq!(string("1"), Err(Error::OtherType));
    }

    #[test]
    fn at_most_a_million_parts_are_read() {
        let array = |count| format!("[{}1]", "1,".repeat(count - 1));
        assert_eq!(elements(&array(MAX_PARTS)).unwrap().len(), MAX_PARTS);
        assert_eq!(elements(&array(MAX_PARTS + 1)), Err(Error::TooMany));
        let object = |count| format!("{{{}\"a\":1}}", "\"a\":1,".repeat(count - 1));
        assert_eq!(members(&object(MAX_PARTS)).unwrap().len(), MAX_PARTS);
        assert_eq!(members(&object(MAX_PARTS + 1)), Err(Error::TooMany));
    }

    #[test]
    fn a_million_nested_arrays_do_not_recurse() {
        let deep = format!(
            "{{\"a\":{}{}}}",
            "[".repeat(1_000_000),
            "]".repeat(1_000_000)
        );
        assert_eq!(members(&deep).unwrap()[0].value.len(), 2_000_000);
    }
}
