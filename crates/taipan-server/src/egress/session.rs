//! TLS without a connection, for Python's `ssl`.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use taipan_bindings::{TlsFacts, TlsSession, TlsStep, TlsTerms};

use super::tls::reason;

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
        Some(Arc::new(verifier.map_err(|e| reason(&e))?))
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
    let builder = builder.with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &terms.identity {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let pem = pem.expose().as_bytes();
            let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
            let chain = chain.map_err(|e| format!("not a certificate in PEM format: {e}"))?;
            let key = PrivateKeyDer::from_pem_slice(pem);
            let key =
                key.map_err(|e| format!("not a private key in PEM format, or one with a password: {e}"))?;
            builder.with_client_auth_cert(chain, key).map_err(|e| format!("the certificate's key: {e}"))?
        }
    };
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
                Err(error) => self.failure = Some(reason(&error)),
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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{ServerConfig, ServerConnection};
    use taipan_config::Secret;

    use super::*;

    fn pem(what: &str, der: &[u8]) -> String {
        let body = BASE64_STANDARD.encode(der);
        format!("-----BEGIN {what}-----\n{body}\n-----END {what}-----\n")
    }

    /// A certificate that nobody else has signed, and its key.
    fn made(change: impl Fn(&mut CertificateParams)) -> (CertificateDer<'static>, KeyPair) {
        let mut params = CertificateParams::new(["a.test".to_owned(), "b.test".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().der().clone(), key)
    }

    /// What becomes of a handshake with a server that has this certificate, and asks for one that these have signed.
    fn handshake(
        terms: &TlsTerms,
        (certificate, key): &(CertificateDer<'static>, KeyPair),
        clients: Option<CertificateDer<'static>>,
    ) -> Result<(), String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(issuer) => {
                let mut roots = RootCertStore::empty();
                roots.add(issuer).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = builder.with_single_cert(vec![certificate.clone()], key).unwrap();
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        let mut client = begin(terms)?;
        let mut to_client = vec![];
        loop {
            let step = client.step(&to_client, b"", false);
            to_client.clear();
            if let Some(error) = step.error {
                return Err(error);
            }
            let mut to_server = &step.wire[..];
            while !to_server.is_empty() {
                server.read_tls(&mut to_server).unwrap();
                // What it minds, it says on the wire, too.
                drop(server.process_new_packets());
            }
            while server.wants_write() {
                server.write_tls(&mut to_client).unwrap();
            }
            if !step.is_handshaking && to_client.is_empty() && !server.is_handshaking() {
                return Ok(());
            }
        }
    }

    fn trusting((certificate, _): &(CertificateDer<'static>, KeyPair)) -> TlsTerms {
        TlsTerms {
            name: "a.test".into(),
            checks_chain: true,
            checks_name: true,
            roots: Some(pem("CERTIFICATE", certificate)),
            ..TlsTerms::default()
        }
    }

    #[test]
    fn servers_that_are_not_trusted() {
        let good = made(|_| {});
        assert_eq!(handshake(&trusting(&good), &good, None), Ok(()));
        let other = handshake(&trusting(&made(|_| {})), &good, None).unwrap_err();
        assert!(other.starts_with("the certificate's issuer is not trusted: "), "{other}");
        assert!(other.ends_with("SSL_CERT_FILE"), "{other}");

        let name = handshake(&TlsTerms { name: "c.test".into(), ..trusting(&good) }, &good, None);
        assert_eq!(name.unwrap_err(), "the certificate is not for c.test but for a.test, b.test");

        let old = made(|params| params.not_after = date_time_ymd(2020, 2, 3));
        let old = handshake(&trusting(&old), &old, None).unwrap_err();
        assert_eq!(old, "the certificate has expired, on Mon, 03 Feb 2020 00:00:00 GMT");

        let early = made(|params| params.not_before = date_time_ymd(4000, 1, 1));
        let early = handshake(&trusting(&early), &early, None).unwrap_err();
        assert!(early.starts_with("the certificate is not valid yet, but from Sat, 01 Jan 4000 "), "{early}");

        let issuer = made(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        let issuer = handshake(&trusting(&issuer), &issuer, None).unwrap_err();
        assert!(issuer.contains("make one with basicConstraints=CA:FALSE"), "{issuer}");

        let mut session = begin(&trusting(&good)).unwrap();
        let answer = session.step(b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", false);
        assert_eq!(answer.error.unwrap(), "it does not speak TLS: is the port the right one?");
    }

    #[test]
    fn servers_that_want_to_know_who_asks() {
        let (server, client) = (made(|_| {}), made(|_| {}));
        let nobody = handshake(&trusting(&server), &server, Some(client.0.clone())).unwrap_err();
        assert_eq!(nobody, "it wants to see a client's certificate, and was shown none");

        let key = pem("PRIVATE KEY", &client.1.serialize_der());
        let shown = |text: String| TlsTerms { identity: Some(Secret::new(text)), ..trusting(&server) };
        let identity = shown(pem("CERTIFICATE", &client.0) + &key);
        assert_eq!(handshake(&identity, &server, Some(client.0.clone())), Ok(()));
        assert!(!format!("{identity:?}").contains("PRIVATE"), "{identity:?}");

        let without = begin(&shown(pem("CERTIFICATE", &client.0))).err().unwrap();
        assert!(without.starts_with("not a private key in PEM format, or one with a password"), "{without}");
        let another = pem("CERTIFICATE", &server.0) + &key;
        let another = begin(&shown(another)).err().unwrap();
        assert!(another.starts_with("the certificate's key: "), "{another}");
    }
}
