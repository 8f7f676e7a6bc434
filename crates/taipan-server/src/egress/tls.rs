//! TLS of outgoing connections.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_rustls::TlsConnector;

/// Checks servers by what the system trusts, or by what `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Reading that takes
/// some milliseconds, so it is done when it is first needed.
#[derive(Default)]
pub(crate) struct TlsClient {
    plain: OnceLock<Result<Arc<ClientConfig>, String>>,
    http: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl TlsClient {
    /// For any protocol.
    pub(crate) fn connector(&self) -> io::Result<TlsConnector> {
        self.plain().map(TlsConnector::from)
    }

    /// For HTTP, with the offer to speak HTTP/2.
    pub(crate) fn http(&self) -> io::Result<TlsConnector> {
        let config = self.http.get_or_init(|| {
            let mut config = ClientConfig::clone(&*self.plain().map_err(|e| e.to_string())?);
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Ok(Arc::new(config))
        });
        config.clone().map(TlsConnector::from).map_err(io::Error::other)
    }

    fn plain(&self) -> io::Result<Arc<ClientConfig>> {
        let config = self.plain.get_or_init(|| make().map(Arc::new).map_err(|e| e.to_string()));
        config.clone().map_err(io::Error::other)
    }
}

fn make() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}
