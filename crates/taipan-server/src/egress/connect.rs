//! Connections: a name's addresses, the policy, TCP and TLS.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::http::Extensions;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::error::EgressError;
use super::proxy::{self, Proxies};
use super::{Patience, Policy, TlsClient};

/// One address of several may be dead.
const PATIENCE_FOR_ONE: Duration = Duration::from_secs(10);

/// An address that has not answered by then may take its time, while another is tried beside it.
const NEXT_AFTER: Duration = Duration::from_millis(250);

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
    let addresses = resolve(host, port, policy).await?;
    let tcp = race(host, taking_turns(addresses), NEXT_AFTER, PATIENCE_FOR_ONE).await?;
    // Where it cannot be set, it is slower and nothing else.
    drop(tcp.set_nodelay(true));
    Ok(tcp)
}

/// The addresses in their order, IPv6 and IPv4 by turns: if one of the two does not work here, the second try has the other.
fn taking_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(is_v6) = addresses.first().map(SocketAddr::is_ipv6) else { return addresses };
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| a.is_ipv6() == is_v6);
    let mut second = second.into_iter();
    let mut all = Vec::new();
    for address in first {
        all.push(address);
        all.extend(second.next());
    }
    all.extend(second);
    all
}

/// The first of the addresses that answers. Each is tried when the one before it has failed or is slow (RFC 8305).
async fn race(
    host: &str,
    addresses: Vec<SocketAddr>,
    next_after: Duration,
    patience: Duration,
) -> Result<TcpStream, EgressError> {
    let mut waiting = addresses.into_iter();
    let mut tries = JoinSet::new();
    let mut last = EgressError::NoAddress(host.to_owned());
    loop {
        if let Some(address) = waiting.next() {
            tries.spawn(timeout(patience, TcpStream::connect(address)));
        }
        tokio::select! {
            tried = tries.join_next() => match tried {
                Some(Ok(Ok(Ok(tcp)))) => return Ok(tcp),
                Some(Ok(Ok(Err(source)))) => last = EgressError::Connect { host: host.to_owned(), source },
                Some(_) => last = EgressError::ConnectTimeout(host.to_owned()),
                None => return Err(last),
            },
            () = sleep(next_after), if waiting.len() > 0 => {}
        }
    }
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

/// Whether a connection has answered a request: one that breaks off afterwards may have been given up by then.
#[derive(Clone, Debug, Default)]
pub(super) struct HasAnswered(Arc<AtomicBool>);

impl HasAnswered {
    /// Notes it for those who use the connection next.
    pub(super) fn note(response: &Extensions) {
        if let Some(Self(has)) = response.get() {
            has.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the connection of a request that failed has answered one before.
    pub(super) fn before(connection: Option<&Connected>) -> bool {
        let mut found = Extensions::new();
        if let Some(connection) = connection {
            connection.get_extras(&mut found);
        }
        found.get::<Self>().is_some_and(|Self(has)| has.load(Ordering::Relaxed))
    }
}

/// A connection as hyper takes it.
pub(crate) struct HttpConnection {
    io: TokioIo<Dialed>,
    has_proxy: bool,
}

impl Connection for HttpConnection {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(HasAnswered::default());
        match self.io.inner() {
            Dialed::Secure(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            Dialed::Secure(_) => connected,
            Dialed::Plain(_) => connected.proxy(self.has_proxy),
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
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn both_kinds_of_addresses_get_a_turn() {
        let order = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|a| SocketAddr::new(a.parse().unwrap(), 1)).collect();
            taking_turns(addresses).iter().map(|a| a.ip().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(order(&["::1", "::2", "::3", "1.1.1.1"]), ["::1", "1.1.1.1", "::2", "::3"]);
        assert_eq!(order(&["1.1.1.1", "::1", "::2", "1.1.1.2"]), ["1.1.1.1", "::1", "1.1.1.2", "::2"]);
        assert!(order(&[]).is_empty());
    }

    #[tokio::test]
    async fn an_address_that_is_silent_holds_up_no_other() {
        // Its queue is full, so that nobody hears of who connects.
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let silent = silent.listen(1).unwrap();
        let silent_at = silent.local_addr().unwrap();
        let mut held = Vec::new();
        while let Ok(connected) = timeout(Duration::from_millis(100), TcpStream::connect(silent_at)).await {
            held.push(connected.unwrap());
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let soon = Duration::from_millis(10);
        let tcp = race("a.test", vec![silent_at, there], soon, LONG).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), there);

        // One that refuses is not waited for, and is the reason when there is no other.
        let nobody = "127.0.0.1:1".parse().unwrap();
        let tcp = race("a.test", vec![nobody, there], LONG, LONG).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), there);
        let refused = race("a.test", vec![nobody], soon, LONG).await;
        assert!(matches!(refused, Err(EgressError::Connect { .. })));
        let late = race("a.test", vec![silent_at], soon, soon).await;
        assert!(matches!(late, Err(EgressError::ConnectTimeout(_))));
    }

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
