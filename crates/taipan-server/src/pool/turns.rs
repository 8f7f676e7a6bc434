//! An isolate's turns: what is delivered, and what becomes of the isolate between them.

use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use taipan_bindings::{Embedder, Failure};
use taipan_engine::{Event, IsolateError};

use super::{Phase, Pool, Stage, State};
use crate::worker::Guest;
use crate::{Console, Level};

/// At most so many completed operations are delivered in one turn, so that a turn's CPU limit stays a limit on little.
const EVENTS_PER_TURN: usize = 64;

/// An isolate's next turns are not expected to be short when one took longer than this.
const SHORT: Duration = Duration::from_millis(2);

/// So many turns must have been short since then.
const CONVINCED: u32 = 64;

/// What an isolate's thread does next.
enum Step {
    Turn(Vec<Event>),
    /// Tells a handler that it waits for nothing.
    Hung(Vec<Event>),
    /// There is nothing to do: the guest is back in its seat.
    Leave,
    /// The isolate is not needed any more.
    Drop,
}

impl Pool {
    /// Runs turns of an isolate until it has nothing left to do.
    pub(super) fn run(self: &Arc<Self>, id: u64) {
        let mut guest: Option<Box<dyn Guest>> = None;
        let mut state = self.lock();
        loop {
            let step = self.step(&mut state, id, &mut guest);
            drop(state);
            let events = match step {
                Step::Turn(events) | Step::Hung(events) => events,
                Step::Leave | Step::Drop => return,
            };
            let Some(running) = &mut guest else { return };
            let begun = Instant::now();
            match running.turn(events) {
                Ok(turn) => {
                    let is_short = begun.elapsed() < SHORT;
                    state = self.lock();
                    let Some(seat) = state.seats.get_mut(&id) else { return };
                    seat.turn = turn;
                    seat.doubts = if is_short { seat.doubts.saturating_sub(1) } else { CONVINCED };
                    if self.scheduler.executor.has_waiting() {
                        // Others want a turn, too.
                        seat.guest = guest;
                        seat.phase = Phase::Scheduled;
                        return self.on_thread(move |pool| pool.run(id));
                    }
                }
                Err(error) => {
                    drop(guest);
                    return self.stopped(id, error);
                }
            }
        }
    }

    fn step(&self, state: &mut State, id: u64, guest: &mut Option<Box<dyn Guest>>) -> Step {
        let is_finished = matches!(state.stage, Stage::Finished);
        let Some(seat) = state.seats.get_mut(&id) else { return Step::Drop };
        if guest.is_none() {
            *guest = seat.guest.take();
        }
        seat.phase = Phase::Running;
        if is_finished {
            // Its requests were given up meanwhile.
            self.remove(state, id);
            return Step::Drop;
        }

        let count = seat.completed.len().min(EVENTS_PER_TURN);
        let mut events: Vec<Event> = seat.completed.drain(..count).collect();
        events.extend(seat.notices.drain(..));
        // One, and last: a handler that blocks holds up what is delivered behind it.
        while let Some(fetch) = state.queue.pop_front() {
            if fetch.answer.is_closed() {
                continue;
            }
            seat.requests.open(fetch.request, fetch.body, fetch.answer);
            if fetch.depth > 0 {
                seat.requests.within(fetch.request, fetch.depth, fetch.result);
            }
            seat.has_served = true;
            events.push(Event::Fetch { request: fetch.request, head: fetch.head });
            break;
        }
        let now = Instant::now();
        if !events.is_empty() || seat.turn.next_timer.is_some_and(|due| due <= now) {
            seat.is_told = false;
            return Step::Turn(events);
        }
        if seat.turn.pending_ops == 0 && seat.turn.next_timer.is_none() && !seat.requests.is_empty() {
            // Nothing is left that could wake a handler. The guest knows where each waits; what it does not answer
            // then, nobody will.
            if !std::mem::replace(&mut seat.is_told, true) {
                let numbers = seat.requests.numbers();
                return Step::Hung(numbers.into_iter().map(|request| Event::Hung { request }).collect());
            }
            seat.requests.fail_all(&Failure::Hung);
        }
        if state.retire_at.is_some() && seat.requests.is_empty() {
            self.remove(state, id);
            self.finish_if_done(state);
            return Step::Drop;
        }
        self.leave(state, id, guest.take(), now);
        Step::Leave
    }

    /// Puts the guest back into its seat until there is something to deliver.
    fn leave(&self, state: &mut State, id: u64, guest: Option<Box<dyn Guest>>, now: Instant) {
        let Some(seat) = state.seats.get_mut(&id) else { return };
        seat.guest = guest;
        seat.phase = Phase::Idle { since: now };
        state.dies_alone = false;
        if let Some(at) = seat.turn.next_timer {
            if seat.armed.is_none_or(|armed| armed > at) {
                seat.armed = Some(at);
                self.later(at, move |pool| pool.due(id));
            }
        } else if seat.spare_since().is_some() {
            self.watch_idle(state, now);
        }
    }

    /// A timer of the isolate may be due.
    fn due(&self, id: u64) {
        let mut state = self.lock();
        let Some(seat) = state.seats.get_mut(&id) else { return };
        seat.armed = None;
        match seat.turn.next_timer {
            _ if !matches!(seat.phase, Phase::Idle { .. }) => {}
            Some(at) if at > Instant::now() => {
                seat.armed = Some(at);
                self.later(at, move |pool| pool.due(id));
            }
            Some(_) => self.schedule(&mut state, id),
            None => {}
        }
    }

    /// An operation of the isolate is completed.
    pub(super) fn complete(&self, id: u64, generation: u64, event: Event) {
        let mut state = self.lock();
        let Some(seat) = state.seats.get_mut(&id) else { return };
        if seat.generation != generation {
            return;
        }
        seat.completed.push_back(event);
        seat.arrived.notify_one();
        self.schedule(&mut state, id);
    }

    /// Waits in the middle of a turn for a completed operation; `None` when the deadline has passed.
    fn wait(&self, id: u64, deadline: Option<Instant>) -> Option<Event> {
        let mut state = self.lock();
        let seat = state.seats.get_mut(&id)?;
        if let Some(event) = seat.completed.pop_front() {
            return Some(event);
        }
        let before = seat.phase;
        if before == Phase::Running {
            seat.phase = Phase::Blocked;
        }
        // What it would have taken next needs somebody else.
        self.grow(&mut state);
        drop(state);
        let event = self.scheduler.executor.blocked(|| self.arrival(id, deadline));
        if let Some(seat) = self.lock().seats.get_mut(&id) {
            seat.phase = before;
        }
        event
    }

    /// The next operation of the isolate to be completed until then.
    fn arrival(&self, id: u64, deadline: Option<Instant>) -> Option<Event> {
        let mut state = self.lock();
        loop {
            let seat = state.seats.get_mut(&id)?;
            if let Some(event) = seat.completed.pop_front() {
                return Some(event);
            }
            let arrived = seat.arrived.clone();
            state = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return None,
                Some(left) => arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// The isolate is dead.
    fn stopped(&self, id: u64, error: IsolateError) {
        let mut state = self.lock();
        let Some(seat) = state.seats.get(&id) else { return };
        let (requests, has_served) = (seat.requests.clone(), seat.has_served);
        self.remove(&mut state, id);
        drop(state);
        let lost = requests.fail_all(&Failure::Isolate(error.clone()));
        self.console.isolate_stopped(&error, lost);
        let mut state = self.lock();
        state.dies_alone |= !has_served;
        self.grow(&mut state);
        self.finish_if_done(&mut state);
    }
}

/// An isolate's way to its pool.
pub(super) struct Outside {
    pub(super) console: Arc<dyn Console>,
    pub(super) pool: Weak<Pool>,
    pub(super) id: u64,
}

impl Embedder for Outside {
    fn log(&mut self, level: u8, line: &str) {
        self.console.guest(Level::from(level), line);
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Event> {
        self.pool.upgrade()?.wait(self.id, deadline)
    }
}
