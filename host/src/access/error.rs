//! Why there is no access, as sentences that say what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::authorization::TokenFault;

/// Why there is no access. Its text and its `Debug` are one line and hold no token, key, assertion or
/// answer of a token server.
#[derive(Clone, thiserror::Error)]
#[error(transparent)]
pub struct AccessError(Box<Kind>);

impl AccessError {
    pub(super) fn new(kind: Kind) -> Self {
        Self(Box::new(kind))
    }

    /// Whether asking again later may help without a change of the access: the token source is
    /// down or slow. Everything else needs a person.
    pub fn is_transient(&self) -> bool {
        match *self.0 {
            Kind::Down { cause, .. } => !matches!(cause, Cause::Certificate),
            Kind::Silent { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Debug for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessError({self})")
    }
}

/// What went wrong. No variant has room for a secret: paths, names of variables and members, hosts,
/// and words of a fixed list.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Kind {
    #[error("the access token {fault}")]
    Token { fault: TokenFault },

    #[error(
        "the environment variable {variable:?}, which is to hold the access token, is not set: set it, or name another"
    )]
    VariableUnset { variable: String },

    #[error("the access token in the environment variable {variable:?} {fault}")]
    VariableUnfit { variable: String, fault: TokenFault },

    #[error("the quota project has a character that is not visible ASCII: give a project's id")]
    QuotaProject,

    #[error("{origin} could not be read ({fault}): check the path and its permissions")]
    Unreadable {
        origin: Origin,
        fault: io::ErrorKind,
    },

    #[error(
        "{origin} is not JSON (line {line}, column {column}): create it again with `gcloud auth application-default login` or download the key again"
    )]
    NotJson {
        origin: Origin,
        line: usize,
        column: usize,
    },

    #[error("{origin} has no \"type\": it is not a credentials file of Google's")]
    NoType { origin: Origin },

    #[error(
        "{origin} is of a type that is not supported{}: use authorized_user, service_account, external_account or impersonated_service_account",
        named(.found)
    )]
    UnknownType {
        origin: Origin,
        /// Only where it looks like the name of a type.
        found: Option<String>,
    },

    #[error("{origin} lacks {member:?}, or it is no {expected}: {kind} needs it, create it again")]
    Member {
        origin: Origin,
        kind: &'static str,
        member: &'static str,
        expected: &'static str,
    },

    #[error(
        "{member:?} in {origin} is no https URL (nor http to this machine), so a secret would go in the clear: correct it"
    )]
    InTheClear {
        origin: Origin,
        member: &'static str,
    },

    #[error("{origin} does not fit {kind}: create it again")]
    Unfit { origin: Origin, kind: &'static str },

    #[error(
        "no credentials were found: run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a credentials file (there is none in gcloud's place, and no metadata server answers)"
    )]
    NoCredentials,

    #[error("{endpoint} {cause}; it is asked again every 10 seconds")]
    Down { endpoint: String, cause: Cause },

    #[error("{endpoint} did not answer within {} ms: try again later", .waited.as_millis())]
    Silent { endpoint: String, waited: Duration },

    #[error("{endpoint} gave no token{}: {advice}", named(.code))]
    Refused {
        endpoint: String,
        code: Option<&'static str>,
        advice: &'static str,
    },

    #[error(
        "the subject token that \"credential_source\" in {origin} names could not be read ({fault}): check that it is there"
    )]
    SubjectToken {
        origin: Origin,
        fault: io::ErrorKind,
    },

    #[error(
        "\"private_key\" in {origin} cannot sign: it has to be an RSA key as PKCS#8 PEM, download the key again"
    )]
    PrivateKey { origin: Origin },

    #[error(
        "{endpoint} gave a token that had expired already, or could not be asked: check the clock of this machine, and that it has CA certificates (or SSL_CERT_FILE names them)"
    )]
    Broken { endpoint: String },
}

/// Which credentials an error is about.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    File(PathBuf),
    Given,
    Machine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Quoted and escaped: a path may hold a line feed.
            Self::File(path) => write!(f, "the credentials file {path:?}"),
            Self::Given => f.write_str("the credentials JSON"),
            Self::Machine => f.write_str("the metadata server"),
        }
    }
}

/// Why a token source that may come back gave nothing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause {
    Unreachable,
    Certificate,
    Failing,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "could not be reached: check the network and HTTPS_PROXY",
            Self::Certificate => {
                "has a certificate that is not trusted here: add its CA to the platform's roots, or to the file in SSL_CERT_FILE"
            }
            Self::Failing => "is failing: try again later",
        })
    }
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::NotVisibleAscii => {
                "has a character that is not visible ASCII: give the bare token, without `Bearer` and without spaces"
            }
        })
    }
}

fn named(word: &Option<impl AsRef<str>>) -> String {
    word.as_ref()
        .map(|word| format!(" ({})", word.as_ref()))
        .unwrap_or_default()
}
