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
pub struct AccessError(Box<AccessErrorKind>);

impl AccessError {
    pub(super) fn new(kind: AccessErrorKind) -> Self {
        Self(Box::new(kind))
    }

    /// Whether asking again later may help without a change of the access: the token source is
    /// down or slow. Everything else needs a person.
    pub fn is_transient(&self) -> bool {
        match *self.0 {
            AccessErrorKind::Down { cause, .. } => !matches!(cause, Cause::Certificate),
            AccessErrorKind::Silent { .. } => true,
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
pub(super) enum AccessErrorKind {
    #[error("the access token {fault}")]
    Token { fault: TokenFault },

    #[error(
        "the environment variable {variable:?} for the access token is not set: set it, or name another one"
    )]
    VariableUnset { variable: String },

    #[error("the access token in the environment variable {variable:?} {fault}")]
    VariableInvalid { variable: String, fault: TokenFault },

    #[error("the quota project must be visible ASCII only: give the ID of a project")]
    QuotaProject,

    #[error("cannot read {origin} ({fault}): check the path and its permissions")]
    Unreadable {
        origin: CredentialOrigin,
        fault: io::ErrorKind,
    },

    #[error(
        "{origin} is not JSON (line {line}, column {column}): create it again with `gcloud auth application-default login` or download the key again"
    )]
    NotJson {
        origin: CredentialOrigin,
        line: usize,
        column: usize,
    },

    #[error("{origin} has no \"type\": it is not a Google credentials file")]
    NoType { origin: CredentialOrigin },

    #[error(
        "{origin} has an unsupported type{}: use authorized_user, service_account, external_account or impersonated_service_account",
        named(.found)
    )]
    UnknownType {
        origin: CredentialOrigin,
        /// Only where it looks like the name of a type.
        found: Option<String>,
    },

    #[error(
        "{origin} lacks {member:?}, or it is not {expected}: {kind} needs it; create the file again"
    )]
    Member {
        origin: CredentialOrigin,
        kind: &'static str,
        member: &'static str,
        expected: &'static str,
    },

    #[error(
        "{member:?} in {origin} must be an https URL, or http to this machine: otherwise a secret would go in the clear"
    )]
    InTheClear {
        origin: CredentialOrigin,
        member: &'static str,
    },

    #[error("{origin} is not valid for {kind}: create it again")]
    Invalid {
        origin: CredentialOrigin,
        kind: &'static str,
    },

    #[error(
        "no credentials were found: run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a credentials file (gcloud has none, and no metadata server answers)"
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
        "cannot read the subject token that \"credential_source\" in {origin} names ({fault}): check that it exists"
    )]
    SubjectToken {
        origin: CredentialOrigin,
        fault: io::ErrorKind,
    },

    #[error(
        "\"private_key\" in {origin} cannot sign: it must be an RSA key in PKCS#8 PEM format; download the key again"
    )]
    PrivateKey { origin: CredentialOrigin },

    #[error(
        "{endpoint} gave a token that had already expired, or could not be asked: check the clock of this machine, and that it has CA certificates (or that SSL_CERT_FILE names them)"
    )]
    Broken { endpoint: String },
}

/// Which credentials an error is about.
#[derive(Debug, Clone)]
pub(super) enum CredentialOrigin {
    File(PathBuf),
    Given,
    Machine,
}

impl fmt::Display for CredentialOrigin {
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
                "must be visible ASCII only: pass the bare token, without `Bearer` and without spaces"
            }
        })
    }
}

fn named(word: &Option<impl AsRef<str>>) -> String {
    word.as_ref()
        .map(|word| format!(" ({})", word.as_ref()))
        .unwrap_or_default()
}
