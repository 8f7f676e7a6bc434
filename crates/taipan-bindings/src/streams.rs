//! Bodies in motion. Neither side may run ahead of the other: a request's body is read from the client one chunk
//! per `http.read`, and `http.write` is answered only when what lies between guest and client is small again.
//!
//! Writes are answered from the reading side, so no task and no executor is needed here, and chunks cannot
//! overtake each other however carelessly the guest writes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use taipan_engine::{Event, OpReply};
use taipan_guest::protocol::Field;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::{BodySource, EventSender};

/// How many bytes of a response may wait for the client before the guest has to wait as well.
pub const HIGH_WATER: usize = 256 << 10;

/// A guest that never awaits its writes is stopped at this many waiting bytes.
const LIMIT: usize = 64 << 20;

const BODY_GONE: &str = "the request body is no longer available";

/// The guest's end of a request's body.
#[derive(Clone, Debug)]
pub struct RequestBody {
    pulls: mpsc::UnboundedSender<Pull>,
    length: Option<u64>,
}

impl RequestBody {
    /// A body, and the pulls that its source has to answer in order. The guest pulls one chunk at a time unless it is
    /// hostile; the queue is then bounded by the number of operations that the guest's own memory can hold.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Pull>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { pulls: sender, length: None }, receiver)
    }

    /// A body of which the size is known.
    #[must_use]
    pub fn with_length(mut self, length: Option<u64>) -> Self {
        self.length = length;
        self
    }

    /// Its size, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    pub(crate) fn pull(&self, id: u32, events: EventSender) {
        self.pull_for(move |chunk| {
            events.send(match chunk {
                Ok(chunk) => {
                    let fields = chunk.map(|c| Field::Bytes(c.into())).into_iter().collect();
                    Event::Complete { id, fields }
                }
                Err(message) => Event::Failed { id, name: "TypeError", message },
            });
        });
    }

    /// As the guest does, for somebody of the host's.
    pub(crate) fn pull_for(&self, taker: impl FnOnce(Result<Option<Bytes>, String>) + Send + 'static) {
        // When the source is gone the pull comes back and answers itself.
        drop(self.pulls.send(Pull(Some(Box::new(taker)))));
    }
}

/// A request's body on its way to somebody else than the guest.
pub(crate) struct Passed {
    body: RequestBody,
    next: Option<oneshot::Receiver<Result<Option<Bytes>, String>>>,
}

impl Passed {
    pub(crate) fn new(body: RequestBody) -> Self {
        Self { body, next: None }
    }
}

impl BodySource for Passed {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        let body = &self.body;
        let next = self.next.get_or_insert_with(|| {
            let (taker, next) = oneshot::channel();
            // Nobody listens any more when the other end has given up.
            body.pull_for(move |chunk| drop(taker.send(chunk)));
            next
        });
        let chunk = ready!(Pin::new(next).poll(cx));
        self.next = None;
        Poll::Ready(chunk.unwrap_or_else(|_| Err(BODY_GONE.into())).transpose())
    }

    fn length(&self) -> Option<u64> {
        self.body.length
    }
}

/// The demand for one more chunk of a request's body. Dropped without an answer, it fails.
pub struct Pull(Option<Taker>);

type Taker = Box<dyn FnOnce(Result<Option<Bytes>, String>) + Send>;

impl Pull {
    /// Delivers a chunk, or `None` at the end of the body.
    pub fn chunk(mut self, chunk: Option<Bytes>) {
        self.answer(Ok(chunk));
    }

    /// Says that the body broke off.
    pub fn fail(mut self, message: String) {
        self.answer(Err(message));
    }

    fn answer(&mut self, chunk: Result<Option<Bytes>, String>) {
        if let Some(taker) = self.0.take() {
            taker(chunk);
        }
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        self.answer(Err(BODY_GONE.into()));
    }
}

impl std::fmt::Debug for Pull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pull")
    }
}

/// A streamed response was broken off by the handler.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the response was broken off: {message}")]
pub struct Aborted {
    /// What the handler said.
    pub message: String,
}

/// Names and values that follow a streamed body.
pub type Trailers = Vec<(String, String)>;

/// A part of a streamed response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes of the body.
    Data(Bytes),
    /// What follows it; the last part.
    Trailers(Trailers),
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// The bytes in `chunks`.
    buffered: usize,
    /// Writes to be answered once there is room.
    waiting: Vec<u32>,
    end: Option<Result<Trailers, Aborted>>,
    reader_gone: bool,
    /// What the guest is told then.
    gone: &'static str,
    waker: Option<Waker>,
}

type Shared = Arc<Mutex<State>>;

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The guest's end of a streamed response.
#[derive(Clone)]
pub(crate) struct StreamWriter {
    shared: Shared,
}

impl StreamWriter {
    pub(crate) fn channel(events: EventSender) -> (Self, ResponseStream) {
        Self::to(events, GONE)
    }

    /// A stream to somebody else than a client; `gone` is what the guest is told when nobody reads it any more.
    pub(crate) fn to(events: EventSender, gone: &'static str) -> (Self, ResponseStream) {
        let shared = Shared::default();
        lock(&shared).gone = gone;
        (Self { shared: shared.clone() }, ResponseStream { shared, events })
    }

    pub(crate) fn write(&self, id: u32, chunk: Bytes) -> OpReply {
        let mut state = lock(&self.shared);
        if state.reader_gone {
            return OpReply::Failed { name: "AbortError", message: state.gone.into() };
        }
        if state.end.is_some() {
            return OpReply::Failed { name: "TypeError", message: "the response body has ended".into() };
        }
        if state.buffered > LIMIT {
            let message =
                format!("too many writes to the response that were not awaited: {} bytes", state.buffered);
            return OpReply::Failed { name: "QuotaExceededError", message };
        }
        state.buffered += chunk.len();
        if !chunk.is_empty() {
            state.chunks.push_back(chunk);
        }
        wake(&mut state);
        if state.buffered > HIGH_WATER {
            state.waiting.push(id);
            OpReply::Later
        } else {
            OpReply::Ready(Vec::new())
        }
    }

    /// Ends the body; the first end counts.
    pub(crate) fn end(&self, end: Result<Trailers, Aborted>) {
        let mut state = lock(&self.shared);
        state.end.get_or_insert(end);
        wake(&mut state);
    }

    /// Whether there is nothing more to come.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.shared).end.is_some()
    }

    /// Whether the client, and with it the other end, is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        lock(&self.shared).reader_gone
    }
}

fn wake(state: &mut State) {
    if let Some(waker) = state.waker.take() {
        waker.wake();
    }
}

pub(crate) fn client_is_gone() -> OpReply {
    OpReply::Failed { name: "AbortError", message: GONE.into() }
}

const GONE: &str = "the client has disconnected";

/// The client's end of a streamed response. Dropping it early fails the guest's writes.
pub struct ResponseStream {
    shared: Shared,
    events: EventSender,
}

impl ResponseStream {
    /// The next chunk; `None` once the handler has closed the body and everything was read.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Aborted>>> {
        let mut state = lock(&self.shared);
        if let Some(chunk) = state.chunks.pop_front() {
            state.buffered -= chunk.len();
            let room = state.buffered <= HIGH_WATER;
            let ready = if room { std::mem::take(&mut state.waiting) } else { Vec::new() };
            drop(state);
            for id in ready {
                self.events.send(Event::Complete { id, fields: Vec::new() });
            }
            return Poll::Ready(Some(Ok(Chunk::Data(chunk))));
        }
        match &mut state.end {
            Some(Ok(trailers)) if !trailers.is_empty() => {
                Poll::Ready(Some(Ok(Chunk::Trailers(std::mem::take(trailers)))))
            }
            Some(Ok(_)) => Poll::Ready(None),
            Some(Err(aborted)) => Poll::Ready(Some(Err(aborted.clone()))),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether the handler has closed the body and everything was read.
    pub fn is_finished(&self) -> bool {
        let state = lock(&self.shared);
        state.chunks.is_empty() && matches!(&state.end, Some(Ok(trailers)) if trailers.is_empty())
    }
}

impl Drop for ResponseStream {
    fn drop(&mut self) {
        let mut state = lock(&self.shared);
        state.reader_gone = true;
        state.chunks.clear();
        let gone = state.gone;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for id in waiting {
            self.events.send(Event::Failed { id, name: "AbortError", message: gone.into() });
        }
    }
}

impl std::fmt::Debug for ResponseStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResponseStream")
    }
}
