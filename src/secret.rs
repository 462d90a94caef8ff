//! A credential in a text: found as a whole, as it is or as JSON and URLs spell it, and taken out of an
//! answer that echoes it.
//!
//! Nothing here finds a part of a credential. A caller chooses names, and a message that depends on which
//! part of a credential a name holds would let the caller guess it piece by piece.

/// A token or key, to be looked for.
#[derive(Clone, PartialEq)]
pub struct Secret(String);

/// What stands in an answer for the credential that was echoed in it.
const REDACTED: &[u8] = b"[credential]";

/// Fewer characters are no secret, and could be part of any word.
const SHORTEST: usize = 8;

/// How far a text goes on as the secret does.
#[derive(Debug, PartialEq)]
enum Match {
    /// It holds all of it, in so many bytes.
    Whole(usize),
    /// It ends before it differs.
    Begun,
    /// It differs.
    None,
}

impl Secret {
    /// The secret to look for; none if it is shorter than eight characters.
    pub fn new(secret: &str) -> Option<Secret> {
        (secret.len() >= SHORTEST).then(|| Secret(secret.to_owned()))
    }

    /// Whether `text` holds all of it, in any case, because hosts are in lower case. Each of its characters
    /// may be spelled as JSON (RFC 8259, section 7) or a URL (RFC 3986, section 2.1) spells it.
    pub fn is_in(&self, text: &str) -> bool {
        let text = text.as_bytes();
        (0..text.len()).any(|at| matches!(self.matches(&text[at..]), Match::Whole(_)))
    }

    /// `text` with `[credential]` wherever it holds all of the secret.
    pub fn taken_out_of(&self, text: &[u8]) -> Vec<u8> {
        let mut cleaner = Cleaner::new(self.clone());
        let mut clean = cleaner.next(text);
        clean.extend(cleaner.rest());
        clean
    }

    fn matches(&self, text: &[u8]) -> Match {
        // Most of any text is not even its first character.
        let first = text.first().copied().unwrap_or_default();
        if !matches!(first, b'\\' | b'%') && !first.eq_ignore_ascii_case(&self.0.as_bytes()[0]) {
            return Match::None;
        }
        // A character can be spelled in ways that begin alike: all that fit so far.
        let mut ends = [Some(0), None, None];
        let mut is_cut = false;
        for byte in self.0.bytes() {
            let mut longer = [None; 3];
            let mut found = 0;
            for end in ends.into_iter().flatten() {
                let rest = &text[end..];
                for length in SPELLINGS {
                    match spells(byte, rest, length) {
                        Some(true) if !longer.contains(&Some(end + length)) && found < 3 => {
                            longer[found] = Some(end + length);
                            found += 1;
                        }
                        Some(_) => {}
                        None => is_cut = true,
                    }
                }
            }
            ends = longer;
            if found == 0 {
                return if is_cut { Match::Begun } else { Match::None };
            }
        }
        match ends.into_iter().flatten().max() {
            Some(end) => Match::Whole(end),
            None => Match::None,
        }
    }
}

/// The lengths of the spellings of a character: itself, `\/`, `%2F` and `\u002f`.
const SPELLINGS: [usize; 4] = [1, 2, 3, 6];

/// Whether `text` begins with the spelling of `byte` of this length; unknown if it ends before.
fn spells(byte: u8, text: &[u8], length: usize) -> Option<bool> {
    let begins: &[u8] = match length {
        1 => b"",
        2 => b"\\",
        3 => b"%",
        _ => b"\\u00",
    };
    let begun = text.len().min(begins.len());
    if text[..begun] != begins[..begun] {
        return Some(false);
    }
    let spelled = text.get(begun..length)?;
    Some(match *spelled {
        [one] => match length {
            1 => one.eq_ignore_ascii_case(&byte),
            _ => one == byte && b"\"\\/".contains(&byte),
        },
        _ => std::str::from_utf8(spelled)
            .ok()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .is_some_and(|spelled| spelled.eq_ignore_ascii_case(&byte)),
    })
}

/// Whether a text looks like a credential of Google's, by its form alone: then a message does not quote it,
/// whoever pasted it where.
pub fn looks_like_one(text: &str) -> bool {
    const BEGINNINGS: [&str; 5] = ["ya29.", "AIza", "GOCSPX-", "1//0", "eyJ"];
    const PARTS: [&str; 4] = [
        "-----BEGIN",
        "private_key",
        "refresh_token",
        "client_secret",
    ];
    let mut words = text.split(|c: char| c.is_whitespace() || "\"'=:,;@?&".contains(c));
    words.any(|word| {
        BEGINNINGS
            .iter()
            .any(|beginning| word.starts_with(beginning))
    }) || PARTS.iter().any(|part| text.contains(part))
}

/// Takes a secret out of a text that comes in pieces.
pub struct Cleaner {
    secret: Secret,
    /// The end of what came, as far as the secret may go on in the next piece.
    held: Vec<u8>,
}

impl Cleaner {
    /// For one text.
    pub fn new(secret: Secret) -> Cleaner {
        Cleaner {
            secret,
            held: Vec::new(),
        }
    }

    /// What may be passed on once `piece` has come.
    pub fn next(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        let mut clean = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while let Some(byte) = self.held.get(at) {
            match self.secret.matches(&self.held[at..]) {
                Match::Whole(length) => {
                    clean.extend_from_slice(REDACTED);
                    at += length;
                }
                Match::Begun => break,
                Match::None => {
                    clean.push(*byte);
                    at += 1;
                }
            }
        }
        self.held.drain(..at);
        clean
    }

    /// What was held back, at the end of the text.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        let token = secret("not/a+Real=token");
        for text in [
            "not/a+Real=token",
            "https://NOT/A+REAL=TOKEN.example",
            "operations/not%2Fa%2BReal%3Dtoken",
            "not%2fa%2breal%3dtoken",
            r#"{"token":"not\/a\u002bReal\u003Dtoken"}"#,
            r"%6E%6F%74/a+\u0052eal=token",
        ] {
            assert!(token.is_in(text), "{text}");
        }
        for text in [
            "",
            "not/a+Real=toke",
            "ot/a+Real=token",
            "not\\a+Real=token",
        ] {
            assert!(!token.is_in(text), "{text}");
        }
        // A backslash that stands for itself, and one that escapes.
        let odd = secret(r"a\/b\\cdef");
        for text in [r"a\/b\\cdef", r"a\\\/b\\\\cdef"] {
            assert!(odd.is_in(text), "{text}");
        }
    }

    #[test]
    fn fewer_than_eight_characters_are_no_secret() {
        assert!(Secret::new("1234567").is_none());
        assert!(secret("12345678").is_in("a 12345678 b"));
    }

    #[test]
    fn a_credential_is_known_by_its_form() {
        for text in [
            "ya29.not-a-real-token",
            "Bearer ya29.not-a-real-token",
            "--key=AIzaNotARealKey",
            "GOCSPX-not-real",
            "1//0not-real",
            "eyJhbGciOiJub25lIn0.e30.",
            "-----BEGIN PRIVATE KEY-----",
            "{\"private_key\":\"\"}",
        ] {
            assert!(looks_like_one(text), "{text}");
        }
        for text in [
            "",
            "operations/o",
            "projects/p/locations/l/operations/AIza",
            "//apigateway.googleapis.com/operations/o",
            "http://127.0.0.1:8080//operations",
        ] {
            assert!(!looks_like_one(text), "{text}");
        }
    }

    #[test]
    fn an_echo_is_taken_out_and_all_else_stays() {
        let token = secret("not-a-real-token");
        let clean = |text: &str| String::from_utf8(token.taken_out_of(text.as_bytes())).unwrap();
        assert_eq!(
            clean("ünot-a-real-tokennot-a-REAL-tokenü not-a-real-toke"),
            "ü[credential][credential]ü not-a-real-toke"
        );
        assert_eq!(
            clean("no%74-a-real-token%"),
            "no%74-a-real-token%".replace("no%74-a-real-token", "[credential]")
        );
        assert_eq!(clean("not-a-not-a-real-token"), "not-a-[credential]");
        assert_eq!(clean(""), "");
    }

    #[test]
    fn an_echo_is_taken_out_wherever_the_text_is_cut_in_pieces() {
        let token = secret("not/a-real-token");
        let text = br#"{"a":"not\/a-real-token","b":"not%2Fa-real-toke"}not/a-real"#;
        let whole = token.taken_out_of(text);
        assert_eq!(
            String::from_utf8_lossy(&whole),
            r#"{"a":"[credential]","b":"not%2Fa-real-toke"}not/a-real"#
        );
        for size in 1..text.len() {
            let mut cleaner = Cleaner::new(token.clone());
            let mut clean: Vec<u8> = text
                .chunks(size)
                .flat_map(|piece| cleaner.next(piece))
                .collect();
            clean.extend(cleaner.rest());
            assert_eq!(clean, whole, "in pieces of {size}");
        }
    }
}
