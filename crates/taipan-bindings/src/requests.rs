//! The requests that an isolate is working on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use taipan_engine::{Event, IsolateError, Meter, OpReply};
use tokio::sync::oneshot;

use crate::rpc::ResultKey;
use crate::streams::{Aborted, RequestBody, ResponseStream, StreamWriter, Trailers, client_is_gone};
use crate::{Connection, EventSender, FetchedBody};

/// A response as the handler gave it; nothing in it has been checked.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u32,
    /// The reason phrase, often empty.
    pub status_text: String,
    /// Names and values in order; names may repeat.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: ResponseBody,
}

/// The body of a [`Response`].
#[derive(Debug)]
pub enum ResponseBody {
    /// None at all.
    Empty,
    /// All of it.
    Full(Bytes),
    /// Chunks that follow.
    Stream(ResponseStream),
    /// What somebody else answers to a request that the handler made.
    Fetched(FetchedBody),
    /// None: from now on the connection is a WebSocket.
    WebSocket(Connection),
}

/// Why a request has no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The Worker's code failed; the JSON is the guest's report of it.
    Report(Arc<str>),
    /// The isolate stopped.
    Isolate(IsolateError),
    /// The handler waits for something that can never happen.
    Hung,
    /// The handler ended without responding.
    NoResponse,
    /// The process is about to end, or a newer version of the Worker has taken over.
    Stopped,
}

type Answer = Result<Response, Failure>;

struct Entry {
    /// Taken when the handler has answered.
    answer: Option<oneshot::Sender<Answer>>,
    body: Option<RequestBody>,
    stream: Option<StreamWriter>,
    /// Who in the guest waits for the client to go away, or for the request to be over.
    watchers: Watchers,
    /// The handler has returned and nothing given to `waitUntil` is left.
    done: bool,
    cpu: Duration,
    subrequests: u32,
    /// How many calls between Workers it is in.
    depth: u32,
    /// It is a call, by whose result's key more may be asked.
    result: Option<ResultKey>,
}

/// Operations that are complete once the client is gone; dropped, they are complete too.
#[derive(Default)]
struct Watchers(Vec<(u32, EventSender)>);

impl Drop for Watchers {
    fn drop(&mut self) {
        for (id, events) in self.0.drain(..) {
            events.send(Event::Complete { id, fields: Vec::new() });
        }
    }
}

impl Entry {
    fn is_finished(&self) -> bool {
        self.done && self.stream.as_ref().is_none_or(|s| s.has_ended() || s.is_abandoned())
    }

    fn answer(&mut self, answer: Answer) -> bool {
        // Nobody listens when the client has gone away, which is no error of the handler.
        self.answer.take().map(|sender| sender.send(answer)).is_some()
    }

    fn fail(&mut self, failure: Failure) {
        self.answer(Err(failure));
        if let Some(stream) = &self.stream {
            stream.end(Err(Aborted { message: "the isolate has stopped".into() }));
        }
    }
}

/// The requests that an isolate is working on, by number. A cheap handle; clones are the same table.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<HashMap<u32, Entry>>>);

impl Meter for Requests {
    fn spent(&self, request: u32, cpu: Duration) -> Duration {
        match self.lock().get_mut(&request) {
            Some(entry) => {
                entry.cpu += cpu;
                entry.cpu
            }
            None => cpu,
        }
    }
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a request, before its event is delivered. Its answer, exactly one, goes to `answer`.
    pub fn open(&self, request: u32, body: Option<RequestBody>, answer: oneshot::Sender<Answer>) {
        self.lock().insert(
            request,
            Entry {
                answer: Some(answer),
                body,
                stream: None,
                watchers: Watchers::default(),
                done: false,
                cpu: Duration::ZERO,
                subrequests: 0,
                depth: 0,
                result: None,
            },
        );
    }

    /// Says how many calls between Workers the request is in, and what its result is known by if it is one of them.
    pub fn within(&self, request: u32, depth: u32, result: Option<ResultKey>) {
        if let Some(entry) = self.lock().get_mut(&request) {
            entry.depth = depth;
            entry.result = result;
        }
    }

    /// What the result of the call that it is is known by.
    pub(crate) fn result(&self, request: u32) -> Option<ResultKey> {
        self.lock().get(&request).and_then(|entry| entry.result)
    }

    /// How many calls between Workers the request is in; none when it is over.
    pub(crate) fn depth(&self, request: u32) -> u32 {
        self.lock().get(&request).map_or(0, |entry| entry.depth)
    }

    /// Whether the request is still being worked on, be it only by what it gave to `waitUntil`.
    pub fn contains(&self, request: u32) -> bool {
        self.lock().contains_key(&request)
    }

    /// Lets go of the request if only its client was still holding it. The answer is what the guest asked to be told then.
    pub fn disconnected(&self, request: u32) -> Vec<Event> {
        let mut told = Vec::new();
        self.with(request, |entry| {
            told = std::mem::take(&mut entry.watchers.0);
        });
        told.into_iter().map(|(id, _)| Event::Complete { id, fields: Vec::new() }).collect()
    }

    /// Counts a request that is made for this one; how many there have been so far, this one included.
    pub(crate) fn subrequest(&self, request: u32) -> u32 {
        match self.lock().get_mut(&request) {
            Some(entry) => {
                entry.subrequests = entry.subrequests.saturating_add(1);
                entry.subrequests
            }
            // Nobody's: module scope, a timer of a request that is over.
            None => 1,
        }
    }

    /// How many requests are being worked on.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no request is being worked on.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Gives up on every request: those without an answer fail for the reason given, streams break off.
    /// Returns how many were without an answer.
    pub fn fail_all(&self, failure: &Failure) -> usize {
        let entries = std::mem::take(&mut *self.lock());
        let mut unanswered = 0;
        for mut entry in entries.into_values() {
            unanswered += usize::from(entry.answer.is_some());
            // The guest is past being told anything.
            entry.watchers.0.clear();
            entry.fail(failure.clone());
        }
        unanswered
    }

    /// The requests under way.
    pub fn numbers(&self) -> Vec<u32> {
        self.lock().keys().copied().collect()
    }

    fn with(&self, request: u32, f: impl FnOnce(&mut Entry)) {
        let mut table = self.lock();
        let mut finished = None;
        if let Some(entry) = table.get_mut(&request) {
            f(entry);
            if entry.is_finished() {
                finished = table.remove(&request);
            }
        }
        // Without the lock: whoever is told of its end may look at this table.
        drop(table);
        drop(finished);
    }

    pub(crate) fn gone(&self, request: u32, id: u32, events: EventSender) -> OpReply {
        match self.lock().get_mut(&request) {
            Some(entry) if !entry.stream.as_ref().is_some_and(StreamWriter::is_abandoned) => {
                entry.watchers.0.push((id, events));
                OpReply::Later
            }
            _ => OpReply::Ready(Vec::new()),
        }
    }

    /// Answers the request. `streamed` opens a body whose chunks follow.
    pub(crate) fn respond(
        &self,
        request: u32,
        mut response: Response,
        streamed: Option<EventSender>,
    ) -> bool {
        let mut first = false;
        self.with(request, |entry| {
            if let Some(events) = streamed {
                let (writer, stream) = StreamWriter::channel(events);
                response.body = ResponseBody::Stream(stream);
                if entry.answer.is_some() {
                    entry.stream = Some(writer);
                }
            }
            first = entry.answer(Ok(response));
        });
        first
    }

    /// The request's body, if it has one.
    pub(crate) fn body(&self, request: u32) -> Option<RequestBody> {
        self.lock().get(&request).and_then(|entry| entry.body.clone())
    }

    /// Gives the request's body away; there is nothing left of it for the guest.
    pub(crate) fn take_body(&self, request: u32) -> Option<RequestBody> {
        self.lock().get_mut(&request).and_then(|entry| entry.body.take())
    }

    pub(crate) fn read(&self, request: u32, id: u32, events: EventSender) -> OpReply {
        // Without the lock: a pull from a source that is gone answers itself, and who is told may look at this table.
        match self.body(request) {
            Some(body) => {
                body.pull(id, events);
                OpReply::Later
            }
            None => OpReply::Ready(Vec::new()),
        }
    }

    pub(crate) fn write(&self, request: u32, id: u32, chunk: Bytes) -> OpReply {
        let writer = self.lock().get(&request).map(|entry| entry.stream.clone());
        match writer {
            Some(Some(writer)) => writer.write(id, chunk),
            // The request is over, because its client has gone.
            None => client_is_gone(),
            Some(None) => {
                OpReply::Failed { name: "TypeError", message: "the response has no open body".into() }
            }
        }
    }

    pub(crate) fn end_stream(&self, request: u32, end: Result<Trailers, Aborted>) {
        self.with(request, |entry| {
            if let Some(stream) = &entry.stream {
                stream.end(end);
            }
        });
    }

    pub(crate) fn fail(&self, request: u32, failure: Failure) {
        self.with(request, |entry| entry.fail(failure));
    }

    pub(crate) fn done(&self, request: u32) {
        self.with(request, |entry| {
            entry.answer(Err(Failure::NoResponse));
            entry.done = true;
        });
    }
}
