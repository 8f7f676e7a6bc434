//! The isolates of one version of a Worker.
//!
//! Requests wait in one queue, and an isolate takes one when it can begin with it at once. So nothing is ever stuck behind an
//! isolate that turns out to be busy: what it has not begun, another one takes over.
//!
//! ```text
//!              no event left
//!  Starting ──▶ Scheduled ──▶ Running ──▶ Idle ──▶ (dropped after a while)
//!                   ▲            │ ▲        │
//!                   └─────────── │ │ ───────┘ event
//!                                ▼ │
//!                              Blocked: waits in the middle of a turn (run_sync)
//! ```
//!
//! Each isolate has its own copy of the Worker's global state. One is enough as long as handlers await: requests interleave in it.
//! Another is started when requests wait and every isolate is blocked, or is in a turn that has been going on for a while.

mod grow;
mod turns;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use taipan_bindings::{Failure, RequestBody, Requests, Response, ResultKey};
use taipan_engine::{Event, Turn};
use taipan_guest::protocol::Field;
use tokio::sync::{oneshot, watch};

use crate::Console;
use crate::scheduler::Scheduler;
use crate::worker::{Boot, Fault, Guest, Started};

pub(crate) type Answer = oneshot::Sender<Result<Response, Failure>>;

/// How many isolates a Worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// So many are started at once and kept for as long as the Worker is; 0: the last one may be dropped as well.
    pub min: usize,
    /// There are never more; at least 1.
    pub max: usize,
    /// One above `min` that has had nothing to do for so long is dropped.
    pub idle: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self { min: 0, max: 64, idle: Duration::from_secs(60) }
    }
}

/// A request on its way to an isolate.
pub(crate) struct Fetch {
    pub(crate) request: u32,
    pub(crate) head: Vec<Field>,
    pub(crate) body: Option<RequestBody>,
    /// How many calls between Workers it is in.
    pub(crate) depth: u32,
    /// It is one itself.
    pub(crate) result: Option<ResultKey>,
    pub(crate) answer: Answer,
    pub(crate) since: Instant,
}

/// What an isolate is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    /// A thread will run it.
    Scheduled,
    /// In a turn.
    Running,
    /// In a turn that waits; holds a thread.
    Blocked,
    /// Nothing to deliver; holds no thread.
    Idle {
        since: Instant,
    },
}

/// One isolate, as its pool sees it.
struct Seat {
    phase: Phase,
    /// Here unless a thread has it.
    guest: Option<Box<dyn Guest>>,
    /// Counts the guests that there were in this seat: what an earlier one began is not for its successor.
    generation: u64,
    completed: VecDeque<Event>,
    /// Clients that are gone.
    notices: VecDeque<Event>,
    /// Something was completed.
    arrived: Arc<Condvar>,
    requests: Requests,
    /// How the last turn left it.
    turn: Turn,
    /// When the clock will look at its timers.
    armed: Option<Instant>,
    /// It was told which of its requests wait for nothing.
    is_told: bool,
    has_served: bool,
    /// How many short turns it has yet to have until its turns are expected to be short.
    doubts: u32,
}

/// How far the pool is.
enum Stage {
    /// The first isolate is being started.
    Booting,
    Ready,
    /// The Worker does not start.
    Failed(Failure),
    /// It has been retired, and its last request is answered.
    Finished,
}

struct State {
    stage: Stage,
    queue: VecDeque<Fetch>,
    /// The older ones first: they get the requests, and the younger ones are dropped when there are few.
    seats: BTreeMap<u64, Seat>,
    next_seat: u64,
    retire_at: Option<Instant>,
    /// The clock will look whether more isolates are needed.
    is_growth_armed: bool,
    /// The clock will look whether there are too many.
    is_shrinking_armed: bool,
    /// The last isolate that died had not been asked for anything: another would do the same. One starts when a request
    /// needs it.
    dies_alone: bool,
    /// No isolate is started before; set when one could not be.
    not_before: Option<Instant>,
    /// Dropped at the end.
    progress: Option<watch::Sender<Started>>,
}

/// The isolates of one version of a Worker, and the requests that wait for one.
pub(crate) struct Pool {
    this: Weak<Pool>,
    scheduler: Arc<Scheduler>,
    boot: Boot,
    options: PoolOptions,
    console: Arc<dyn Console>,
    state: Mutex<State>,
}

/// Guests that were taken out of their seats. Dropping them takes time, and is done without the lock.
type Dropped = Vec<Box<dyn Guest>>;

impl Pool {
    /// Starts the first isolate.
    pub(crate) fn start(
        scheduler: Arc<Scheduler>,
        boot: Boot,
        options: PoolOptions,
        console: Arc<dyn Console>,
    ) -> (Arc<Self>, watch::Receiver<Started>) {
        let (progress, started) = watch::channel(Started::Booting);
        let state = State {
            stage: Stage::Booting,
            queue: VecDeque::new(),
            seats: BTreeMap::new(),
            next_seat: 1,
            retire_at: None,
            is_growth_armed: false,
            is_shrinking_armed: false,
            dies_alone: false,
            not_before: None,
            progress: Some(progress),
        };
        let options = PoolOptions { max: options.max.max(options.min).max(1), ..options };
        let pool = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            scheduler: scheduler.clone(),
            boot,
            options,
            console,
            state: Mutex::new(state),
        });
        scheduler.enter(&pool);
        pool.grow(&mut pool.lock());
        (pool, started)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `f` with the pool at that time, if it is still there.
    fn later(&self, at: Instant, f: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let this = self.this.clone();
        self.scheduler.clock.at(at, move || {
            if let Some(pool) = this.upgrade() {
                f(&pool);
            }
        });
    }

    /// Calls `f` with the pool on a thread for turns.
    fn on_thread(&self, f: impl FnOnce(&Arc<Self>) + Send + 'static) {
        if let Some(pool) = self.this.upgrade() {
            self.scheduler.executor.run(move || f(&pool));
        }
    }

    /// Queues a request.
    pub(crate) fn fetch(&self, fetch: Fetch) {
        let mut state = self.lock();
        let refusal = match &state.stage {
            Stage::Booting | Stage::Ready => None,
            Stage::Failed(failure) => Some(failure.clone()),
            Stage::Finished => Some(Failure::Stopped),
        };
        if let Some(failure) = refusal {
            drop(state);
            // Nobody listens when the client is gone.
            drop(fetch.answer.send(Err(failure)));
            return;
        }
        state.queue.push_back(fetch);
        self.offer(&mut state);
    }

    /// Finds an isolate for what waits in the queue.
    fn offer(&self, state: &mut State) {
        let mut best: Option<(usize, u64)> = None;
        for (id, seat) in &state.seats {
            if matches!(seat.phase, Phase::Idle { .. }) {
                let load = seat.requests.len();
                if best.is_none_or(|(least, _)| load < least) {
                    best = Some((load, *id));
                }
                if load == 0 {
                    break;
                }
            }
        }
        match best {
            Some((_, id)) => self.schedule(state, id),
            None => self.grow(state),
        }
    }

    /// Gives an idle isolate a thread.
    fn schedule(&self, state: &mut State, id: u64) {
        if let Some(seat) = state.seats.get_mut(&id)
            && matches!(seat.phase, Phase::Idle { .. })
        {
            seat.phase = Phase::Scheduled;
            let Some(pool) = self.this.upgrade() else { return };
            let executor = &self.scheduler.executor;
            if seat.doubts == 0 {
                executor.run_short(move || pool.run(id));
            } else {
                executor.run(move || pool.run(id));
            }
        }
    }

    /// The client of a request is gone.
    pub(crate) fn disconnected(&self, request: u32) {
        let mut state = self.lock();
        state.queue.retain(|fetch| fetch.request != request);
        let found = state.seats.iter_mut().find(|(_, seat)| seat.requests.contains(request));
        if let Some((id, seat)) = found {
            let told = seat.requests.disconnected(request);
            let is_told = !told.is_empty();
            seat.completed.extend(told);
            seat.arrived.notify_one();
            if seat.requests.contains(request) {
                seat.notices.push_back(Event::Disconnected { request });
            } else if !is_told {
                return self.finish_if_done(&mut state);
            }
            let id = *id;
            self.schedule(&mut state, id);
        }
        self.finish_if_done(&mut state);
    }

    /// Ends the pool once its requests are finished, at the latest after `grace`.
    pub(crate) fn retire(&self, grace: Duration) {
        let at = Instant::now() + grace;
        let mut state = self.lock();
        if state.retire_at.is_some_and(|earlier| earlier <= at) {
            return;
        }
        state.retire_at = Some(at);
        let dropped = self.take_idle(&mut state, |seat| seat.requests.is_empty());
        self.finish_if_done(&mut state);
        if !matches!(state.stage, Stage::Finished) {
            self.later(at, |pool| pool.end());
        }
        drop(state);
        drop(dropped);
    }

    /// The time that a retired pool's requests were given is over.
    fn end(&self) {
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.queue);
        let requests: Vec<Requests> = state.seats.values().map(|seat| seat.requests.clone()).collect();
        drop(state);
        for fetch in waiting {
            drop(fetch.answer.send(Err(Failure::Stopped)));
        }
        for requests in requests {
            requests.fail_all(&Failure::Stopped);
        }
        let mut state = self.lock();
        let dropped = self.take_idle(&mut state, |_| true);
        // Those in a turn end with it; nobody waits for them.
        self.finish(&mut state);
        drop(state);
        drop(dropped);
    }

    /// Takes out the idle isolates for which `choose` is true, the youngest first.
    #[must_use]
    fn take_idle(&self, state: &mut State, mut choose: impl FnMut(&Seat) -> bool) -> Dropped {
        let idle = state.seats.iter().rev().filter(|(_, seat)| matches!(seat.phase, Phase::Idle { .. }));
        let chosen: Vec<u64> = idle.filter(|(_, seat)| choose(seat)).map(|(id, _)| *id).collect();
        chosen.into_iter().filter_map(|id| self.remove(state, id)).collect()
    }

    /// Takes the isolate out of the pool.
    fn remove(&self, state: &mut State, id: u64) -> Option<Box<dyn Guest>> {
        let seat = state.seats.remove(&id)?;
        self.scheduler.release();
        seat.guest
    }

    fn finish_if_done(&self, state: &mut State) {
        if state.retire_at.is_some() && state.seats.is_empty() && state.queue.is_empty() {
            self.finish(state);
        }
    }

    fn finish(&self, state: &mut State) {
        state.stage = Stage::Finished;
        state.progress = None;
    }

    /// Since when the isolate that has been idle for longest is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.lock().seats.values().filter_map(Seat::spare_since).min()
    }

    /// Drops that isolate.
    pub(crate) fn drop_longest_idle(&self) {
        let mut state = self.lock();
        let longest = state.seats.values().filter_map(Seat::spare_since).min();
        let mut is_dropped = false;
        let dropped = self.take_idle(&mut state, |seat| {
            let choose = !is_dropped && longest.is_some() && seat.spare_since() == longest;
            is_dropped |= choose;
            choose
        });
        drop(state);
        drop(dropped);
    }
}

impl State {
    /// The Worker does not start.
    fn fail(&mut self, failure: &Failure) {
        self.stage = Stage::Failed(failure.clone());
        if let Some(progress) = &self.progress {
            progress.send_replace(Started::Failed(Fault { failure: failure.clone(), starting: true }));
        }
    }
}

impl Seat {
    fn new() -> Self {
        Self {
            phase: Phase::Starting,
            guest: None,
            generation: 0,
            completed: VecDeque::new(),
            notices: VecDeque::new(),
            arrived: Arc::new(Condvar::new()),
            requests: Requests::default(),
            turn: Turn { next_timer: None, pending_ops: 0 },
            armed: None,
            is_told: false,
            has_served: false,
            doubts: 0,
        }
    }

    /// Since when the isolate has had nothing to do and nothing to wait for.
    fn spare_since(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle { since }
                if self.turn.next_timer.is_none()
                    && self.turn.pending_ops == 0
                    && self.requests.is_empty() =>
            {
                Some(since)
            }
            _ => None,
        }
    }
}
