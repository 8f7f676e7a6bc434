//! Bodies between hyper and the bindings.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use taipan_bindings::{Aborted, Pull, ResponseStream};
use tokio::sync::mpsc::UnboundedReceiver;

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

/// Reads the request's body, a chunk for each pull and never ahead of them.
pub(crate) async fn pump(mut body: Incoming, mut pulls: UnboundedReceiver<Pull>) {
    while let Some(pull) = pulls.recv().await {
        let chunk = loop {
            match body.frame().await.transpose() {
                // Trailers are not part of the fetch standard.
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => break Ok(Some(data)),
                    Err(_) => {}
                },
                Ok(None) => break Ok(None),
                Err(error) => break Err(error),
            }
        };
        match chunk {
            Ok(chunk) => pull.chunk(chunk),
            Err(error) => pull.fail(format!("the request body broke off: {error}")),
        }
    }
}
