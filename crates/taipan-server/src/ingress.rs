//! HTTP/1.1 connections, and what clients may make of them.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::service::{Peer, Service, handle};
use crate::{Console, Slot};

/// The largest head of a request, as on Cloudflare; a larger one is answered with 431.
const HEAD_LIMIT: usize = 128 << 10;

/// A connection that sends no complete head for so long is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// A listening socket.
pub struct Ingress {
    listener: TcpListener,
    address: SocketAddr,
}

impl Ingress {
    /// Takes the address; port 0 takes any free port.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves requests until `stop` is ready, then lets those in flight finish. False: some had not when `grace` was
    /// over.
    pub async fn serve(
        self,
        slot: Arc<Slot>,
        console: Arc<dyn Console>,
        stop: impl Future<Output = ()>,
        grace: Duration,
    ) -> bool {
        let mut http = Builder::new(TokioExecutor::new()).http1_only();
        http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_LIMIT);
        let connections = GracefulShutdown::new();
        let (end, stopping) = watch::channel(false);
        let service = Service { slot, console, stopping };
        let mut stop = std::pin::pin!(stop);
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
            let peer = Peer { remote, local: self.address };
            let service = service.clone();
            let service = service_fn(move |request| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(handle(request, peer, &service).await) }
            });
            let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
            let connection = connections.watch(connection.into_owned());
            // Its errors are the client's: a malformed request has had its 400 by then.
            tokio::spawn(async move { drop(connection.await) });
        }
        drop(self.listener);
        drop(service);
        end.send_replace(true);
        // Nobody looks any more once the last WebSocket is closed.
        let finish = async { tokio::join!(connections.shutdown(), end.closed()) };
        timeout(grace, finish).await.is_ok()
    }
}
