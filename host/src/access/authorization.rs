//! What the host adds to a request.

use std::fmt;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use operations_get::secret::Secret;

/// The project that is billed for a call.
const QUOTA_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

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

    /// The token, to be looked for in texts; none if it is too short to tell.
    pub(crate) fn secret(&self) -> Option<Secret> {
        let value = self.value.to_str().ok()?;
        // Whatever the scheme is called (RFC 9110, section 11.1).
        let token = value.split_once(' ').map_or(value, |(_, token)| token);
        Secret::new(token.trim())
    }

    /// Whether `text` holds the whole token.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.secret().is_some_and(|secret| secret.is_in(text))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_whatever_its_scheme_is_called() {
        for scheme in ["Bearer", "bearer", "BEARER", "DPoP", "Bearer "] {
            let mut headers = HeaderMap::new();
            let value = format!("{scheme} ya29.not/a-real-token");
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            let authorization = Authorization::from_headers(headers).unwrap();
            assert!(
                authorization.is_in("operations/ya29.not%2Fa-real-token"),
                "{scheme}"
            );
            assert!(
                !authorization.is_in("operations/ya29.not/a-real-toke"),
                "{scheme}"
            );
        }
    }
}
