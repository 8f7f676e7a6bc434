//! What waits for a Worker's thread.
//!
//! Completed operations are kept apart from everything else because a guest in the middle of a turn can wait for
//! them alone ([`taipan_engine::Ops::wait`]), while new requests have to wait for the turn's end.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use taipan_engine::Event;

/// A queue of `M`, and a queue of the completed operations of the current instance.
pub(crate) struct Mailbox<M> {
    state: Mutex<State<M>>,
    arrived: Condvar,
}

struct State<M> {
    instance: u64,
    completed: VecDeque<Event>,
    messages: VecDeque<M>,
}

impl<M> Mailbox<M> {
    pub(crate) fn new() -> Self {
        let state = State { instance: 0, completed: VecDeque::new(), messages: VecDeque::new() };
        Self { state: Mutex::new(state), arrived: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn send(&self, message: M) {
        self.lock().messages.push_back(message);
        self.arrived.notify_one();
    }

    /// Queues a completed operation; one of an earlier instance is dropped, for its number now means another one.
    pub(crate) fn complete(&self, instance: u64, event: Event) {
        let mut state = self.lock();
        if state.instance == instance {
            state.completed.push_back(event);
            self.arrived.notify_one();
        }
    }

    /// Begins another instance and returns its number.
    pub(crate) fn next_instance(&self) -> u64 {
        let mut state = self.lock();
        state.completed.clear();
        state.instance += 1;
        state.instance
    }

    pub(crate) fn take_completed(&self) -> Option<Event> {
        self.lock().completed.pop_front()
    }

    pub(crate) fn take_message(&self) -> Option<M> {
        self.lock().messages.pop_front()
    }

    /// Puts a message back to where it was taken from.
    pub(crate) fn put_back(&self, message: M) {
        self.lock().messages.push_front(message);
    }

    /// Waits for a completed operation; `None` when the deadline has passed.
    pub(crate) fn wait_completed(&self, deadline: Option<Instant>) -> Option<Event> {
        self.wait(deadline, |state| state.completed.pop_front())
    }

    /// Waits for a message, whatever has been completed.
    pub(crate) fn wait_message(&self) -> Option<M> {
        self.wait(None, |state| state.messages.pop_front())
    }

    /// Waits until there is something to take, or the deadline has passed.
    pub(crate) fn wait_any(&self, deadline: Option<Instant>) {
        self.wait(deadline, |state| {
            (!state.completed.is_empty() || !state.messages.is_empty()).then_some(())
        });
    }

    fn wait<T>(
        &self,
        deadline: Option<Instant>,
        mut take: impl FnMut(&mut State<M>) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(taken) = take(&mut state) {
                return Some(taken);
            }
            state = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return None,
                Some(left) => {
                    self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}
