//! Which OAuth scopes a token is asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// The scope that almost every Google Cloud service takes.
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The scopes of a token. Cheap to clone: made once per service, when a manifest is loaded.
///
/// A service lists scopes, one of which a token needs. The rule:
///
/// - If `cloud-platform` is listed, that alone. So one token serves nine in ten of the catalogue's
///   services, and it is the one scope that every kind of credential can get.
/// - If not, all that are listed, sorted. Which one an operation needs depends on what it works
///   on (`workspaceevents`: a Chat scope for a Chat subscription, a Drive scope for a Drive one),
///   and a token that lacks it is refused.
/// - If none is listed, `cloud-platform`.
///
/// No rule narrows an authorized user's token, which has the scopes that the user consented to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Scopes(Arc<[String]>);

impl Scopes {
    /// The scopes to ask for, given those of which the service needs one.
    pub fn for_service<I, S>(listed: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        let listed: BTreeSet<String> = listed.into_iter().map(Into::into).collect();
        if listed.is_empty() || listed.contains(CLOUD_PLATFORM) {
            return Self::default();
        }
        Self(listed.into_iter().collect())
    }

    /// The scopes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Default for Scopes {
    fn default() -> Self {
        Self(Arc::new([CLOUD_PLATFORM.to_owned()]))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(listed: &[&str]) -> Vec<String> {
        Scopes::for_service(listed.iter().copied())
            .iter()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn cloud_platform_is_asked_for_alone_if_it_is_listed() {
        assert_eq!(
            asked(&["https://www.googleapis.com/auth/aiplatform", CLOUD_PLATFORM]),
            [CLOUD_PLATFORM]
        );
    }

    #[test]
    fn otherwise_all_listed_scopes_are_asked_for_in_one_order() {
        assert_eq!(asked(&["b", "a", "b"]), ["a", "b"]);
        assert_eq!(
            Scopes::for_service(["b", "a"]),
            Scopes::for_service(["a", "b"])
        );
    }

    #[test]
    fn cloud_platform_is_asked_for_if_nothing_is_listed() {
        assert_eq!(asked(&[]), [CLOUD_PLATFORM]);
    }
}
