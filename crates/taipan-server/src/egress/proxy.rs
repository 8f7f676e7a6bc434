//! Proxies that the environment names, for requests: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not, as
//! curl reads them. Sockets and WebSockets go without.

use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::EgressError;

/// More than the head of any answer to `CONNECT`.
const LONGEST_ANSWER: usize = 16 << 10;

/// Which proxy a request goes through.
#[derive(Clone)]
pub(super) struct Proxies(Arc<Matcher>);

impl Proxies {
    pub(super) fn from_env() -> Self {
        Self(Arc::new(Matcher::from_env()))
    }

    /// The proxy for requests to this URL, if there is one.
    pub(super) fn of(&self, uri: &Uri) -> Option<Intercept> {
        self.0.intercept(uri)
    }

    /// What the request itself has to say to the proxy that reads it. One that is connected through it says it before.
    pub(super) fn authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        if uri.scheme_str() == Some("https") {
            return None;
        }
        self.of(uri)?.basic_auth().cloned()
    }
}

/// Where to connect for a proxy. Only those that are spoken to in the open are known.
pub(super) fn place(proxy: &Intercept) -> Result<(&str, u16), EgressError> {
    let uri = proxy.uri();
    let scheme = uri.scheme_str().unwrap_or_default();
    if scheme != "http" {
        return Err(EgressError::ProxyScheme(scheme.to_owned()));
    }
    Ok((uri.host().unwrap_or_default().trim_matches(['[', ']']), uri.port_u16().unwrap_or(80)))
}

/// Has the proxy at the other end connect to a host; what follows goes there.
pub(super) async fn tunnel(
    proxy: &Intercept,
    tcp: &mut TcpStream,
    host: &str,
    port: u16,
) -> Result<(), EgressError> {
    let refused = |answer: String| EgressError::Proxy { host: host.to_owned(), answer };
    let broken = |error: std::io::Error| refused(error.to_string());
    let bracketed = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = format!("CONNECT {bracketed} HTTP/1.1\r\nhost: {bracketed}\r\n").into_bytes();
    if let Some(authorization) = proxy.basic_auth() {
        request.extend_from_slice(b"proxy-authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    tcp.write_all(&request).await.map_err(broken)?;
    // Byte by byte: what follows the head is not ours.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == LONGEST_ANSWER {
            return Err(refused("its answer is too long".to_owned()));
        }
        answer.push(tcp.read_u8().await.map_err(broken)?);
    }
    let text = String::from_utf8_lossy(&answer);
    let line = text.lines().next().unwrap_or_default();
    let mut parts = line.split(' ');
    let is_http = parts.next().is_some_and(|version| version.starts_with("HTTP/1."));
    if is_http && parts.next().is_some_and(|status| status.len() == 3 && status.starts_with('2')) {
        return Ok(());
    }
    Err(refused(line.to_owned()))
}
