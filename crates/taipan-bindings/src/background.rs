//! Threads for operations that would hold an isolate's turn up: what computes for more than some tenths of a millisecond
//! answers later.
//!
//! There are as many as cores at most, for the whole process; further work waits its turn in a queue. What is asked for
//! by an isolate that has gone is done all the same, and its answer is dropped on the way. The time of an answer is charged to the
//! request that waits for it, as if it had been spent in a turn.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use taipan_engine::{Event, Meter, thread_cpu};

use crate::{EventSender, Requests};

/// A thread that has had no work for so long ends.
const IDLE: Duration = Duration::from_secs(10);

/// Who is told, and which request pays.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) events: EventSender,
    pub(crate) requests: Requests,
    /// 0: none.
    pub(crate) request: u32,
}

impl Client {
    /// Of an isolate.
    pub(crate) fn of(requests: &Requests, events: &EventSender) -> Self {
        Self { events: events.clone(), requests: requests.clone(), request: 0 }
    }

    /// Runs the job, which gives the answer, soon, on another thread.
    pub(crate) fn answer(self, job: impl FnOnce() -> Event + Send + 'static) {
        run(move || {
            let begun = thread_cpu();
            let event = job();
            self.tell(event, thread_cpu().saturating_sub(begun));
        });
    }

    /// Sends an answer that took so long.
    pub(crate) fn tell(&self, event: Event, cpu: Duration) {
        self.requests.spent(self.request, cpu);
        self.events.send(event);
    }
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

#[derive(Default)]
struct Pool {
    state: Mutex<State>,
    work: Condvar,
}

static POOL: LazyLock<Pool> = LazyLock::new(Pool::default);

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the job soon, on another thread.
fn run(job: impl FnOnce() + Send + 'static) {
    let most = thread::available_parallelism().map_or(1, usize::from);
    let mut state = POOL.lock();
    state.jobs.push_back(Box::new(job));
    if state.idle >= state.jobs.len() {
        POOL.work.notify_one();
    } else if state.threads < most {
        state.threads += 1;
        drop(state);
        if thread::Builder::new().name("background".into()).spawn(work).is_err() {
            // Rather late than never: here, if nobody else will.
            let mut state = POOL.lock();
            state.threads -= 1;
            let job = if state.threads == 0 { state.jobs.pop_back() } else { None };
            drop(state);
            if let Some(job) = job {
                job();
            }
        }
    }
}

fn work() {
    let mut state = POOL.lock();
    loop {
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            // A job that panics has said so; it must not take the others' thread along.
            catch_unwind(AssertUnwindSafe(job)).unwrap_or_default();
            state = POOL.lock();
            continue;
        }
        state.idle += 1;
        let (locked, timeout) = POOL.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
        state = locked;
        state.idle -= 1;
        if timeout.timed_out() && state.jobs.is_empty() {
            state.threads -= 1;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn every_job_runs_though_some_panic() {
        let (sender, done) = mpsc::channel();
        for n in 0..200 {
            let sender = sender.clone();
            run(move || {
                sender.send(n).unwrap();
                assert!(n % 50 != 0, "one of the jobs that panic on purpose");
            });
        }
        let mut seen: Vec<i32> =
            (0..200).map(|_| done.recv_timeout(Duration::from_secs(30)).unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
    }
}
