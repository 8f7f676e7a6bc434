//! HTTP/1.1 connections.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::service::{Peer, handle};
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
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_LIMIT);
        let connections = GracefulShutdown::new();
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
            let (slot, console) = (slot.clone(), console.clone());
            let service = service_fn(move |request| {
                let (slot, console) = (slot.clone(), console.clone());
                async move { Ok::<_, Infallible>(handle(request, peer, &slot, &*console).await) }
            });
            let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
            // Its errors are the client's: a malformed request has had its 400 by then.
            tokio::spawn(async move { drop(connection.await) });
        }
        drop(self.listener);
        timeout(grace, connections.shutdown()).await.is_ok()
    }
}
