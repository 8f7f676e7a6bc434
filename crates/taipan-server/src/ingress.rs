//! Connections: HTTP/1.1 and HTTP/2, in the open or by TLS, and what clients may do on them.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::conduct::Conduct;
use crate::linger::Lingering;
use crate::local::Local;
use crate::patience::Patient;
use crate::service::{Peer, Service, handle};
use crate::tls::Tls;
use crate::{Console, Sites};

/// The largest head of a request, as on Cloudflare; a larger one is answered with 431.
const HEAD_LIMIT: usize = 128 << 10;

/// The most headers of a request; more are answered with 431.
const HEADERS: usize = 256;

/// How many requests an HTTP/2 connection may have under way.
const STREAMS: u32 = 128;

/// How many streams a client may give up before we have accepted them; more is an attack ("rapid reset").
const RESETS: usize = 64;

/// An HTTP/2 connection that is silent is asked whether it is there this often, and closed when it does not say so.
const HTTP2_PING: Duration = Duration::from_secs(30);
const HTTP2_PONG: Duration = Duration::from_secs(20);

/// What a client may send on an HTTP/2 connection, and on each of its streams, before it is read.
const HTTP2_WINDOW: u32 = 1 << 20;
const HTTP2_STREAM_WINDOW: u32 = 256 << 10;

/// How HTTP/2 begins: no other protocol has this method.
const HTTP2_METHOD: &[u8; 4] = b"PRI ";

/// What clients get and what is asked of them.
#[derive(Clone, Debug)]
pub struct IngressOptions {
    /// A connection that sends no complete head for so long is closed; idle ones too.
    pub head_timeout: Duration,
    /// A client that for so long neither sends the rest of a body nor reads what it is sent loses its connection.
    pub stall_timeout: Duration,
    /// The largest body of a request in bytes; a larger one is answered with 413.
    pub body_limit: Option<u64>,
    /// All connections are by TLS.
    pub tls: Option<Tls>,
    /// Anybody may have the Worker's handler `scheduled` called, at `/cdn-cgi/handler/scheduled`.
    pub open_handlers: bool,
    /// Whoever asks is the developer: what went wrong in a Worker is shown, with its source.
    pub problem_pages: bool,
    /// The data of this process is to be had below `/cdn-cgi/local/`.
    pub local: Option<Arc<Local>>,
}

impl Default for IngressOptions {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(60),
            body_limit: None,
            tls: None,
            open_handlers: false,
            problem_pages: true,
            local: None,
        }
    }
}

/// A listening socket.
pub struct Ingress {
    listener: TcpListener,
    address: SocketAddr,
    options: IngressOptions,
}

impl Ingress {
    /// Takes the address; port 0 takes any free port.
    pub async fn bind(address: SocketAddr, options: IngressOptions) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, options })
    }

    /// The address that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves requests until `stop` is ready, then lets those in flight finish. False: some had not when `grace` was
    /// over.
    pub async fn serve(
        self,
        sites: impl Sites + 'static,
        console: Arc<dyn Console>,
        stop: impl Future<Output = ()>,
        grace: Duration,
    ) -> bool {
        let (end, stopping) = watch::channel(false);
        let gate = Arc::new(Gate::new(self.address, self.options, Arc::new(sites), console));
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, remote)) = accepted else {
                // Out of file descriptors, or the client was gone before it was accepted: give it a moment.
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            // Latency matters more than packet count; where it cannot be set, it is slower and nothing else.
            drop(stream.set_nodelay(true));
            let (gate, mut stopping) = (gate.clone(), stopping.clone());
            tokio::spawn(async move {
                let mut stopped = stopping.clone();
                tokio::select! {
                    begun = timeout(gate.options.head_timeout, gate.begin(stream, remote)) => {
                        if let Ok(Some((stream, peer))) = begun {
                            gate.converse(stream, peer, &mut stopping).await;
                        }
                    }
                    _ = stopped.changed() => {}
                }
            });
        }
        drop(self.listener);
        drop(stopping);
        end.send_replace(true);
        // Nobody looks any more once the last connection is closed.
        timeout(grace, end.closed()).await.is_ok()
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What all connections have in common.
struct Gate {
    address: SocketAddr,
    options: IngressOptions,
    tls: Option<TlsAcceptor>,
    sites: Arc<dyn Sites>,
    console: Arc<dyn Console>,
    http1: Builder<TokioExecutor>,
    http2: Builder<TokioExecutor>,
}

impl Gate {
    fn new(
        address: SocketAddr,
        options: IngressOptions,
        sites: Arc<dyn Sites>,
        console: Arc<dyn Console>,
    ) -> Self {
        let mut http1 = Builder::new(TokioExecutor::new()).http1_only();
        http1
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(options.head_timeout)
            .max_buf_size(HEAD_LIMIT)
            .max_headers(HEADERS);
        let mut http2 = Builder::new(TokioExecutor::new()).http2_only();
        http2
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(HEAD_LIMIT).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .initial_connection_window_size(HTTP2_WINDOW)
            .initial_stream_window_size(HTTP2_STREAM_WINDOW)
            .keep_alive_interval(HTTP2_PING)
            .keep_alive_timeout(HTTP2_PONG);
        let tls = options.tls.clone().map(|tls| TlsAcceptor::from(tls.0));
        Self { address, options, tls, sites, console, http1, http2 }
    }

    /// Finds out how the client speaks. None: it is gone, or speaks something else.
    async fn begin(&self, stream: TcpStream, remote: SocketAddr) -> Option<(Box<dyn Stream>, Peer)> {
        let local = self.address;
        let patience = self.options.stall_timeout;
        let Some(tls) = &self.tls else {
            let is_http2 = begins_http2(&stream).await?;
            let peer = Peer { remote, local, tls: None, is_http2 };
            return Some((Box::new(Patient::new(stream, patience)), peer));
        };
        let stream = tls.accept(Patient::new(stream, patience)).await.ok()?;
        let (_, session) = stream.get_ref();
        let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or_default();
        let cipher = session.negotiated_cipher_suite();
        let cipher = cipher.and_then(|suite| suite.suite().as_str()).unwrap_or_default();
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        Some((Box::new(stream), Peer { remote, local, tls: Some((version, cipher)), is_http2 }))
    }

    /// Answers the client's requests until one side has had enough.
    async fn converse(&self, stream: Box<dyn Stream>, peer: Peer, stopping: &mut watch::Receiver<bool>) {
        let conduct = Arc::new(Conduct::default());
        let service = Service {
            sites: self.sites.clone(),
            console: self.console.clone(),
            stopping: stopping.clone(),
            conduct: conduct.clone(),
            stall_timeout: self.options.stall_timeout,
            body_limit: self.options.body_limit,
            open_handlers: self.options.open_handlers,
            problem_pages: self.options.problem_pages,
            local: self.options.local.clone(),
        };
        let service = service_fn(move |request| {
            let service = service.clone();
            async move { Ok::<_, Infallible>(handle(request, peer, &service).await) }
        });
        let http = if peer.is_http2 { &self.http2 } else { &self.http1 };
        let stream = TokioIo::new(Lingering::new(stream, conduct.clone()));
        let mut connection = pin!(http.serve_connection_with_upgrades(stream, service));
        let mut is_ending = false;
        let mut before = conduct.counts();
        loop {
            tokio::select! {
                // Its errors are the client's: a malformed request has had its 400 by then.
                _ = connection.as_mut() => return,
                () = conduct.is_enough() => return,
                _ = stopping.changed(), if !is_ending => {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                // HTTP/1.1 has a time for heads, which begins when the connection is idle.
                () = sleep(self.options.head_timeout), if peer.is_http2 && !is_ending => {
                    let now = conduct.counts();
                    is_ending = now == before && now.0 == now.1;
                    before = now;
                    if is_ending {
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }
}

/// Whether the client begins with HTTP/2. None: it is gone.
async fn begins_http2(stream: &TcpStream) -> Option<bool> {
    loop {
        let mut begin = [0; HTTP2_METHOD.len()];
        let count = stream.peek(&mut begin).await.ok().filter(|count| *count > 0)?;
        if begin.get(..count)? != HTTP2_METHOD.get(..count)? {
            return Some(false);
        }
        if count == HTTP2_METHOD.len() {
            return Some(true);
        }
        // What is there already would be seen again at once.
        sleep(Duration::from_millis(10)).await;
    }
}
