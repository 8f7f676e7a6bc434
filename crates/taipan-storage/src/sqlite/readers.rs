//! Threads that read a file, each with a connection of its own: a slow query holds up others of the same file at most.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::open_reader;
use crate::StorageError;

/// Threads per file.
const MOST_THREADS: usize = 4;

type Job<C> = Box<dyn FnOnce(Result<(&Connection, &C), StorageError>) + Send>;

struct State<C> {
    queue: VecDeque<Job<C>>,
    idle: usize,
    threads: usize,
    is_closed: bool,
}

struct Shared<C> {
    file: PathBuf,
    set_up: fn(&mut Connection) -> rusqlite::Result<C>,
    state: Mutex<State<C>>,
    arrived: Condvar,
}

/// The threads, which end with it. They are started as they are needed.
pub(crate) struct Readers<C: 'static = ()>(Arc<Shared<C>>);

impl<C> Readers<C> {
    /// `set_up` is done to each connection, and what it gives is lent with it.
    pub(crate) fn new(file: PathBuf, set_up: fn(&mut Connection) -> rusqlite::Result<C>) -> Self {
        let state = State { queue: VecDeque::new(), idle: 0, threads: 0, is_closed: false };
        Self(Arc::new(Shared { file, set_up, state: Mutex::new(state), arrived: Condvar::new() }))
    }

    /// Has a connection lent to `work`, or the reason why there is none.
    pub(crate) fn read(&self, work: impl FnOnce(Result<(&Connection, &C), StorageError>) + Send + 'static) {
        let mut state = self.0.state.lock();
        state.queue.push_back(Box::new(work));
        if state.idle >= state.queue.len() || state.threads >= MOST_THREADS {
            self.0.arrived.notify_one();
            return;
        }
        let shared = self.0.clone();
        let started = thread::Builder::new().name("storage-reader".to_owned()).spawn(move || shared.run());
        match started {
            Ok(_) => state.threads += 1,
            Err(error) if state.threads == 0 => {
                let failure = StorageError::io(&self.0.file, error);
                let queue = std::mem::take(&mut state.queue);
                drop(state);
                queue.into_iter().for_each(|job| job(Err(failure.clone())));
            }
            // Those that there are will do.
            Err(_) => {}
        }
    }
}

impl Readers {
    /// Replies with what `work` finds.
    pub(crate) fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        reply: impl FnOnce(Result<T, StorageError>) + Send + 'static,
    ) {
        let shared = self.0.clone();
        self.read(move |connection| {
            let found = connection
                .and_then(|(c, ())| work(c).map_err(|error| StorageError::sqlite(&shared.file, error)));
            reply(found);
        });
    }
}

impl<C> Drop for Readers<C> {
    fn drop(&mut self) {
        self.0.state.lock().is_closed = true;
        self.0.arrived.notify_all();
    }
}

impl<C> Shared<C> {
    fn run(&self) {
        let connection = open_reader(&self.file).and_then(|mut connection| {
            let with =
                (self.set_up)(&mut connection).map_err(|error| StorageError::sqlite(&self.file, error))?;
            Ok((connection, with))
        });
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                job(connection.as_ref().map(|(connection, with)| (connection, with)).map_err(Clone::clone));
                state = self.state.lock();
                if connection.is_err() && state.queue.is_empty() {
                    // The next one tries again.
                    state.threads -= 1;
                    return;
                }
            } else if state.is_closed {
                return;
            } else {
                state.idle += 1;
                self.arrived.wait(&mut state);
                state.idle -= 1;
            }
        }
    }
}
