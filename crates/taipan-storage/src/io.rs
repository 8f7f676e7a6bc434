//! Threads for what waits for files, so that those do not wait who may not.
//!
//! There are a few, and others in place of those that wait for something elsewhere, which may take its time.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Threads of the process that do not wait for something elsewhere.
const THREADS: usize = 8;
/// There are no more, whatever they do.
const MOST: usize = 64;
/// One that there is too many of ends after so long without anything to do.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

struct Pool {
    state: Mutex<State>,
    arrived: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Those that wait for something elsewhere.
    away: usize,
}

static POOL: Pool = Pool {
    state: Mutex::new(State { jobs: VecDeque::new(), threads: 0, idle: 0, away: 0 }),
    arrived: Condvar::new(),
};

/// Has `job` done on one of the threads. It is dropped when there can be none.
pub fn on_io_thread(job: impl FnOnce() + Send + 'static) {
    POOL.state.lock().jobs.push_back(Box::new(job));
    see_to_jobs();
}

/// Does what waits for something elsewhere. Another thread does meanwhile what this one would have.
pub(crate) fn elsewhere<T>(work: impl FnOnce() -> T) -> T {
    POOL.state.lock().away += 1;
    see_to_jobs();
    let done = work();
    POOL.state.lock().away -= 1;
    done
}

/// Wakes or starts a thread if there is something to do.
fn see_to_jobs() {
    let mut state = POOL.state.lock();
    if state.jobs.is_empty() {
        return;
    }
    if state.idle >= state.jobs.len() {
        drop(state);
        POOL.arrived.notify_one();
    } else if state.threads.saturating_sub(state.away) < THREADS && state.threads < MOST {
        state.threads += 1;
        drop(state);
        if let Err(error) = thread::Builder::new().name("storage-io".to_owned()).spawn(work) {
            tracing::warn!("cannot start a thread for files: {error}");
            let mut state = POOL.state.lock();
            state.threads -= 1;
            if state.threads == 0 {
                let lost = std::mem::take(&mut state.jobs);
                drop(state);
                drop(lost);
            }
        }
    }
}

fn work() {
    let mut state = POOL.state.lock();
    loop {
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            job();
            state = POOL.state.lock();
            continue;
        }
        state.idle += 1;
        let is_over = POOL.arrived.wait_for(&mut state, IDLE).timed_out();
        state.idle -= 1;
        if is_over && state.jobs.is_empty() && state.threads > THREADS {
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
    fn who_waits_for_something_elsewhere_keeps_nobody_waiting() {
        let (done, all) = mpsc::channel();
        let mut held = Vec::new();
        for _ in 0..2 * THREADS {
            let (go, wait) = mpsc::channel::<()>();
            let done = done.clone();
            on_io_thread(move || {
                elsewhere(|| wait.recv().unwrap_err());
                done.send(()).unwrap();
            });
            held.push(go);
        }
        let (free, came) = mpsc::channel();
        on_io_thread(move || free.send(()).unwrap());
        came.recv_timeout(Duration::from_secs(30)).unwrap();
        drop(held);
        (0..2 * THREADS).for_each(|_| all.recv_timeout(Duration::from_secs(30)).unwrap());
    }
}
