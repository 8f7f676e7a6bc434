//! The threads that isolates have their turns on.
//!
//! Guest calls nest on the stack, which has to be far larger than an async executor's threads have, and a guest in
//! `run_sync` blocks its thread. So turns have threads of their own: made when there is work for them, used again, gone when
//! there has been none for a while. An isolate without an event to deliver holds none of them.
//!
//! At most a few threads per core run turns at the same time; the operating system shares the cores among them. Threads
//! that wait in `run_sync` do not count. When all of them are in long turns, so that work has to wait, there is one more
//! thread every [`PATIENCE`]: a guest in an endless loop cannot starve the others.
//!
//! **Short turns** have no thread of their own: to wake another thread, and to be woken by it, takes longer than they do. What has
//! come in on a thread of the [`connections`] runtime has its turn on that thread, next: as a task, which such a thread begins when
//! the one that made it waits. Its threads are more than turns may hold up, so connections of others go on meanwhile.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use taipan_engine::STACK_SIZE;
use tokio::runtime::{Builder, Runtime, worker_index};
use tokio::task::block_in_place;

use crate::clock::Clock;

/// A thread that has had no work for so long ends.
const IDLE: Duration = Duration::from_secs(10);

/// Work waits no longer for a thread than this.
const PATIENCE: Duration = Duration::from_millis(10);

/// Threads that run turns at the same time before anything has to wait, for each core.
const PER_CORE: usize = 2;

/// Threads of [`connections`] beyond those that turns may hold up.
const FREE: usize = 2;

/// More threads than this do not run turns at the same time, however long the turns are.
const MOST: usize = 256;

thread_local! {
    /// The thread is one of [`connections`], and has the stack that turns need.
    static HAS_STACK: Cell<bool> = const { Cell::new(false) };
    /// Its turn on such a thread holds a place.
    static IS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// The runtime for connections, on whose threads short turns are had. On any other runtime all turns have threads of their own.
pub fn connections() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(cores() + FREE)
        .thread_stack_size(STACK_SIZE)
        .on_thread_start(|| HAS_STACK.set(true))
        .enable_all()
        .build()
}

pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

type Job = Box<dyn FnOnce() + Send>;

/// Where a thread without work gets its next.
#[derive(Default)]
struct Seat {
    job: Mutex<Option<Job>>,
    given: Condvar,
}

#[derive(Default)]
struct State {
    /// Work that no thread has taken, and since when.
    jobs: VecDeque<(Instant, Job)>,
    /// Threads without work. The last one had work most recently: its stack is warm, and the first ones may end.
    idle: Vec<Arc<Seat>>,
    threads: usize,
    /// Threads that wait in the middle of a turn.
    blocked: usize,
    is_rescue_due: bool,
}

/// The threads.
pub(crate) struct Executor {
    state: Mutex<State>,
    /// How many jobs no thread has taken; a copy that can be read without the lock.
    waiting: AtomicUsize,
    parallel: usize,
    /// How many turns may hold up threads of [`connections`], and how many do.
    most_here: usize,
    here: AtomicUsize,
    clock: Arc<Clock>,
}

impl Executor {
    pub(crate) fn new(cores: usize, clock: Arc<Clock>) -> Arc<Self> {
        let parallel = cores.saturating_mul(PER_CORE);
        Arc::new(Self {
            state: Mutex::default(),
            waiting: AtomicUsize::new(0),
            parallel,
            most_here: cores,
            here: AtomicUsize::new(0),
            clock,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the job soon, on some thread with [`STACK_SIZE`] of stack.
    pub(crate) fn run(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        let job: Job = Box::new(job);
        let mut state = self.lock();
        if let Some(seat) = state.idle.pop() {
            drop(state);
            *seat.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
            seat.given.notify_one();
            return;
        }
        state.jobs.push_back((Instant::now(), job));
        self.waiting.store(state.jobs.len(), Ordering::Relaxed);
        self.staff(state, self.parallel);
    }

    /// The same for a job that is over soon: on this thread if it can be, when the task that runs now waits.
    pub(crate) fn run_short(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        let more = |n| (n < self.most_here).then_some(n + 1);
        if !HAS_STACK.get()
            || worker_index().is_none()
            || self.here.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err()
        {
            return self.run(job);
        }
        let place = Place(self.clone());
        drop(tokio::spawn(async move {
            IS_HERE.set(true);
            job();
            drop(place);
        }));
    }

    /// Whether some job waits for a thread.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Calls `wait`, in which the calling thread waits inside of its job.
    pub(crate) fn blocked<T>(self: &Arc<Self>, wait: impl FnOnce() -> T) -> T {
        if IS_HERE.get() {
            // Connections go on on another thread; what the guest waits for may be among them.
            self.here.fetch_sub(1, Ordering::Relaxed);
            let result = block_in_place(wait);
            self.here.fetch_add(1, Ordering::Relaxed);
            return result;
        }
        let mut state = self.lock();
        state.blocked += 1;
        self.staff(state, self.parallel);
        let result = wait();
        self.lock().blocked -= 1;
        result
    }

    /// Makes a thread for the jobs that wait if fewer than `most` run turns; looks again later in any case.
    fn staff(self: &Arc<Self>, mut state: MutexGuard<'_, State>, most: usize) {
        if state.jobs.is_empty() {
            return;
        }
        if state.threads - state.blocked < most {
            state.threads += 1;
            let executor = self.clone();
            // Started without a job: it takes the oldest, whoever put it there.
            let thread = thread::Builder::new().name("turns".into()).stack_size(STACK_SIZE);
            if thread.spawn(move || executor.work()).is_err() {
                state.threads -= 1;
            }
        }
        if !state.is_rescue_due {
            state.is_rescue_due = true;
            let executor = Arc::downgrade(self);
            self.clock.at(Instant::now() + PATIENCE, move || {
                if let Some(executor) = executor.upgrade() {
                    let mut state = executor.lock();
                    state.is_rescue_due = false;
                    let is_late = state.jobs.front().is_some_and(|(since, _)| since.elapsed() >= PATIENCE);
                    executor.staff(state, if is_late { MOST } else { executor.parallel });
                }
            });
        }
    }

    /// A thread's life.
    fn work(&self) {
        let seat = Arc::new(Seat::default());
        let mut state = self.lock();
        loop {
            let job = match state.jobs.pop_front() {
                Some((_, job)) => {
                    self.waiting.store(state.jobs.len(), Ordering::Relaxed);
                    drop(state);
                    job
                }
                None => {
                    state.idle.push(seat.clone());
                    drop(state);
                    match self.idle(&seat) {
                        Some(job) => job,
                        None => return,
                    }
                }
            };
            job();
            state = self.lock();
        }
    }

    /// Waits to be given a job. None: the thread may end, and is not counted any more.
    fn idle(&self, seat: &Arc<Seat>) -> Option<Job> {
        let mut given = seat.job.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + IDLE;
        loop {
            if let Some(job) = given.take() {
                return Some(job);
            }
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                given = seat.given.wait_timeout(given, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            drop(given);
            let mut state = self.lock();
            if let Some(place) = state.idle.iter().position(|other| Arc::ptr_eq(other, seat)) {
                state.idle.remove(place);
                state.threads -= 1;
                return None;
            }
            // Somebody has taken it off the list to give it a job.
            drop(state);
            given = seat.job.lock().unwrap_or_else(PoisonError::into_inner);
            while given.is_none() {
                given = seat.given.wait(given).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    #[cfg(test)]
    fn threads(&self) -> usize {
        self.lock().threads
    }
}

/// A turn that holds up a thread of [`connections`].
struct Place(Arc<Executor>);

impl Drop for Place {
    fn drop(&mut self) {
        IS_HERE.set(false);
        self.0.here.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn executor(cores: usize) -> Arc<Executor> {
        Executor::new(cores, Arc::new(Clock::start().unwrap()))
    }

    #[test]
    fn threads_are_used_again() {
        let executor = executor(1);
        let (sender, receiver) = mpsc::channel();
        for _ in 0..1000 {
            let sender = sender.clone();
            executor.run(move || sender.send(()).unwrap());
        }
        assert_eq!(receiver.iter().take(1000).count(), 1000);
        assert!(executor.threads() <= 1000 / 10, "{}", executor.threads());
    }

    #[test]
    fn jobs_that_wait_inside_leave_their_place_to_others() {
        let executor = executor(1);
        let (sender, receiver) = mpsc::channel();
        // Each waits for the next one, so all have to be under way at the same time.
        let mut wait_for: Option<mpsc::Receiver<()>> = None;
        for _ in 0..50 {
            let (done, next) = mpsc::channel();
            let (mine, executor_too, sender) = (wait_for.replace(next), executor.clone(), sender.clone());
            executor.run(move || {
                if let Some(before) = mine {
                    executor_too.blocked(|| before.recv().unwrap());
                }
                done.send(()).unwrap_or_default();
                sender.send(()).unwrap();
            });
        }
        assert_eq!(receiver.iter().take(50).count(), 50);
    }

    #[test]
    fn endless_jobs_do_not_starve_the_others() {
        let executor = executor(1);
        let (end, ended) = mpsc::channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        for _ in 0..20 {
            let ended = ended.clone();
            executor.run(move || ended.lock().unwrap().recv().unwrap_or_default());
        }
        let (sender, receiver) = mpsc::channel();
        executor.run(move || sender.send(()).unwrap());
        receiver.recv_timeout(Duration::from_secs(10)).unwrap();
        drop(end);
    }

    #[test]
    fn short_jobs_run_where_connections_are() {
        let executor = executor(1);
        let runtime = connections().unwrap();
        let (sender, receiver) = mpsc::channel();
        runtime.block_on(async {
            let (executor, sender) = (executor.clone(), sender.clone());
            let task = tokio::spawn(async move {
                for _ in 0..100 {
                    let sender = sender.clone();
                    executor.run_short(move || sender.send(HAS_STACK.get()).unwrap());
                    tokio::task::yield_now().await;
                }
            });
            task.await.unwrap();
        });
        let here = receiver.iter().take(100).filter(|here| *here).count();
        assert!(here > 0);
        // This thread is none of the runtime's.
        executor.run_short(move || sender.send(HAS_STACK.get()).unwrap());
        assert!(!receiver.recv().unwrap());
    }

    #[test]
    fn a_short_job_that_waits_lets_connections_go_on() {
        let executor = executor(1);
        let runtime = connections().unwrap();
        let (sender, receiver) = mpsc::channel();
        runtime.block_on(async {
            let task = tokio::spawn(async move {
                let (done, awaited) = mpsc::channel();
                let inner = executor.clone();
                executor.run_short(move || {
                    // A task that this thread would begin next.
                    drop(tokio::spawn(async move { done.send(()).unwrap() }));
                    inner.blocked(|| awaited.recv().unwrap());
                    sender.send(()).unwrap();
                });
            });
            task.await.unwrap();
        });
        receiver.recv_timeout(Duration::from_secs(10)).unwrap();
    }
}
