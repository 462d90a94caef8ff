//! Certificates, and servers' settings for TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// A CA, with the certificates that it issues.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Ca {
    #[expect(clippy::new_without_default, reason = "each one is another CA")]
    pub fn new() -> Ca {
        // Two CAs of one name would be taken for one with a bad signature.
        static NUMBER: AtomicUsize = AtomicUsize::new(1);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        let name = format!("CA {number}");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        Ca {
            issuer: Issuer::new(parameters, key),
            pem,
        }
    }

    /// A certificate for a name or an address, and its key, both PEM.
    pub fn issue(&self, name: &str) -> (String, String) {
        let parameters = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A server's settings, with a certificate for `name`.
    pub fn server(&self, name: &str, alpn: &[&str]) -> ServerConfig {
        settings(self.issue(name), alpn, None)
    }

    /// The same for a server that takes clients of this CA alone.
    pub fn server_for_clients(&self, name: &str) -> ServerConfig {
        settings(self.issue(name), &["http/1.1"], Some(self))
    }

    /// A server's settings, with a certificate for `name` that has expired.
    pub fn server_expired(&self, name: &str) -> ServerConfig {
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2020, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let issued = (certificate.pem(), key.serialize_pem());
        settings(issued, &["http/1.1"], None)
    }
}

/// A server's settings, with a certificate for `name` that no CA has signed.
pub fn server_self_signed(name: &str) -> ServerConfig {
    let parameters = CertificateParams::new([name.to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let issued = (certificate.pem(), key.serialize_pem());
    settings(issued, &["http/1.1"], None)
}

/// `issued` is a certificate and its key, both PEM.
fn settings(issued: (String, String), alpn: &[&str], clients: Option<&Ca>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            let ca = CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap();
            roots.add(ca).unwrap();
            let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(clients.build().unwrap())
        }
    };
    let (certificate, key) = issued;
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}
