//! Bodies between hyper and the bindings.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use taipan_bindings::{Aborted, Chunk, FetchedBody, Pull, ResponseStream, Trailers};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::conduct::{Conduct, Flight, Progress};
use crate::encoding::Encoder;
use crate::worker::Presence;

/// What is given to hyper at a time: it keeps all of it until the client takes it.
const SLICE: usize = 64 << 10;

/// A response's body on its way to the client.
pub(crate) struct Body {
    /// What is there already.
    rest: Bytes,
    /// What follows.
    stream: Option<Stream>,
    /// What it goes through; none once its end is out.
    encoder: Option<Encoder>,
    /// Nothing of it has been seen.
    is_new: bool,
    /// What is left to be sent, behind everything else.
    trailers: Option<HeaderMap>,
    flight: Option<Flight>,
    progress: Option<Progress>,
}

/// Where chunks come from.
enum Chunks {
    /// The handler writes them.
    Written(ResponseStream),
    /// They are the answer to a request of the handler's.
    Fetched(FetchedBody),
}

/// Chunks on their way. Dropped early, it tells the guest that its client is gone.
pub(crate) struct Stream {
    chunks: Chunks,
    presence: Option<Presence>,
    /// The handler has broken the body off, and what it wrote before is being sent.
    broken: bool,
}

impl Stream {
    pub(crate) fn new(chunks: ResponseStream, presence: Presence) -> Self {
        Self { chunks: Chunks::Written(chunks), presence: Some(presence), broken: false }
    }

    pub(crate) fn fetched(body: FetchedBody, presence: Presence) -> Self {
        Self { chunks: Chunks::Fetched(body), presence: Some(presence), broken: false }
    }

    /// What no handler answers with.
    pub(crate) fn of_host(body: FetchedBody) -> Self {
        Self { chunks: Chunks::Fetched(body), presence: None, broken: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Aborted>>> {
        let chunk = ready!(match &mut self.chunks {
            Chunks::Written(chunks) => chunks.poll_chunk(cx),
            Chunks::Fetched(body) if !self.broken =>
                body.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Chunk::Data))),
            // As said below: the error comes once, and what was before it is being sent.
            Chunks::Fetched(_) =>
                Poll::Ready(Some(Err(Aborted { message: "the response broke off".into() }))),
        });
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
        Poll::Ready(chunk)
    }
}

impl Body {
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self {
            rest: bytes,
            stream: None,
            encoder: None,
            is_new: true,
            trailers: None,
            flight: None,
            progress: None,
        }
    }

    pub(crate) fn stream(stream: Stream) -> Self {
        let mut body = Self::full(Bytes::new());
        body.stream = Some(stream);
        body
    }

    /// The body of this request's response. With a limit, the client may not stand still for longer.
    pub(crate) fn of(mut self, flight: Flight, stall: Option<Duration>) -> Self {
        let is_small = self.stream.is_none() && self.rest.len() <= SLICE;
        self.progress = stall.filter(|_| !is_small).map(|limit| flight.watch(limit));
        self.flight = Some(flight);
        self
    }

    /// With an encoding.
    pub(crate) fn encoded(mut self, encoder: Option<Encoder>) -> Self {
        self.encoder = encoder;
        self
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let data = |piece: std::io::Result<Bytes>| {
            Poll::Ready(Some(piece.map(Frame::data).map_err(|e| Aborted { message: e.to_string() })))
        };
        loop {
            if let Some(trailers) = self.trailers.take() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            if self.rest.is_empty()
                && let Some(stream) = &mut self.stream
            {
                match ready!(stream.poll(cx)) {
                    Some(Ok(Chunk::Data(chunk))) => self.rest = chunk,
                    Some(Ok(Chunk::Trailers(trailers))) => {
                        self.trailers = Some(header_map(trailers));
                        match self.encoder.take() {
                            Some(encoder) => return data(encoder.finish()),
                            None => continue,
                        }
                    }
                    Some(Err(aborted)) => return Poll::Ready(Some(Err(aborted))),
                    None => self.stream = None,
                }
            }
            if self.rest.is_empty() {
                // An empty chunk says nothing.
                if self.stream.is_some() {
                    continue;
                }
                return match self.encoder.take() {
                    Some(encoder) => data(encoder.finish()),
                    None => Poll::Ready(None),
                };
            }
            if std::mem::take(&mut self.is_new)
                && self.encoder.as_ref().is_some_and(|e| e.is_done(&self.rest))
            {
                self.encoder = None;
            }
            let slice = self.rest.split_to(self.rest.len().min(SLICE));
            let Some(encoder) = &mut self.encoder else { return data(Ok(slice)) };
            match encoder.piece(&slice, self.stream.is_some() && self.rest.is_empty()) {
                Ok(piece) if piece.is_empty() => {}
                piece => return data(piece),
            }
        }
    }
}

/// What of the trailers can be sent.
fn header_map(trailers: Trailers) -> HeaderMap {
    let parsed = trailers.into_iter().filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.into_bytes()).ok()?))
    });
    let mut map = HeaderMap::new();
    for (name, value) in parsed {
        map.append(name, value);
    }
    map
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take()
            && self.rest.is_empty()
            && self.stream.is_none()
            && self.encoder.is_none()
        {
            flight.answered();
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let polled = self.poll(cx);
        if let Some(progress) = &self.progress {
            progress.note(polled.is_ready());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        // Not for a stream: its end has to be polled for, or the client would pass for gone.
        self.stream.is_none() && self.rest.is_empty() && self.encoder.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.stream.is_none() && self.encoder.is_none() {
            SizeHint::with_exact(self.rest.len() as u64)
        } else {
            SizeHint::default()
        }
    }
}

/// A request's body, of which the connection knows whether all of it has come.
pub(crate) struct Arriving {
    body: Incoming,
    conduct: Arc<Conduct>,
}

impl Arriving {
    pub(crate) fn new(body: Incoming, conduct: Arc<Conduct>) -> Self {
        Self { body, conduct }
    }
}

impl hyper::body::Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.conduct.note_unread(false);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a request's body did not arrive whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFault {
    TooLarge,
    TooSlow,
    Malformed,
}

impl BodyFault {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed => StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::TooLarge => "the request body is too large\n",
            Self::TooSlow => "the request body does not arrive\n",
            Self::Malformed => "the request body broke off\n",
        }
    }
}

/// What a request's body may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// In bytes.
    pub(crate) size: Option<u64>,
    /// Without a single byte, while the handler waits for one.
    pub(crate) silence: Duration,
}

/// So much of a body that the handler did not read is read and thrown away, so that the connection can go on. A client
/// with more to send loses its connection instead.
const UNREAD_LIMIT: usize = 4 << 20;

/// The time that a client has for it.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the request's body, a chunk for each pull and never ahead of them. What is wrong with it is left in `fault`. A client that
/// `waits` sends it when it is first read.
pub(crate) async fn pump(
    mut body: Arriving,
    mut pulls: UnboundedReceiver<Pull>,
    limits: BodyLimits,
    mut waits: bool,
    fault: Arc<OnceLock<BodyFault>>,
) {
    let mut read = 0;
    while let Some(pull) = pulls.recv().await {
        waits = false;
        let (found, message) = match timeout(limits.silence, next_chunk(&mut body)).await {
            Ok(Ok(chunk)) => {
                read += chunk.as_ref().map_or(0, Bytes::len) as u64;
                if limits.size.is_none_or(|limit| read <= limit) {
                    pull.chunk(chunk);
                    continue;
                }
                (BodyFault::TooLarge, "the request body is too large".to_owned())
            }
            Ok(Err(error)) => (BodyFault::Malformed, format!("the request body broke off: {error}")),
            Err(_) => (BodyFault::TooSlow, "the request body does not arrive".to_owned()),
        };
        // The first is the cause of the others.
        fault.get_or_init(|| found);
        pull.fail(message);
    }
    if waits || fault.get().is_some() {
        return;
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

async fn next_chunk(body: &mut Arriving) -> Result<Option<Bytes>, hyper::Error> {
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
