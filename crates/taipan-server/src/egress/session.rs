//! TLS without a connection, for Python's `ssl`.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use taipan_bindings::{TlsFacts, TlsSession, TlsStep, TlsTerms};

/// A name that no server has, for those who do not say which one they want.
const NOBODY: &str = "unnamed.invalid";

/// A client's side of a connection.
pub(super) struct Session {
    connection: ClientConnection,
    failure: Option<String>,
}

/// Begins as the guest wants it.
pub(super) fn begin(terms: &TlsTerms) -> Result<Box<dyn TlsSession>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(terms.roots.as_deref().unwrap_or_default().as_bytes()) {
        roots.push(certificate.map_err(|e| format!("not certificates in PEM format: {e}"))?);
    }
    let chain: Option<Arc<dyn ServerCertVerifier>> = if !terms.checks_chain {
        None
    } else if terms.trusts_system {
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(roots, provider.clone());
        Some(Arc::new(verifier.map_err(|e| e.to_string())?))
    } else {
        let mut store = RootCertStore::empty();
        // Some bundles have certificates in them that are too old to be understood.
        store.add_parsable_certificates(roots);
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone());
        Some(builder.build().map_err(|e| e.to_string())?)
    };
    let verifier = Lenient { chain, provider: provider.clone(), checks_name: terms.checks_name };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| e.to_string())?.dangerous();
    let mut config = builder.with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    config.alpn_protocols = terms.protocols.iter().map(|name| name.clone().into_bytes()).collect();
    let name = if terms.name.is_empty() { NOBODY } else { &terms.name };
    config.enable_sni = !terms.name.is_empty();
    let name = ServerName::try_from(name.to_owned()).map_err(|_| format!("not a server's name: {name}"))?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(|e| e.to_string())?;
    Ok(Box::new(Session { connection, failure: None }))
}

impl TlsSession for Session {
    fn step(&mut self, mut wire: &[u8], plain: &[u8], close: bool) -> TlsStep {
        let mut step = TlsStep::default();
        while !wire.is_empty() && self.failure.is_none() {
            match self.connection.read_tls(&mut wire) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => self.failure = Some(error.to_string()),
            }
            match self.connection.process_new_packets() {
                Ok(state) => {
                    step.has_ended = state.peer_has_closed();
                    let mut found = vec![0; state.plaintext_bytes_to_read()];
                    if self.connection.reader().read_exact(&mut found).is_ok() {
                        step.plain.append(&mut found);
                    }
                }
                Err(error) => self.failure = Some(error.to_string()),
            }
        }
        if self.failure.is_none() {
            // What is written goes to memory, where there is room.
            self.connection.set_buffer_limit(None);
            if let Err(error) = self.connection.writer().write_all(plain) {
                self.failure = Some(error.to_string());
            }
        }
        if close {
            self.connection.send_close_notify();
        }
        while self.connection.wants_write() {
            if self.connection.write_tls(&mut step.wire).is_err() {
                break;
            }
        }
        step.is_handshaking = self.connection.is_handshaking();
        step.error = self.failure.clone();
        step
    }

    fn facts(&self) -> TlsFacts {
        let version = self.connection.protocol_version().and_then(|v| v.as_str());
        let suite = self.connection.negotiated_cipher_suite().and_then(|s| s.suite().as_str());
        let protocol = self.connection.alpn_protocol();
        let certificate = self.connection.peer_certificates().and_then(<[_]>::first);
        TlsFacts {
            version: version.map(|v| v.replace('_', ".")),
            // As OpenSSL writes it: TLS_AES_128_GCM_SHA256.
            cipher: suite.map(|s| s.replace("TLS13_", "TLS_")),
            protocol: protocol.map(|p| String::from_utf8_lossy(p).into_owned()),
            certificate: certificate.map(|c| c.as_ref().to_vec()),
        }
    }
}

/// Checks as much of a certificate as it is told to.
#[derive(Debug)]
struct Lenient {
    /// None: whoever it is, it is believed.
    chain: Option<Arc<dyn ServerCertVerifier>>,
    provider: Arc<CryptoProvider>,
    checks_name: bool,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        let checked = chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match checked {
            // The name is checked last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_name => Ok(ServerCertVerified::assertion()),
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
