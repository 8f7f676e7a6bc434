//! Bodies between hyper and the bindings.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use taipan_bindings::{Aborted, Pull, ResponseStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::worker::Presence;

/// A response's body on its way to the client.
pub(crate) enum Body {
    Full(Bytes),
    Stream(Stream),
}

/// Chunks that the handler writes. Dropped early, it tells the guest that its client is gone.
pub(crate) struct Stream {
    chunks: ResponseStream,
    presence: Option<Presence>,
    /// The handler has broken the body off, and what it wrote before is being sent.
    broken: bool,
}

impl Stream {
    pub(crate) fn new(chunks: ResponseStream, presence: Presence) -> Self {
        Self { chunks, presence: Some(presence), broken: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let chunk = ready!(self.chunks.poll_chunk(cx));
        if matches!(chunk, Some(Err(_))) && !std::mem::replace(&mut self.broken, true) {
            // An error makes hyper drop the connection with everything that it has not sent yet; while a body is
            // pending it sends.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if chunk.is_none()
            && let Some(presence) = self.presence.take()
        {
            presence.served();
        }
        Poll::Ready(chunk.map(|c| c.map(Frame::data)))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match &mut *self {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(stream) => stream.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        // Not for a stream: its end has to be polled for, or the client would pass for gone.
        matches!(self, Self::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// So much of a body that the handler did not read is read and thrown away, so that the connection can go on. A client
/// with more to send loses its connection instead.
const UNREAD_LIMIT: usize = 4 << 20;

/// The time that a client has for it.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the request's body, a chunk for each pull and never ahead of them.
pub(crate) async fn pump(mut body: Incoming, mut pulls: UnboundedReceiver<Pull>) {
    while let Some(pull) = pulls.recv().await {
        match next_chunk(&mut body).await {
            Ok(chunk) => pull.chunk(chunk),
            Err(error) => pull.fail(format!("the request body broke off: {error}")),
        }
    }
    let drain = async {
        let mut unread = 0;
        while let Ok(Some(chunk)) = next_chunk(&mut body).await {
            unread += chunk.len();
            if unread > UNREAD_LIMIT {
                break;
            }
        }
    };
    // Late or not, the body is dropped now.
    timeout(UNREAD_TIMEOUT, drain).await.unwrap_or_default();
}

async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, hyper::Error> {
    while let Some(frame) = body.frame().await {
        // Trailers are not part of the fetch standard.
        if let Ok(data) = frame?.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
