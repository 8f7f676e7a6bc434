//! When SQLite has to be done with what it is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;

/// A connection's. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Deadline(Arc<Mutex<Option<Instant>>>);

impl Deadline {
    /// Has SQLite look at the clock each time that its machine has made so many steps, and stop when it is over.
    pub(crate) fn watch(connection: &mut Connection, steps: i32) -> rusqlite::Result<Self> {
        let deadline = Self::default();
        let due = deadline.0.clone();
        let is_over = move || due.lock().is_some_and(|due| Instant::now() >= due);
        connection.progress_handler(steps, Some(is_over))?;
        Ok(deadline)
    }

    /// From now on it has so much time.
    pub(crate) fn give(&self, time: Duration) {
        *self.0.lock() = Some(Instant::now() + time);
    }

    /// It has all the time that it needs.
    pub(crate) fn lift(&self) {
        *self.0.lock() = None;
    }
}
