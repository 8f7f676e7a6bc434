//! How many isolates a pool has: when one is started, and when one is dropped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taipan_bindings::{EventSender, Failure, HostOps};
use taipan_engine::BootError;

use super::{Phase, Pool, Seat, Stage, State};
use crate::pool::turns::Outside;
use crate::worker::Started;

/// A request that waits for so long behind guest code that computes gets another isolate, while there are cores for it.
const STALL: Duration = Duration::from_millis(5);

/// The same when all cores are taken: the others have had their share by then.
const CROWDED_STALL: Duration = Duration::from_millis(100);

/// How long a pool waits that could not start an isolate.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_AFTER_ERROR: Duration = Duration::from_secs(1);

impl Pool {
    /// Starts isolates if there should be more.
    pub(super) fn grow(&self, state: &mut State) {
        while self.needs_more(state) {
            if state.not_before.is_some_and(|at| at > Instant::now()) {
                break;
            }
            if !self.scheduler.acquire() {
                state.not_before = Some(Instant::now() + RETRY);
                if let Some(message) = self.scheduler.make_room() {
                    self.console.warning(&message);
                }
                break;
            }
            let id = state.next_seat;
            state.next_seat += 1;
            state.seats.insert(id, Seat::new());
            self.on_thread(move |pool| pool.boot(id));
        }
        let may_grow = !state.queue.is_empty() && state.seats.len() < self.options.max;
        if may_grow || self.needs_more(state) {
            self.look_again(state);
        }
    }

    fn needs_more(&self, state: &State) -> bool {
        let (mut starting, mut coming, mut running) = (0, 0, 0);
        for seat in state.seats.values() {
            match seat.phase {
                Phase::Starting => starting += 1,
                Phase::Scheduled | Phase::Idle { .. } => coming += 1,
                Phase::Running => running += 1,
                Phase::Blocked => {}
            }
        }
        match state.stage {
            Stage::Failed(_) | Stage::Finished => return false,
            // The first one is alone: it may have to make the snapshot that the others start from.
            Stage::Booting => return state.seats.is_empty(),
            Stage::Ready => {}
        }
        if state.seats.len() >= self.options.max {
            return false;
        }
        // More at a time would only take the cores from each other.
        if starting >= self.scheduler.cores {
            return false;
        }
        if state.retire_at.is_none() && !state.dies_alone && state.seats.len() < self.options.min {
            return true;
        }
        let Some(oldest) = state.queue.front() else { return false };
        if starting + coming > 0 {
            // It may be able to take them all; if it cannot, it says so by blocking, or they wait for too long.
            return false;
        }
        if running == 0 {
            return true;
        }
        let stall = if running < self.scheduler.cores { STALL } else { CROWDED_STALL };
        oldest.since.elapsed() >= stall
    }

    /// Has the clock see to growth before long.
    fn look_again(&self, state: &mut State) {
        if std::mem::replace(&mut state.is_growth_armed, true) {
            return;
        }
        let soon = Instant::now() + STALL;
        let at = state.not_before.map_or(soon, |at| at.max(soon));
        self.later(at, |pool| {
            let mut state = pool.lock();
            state.is_growth_armed = false;
            pool.grow(&mut state);
        });
    }

    /// Starts the isolate of a seat, on a thread for turns, and goes on with its turns.
    fn boot(self: &Arc<Self>, id: u64) {
        let begun = Instant::now();
        let booted = (self.boot)(&|| self.host_ops(id));
        let mut state = self.lock();
        match booted {
            Ok(guest) => {
                state.not_before = None;
                let Some(seat) = state.seats.get_mut(&id) else { return };
                seat.guest = Some(guest);
                seat.phase = Phase::Scheduled;
                // Module scope may have set timers: the first, empty turn tells.
                seat.turn.next_timer = Some(Instant::now());
                if matches!(state.stage, Stage::Booting) {
                    state.stage = Stage::Ready;
                    if let Some(progress) = &state.progress {
                        progress.send_replace(Started::Ready { took: begun.elapsed() });
                    }
                }
                self.grow(&mut state);
                drop(state);
                self.run(id);
            }
            Err(error) => {
                let failure = match error {
                    BootError::Worker { report_json } => Failure::Report(report_json.into()),
                    BootError::Isolate(error) => Failure::Isolate(error),
                };
                self.remove(&mut state, id);
                if matches!(state.stage, Stage::Booting) {
                    state.fail(&failure);
                }
                state.not_before = Some(Instant::now() + RETRY_AFTER_ERROR);
                // With others alive, the requests wait for those.
                let waiting = if state.seats.is_empty() {
                    std::mem::take(&mut state.queue)
                } else {
                    Default::default()
                };
                self.grow(&mut state);
                self.finish_if_done(&mut state);
                drop(state);
                for fetch in waiting {
                    drop(fetch.answer.send(Err(failure.clone())));
                }
            }
        }
    }

    fn host_ops(&self, id: u64) -> HostOps {
        let mut state = self.lock();
        let (mut requests, mut generation) = Default::default();
        if let Some(seat) = state.seats.get_mut(&id) {
            seat.generation += 1;
            seat.completed.clear();
            generation = seat.generation;
            requests = seat.requests.clone();
        }
        let pool = self.this.clone();
        let events = EventSender::new(move |event| {
            if let Some(pool) = pool.upgrade() {
                pool.complete(id, generation, event);
            }
        });
        let outside = Outside { console: self.console.clone(), pool: self.this.clone(), id };
        let ops = HostOps::new(requests, events, Box::new(outside));
        let ops = match &self.scheduler.dialer {
            Some(dialer) => ops.with_dialer(dialer.clone()),
            None => ops,
        };
        match &self.scheduler.egress {
            Some(egress) => ops.with_egress(egress.clone()),
            None => ops,
        }
    }

    /// Has the clock drop isolates that have been idle for long.
    pub(super) fn watch_idle(&self, state: &mut State, since: Instant) {
        if state.is_shrinking_armed || state.seats.len() <= self.options.min {
            return;
        }
        state.is_shrinking_armed = true;
        self.later(since + self.options.idle, |pool| pool.on_thread(|pool| pool.shrink()));
    }

    /// Drops isolates that have been idle for long. Not on the clock's thread: it takes time.
    fn shrink(&self) {
        let mut state = self.lock();
        state.is_shrinking_armed = false;
        let mut spare = state.seats.len().saturating_sub(self.options.min);
        let idle = self.options.idle;
        let mut next: Option<Instant> = None;
        let dropped = self.take_idle(&mut state, |seat| {
            let Some(since) = seat.spare_since() else { return false };
            let choose = spare > 0 && since.elapsed() >= idle;
            spare -= usize::from(choose);
            if !choose {
                next = Some(next.map_or(since, |earlier| earlier.min(since)));
            }
            choose
        });
        if let Some(since) = next {
            self.watch_idle(&mut state, since);
        }
        self.finish_if_done(&mut state);
        drop(state);
        drop(dropped);
    }
}
