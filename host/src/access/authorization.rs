//! What the host adds to a request.

use std::fmt;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The project that is billed for a call.
const QUOTA_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// What stands for a token in a text.
const REDACTED: &str = "[credential]";

/// A text that begins as the token does for so many bytes holds a part of it, because the block shortens what
/// it quotes.
const TELLING: usize = 16;

/// How the block ends a text that it shortened.
const CUT: char = '…';

/// Before a [`CUT`], so many bytes do: Google's tokens all begin with `ya29`, which tells nothing.
const TELLING_AT_A_CUT: usize = 4;

/// What a URL encodes within a segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What the block encodes in a name on its way into a URL.
const NAME: &AsciiSet = &SEGMENT.remove(b'/');

/// The headers that a request carries for its credential. Cheap to clone; `Debug` shows no value.
#[derive(Clone)]
pub struct Authorization {
    value: HeaderValue,
    quota_project: Option<HeaderValue>,
}

/// Why a string is not a token. It never holds the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenFault {
    Empty,
    NotVisibleAscii,
}

impl Authorization {
    /// `Bearer` and a token made elsewhere, one trailing newline trimmed.
    pub(super) fn bearer(secret: &str) -> Result<Self, TokenFault> {
        let line = secret.strip_suffix("\r\n");
        let token = line.or(secret.strip_suffix('\n')).unwrap_or(secret);
        if token.is_empty() {
            return Err(TokenFault::Empty);
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenFault::NotVisibleAscii);
        }
        let value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| TokenFault::NotVisibleAscii)?;
        Ok(Self::new(value, None))
    }

    /// The headers that a credential gave; `None` without an `Authorization` among them.
    pub(super) fn from_headers(mut headers: HeaderMap) -> Option<Self> {
        let value = headers.remove(AUTHORIZATION)?;
        Some(Self::new(value, headers.remove(QUOTA_PROJECT)))
    }

    fn new(mut value: HeaderValue, quota_project: Option<HeaderValue>) -> Self {
        value.set_sensitive(true);
        Self {
            value,
            quota_project,
        }
    }

    /// The value of `Authorization`, marked as sensitive.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// The value of `x-goog-user-project`, if the credential has a quota project.
    pub fn quota_project(&self) -> Option<&HeaderValue> {
        self.quota_project.as_ref()
    }

    /// Whether `text` holds the token, in any case: a host is in lower case. Text may hold a very short token by
    /// chance, so that does not count.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        self.token()
            .is_some_and(|token| text.contains(&token.to_ascii_lowercase()))
    }

    /// `text` without the token, which a service may echo or a name may hold, and without its beginning.
    pub(crate) fn redact(&self, text: String) -> String {
        let Some(token) = self.token() else {
            return text;
        };
        let encoded = |set| utf8_percent_encode(token, set).to_string();
        [token.to_owned(), encoded(NAME), encoded(SEGMENT)]
            .iter()
            .fold(text, |text, spelled| without(&text, spelled))
    }

    fn token(&self) -> Option<&str> {
        let token = self.value.to_str().ok()?.strip_prefix("Bearer ")?;
        (token.len() >= 8).then_some(token)
    }

    /// Adds both to a request. `Authorization` replaces what is there; a quota project that is there
    /// stays, since it was set for this call.
    pub fn apply_to(&self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.value.clone());
        if let Some(project) = &self.quota_project {
            headers
                .entry(QUOTA_PROJECT)
                .or_insert_with(|| project.clone());
        }
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("quota_project", &self.quota_project)
            .finish_non_exhaustive()
    }
}

/// `text` without `token`, which is ASCII, in any case, and without its beginning.
fn without(text: &str, token: &str) -> String {
    let token = token.to_ascii_lowercase();
    let telling = &token[..token.len().min(TELLING)];
    // Its bytes stand where those of the text do.
    let lower = text.to_ascii_lowercase();
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = lower[from..].find(telling) {
        let at = from + at;
        let same = lower[at..].bytes().zip(token.bytes());
        let length = same.take_while(|(one, other)| one == other).count();
        shown.push_str(&text[from..at]);
        shown.push_str(REDACTED);
        from = at + length;
    }
    shown.push_str(&text[from..]);
    without_pieces(shown, telling)
}

/// `text` without what is left of a token, of which this is the beginning, before a [`CUT`].
fn without_pieces(mut text: String, telling: &str) -> String {
    let cuts: Vec<usize> = text.match_indices(CUT).map(|(at, _)| at).collect();
    for cut in cuts.into_iter().rev() {
        let before = text[..cut].to_ascii_lowercase();
        let left = (TELLING_AT_A_CUT..telling.len())
            .rev()
            .find(|length| before.ends_with(&telling[..*length]));
        if let Some(length) = left {
            text.replace_range(cut - length..cut, REDACTED);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "ya29.not/a+real=token~canary";

    fn redacted(text: &str) -> String {
        let authorization = Authorization::bearer(TOKEN).unwrap();
        authorization.redact(text.to_owned())
    }

    #[test]
    fn a_redacted_text_holds_the_token_in_no_spelling() {
        let encoded = "ya29.not/a%2Breal%3Dtoken~canary";
        assert_eq!(
            redacted(&format!("“{TOKEN}”, {TOKEN}{TOKEN} at /v1/{encoded}?")),
            "“[credential]”, [credential][credential] at /v1/[credential]?"
        );
        for spelled in [
            "YA29.NOT/a+real=token~canary",
            "ya29.not%2Fa%2Breal%3Dtoken~canary",
            "ya29.not%2fa%2breal%3dtoken~canary",
            "ya29.not/a+real=to",
        ] {
            assert_eq!(
                redacted(&format!("ü{spelled}, ü")),
                "ü[credential], ü",
                "{spelled}"
            );
        }
        assert_eq!(redacted("ya29 is no token"), "ya29 is no token");
    }

    #[test]
    fn a_redacted_text_that_was_cut_holds_no_part_of_the_token() {
        for length in TELLING_AT_A_CUT..TOKEN.len() {
            let cut = format!("Bearer {}…", &TOKEN[..length]);
            assert_eq!(redacted(&cut), "Bearer [credential]…");
        }
    }
}
