//! The one thread that writes to a file.
//!
//! ```text
//!  jobs ──▶ queue ──▶ BEGIN │ job │ job │ job │ COMMIT (sync) ──▶ answers
//! ```
//! What arrives while a commit syncs waits, and shares the next one: how many writes a sync carries follows from how many
//! there are, and a lone write waits for nobody. A job that fails is undone by itself (a savepoint); when the commit fails, all of
//! them have.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::StorageError;

/// A commit carries at most so many jobs, and takes no more after so long: whoever came first should not wait for long.
const LARGEST_GROUP: usize = 256;
const LONGEST_GROUP: Duration = Duration::from_millis(20);

/// Answers a job that has run: with the error if the commit failed.
type Answer = Box<dyn FnOnce(Option<StorageError>) + Send>;

/// Shares a transaction with others. Without one it is only to be answered. Gives why it failed, if it did.
type SharedJob = Box<dyn FnOnce(Option<&Connection>) -> (Option<StorageError>, Answer) + Send>;

enum Job {
    /// See [`SharedJob`].
    Shared(SharedJob),
    /// Does its own transactions, and answers itself.
    Alone(Box<dyn FnOnce(&Connection) + Send>),
}

/// A handle of the thread, which ends with the last one.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    jobs: Sender<Job>,
}

impl Writer {
    pub(crate) fn start(connection: Connection, file: PathBuf) -> Result<Self, StorageError> {
        let (jobs, queue) = mpsc::channel();
        let named = file.clone();
        let thread = thread::Builder::new().name("storage-writer".to_owned());
        let started = thread.spawn(move || work(&connection, &file, &queue));
        started.map_err(|error| StorageError::io(&named, error))?;
        Ok(Self { jobs })
    }

    /// Has `work` done in a transaction, and `reply` called when that is on disk. Without a thread, `reply` is dropped.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StorageError> + Send + 'static,
        reply: impl FnOnce(Result<T, StorageError>) + Send + 'static,
    ) {
        let job = move |connection: Option<&Connection>| -> (Option<StorageError>, Answer) {
            let done = connection.map(work);
            let failure = done.as_ref().and_then(|done| done.as_ref().err().cloned());
            let answer = move |error: Option<StorageError>| match (done, error) {
                (Some(Err(own)), _) => reply(Err(own)),
                (_, Some(error)) => reply(Err(error)),
                (done, None) => reply(done.unwrap_or(Err(StorageError::Closed))),
            };
            (failure, Box::new(answer))
        };
        drop(self.jobs.send(Job::Shared(Box::new(job))));
    }

    /// Has `work` done outside of any transaction.
    pub(crate) fn alone(&self, work: impl FnOnce(&Connection) + Send + 'static) {
        drop(self.jobs.send(Job::Alone(Box::new(work))));
    }
}

fn work(connection: &Connection, file: &Path, queue: &Receiver<Job>) {
    let mut next = queue.recv().ok();
    while let Some(job) = next.take() {
        next = match job {
            Job::Alone(work) => {
                work(connection);
                None
            }
            Job::Shared(job) => group(connection, file, job, queue),
        };
        if next.is_none() {
            next = queue.recv().ok();
        }
    }
}

/// Runs jobs in one transaction. Gives the job that ended the group because it cannot be part of one.
fn group(connection: &Connection, file: &Path, first: SharedJob, queue: &Receiver<Job>) -> Option<Job> {
    let begun = Instant::now();
    let at = |error| StorageError::sqlite(file, error);
    let mut answers = Vec::new();
    let mut left = None;
    let mut next = Some(first);
    let mut failure = connection.execute_batch("BEGIN IMMEDIATE").map_err(at).err();
    while let Some(job) = next.take() {
        if failure.is_none() {
            failure = connection.execute_batch("SAVEPOINT job").map_err(at).err();
        }
        let (own, answer) = job(failure.is_none().then_some(connection));
        answers.push(answer);
        if failure.is_none() {
            let end = if own.is_none() { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
            failure = match own {
                // A full disk, say, has ended the whole transaction.
                Some(own) if connection.is_autocommit() => Some(own),
                _ => connection.execute_batch(end).map_err(at).err(),
            };
        }
        if answers.len() >= LARGEST_GROUP || begun.elapsed() >= LONGEST_GROUP || failure.is_some() {
            break;
        }
        match queue.try_recv() {
            Ok(Job::Shared(job)) => next = Some(job),
            Ok(other) => left = Some(other),
            Err(_) => {}
        }
    }
    let failure = failure.or_else(|| connection.execute_batch("COMMIT").map_err(at).err());
    if failure.is_some() && !connection.is_autocommit() {
        drop(connection.execute_batch("ROLLBACK"));
    }
    for answer in answers {
        answer(failure.clone());
    }
    left
}
