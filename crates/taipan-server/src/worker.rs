//! The actor that gives an isolate its turns.
//!
//! One thread owns the isolate: guest calls nest on its stack, which has to be far larger than an executor's
//! threads have. Everything else talks to it through a [`Mailbox`]. When the isolate dies, its requests fail, and
//! the same thread boots the next instance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use taipan_bindings::{Embedder, EventSender, Failure, HostOps, RequestBody, Requests, Response};
use taipan_engine::{BootError, Event, IsolateError, STACK_SIZE, Source, Turn};
use taipan_guest::protocol::Field;
use tokio::sync::{oneshot, watch};

use crate::mailbox::Mailbox;
use crate::{Console, Level};

/// How long what was given to `waitUntil` may go on after the last response of a version that was replaced.
const GRACE: Duration = Duration::from_secs(30);

/// At most so many events are delivered in one turn, so that a turn's CPU limit stays a limit on few requests.
const EVENTS_PER_TURN: usize = 64;

/// A running isolate, as the actor needs it.
pub trait Guest {
    /// As [`taipan_engine::Isolate::turn`].
    fn turn(&mut self, events: Vec<Event>) -> Result<Turn, IsolateError>;
}

/// Starts an isolate with these operations; called on the Worker's own thread.
pub type Boot = Box<dyn FnMut(HostOps) -> Result<Box<dyn Guest>, BootError> + Send>;

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
        /// How long booting took.
        took: Duration,
    },
    /// It answers every request with this fault.
    Failed(Fault),
}

enum Message {
    Fetch { request: u32, head: Vec<Field>, body: Option<RequestBody>, answer: Answer },
    Disconnected { request: u32 },
    Retire { grace: Duration },
}

type Answer = oneshot::Sender<Result<Response, Failure>>;

/// One version of a Worker, running. Dropping it lets what is in flight finish.
pub struct Worker {
    mailbox: Arc<Mailbox<Message>>,
    next_request: AtomicU32,
    started: watch::Receiver<Started>,
    sources: Arc<[Source]>,
}

impl Worker {
    /// Starts the Worker's thread. `sources` are for error pages only. Fails when the system has no thread to give.
    pub fn spawn(
        boot: Boot,
        sources: Arc<[Source]>,
        console: Arc<dyn Console>,
    ) -> std::io::Result<Arc<Self>> {
        let mailbox = Arc::new(Mailbox::new());
        let (progress, started) = watch::channel(Started::Booting);
        let actor = Actor {
            boot,
            console,
            mailbox: mailbox.clone(),
            progress,
            requests: Requests::default(),
            retire_at: None,
        };
        thread::Builder::new().name("isolate".into()).stack_size(STACK_SIZE).spawn(move || actor.run())?;
        Ok(Arc::new(Self { mailbox, next_request: AtomicU32::new(1), started, sources }))
    }

    /// The Worker's files.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// How far the Worker is.
    pub fn progress(&self) -> Started {
        self.started.borrow().clone()
    }

    /// Waits until the Worker has booted or failed to.
    pub async fn started(&self) -> Started {
        let mut started = self.started.clone();
        // It ends without a word only when its thread does, which it does not before it has been retired.
        started.wait_for(|s| *s != Started::Booting).await.map_or(Started::Booting, |s| s.clone())
    }

    /// Gives the handler a request (its head as in [`Event::Fetch`]). The [`Presence`] stands for the client: drop
    /// it when the client is gone.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        head: Vec<Field>,
        body: Option<RequestBody>,
    ) -> (Result<Response, Fault>, Presence) {
        let request = self.next_request.fetch_add(1, Ordering::Relaxed);
        let (answer, response) = oneshot::channel();
        let presence = Presence { worker: self.clone(), request, present: true };
        self.mailbox.send(Message::Fetch { request, head, body, answer });
        let response = response.await.unwrap_or(Err(Failure::Stopped)).map_err(|failure| {
            let starting = matches!(*self.started.borrow(), Started::Failed(_));
            Fault { failure, starting }
        });
        (response, presence)
    }

    /// Ends the Worker once its requests are finished, at the latest after `grace`, and waits for that.
    pub async fn retire(&self, grace: Duration) {
        self.mailbox.send(Message::Retire { grace });
        let mut started = self.started.clone();
        while started.changed().await.is_ok() {}
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.mailbox.send(Message::Retire { grace: GRACE });
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
            self.worker.mailbox.send(Message::Disconnected { request: self.request });
        }
    }
}

struct Actor {
    boot: Boot,
    console: Arc<dyn Console>,
    mailbox: Arc<Mailbox<Message>>,
    progress: watch::Sender<Started>,
    requests: Requests,
    retire_at: Option<Instant>,
}

/// An isolate's way to the actor that owns it.
struct Outside {
    console: Arc<dyn Console>,
    mailbox: Arc<Mailbox<Message>>,
}

impl Embedder for Outside {
    fn log(&mut self, level: u8, line: &str) {
        self.console.guest(Level::from(level), line);
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Event> {
        self.mailbox.wait_completed(deadline)
    }
}

/// Why an isolate has no more turns.
enum End {
    Retired,
    Stopped { error: IsolateError, served: bool },
}

impl Actor {
    fn run(mut self) {
        loop {
            let begun = Instant::now();
            match self.boot() {
                Ok(guest) => {
                    self.progress.send_replace(Started::Ready { took: begun.elapsed() });
                    match self.live(guest) {
                        End::Retired => return,
                        End::Stopped { error, served } => {
                            let lost = self.requests.fail_all(&Failure::Isolate(error.clone()));
                            self.console.isolate_stopped(&error, lost);
                            // One that dies all by itself would die and boot forever.
                            if !served && !self.hold_for_request() {
                                return;
                            }
                        }
                    }
                }
                Err(error) => {
                    let failure = match error {
                        BootError::Worker { report_json } => Failure::Report(report_json.into()),
                        BootError::Isolate(error) => Failure::Isolate(error),
                    };
                    let fault = Fault { failure: failure.clone(), starting: true };
                    self.progress.send_replace(Started::Failed(fault));
                    return self.refuse(&failure);
                }
            }
        }
    }

    fn boot(&mut self) -> Result<Box<dyn Guest>, BootError> {
        let (instance, mailbox) = (self.mailbox.next_instance(), self.mailbox.clone());
        let events = EventSender::new(move |event| mailbox.complete(instance, event));
        let outside = Outside { console: self.console.clone(), mailbox: self.mailbox.clone() };
        (self.boot)(HostOps::new(self.requests.clone(), events, Box::new(outside)))
    }

    /// Gives the isolate its turns until it stops or is not needed any more.
    fn live(&mut self, mut guest: Box<dyn Guest>) -> End {
        let mut served = false;
        // Module scope may have set timers: the first, empty turn tells.
        let mut turn = Turn { next_timer: Some(Instant::now()), pending_ops: 0 };
        let mut told = false;
        loop {
            let mut events = Vec::new();
            while events.len() < EVENTS_PER_TURN
                && let Some(event) = self.mailbox.take_completed()
            {
                events.push(event);
            }
            while events.len() < EVENTS_PER_TURN
                && let Some(message) = self.mailbox.take_message()
            {
                events.extend(self.receive(message));
            }
            served |= events.iter().any(|e| matches!(e, Event::Fetch { .. }));
            let now = Instant::now();
            if !events.is_empty() || turn.next_timer.is_some_and(|due| due <= now) {
                told = false;
                match guest.turn(events) {
                    Ok(next) => turn = next,
                    Err(error) => return End::Stopped { error, served },
                }
                continue;
            }
            if turn.pending_ops == 0 && turn.next_timer.is_none() && !self.requests.is_empty() {
                // Nothing is left that could wake a handler. The guest knows where each waits; what it does not answer
                // then, nobody will.
                if told {
                    self.requests.fail_all(&Failure::Hung);
                } else {
                    told = true;
                    let hung = self.requests.numbers().into_iter().map(|request| Event::Hung { request });
                    match guest.turn(hung.collect()) {
                        Ok(next) => turn = next,
                        Err(error) => return End::Stopped { error, served },
                    }
                    continue;
                }
            }
            if self.retire_at.is_some_and(|at| self.requests.is_empty() || at <= now) {
                self.requests.fail_all(&Failure::Stopped);
                return End::Retired;
            }
            let until = [turn.next_timer, self.retire_at].into_iter().flatten().min();
            self.mailbox.wait_any(until);
        }
    }

    /// The event that a message makes, if any.
    fn receive(&mut self, message: Message) -> Option<Event> {
        match message {
            // Nobody waits any more for the answer of a request that was queued while the isolate booted.
            Message::Fetch { answer, .. } if answer.is_closed() => None,
            Message::Fetch { request, head, body, answer } => {
                self.requests.open(request, body, answer);
                Some(Event::Fetch { request, head })
            }
            Message::Disconnected { request } => {
                self.requests.disconnected(request);
                self.requests.contains(request).then_some(Event::Disconnected { request })
            }
            Message::Retire { grace } => {
                self.set_retirement(grace);
                None
            }
        }
    }

    fn set_retirement(&mut self, grace: Duration) {
        let at = Instant::now() + grace;
        self.retire_at = Some(self.retire_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Waits for a request before an isolate is booted for it. False: there will be none.
    fn hold_for_request(&self) -> bool {
        loop {
            match self.mailbox.wait_message() {
                Some(message @ Message::Fetch { .. }) => {
                    self.mailbox.put_back(message);
                    return true;
                }
                Some(Message::Retire { .. }) | None => return false,
                Some(Message::Disconnected { .. }) => {}
            }
        }
    }

    /// Answers every request with the failure until the Worker is replaced.
    fn refuse(&self, failure: &Failure) {
        loop {
            match self.mailbox.wait_message() {
                Some(Message::Fetch { answer, .. }) => drop(answer.send(Err(failure.clone()))),
                Some(Message::Retire { .. }) | None => return,
                Some(Message::Disconnected { .. }) => {}
            }
        }
    }
}
