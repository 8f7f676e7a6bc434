//! TLS of outgoing connections.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, InvalidMessage};
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

fn make() -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.with_platform_verifier().map_err(|error| Error::General(reason(&error)))?;
    Ok(builder.with_no_client_auth())
}

/// Why there is no secure connection, as [`reason`] says it.
pub(super) fn reason_of_io(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "it closed the connection before that was secure".to_owned();
    }
    broken(error).unwrap_or_else(|| error.to_string())
}

/// Why a secure connection ended, if it is TLS that says so.
pub(super) fn broken(error: &io::Error) -> Option<String> {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => Some(reason(error)),
        // What is said instead is a link to the library's manual.
        None if error.to_string().contains("close_notify") => {
            Some("it was closed without a goodbye".to_owned())
        }
        None => None,
    }
}

/// Why a handshake has failed, and what to do about it. What is wrong with a certificate begins with "the certificate".
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS: is the port the right one?".to_owned()
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it wants to see a client's certificate, and was shown none".to_owned()
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure)
        | Error::PeerIncompatible(_) => {
            format!("it speaks no TLS that is spoken here, which is 1.2 and 1.3: {error}")
        }
        Error::General(message) if message.starts_with("No CA certificates") => {
            "this machine has no certificates to trust: install ca-certificates, or name a file of trusted certificates in SSL_CERT_FILE"
                .to_owned()
        }
        error => error.to_string(),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        // The signature is bad when another issuer of the same name is trusted.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate's issuer is not trusted: add the issuer's certificate to those that the system trusts, or name a file of trusted certificates in SSL_CERT_FILE".to_owned()
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate has expired, on {}", date(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the certificate is not valid yet, but from {} on: is the clock right?", date(*not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| plain_name(name)).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("the certificate is not for {} but for {names}", expected.to_str())
        }
        error if error.to_string().contains("CaUsedAsEndEntity") => {
            "the certificate is one that issues others, which a server may not show: make one with basicConstraints=CA:FALSE".to_owned()
        }
        error => format!("the certificate is not valid: {error}"),
    }
}

fn date(time: UnixTime) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}

/// `DnsName("a.example")` is a.example, `IpAddress(1.2.3.4)` is 1.2.3.4.
fn plain_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_certificates() {
        assert_eq!(plain_name("DnsName(\"a.example\")"), "a.example");
        assert_eq!(plain_name("IpAddress(1.2.3.4)"), "1.2.3.4");
        assert_eq!(plain_name("what else there may be"), "what else there may be");
    }
}
