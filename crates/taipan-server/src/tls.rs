//! Certificates of the ingress.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// Why there is no TLS.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("the file holds no {what} in PEM format: {}", path.display())]
    File {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key are not for each other, or not for use.
    #[error("the certificate cannot be used")]
    Certificate(#[source] rustls::Error),
    /// No certificate could be made.
    #[error("no certificate could be made")]
    Make(#[source] rcgen::Error),
}

/// A certificate with its key, for HTTP/2 and HTTP/1.1.
#[derive(Clone, Debug)]
pub struct Tls(pub(crate) Arc<ServerConfig>);

impl Tls {
    /// From files in PEM format: a certificate with those that it depends on, and its key.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let error = |what, path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::File { what, path, source }
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
        let chain = chain.map_err(error("certificate", certificate))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(error("private key", key))?;
        Self::new(chain, key)
    }

    /// Signed by itself, which clients have to be told to accept.
    pub fn self_signed(names: &[&str]) -> Result<Self, TlsError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(names).map_err(TlsError::Make)?;
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        Self::new(vec![cert.der().clone()], key)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Certificate)?;
        let mut config =
            builder.with_no_client_auth().with_single_cert(chain, key).map_err(TlsError::Certificate)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}
