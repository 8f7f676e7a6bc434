//! Why a connection or a request fails, with the host that it was for.

use std::error::Error;
use std::io;
use std::net::IpAddr;

use thiserror::Error;

/// The causes are part of the messages: they go to a Worker, which sees nothing else.
#[derive(Debug, Error)]
pub(crate) enum EgressError {
    #[error("cannot resolve the host: {host}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("the host has no address: {0}")]
    NoAddress(String),
    #[error("connections to this address are not allowed: {host} ({address})")]
    NotAllowed { host: String, address: IpAddr },
    #[error("cannot connect to {host}: {source}")]
    Connect { host: String, source: io::Error },
    #[error("cannot connect to {0}: it did not answer in time")]
    ConnectTimeout(String),
    #[error("no secure connection to {host}: {}", super::tls::reason_of_io(.source))]
    Tls { host: String, source: io::Error },
    #[error("the proxy does not connect to {host}: {answer}")]
    Proxy { host: String, answer: String },
    #[error("proxies of this kind are not supported: {0} (name one that begins with http://)")]
    ProxyScheme(String),
    #[error("the URL cannot be fetched: {0} (what begins with http:// or https:// can)")]
    Url(String),
    #[error("the header cannot be sent: {0}")]
    Header(String),
    #[error("the method cannot be sent: {0}")]
    Method(String),
    #[error("{0} did not answer in time")]
    HeadTimeout(String),
    #[error("the connection to {host} broke off: {message}")]
    Broken { host: String, message: String },
    #[error("{host} does not answer by HTTP: {message}")]
    NotHttp { host: String, message: String },
    #[error("the head of the answer of {0} is too large: at most 256 headers and 256 KiB are read")]
    HeadTooLarge(String),
    #[error("{host} answered with a redirect: {status}")]
    Redirected { host: String, status: u16 },
    #[error("{host} answered with a redirect to what cannot be fetched: {location}")]
    BadRedirect { host: String, location: String },
    #[error("{host} answered with a redirect, but the body was a stream, which cannot be sent again")]
    CannotRepeat { host: String },
    #[error("there were too many redirects, the last from {host}: at most {limit}")]
    TooManyRedirects { host: String, limit: u32 },
}

impl EgressError {
    /// What the HTTP client says of a request to this host.
    pub(crate) fn of_client(host: &str, error: &hyper_util::client::legacy::Error) -> String {
        let mut source: Option<&(dyn Error + 'static)> = error.source();
        let mut last = error.to_string();
        while let Some(cause) = source {
            // Ours, from the connector, says all there is to say.
            if let Some(ours) = cause.downcast_ref::<Self>() {
                return ours.to_string();
            }
            match cause.downcast_ref::<hyper::Error>() {
                Some(cause) if cause.is_parse_too_large() => {
                    return Self::HeadTooLarge(host.to_owned()).to_string();
                }
                Some(cause) if cause.is_parse() => {
                    return Self::NotHttp { host: host.to_owned(), message: root(cause) }.to_string();
                }
                _ => {}
            }
            last = described(cause);
            source = cause.source();
        }
        Self::Broken { host: host.to_owned(), message: last }.to_string()
    }
}

/// An error without its causes. What is said of TLS is meant for those who program with it.
fn described(error: &(dyn Error + 'static)) -> String {
    let of_tls = error.downcast_ref::<io::Error>().and_then(super::tls::broken);
    of_tls.unwrap_or_else(|| error.to_string())
}

/// The last of an error's causes, which is the one that says what happened.
pub(crate) fn root(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    described(error)
}
