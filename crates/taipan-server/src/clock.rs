//! Calls at given times, for all isolates of the process from one thread: an isolate that sleeps holds none.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

type Callback = Box<dyn FnOnce() + Send>;

struct Call {
    at: Instant,
    /// Calls for the same time keep their order.
    number: u64,
    callback: Callback,
}

impl Ord for Call {
    /// The earliest call is the greatest, because a heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Call {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Call {}

#[derive(Default)]
struct State {
    calls: BinaryHeap<Call>,
    next_number: u64,
    is_ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that waits. Dropped, it forgets the calls that were not due.
pub(crate) struct Clock(Arc<Shared>);

impl Clock {
    pub(crate) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let for_thread = shared.clone();
        thread::Builder::new().name("clock".into()).spawn(move || run(&for_thread))?;
        Ok(Self(shared))
    }

    /// Calls back at that time. The callback must not take long: others wait for it.
    pub(crate) fn at(&self, at: Instant, callback: impl FnOnce() + Send + 'static) {
        let mut state = self.0.lock();
        let is_next = state.calls.peek().is_none_or(|next| at < next.at);
        let number = state.next_number;
        state.next_number += 1;
        state.calls.push(Call { at, number, callback: Box::new(callback) });
        drop(state);
        if is_next {
            self.0.changed.notify_one();
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.0.lock().is_ended = true;
        self.0.changed.notify_one();
    }
}

fn run(shared: &Shared) {
    let mut state = shared.lock();
    while !state.is_ended {
        let left = state.calls.peek().map(|next| next.at.saturating_duration_since(Instant::now()));
        state = match left {
            None => shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(left) if !left.is_zero() => {
                shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
            Some(_) => {
                let call = state.calls.pop();
                drop(state);
                if let Some(call) = call {
                    (call.callback)();
                }
                shared.lock()
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn calls_come_in_the_order_of_their_times() {
        let clock = Clock::start().unwrap();
        let (sender, receiver) = mpsc::channel();
        let now = Instant::now();
        for (name, ms) in [("c", 60), ("a", 20), ("b", 40)] {
            let sender = sender.clone();
            let at = now + Duration::from_millis(ms);
            clock.at(at, move || sender.send((name, Instant::now() >= at)).unwrap());
        }
        let all: Vec<_> = receiver.iter().take(3).collect();
        assert_eq!(all, [("a", true), ("b", true), ("c", true)]);
    }
}
