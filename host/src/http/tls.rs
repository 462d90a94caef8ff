//! TLS: which servers are trusted, and who this client is.
//!
//! The roots are those of the platform by way of `rustls-native-certs`, so that a company's own CA
//! and `SSL_CERT_FILE` count. (`rustls-platform-verifier` reads the same files on Linux, and takes
//! neither extra CAs nor the verification of rustls itself on other systems.) The cryptography is
//! `ring`, named here: another crate of the same program may bring a second provider, and rustls
//! then has no default.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::error::ConnectionsError;

/// A PEM text (RFC 7468), and where it came from, which errors name.
#[derive(Clone)]
pub struct Pem {
    origin: String,
    text: Vec<u8>,
}

/// The text may be a private key, so only the origin is shown.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").field("origin", &self.origin).finish()
    }
}

impl Pem {
    /// Reads a file. Its content is checked when the host is set up.
    ///
    /// # Errors
    /// [`ConnectionsError::Unreadable`], which names the file.
    pub fn read(file: impl AsRef<Path>) -> Result<Pem, ConnectionsError> {
        let origin = file.as_ref().display().to_string();
        match std::fs::read(file) {
            Ok(text) => Ok(Pem { origin, text }),
            Err(reason) => Err(ConnectionsError::Unreadable {
                file: origin,
                reason,
            }),
        }
    }

    /// A text in memory; `origin` is what errors call it.
    pub fn new(origin: impl Into<String>, text: impl Into<Vec<u8>>) -> Pem {
        Pem {
            origin: origin.into(),
            text: text.into(),
        }
    }

    fn wrong(&self, problem: impl fmt::Display) -> ConnectionsError {
        ConnectionsError::Pem {
            origin: self.origin.clone(),
            problem: problem.to_string(),
        }
    }

    /// The certificates, at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, ConnectionsError> {
        let certificates = CertificateDer::pem_slice_iter(&self.text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|problem| self.wrong(format_args!("is not PEM: {problem}")))?;
        if certificates.is_empty() {
            return Err(self.wrong("holds no certificate in PEM form (BEGIN CERTIFICATE)"));
        }
        Ok(certificates)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, ConnectionsError> {
        use rustls::pki_types::pem::Error;
        PrivateKeyDer::from_pem_slice(&self.text).map_err(|problem| match problem {
            Error::NoItemsFound => self.wrong(
                "holds no private key in PEM form (BEGIN PRIVATE KEY; an encrypted key has to be \
                 decrypted first)",
            ),
            problem => self.wrong(format_args!("is not PEM: {problem}")),
        })
    }
}

/// Who this client is to servers that ask for a certificate (mTLS). Servers that do not ask are
/// not shown it.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// The client's certificate, followed by those of the CAs between it and the root.
    pub chain: Pem,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1, not encrypted. May be the same file.
    pub key: Pem,
}

/// The settings of every TLS connection, but for the protocols that it offers.
pub(super) fn config(
    extra_ca: &[Pem],
    identity: Option<&ClientIdentity>,
) -> Result<Arc<ClientConfig>, ConnectionsError> {
    let found = rustls_native_certs::load_native_certs();
    let detail = match found.errors.first() {
        Some(problem) => format!(" ({problem})"),
        None => String::new(),
    };
    config_with(roots(found.certs, detail, extra_ca)?, identity)
}

/// Certificates of the platform that rustls cannot read are skipped (some stores hold relics);
/// those that were given are not.
fn roots(
    platform: Vec<CertificateDer<'static>>,
    detail: String,
    extra_ca: &[Pem],
) -> Result<RootCertStore, ConnectionsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(platform);
    if added == 0 && extra_ca.is_empty() {
        return Err(ConnectionsError::NoRoots { detail });
    }
    for pem in extra_ca {
        for (index, certificate) in pem.certificates()?.into_iter().enumerate() {
            roots.add(certificate).map_err(|problem| {
                let number = index + 1;
                pem.wrong(format_args!(
                    "its certificate {number} cannot be used: {problem}"
                ))
            })?;
        }
    }
    Ok(roots)
}

fn config_with(
    roots: RootCertStore,
    identity: Option<&ClientIdentity>,
) -> Result<Arc<ClientConfig>, ConnectionsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ConnectionsError::Tls)?
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(ClientIdentity { chain, key }) => builder
            .with_client_auth_cert(chain.certificates()?, key.private_key()?)
            .map_err(|problem| {
                let certificate = &chain.origin;
                key.wrong(format_args!(
                    "the key and the certificate in {certificate} cannot be used: {problem}"
                ))
            })?,
    };
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use testing::tls::Ca;

    use super::*;

    fn message<T>(result: Result<T, ConnectionsError>) -> String {
        match result {
            Ok(_) => "no error".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        assert_eq!(
            message(Pem::read("/nowhere/ca.pem")),
            "cannot read /nowhere/ca.pem: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn a_ca_that_does_not_parse_is_named() {
        let of = |text: &str| message(config(&[Pem::new("ca.pem", text)], None));
        assert_eq!(
            of("hello"),
            "ca.pem: holds no certificate in PEM form (BEGIN CERTIFICATE)"
        );
        assert_eq!(
            of("-----BEGIN CERTIFICATE-----\n?!\n-----END CERTIFICATE-----\n"),
            "ca.pem: is not PEM: base64 decode error: InvalidCharacter(63)"
        );
        assert_eq!(
            of("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"),
            "ca.pem: its certificate 1 cannot be used: invalid peer certificate: BadEncoding"
        );
    }

    #[test]
    fn no_roots_at_all() {
        assert_eq!(
            message(roots(Vec::new(), " (it is locked)".into(), &[])),
            "no root certificates: the platform has none (it is locked). Install them \
             (ca-certificates), name a file in SSL_CERT_FILE, or give the certificate of a CA"
        );
        let (certificate, _) = Ca::new().issue("client");
        let given = roots(
            Vec::new(),
            String::new(),
            &[Pem::new("ca.pem", certificate)],
        );
        assert_eq!(given.unwrap().len(), 1);
    }

    #[test]
    fn a_client_identity_without_its_key() {
        let (certificate, key) = Ca::new().issue("client");
        let (_, other) = Ca::new().issue("client");
        let of = |key: &str| {
            let identity = ClientIdentity {
                chain: Pem::new("client.pem", certificate.as_str()),
                key: Pem::new("client.key", key),
            };
            message(config_with(RootCertStore::empty(), Some(&identity)))
        };
        assert_eq!(of(&key), "no error");
        assert_eq!(
            of(&certificate),
            "client.key: holds no private key in PEM form (BEGIN PRIVATE KEY; an encrypted key \
             has to be decrypted first)"
        );
        assert!(
            of(&other).starts_with(
                "client.key: the key and the certificate in client.pem cannot be used: "
            ),
            "{}",
            of(&other)
        );
    }

    #[test]
    fn a_key_is_not_shown() {
        let (_, key) = Ca::new().issue("client");
        assert_eq!(
            format!("{:?}", Pem::new("client.key", key)),
            r#"Pem { origin: "client.key" }"#
        );
    }
}
