//! What the host adds to a request.

use std::fmt;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

/// The project that is billed for a call.
const QUOTA_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// The headers that a request carries for its credential. Cheap to clone; `Debug` shows no value.
#[derive(Clone)]
pub struct Authorization {
    value: HeaderValue,
    quota_project: Option<HeaderValue>,
}

/// Why a string is no token. It never holds the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenFault {
    Empty,
    NotVisibleAscii,
}

impl Authorization {
    /// `Bearer` and a token made elsewhere, one trailing newline trimmed.
    pub(super) fn bearer(secret: &str) -> Result<Self, TokenFault> {
        let token = secret.strip_suffix('\n').unwrap_or(secret);
        let token = token.strip_suffix('\r').unwrap_or(token);
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

    /// The value of `x-goog-user-project`, where the credential has a quota project.
    pub fn quota_project(&self) -> Option<&HeaderValue> {
        self.quota_project.as_ref()
    }

    /// Whether `text` holds the token. One that is so short that text holds it by chance is no token.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.token().is_some_and(|token| text.contains(token))
    }

    /// `text` without the token, which a service may echo.
    pub(crate) fn redact(&self, text: String) -> String {
        match self.token() {
            Some(token) => text.replace(token, "[credential]"),
            None => text,
        }
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
