//! Connections: a name's addresses, the policy, TCP and TLS.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::error::EgressError;
use super::proxy::{self, Proxies};
use super::{Patience, Policy, TlsClient};

/// One address of several may be dead; the others are tried before the time is up.
const PATIENCE_FOR_ONE: Duration = Duration::from_secs(10);

/// A connection, secure or not.
pub(crate) enum Dialed {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// Connects to the host (a name, or an address without brackets), with TLS if there is a connector.
pub(crate) async fn dial(
    host: &str,
    port: u16,
    policy: Policy,
    tls: Option<TlsConnector>,
) -> Result<Dialed, EgressError> {
    dial_by(Patience::default().connect, None, host, port, policy, tls).await
}

/// The same within a time, and through a proxy if there is one, which reads what is not secure, and is sent it as for a proxy.
async fn dial_by(
    patience: Duration,
    proxy: Option<&Intercept>,
    host: &str,
    port: u16,
    policy: Policy,
    tls: Option<TlsConnector>,
) -> Result<Dialed, EgressError> {
    let opened = async {
        let Some(proxy) = proxy else {
            let tcp = dial_tcp(host, port, policy).await?;
            let Some(tls) = tls else { return Ok(Dialed::Plain(tcp)) };
            return secure(host, tcp, &tls).await;
        };
        if policy != Policy::Open {
            // The proxy may find another address; but none that is not allowed can be asked for by name or number.
            resolve(host, port, policy).await?;
        }
        // Whoever runs the process has named it.
        let (proxy_host, proxy_port) = proxy::place(proxy)?;
        let mut tcp = dial_tcp(proxy_host, proxy_port, Policy::Open).await?;
        let Some(tls) = tls else { return Ok(Dialed::Plain(tcp)) };
        proxy::tunnel(proxy, &mut tcp, host, port).await?;
        secure(host, tcp, &tls).await
    };
    timeout(patience, opened).await.unwrap_or_else(|_| Err(EgressError::ConnectTimeout(host.to_owned())))
}

async fn secure(host: &str, tcp: TcpStream, tls: &TlsConnector) -> Result<Dialed, EgressError> {
    let tls_error = |source| EgressError::Tls { host: host.to_owned(), source };
    let name = ServerName::try_from(host.to_owned()).map_err(|e| tls_error(io::Error::other(e)))?;
    Ok(Dialed::Secure(Box::new(tls.connect(name, tcp).await.map_err(tls_error)?)))
}

/// The addresses of a host that the policy allows.
pub(crate) async fn resolve(host: &str, port: u16, policy: Policy) -> Result<Vec<SocketAddr>, EgressError> {
    let found = lookup_host((host, port)).await;
    let found = found.map_err(|source| EgressError::Resolve { host: host.to_owned(), source })?;
    let all: Vec<SocketAddr> = found.collect();
    let allowed: Vec<SocketAddr> = all.iter().copied().filter(|a| policy.allows(a.ip())).collect();
    match (allowed.is_empty(), all.first()) {
        (false, _) => Ok(allowed),
        (true, Some(address)) => {
            Err(EgressError::NotAllowed { host: host.to_owned(), address: address.ip() })
        }
        (true, None) => Err(EgressError::NoAddress(host.to_owned())),
    }
}

async fn dial_tcp(host: &str, port: u16, policy: Policy) -> Result<TcpStream, EgressError> {
    let mut last = EgressError::NoAddress(host.to_owned());
    for address in resolve(host, port, policy).await? {
        match timeout(PATIENCE_FOR_ONE, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                // Where it cannot be set, it is slower and nothing else.
                drop(tcp.set_nodelay(true));
                return Ok(tcp);
            }
            Ok(Err(source)) => last = EgressError::Connect { host: host.to_owned(), source },
            Err(_) => last = EgressError::ConnectTimeout(host.to_owned()),
        }
    }
    Err(last)
}

impl Dialed {
    /// The peer's address, and ours.
    pub(super) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Secure(tls) => tls.get_ref().0,
        };
        Ok((tcp.peer_addr()?, tcp.local_addr()?))
    }
}

impl AsyncRead for Dialed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Secure(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Dialed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Secure(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Secure(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Secure(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// Connects for the HTTP client.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(super) policy: Policy,
    pub(super) tls: Arc<TlsClient>,
    pub(super) proxies: Proxies,
    pub(super) patience: Duration,
}

impl Service<Uri> for Connector {
    type Response = HttpConnection;
    type Error = EgressError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpConnection, EgressError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { policy, tls, proxies, patience } = self.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let is_secure = uri.scheme_str() == Some("https");
            let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
            let tls_error = |source| EgressError::Tls { host: host.to_owned(), source };
            let tls = if is_secure { Some(tls.http().map_err(tls_error)?) } else { None };
            let proxy = proxies.of(&uri);
            let dialed = dial_by(patience, proxy.as_ref(), host, port, policy, tls).await?;
            Ok(HttpConnection { io: TokioIo::new(dialed), has_proxy: proxy.is_some() })
        })
    }
}

/// A connection as hyper takes it.
pub(crate) struct HttpConnection {
    io: TokioIo<Dialed>,
    has_proxy: bool,
}

impl Connection for HttpConnection {
    fn connected(&self) -> Connected {
        match self.io.inner() {
            Dialed::Secure(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            Dialed::Secure(_) => Connected::new(),
            Dialed::Plain(_) => Connected::new().proxy(self.has_proxy),
        }
    }
}

impl Read for HttpConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for HttpConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_server_that_accepts_and_says_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // The time is for TLS, too.
        let tls = TlsClient::default().connector().unwrap();
        let dialed =
            dial_by(Duration::from_millis(20), None, "127.0.0.1", port, Policy::Open, Some(tls)).await;
        assert!(matches!(dialed, Err(EgressError::ConnectTimeout(host)) if host == "127.0.0.1"));
    }
}
