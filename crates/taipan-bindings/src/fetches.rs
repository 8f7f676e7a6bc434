//! Requests that the guest makes: heads and chunks, neither connections nor a wire format.
//!
//! A fetch is a number in the table of its isolate and falls with the isolate. Whoever performs it holds a
//! [`FetchAnswer`], gives it the response's head and the [`BodySource`], and is told by [`FetchAnswer::cancelled`] when nobody
//! wants the answer any more. A body is read one chunk for each of the guest's pulls; when the guest answers a request with
//! it untouched, the source goes to the client's connection and the guest never sees a byte.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use taipan_engine::{Event, OpReply};
use taipan_guest::protocol::Field;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::streams::{Aborted, Pull, RequestBody, ResponseStream, StreamWriter};
use crate::{Egress, EventSender};

/// What to do with a response that sends its client elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// Go there.
    Follow,
    /// It is the answer.
    Manual,
    /// Fail.
    Error,
}

/// The body of a [`FetchRequest`].
#[derive(Debug)]
pub enum FetchBody {
    /// None at all.
    Empty,
    /// All of it.
    Full(Bytes),
    /// Chunks that the guest writes.
    Stream(ResponseStream),
    /// A body from elsewhere that the guest has not touched.
    Passed(FetchedBody),
}

/// A request to be made; nothing in it has been checked.
#[derive(Debug)]
pub struct FetchRequest {
    /// The method.
    pub method: String,
    /// An absolute URL.
    pub url: String,
    /// Names and values in order; names may repeat.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: FetchBody,
    /// What to do with redirects.
    pub redirect: Redirect,
    /// Whether to undo the response's content encoding.
    pub decode: bool,
    /// How many requests may be made for this one in all, redirects included.
    pub budget: u32,
    /// How many calls between Workers this one is in, when another Worker answers it.
    pub depth: u32,
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchHead {
    /// The status code.
    pub status: u16,
    /// The reason phrase, often empty.
    pub status_text: String,
    /// Where it came from, after redirects.
    pub url: String,
    /// Whether there were redirects.
    pub redirected: bool,
    /// Names and values in order.
    pub headers: Vec<(String, String)>,
    /// The body's length in bytes, when it is known; none when there is no body.
    pub length: Option<Option<u64>>,
}

/// A body from outside, a chunk at a time and never ahead of whoever asks.
pub trait BodySource: Send {
    /// The next chunk, none at the end; or why there is no more.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>>;

    /// How many bytes there are in all, if that is known.
    fn length(&self) -> Option<u64>;
}

/// The body of a fetch on its way to a client.
pub struct FetchedBody(Box<dyn BodySource>);

impl FetchedBody {
    /// A body for a client.
    pub fn new(source: Box<dyn BodySource>) -> Self {
        Self(source)
    }

    /// The next chunk.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        self.0.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map_err(|message| Aborted { message })))
    }

    /// How many bytes there are in all, if that is known.
    pub fn length(&self) -> Option<u64> {
        self.0.length()
    }
}

impl std::fmt::Debug for FetchedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FetchedBody")
    }
}

/// Where the response is.
enum Progress {
    /// On its way; perhaps the guest waits.
    Pending(Option<(u32, EventSender)>),
    /// There, and not asked for yet.
    Settled(Result<Vec<Field>, String>),
    /// Given to the guest.
    Delivered,
}

/// Where the response's body is.
enum Body {
    None,
    Untouched(Box<dyn BodySource>),
    Pulled(RequestBody),
}

struct Entry {
    progress: Progress,
    body: Body,
    upload: Option<StreamWriter>,
    /// Dropped with the entry, which is what cancels the fetch.
    _wanted: watch::Sender<()>,
}

/// A fetch that somebody performs. Dropped without an answer, it fails.
pub struct FetchAnswer {
    number: u32,
    /// Falls with the isolate, which cancels everything in it.
    table: Weak<Mutex<Table>>,
    cancelled: watch::Receiver<()>,
    is_settled: bool,
}

impl FetchAnswer {
    /// Waits until nobody wants the answer any more.
    pub async fn cancelled(&self) {
        // The sender never sends.
        let mut cancelled = self.cancelled.clone();
        while cancelled.changed().await.is_ok() {}
    }

    /// Gives the guest the response.
    pub fn respond(mut self, head: FetchHead, body: Option<Box<dyn BodySource>>) {
        self.is_settled = true;
        let mut fields: Vec<Field> = vec![
            u32::from(head.status).into(),
            head.status_text.into(),
            head.url.into(),
            u32::from(head.redirected).into(),
            match head.length {
                None => Field::Null,
                Some(None) => Field::Num(-1.0),
                // Lengths above 2⁵³ bytes are rounded.
                Some(Some(length)) => Field::Num(length as f64),
            },
        ];
        fields.extend(head.headers.into_iter().flat_map(|(name, value)| [name.into(), value.into()]));
        self.settle(Ok(fields), body);
    }

    /// There is no response, and why.
    pub fn fail(mut self, message: String) {
        self.is_settled = true;
        self.settle(Err(message), None);
    }

    fn settle(&self, result: Result<Vec<Field>, String>, body: Option<Box<dyn BodySource>>) {
        if let Some(table) = self.table.upgrade() {
            Fetches(table).settle(self.number, result, body);
        }
    }
}

impl Drop for FetchAnswer {
    fn drop(&mut self) {
        if !self.is_settled {
            self.settle(Err("the request was given up".into()), None);
        }
    }
}

/// The fetches of an isolate, by number. A cheap handle; clones are the same table.
#[derive(Clone, Default)]
pub(crate) struct Fetches(Arc<Mutex<Table>>);

#[derive(Default)]
pub(crate) struct Table {
    last: u32,
    entries: HashMap<u32, Entry>,
}

impl Fetches {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a fetch: its number for the guest, and where the answer goes.
    pub(crate) fn open(&self, upload: Option<StreamWriter>) -> (u32, FetchAnswer) {
        let (wanted, cancelled) = watch::channel(());
        let mut table = self.lock();
        table.last = table.last.wrapping_add(1);
        let number = table.last;
        let entry = Entry { progress: Progress::Pending(None), body: Body::None, upload, _wanted: wanted };
        table.entries.insert(number, entry);
        drop(table);
        let answer = FetchAnswer { number, table: Arc::downgrade(&self.0), cancelled, is_settled: false };
        (number, answer)
    }

    /// Enters a body whose head the guest has from elsewhere.
    pub(crate) fn hold(&self, source: Box<dyn BodySource>) -> u32 {
        let (wanted, _) = watch::channel(());
        let mut table = self.lock();
        table.last = table.last.wrapping_add(1);
        let number = table.last;
        let body = Body::Untouched(source);
        let entry = Entry { progress: Progress::Delivered, body, upload: None, _wanted: wanted };
        table.entries.insert(number, entry);
        number
    }

    fn settle(&self, number: u32, result: Result<Vec<Field>, String>, body: Option<Box<dyn BodySource>>) {
        let mut table = self.lock();
        let Some(entry) = table.entries.get_mut(&number) else { return };
        if let Some(body) = body {
            entry.body = Body::Untouched(body);
        }
        let waiting = match std::mem::replace(&mut entry.progress, Progress::Delivered) {
            Progress::Pending(waiting) => waiting,
            // Settled already; the first answer counts.
            before => {
                entry.progress = before;
                return;
            }
        };
        let Some((id, events)) = waiting else {
            entry.progress = Progress::Settled(result);
            return;
        };
        let gone = if result.is_err() { table.entries.remove(&number) } else { None };
        drop(table);
        drop(gone);
        events.send(match result {
            Ok(fields) => Event::Complete { id, fields },
            Err(message) => Event::Failed { id, name: "TypeError", message },
        });
    }

    /// Asks for the response's head.
    pub(crate) fn response(&self, number: u32, id: u32, events: EventSender) -> OpReply {
        let mut table = self.lock();
        let Some(entry) = table.entries.get_mut(&number) else { return failed("the request was cancelled") };
        match std::mem::replace(&mut entry.progress, Progress::Delivered) {
            Progress::Pending(_) => {
                entry.progress = Progress::Pending(Some((id, events)));
                OpReply::Later
            }
            Progress::Settled(Ok(fields)) => OpReply::Ready(fields),
            Progress::Settled(Err(message)) => {
                let gone = table.entries.remove(&number);
                drop(table);
                drop(gone);
                OpReply::Failed { name: "TypeError", message }
            }
            Progress::Delivered => failed("the response has been taken"),
        }
    }

    /// Asks for the next chunk of the response's body.
    pub(crate) fn read(&self, number: u32, id: u32, events: EventSender, egress: &dyn Egress) -> OpReply {
        let mut table = self.lock();
        let Some(entry) = table.entries.get_mut(&number) else { return OpReply::Ready(Vec::new()) };
        let body = match std::mem::replace(&mut entry.body, Body::None) {
            Body::None => return OpReply::Ready(Vec::new()),
            Body::Pulled(body) => body,
            Body::Untouched(source) => {
                let (body, pulls) = RequestBody::channel();
                egress.pump(source, pulls);
                body
            }
        };
        entry.body = Body::Pulled(body.clone());
        // Without the lock: a pull from a source that is gone answers itself.
        drop(table);
        body.pull(id, events);
        OpReply::Later
    }

    /// Writes to the request's body.
    pub(crate) fn write(&self, number: u32, id: u32, chunk: Bytes) -> OpReply {
        let upload = self.lock().entries.get(&number).and_then(|entry| entry.upload.clone());
        match upload {
            Some(upload) => upload.write(id, chunk),
            None => failed("the request has no open body"),
        }
    }

    /// Ends the request's body.
    pub(crate) fn end_upload(&self, number: u32, end: Result<(), Aborted>) {
        let upload = self.lock().entries.get(&number).and_then(|entry| entry.upload.clone());
        if let Some(upload) = upload {
            upload.end(end.map(|()| Vec::new()));
        }
    }

    /// The guest has no use for it any more.
    pub(crate) fn cancel(&self, number: u32) {
        let Some(gone) = self.lock().entries.remove(&number) else { return };
        if let Progress::Pending(Some((id, events))) = &gone.progress {
            let message = "the request was cancelled".to_owned();
            events.send(Event::Failed { id: *id, name: "AbortError", message });
        }
    }

    /// Takes a body that the guest has not begun to read.
    pub(crate) fn take(&self, number: u32) -> Option<FetchedBody> {
        let mut table = self.lock();
        let entry = table.entries.get_mut(&number)?;
        match std::mem::replace(&mut entry.body, Body::None) {
            Body::Untouched(source) => {
                let gone = table.entries.remove(&number);
                drop(table);
                drop(gone);
                Some(FetchedBody(source))
            }
            other => {
                entry.body = other;
                None
            }
        }
    }
}

fn failed(message: &str) -> OpReply {
    OpReply::Failed { name: "TypeError", message: message.into() }
}

/// Reads a body for the guest, a chunk for each pull, until it ends or the guest has no use for it.
pub async fn pump(mut source: Box<dyn BodySource>, mut pulls: UnboundedReceiver<Pull>) {
    let mut waiting: VecDeque<Pull> = VecDeque::new();
    loop {
        let pull = match waiting.pop_front() {
            Some(pull) => pull,
            None => match pulls.recv().await {
                Some(pull) => pull,
                None => return,
            },
        };
        let chunk = poll_fn(|cx| {
            if let Poll::Ready(chunk) = source.poll_chunk(cx) {
                return Poll::Ready(Some(chunk));
            }
            loop {
                match ready!(pulls.poll_recv(cx)) {
                    Some(pull) => waiting.push_back(pull),
                    // The guest has let go: so does the connection.
                    None => return Poll::Ready(None),
                }
            }
        });
        match chunk.await {
            None => return,
            Some(None) => pull.chunk(None),
            Some(Some(Ok(chunk))) => pull.chunk(Some(chunk)),
            Some(Some(Err(message))) => pull.fail(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::Waker;

    use super::*;
    use crate::connections::{Lookup, Target, TlsSession, TlsTerms, Wire};

    struct Source(Vec<&'static str>);

    impl BodySource for Source {
        fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
            Poll::Ready(self.0.pop().map(|text| Ok(Bytes::from(text))))
        }

        fn length(&self) -> Option<u64> {
            None
        }
    }

    struct Unused;

    impl Egress for Unused {
        fn fetch(&self, _: FetchRequest, _: FetchAnswer) {
            unreachable!()
        }
        fn pump(&self, _: Box<dyn BodySource>, _: UnboundedReceiver<Pull>) {}
        fn connect(&self, _: Target, _: Wire) {
            unreachable!()
        }
        fn resolve(&self, _: String, _: Lookup) {
            unreachable!()
        }
        fn tls(&self, _: &TlsTerms) -> Result<Box<dyn TlsSession>, String> {
            unreachable!()
        }
    }

    fn head(status: u16) -> FetchHead {
        FetchHead {
            status,
            status_text: String::new(),
            url: "http://a/".into(),
            redirected: false,
            headers: vec![("a".into(), "b".into())],
            length: Some(None),
        }
    }

    fn events() -> (EventSender, mpsc::Receiver<Event>) {
        let (sender, events) = mpsc::channel();
        (EventSender::new(move |event| sender.send(event).unwrap()), events)
    }

    #[test]
    fn the_head_comes_before_or_after_it_is_asked_for() {
        let fetches = Fetches::default();
        let (to, events) = events();
        let (number, answer) = fetches.open(None);
        assert_eq!(fetches.response(number, 5, to.clone()), OpReply::Later);
        answer.respond(head(200), None);
        let Event::Complete { id: 5, fields } = events.recv().unwrap() else { panic!() };
        assert_eq!(fields.len(), 7);

        let (number, answer) = fetches.open(None);
        answer.respond(head(201), None);
        let OpReply::Ready(fields) = fetches.response(number, 6, to.clone()) else { panic!() };
        assert_eq!(fields.first(), Some(&201.0.into()));
        assert!(matches!(fetches.response(number, 7, to), OpReply::Failed { .. }));
    }

    #[test]
    fn an_answer_that_is_dropped_is_a_failure() {
        let fetches = Fetches::default();
        let (to, events) = events();
        let (number, answer) = fetches.open(None);
        assert_eq!(fetches.response(number, 5, to), OpReply::Later);
        drop(answer);
        assert!(matches!(events.recv().unwrap(), Event::Failed { id: 5, name: "TypeError", .. }));
        assert!(fetches.lock().entries.is_empty());
    }

    #[test]
    fn whoever_performs_a_fetch_hears_that_it_is_cancelled() {
        fn is_cancelled(answer: &FetchAnswer) -> bool {
            let future = std::pin::pin!(answer.cancelled());
            future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
        }
        let fetches = Fetches::default();
        let (to, events) = events();
        let (number, answer) = fetches.open(None);
        assert!(!is_cancelled(&answer));
        assert_eq!(fetches.response(number, 3, to), OpReply::Later);
        fetches.cancel(number);
        assert!(is_cancelled(&answer));
        assert!(matches!(events.recv().unwrap(), Event::Failed { id: 3, name: "AbortError", .. }));

        let (_, answer) = fetches.open(None);
        drop(fetches);
        assert!(is_cancelled(&answer));
    }

    #[test]
    fn only_an_untouched_body_can_be_passed_on() {
        let fetches = Fetches::default();
        let (to, _events) = events();
        let (number, answer) = fetches.open(None);
        answer.respond(head(200), Some(Box::new(Source(vec!["x"]))));
        assert!(fetches.take(number).is_some());
        assert!(fetches.take(number).is_none());

        let (number, answer) = fetches.open(None);
        answer.respond(head(200), Some(Box::new(Source(vec!["x"]))));
        assert_eq!(fetches.read(number, 1, to, &Unused), OpReply::Later);
        assert!(fetches.take(number).is_none());
    }
}
