//! A version of a Worker, as those see it who have requests for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use taipan_bindings::{Failure, HostOps, RequestBody, Response, ResponseBody, ResultKey};
use taipan_engine::{BootError, Event, IsolateError, Source, Turn};
use taipan_guest::protocol::Field;
use taipan_storage::queues::{LONGEST_DELAY, Message};
use tokio::sync::{oneshot, watch};

use crate::pool::{Fetch, Pool, PoolOptions};
use crate::{Console, Scheduler};

/// How long what was given to `waitUntil` may go on after the last response of a version that was replaced.
const GRACE: Duration = Duration::from_secs(30);

/// In the place of a method, with the cron in that of the URL and the time in that of `cf`: the event is no request. No client can
/// send it, for a method has no colon.
const CRON: &str = "cron:";

/// The same for messages: their queue is in the place of the URL, what is known of them in that of `cf`, and in that of headers are
/// the bodies that are not text.
const QUEUE: &str = "queue:";

/// The same for the call of a method, whose class and name are in the place of the URL, what is told of the caller in that of the
/// connection, and the arguments in that of a header.
const CALL: &str = "rpc:";

/// What a handler says about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Acknowledged,
    Retry(Option<u32>),
}

impl Outcome {
    fn of(said: Option<f64>) -> Self {
        match said {
            // A fraction of a second is a second.
            Some(seconds) if seconds >= 0.0 => {
                Self::Retry(Some(seconds.ceil().min(f64::from(LONGEST_DELAY)) as u32))
            }
            Some(_) => Self::Acknowledged,
            None => Self::Retry(None),
        }
    }
}

/// A running isolate, as its pool needs it. It belongs to no thread.
pub trait Guest: Send {
    /// As [`taipan_engine::Isolate::turn`]; called on a thread with [`taipan_engine::STACK_SIZE`] of stack.
    fn turn(&mut self, events: Vec<Event>) -> Result<Turn, IsolateError>;
}

/// Starts an isolate, on a thread with [`taipan_engine::STACK_SIZE`] of stack. The function it is given makes the
/// operations of one; when it is called again, the isolate before must be gone. The first start of all is alone, later ones
/// may be at the same time.
pub type Boot = Box<dyn Fn(&dyn Fn() -> HostOps) -> Result<Box<dyn Guest>, BootError> + Send + Sync>;

/// A request that has no response, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What went wrong.
    pub failure: Failure,
    /// It went wrong while the Worker was starting, and will for every request until its code changes.
    pub starting: bool,
}

/// How far the Worker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// Not there yet.
    Booting,
    /// It answers requests.
    Ready {
        /// How long the start of the first isolate took.
        took: Duration,
    },
    /// It answers every request with this fault.
    Failed(Fault),
}

/// One version of a Worker, running. Dropping it lets what is in flight finish.
pub struct Worker {
    pool: Arc<Pool>,
    next_request: AtomicU32,
    started: watch::Receiver<Started>,
    sources: Arc<[Source]>,
}

impl Worker {
    /// Starts the Worker's first isolate. `sources` are for error pages only.
    pub fn spawn(
        scheduler: &Arc<Scheduler>,
        boot: Boot,
        options: PoolOptions,
        sources: Arc<[Source]>,
        console: Arc<dyn Console>,
    ) -> Arc<Self> {
        let (pool, started) = Pool::start(scheduler.clone(), boot, options, console);
        Arc::new(Self { pool, next_request: AtomicU32::new(1), started, sources })
    }

    /// The Worker's files.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// How far the Worker is.
    pub fn progress(&self) -> Started {
        self.started.borrow().clone()
    }

    /// Waits until the Worker has started or failed to.
    pub async fn started(&self) -> Started {
        let mut started = self.started.clone();
        // It ends without a word only when the Worker was retired before.
        started.wait_for(|s| *s != Started::Booting).await.map_or(Started::Booting, |s| s.clone())
    }

    /// Gives the handler a request (its head as in [`Event::Fetch`]). The [`Presence`] stands for the client: drop
    /// it when the client is gone.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        head: Vec<Field>,
        body: Option<RequestBody>,
    ) -> (Result<Response, Fault>, Presence) {
        self.fetch_within(head, body, 0, None).await
    }

    /// The same for a request that is in so many calls between Workers, or is one, with this result.
    pub(crate) async fn fetch_within(
        self: &Arc<Self>,
        head: Vec<Field>,
        body: Option<RequestBody>,
        depth: u32,
        result: Option<ResultKey>,
    ) -> (Result<Response, Fault>, Presence) {
        let request = self.next_request.fetch_add(1, Ordering::Relaxed);
        let (answer, response) = oneshot::channel();
        let presence = Presence { worker: self.clone(), request, present: true };
        self.pool.fetch(Fetch { request, head, body, depth, result, answer, since: Instant::now() });
        let response = response.await.unwrap_or(Err(Failure::Stopped)).map_err(|failure| {
            let starting = matches!(*self.started.borrow(), Started::Failed(_));
            Fault { failure, starting }
        });
        (response, presence)
    }

    /// Has the handler `scheduled` called, for a time in milliseconds since the epoch.
    ///
    /// # Errors
    /// When there is no such handler, or it fails.
    pub async fn scheduled(self: &Arc<Self>, cron: &str, time_ms: i64) -> Result<(), Fault> {
        let head = vec![CRON.into(), cron.into(), Field::Null, time_ms.to_string().into()];
        let (response, presence) = self.fetch(head, None).await;
        presence.served();
        response.map(|_| ())
    }

    /// Has the handler `queue` called. Gives for each message whether it is acknowledged, or after how many seconds it is to be
    /// delivered again; none for those of the configuration.
    pub(crate) async fn messages(
        self: &Arc<Self>,
        queue: &str,
        messages: Vec<Message>,
    ) -> Result<Vec<Outcome>, Fault> {
        let mut listed = Vec::with_capacity(messages.len());
        let mut bodies = Vec::with_capacity(messages.len());
        let ids: Vec<i64> = messages.iter().map(|message| message.id).collect();
        for Message { id, kind, sent_at, attempts, body } in messages {
            let is_text = matches!(kind.as_str(), "json" | "text");
            let (text, body) = match String::from_utf8(body) {
                Ok(text) if is_text => (Some(text), Field::Null),
                Ok(text) => (None, Field::Bytes(text.into_bytes())),
                Err(error) => (None, Field::Bytes(error.into_bytes())),
            };
            listed.push(json!([format!("{id:032x}"), sent_at, attempts, kind, text]));
            bodies.push(body);
        }
        let listed = serde_json::Value::Array(listed).to_string();
        let mut head = vec![QUEUE.into(), queue.into(), Field::Null, listed.into(), Field::Null];
        head.extend(bodies);
        let (response, presence) = self.fetch(head, None).await;
        presence.served();
        let said: Option<Vec<Option<f64>>> = match response?.body {
            ResponseBody::Full(bytes) => serde_json::from_slice(&bytes).ok(),
            _ => None,
        };
        let said = said.filter(|said| said.len() == ids.len());
        // Our own code in the sandbox has written it; a Worker may have changed that.
        let said = said.ok_or(Fault { failure: Failure::NoResponse, starting: false })?;
        Ok(said.into_iter().map(Outcome::of).collect())
    }

    /// Calls a method, `CLASS.NAME`. Arguments and result are what guests have written.
    pub(crate) async fn call(
        self: &Arc<Self>,
        target: String,
        caller: Field,
        arguments: Bytes,
        depth: u32,
        result: ResultKey,
    ) -> Result<Bytes, Fault> {
        let arguments = Field::Bytes(arguments.into());
        let head = vec![CALL.into(), target.into(), Field::Null, Field::Null, caller, arguments];
        let (response, presence) = self.fetch_within(head, None, depth, Some(result)).await;
        let answer = match response.map(|response| response.body) {
            Ok(ResponseBody::Full(bytes)) => Ok(bytes),
            Ok(_) => Err(Fault { failure: Failure::NoResponse, starting: false }),
            Err(fault) => Err(fault),
        };
        presence.served();
        answer
    }

    /// Ends the Worker once its requests are finished, at the latest after `grace`, and waits for that.
    pub async fn retire(&self, grace: Duration) {
        self.pool.retire(grace);
        let mut started = self.started.clone();
        while started.changed().await.is_ok() {}
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.pool.retire(GRACE);
    }
}

/// Somebody waits for the response. Keeps the Worker alive for as long.
pub(crate) struct Presence {
    worker: Arc<Worker>,
    request: u32,
    present: bool,
}

impl Presence {
    /// The client has all it came for.
    pub(crate) fn served(mut self) {
        self.present = false;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if self.present {
            self.worker.pool.disconnected(self.request);
        }
    }
}
