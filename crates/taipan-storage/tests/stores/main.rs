//! Stores on real files: what they keep, what they refuse, and what is left when a process is killed or a disk fails.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "clippy does not see that helpers of tests are tests"
)]

mod analytics;
mod crash;
mod d1;
mod disks;
mod elsewhere;
mod kv;
mod layouts;
mod power;
mod queues;
mod r2;
mod trouble;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;

use taipan_storage::{Clock, StateFolder, StorageError, SystemClock};

/// A clock that stands still until it is set.
#[derive(Debug)]
pub struct SetClock(pub AtomicI64);

impl SetClock {
    pub fn at(seconds: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(seconds * 1000)))
    }

    pub fn set(&self, seconds: i64) {
        self.0.store(seconds * 1000, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub fn folder(path: &Path) -> StateFolder {
    StateFolder::take(path, "tests", Arc::new(SystemClock)).unwrap()
}

/// Waits for what a store answers.
pub fn wait<T: Send + 'static>(
    ask: impl FnOnce(Box<dyn FnOnce(Result<T, StorageError>) + Send>),
) -> Result<T, StorageError> {
    let (sender, receiver) = mpsc::channel();
    ask(Box::new(move |answer| sender.send(answer).unwrap()));
    receiver.recv().unwrap()
}
