//! Connections of bytes for the guest.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::BytesMut;
use taipan_bindings::{Chunk, Pull, Refusal, ResponseStream, Target, Wire};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::sync::mpsc::UnboundedReceiver;

use super::connect::dial;
use super::error::EgressError;
use super::{Policy, TlsClient};

/// What is read at a time.
const PIECE: usize = 64 << 10;

/// Opens a connection and serves it until both sides are done.
pub(super) async fn serve(target: Target, mut wire: Wire, policy: Policy, tls: Arc<TlsClient>) {
    let dialed = async {
        let tls_error = |source| EgressError::Tls { host: target.host.clone(), source };
        let tls = if target.is_secure { Some(tls.connector().map_err(tls_error)?) } else { None };
        let stream = dial(&target.host, target.port, policy, tls).await?;
        let broken = |source| EgressError::Connect { host: target.host.clone(), source };
        let (peer, local) = stream.addresses().map_err(broken)?;
        Ok::<_, EgressError>((stream, peer, local))
    };
    let (stream, peer, local) = match dialed.await {
        Ok(dialed) => dialed,
        Err(error) => return wire.refuse(refusal(&error)),
    };
    wire.opened(peer, local);
    let (reader, writer) = split(stream);
    let Wire { pulls, outgoing, .. } = wire;
    tokio::join!(read(reader, pulls), write(writer, outgoing));
}

/// What the guest is told.
pub(super) fn refusal(error: &EgressError) -> Refusal {
    let name = match error {
        EgressError::Resolve { .. } | EgressError::NoAddress(_) => "ENOTFOUND",
        EgressError::NotAllowed { .. } => "EACCES",
        EgressError::ConnectTimeout(_) => "ETIMEDOUT",
        EgressError::Connect { source, .. } => match source.kind() {
            std::io::ErrorKind::ConnectionRefused => "ECONNREFUSED",
            std::io::ErrorKind::NetworkUnreachable => "ENETUNREACH",
            _ => "EHOSTUNREACH",
        },
        _ => "ECONNABORTED",
    };
    Refusal { name, message: error.to_string() }
}

async fn read(mut reader: impl AsyncRead + Unpin, mut pulls: UnboundedReceiver<Pull>) {
    let mut buffer = BytesMut::new();
    let mut is_over = false;
    while let Some(pull) = pulls.recv().await {
        if is_over {
            pull.chunk(None);
            continue;
        }
        buffer.reserve(PIECE);
        let found = tokio::select! {
            found = reader.read_buf(&mut buffer) => found,
            // The guest asks once at a time: this is its goodbye.
            _ = pulls.recv() => return,
        };
        match found {
            Ok(0) => {
                is_over = true;
                pull.chunk(None);
            }
            Ok(_) => pull.chunk(Some(buffer.split().freeze())),
            // As sockets have it: without a goodbye it is an end, too.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                is_over = true;
                pull.chunk(None);
            }
            Err(error) => pull.fail(error.to_string()),
        }
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut outgoing: ResponseStream) {
    // Trailers are HTTP's alone.
    while let Some(Ok(Chunk::Data(chunk))) = poll_fn(|cx| outgoing.poll_chunk(cx)).await {
        if writer.write_all(&chunk).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    // Fails when the peer is gone, who does not mind.
    drop(writer.shutdown().await);
}
