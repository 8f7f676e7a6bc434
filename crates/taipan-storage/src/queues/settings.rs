//! What holds for a queue, whoever sends to it: how long it keeps messages, how long they wait, and whether anybody is given any.
//!
//! ```sql
//! queues(name TEXT PRIMARY KEY, retention_ms INTEGER, delay_s INTEGER, is_paused INTEGER, expired INTEGER)
//! ```
//! A queue has a row once somebody has set something, or a message of it has expired. NULL is what holds otherwise.

use rusqlite::{Connection, OptionalExtension, params};

use super::{LONGEST_DELAY, Queues, lock};
use crate::StorageError;

/// How long messages are kept when nobody has said, in seconds: 4 days, as Cloudflare does.
pub const RETENTION: u32 = 4 * 24 * 3600;
/// They may be kept for so long, in seconds.
pub const RETENTIONS: std::ops::RangeInclusive<u32> = 60..=14 * 24 * 3600;

/// What holds for a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A message that nobody has worked on is given up after so many seconds.
    pub retention: u32,
    /// A message that is sent without a delay waits for so many seconds.
    pub delay: u32,
    /// Nobody is given messages.
    pub is_paused: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { retention: RETENTION, delay: 0, is_paused: false }
    }
}

/// What is to hold from now on; the rest stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// See [`Settings::retention`].
    pub retention: Option<u32>,
    /// See [`Settings::delay`].
    pub delay: Option<u32>,
    /// See [`Settings::is_paused`].
    pub is_paused: Option<bool>,
}

impl Change {
    fn check(&self) -> Result<(), StorageError> {
        if let Some(retention) = self.retention.filter(|retention| !RETENTIONS.contains(retention)) {
            let (least, most) = (RETENTIONS.start(), RETENTIONS.end());
            return Err(StorageError::refused(format!(
                "messages are kept for {least} to {most} seconds, not {retention}"
            )));
        }
        match self.delay {
            Some(delay) if delay > LONGEST_DELAY => Err(StorageError::refused(format!(
                "the delay is from 0 to {LONGEST_DELAY} seconds, not {delay}"
            ))),
            _ => Ok(()),
        }
    }
}

impl Queues {
    /// Changes what holds for a queue, and gives what does then. With `is_new`, nobody may have set anything before.
    pub fn change(
        &self,
        queue: &str,
        change: Change,
        is_new: bool,
        reply: impl FnOnce(Result<Settings, StorageError>) + Send + 'static,
    ) {
        if let Err(error) = change.check() {
            return reply(Err(error));
        }
        let (file, queue, watchers) = (self.file.clone(), queue.to_owned(), self.watchers.clone());
        let name = queue.clone();
        let work = move |connection: &Connection| {
            let at = |error| StorageError::sqlite(&file, error);
            let sql = "INSERT INTO queues (name) VALUES (?1) ON CONFLICT DO NOTHING";
            if connection.execute(sql, [&queue]).map_err(at)? == 0 && is_new {
                return Err(StorageError::refused(format!("there is such a queue already: {queue}")));
            }
            let sql = "UPDATE queues SET retention_ms = coalesce(?2 * 1000, retention_ms), delay_s = coalesce(?3, delay_s),
                is_paused = coalesce(?4, is_paused) WHERE name = ?1";
            let Change { retention, delay, is_paused } = change;
            connection.execute(sql, params![queue, retention, delay, is_paused]).map_err(at)?;
            of(connection, &queue).map_err(at)
        };
        let done = move |answer: Result<Settings, StorageError>| {
            if answer.is_ok() {
                // There may be something to take now.
                lock(&watchers).retain(|watcher| watcher(&name));
            }
            reply(answer);
        };
        self.writer.write(work, done);
    }

    /// Forgets a queue: its messages, whose number is given, and what was set.
    pub fn remove(&self, queue: &str, reply: impl FnOnce(Result<usize, StorageError>) + Send + 'static) {
        let (file, queue) = (self.file.clone(), queue.to_owned());
        let work = move |connection: &Connection| {
            connection.execute("DELETE FROM queues WHERE name = ?1", [&queue])?;
            connection.execute("DELETE FROM messages WHERE queue = ?1", [&queue])
        };
        self.writer.write(move |c| work(c).map_err(|error| StorageError::sqlite(&file, error)), reply);
    }
}

/// What holds for a queue.
pub(super) fn of(connection: &Connection, queue: &str) -> rusqlite::Result<Settings> {
    let sql = "SELECT retention_ms / 1000, delay_s, is_paused FROM queues WHERE name = ?1";
    let found = connection.prepare_cached(sql)?.query_row([queue], |row| {
        let (retention, delay): (Option<u32>, Option<u32>) = (row.get(0)?, row.get(1)?);
        Ok(Settings {
            retention: retention.unwrap_or(RETENTION),
            delay: delay.unwrap_or_default(),
            is_paused: row.get(2)?,
        })
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// Messages that entered the queue before are expired, in milliseconds since the epoch.
pub(super) fn oldest(settings: &Settings, now: i64) -> i64 {
    now.saturating_sub(i64::from(settings.retention) * 1000)
}

/// Whether somebody has set something, and how many messages have expired and are gone.
pub(super) fn row(connection: &Connection, queue: &str) -> rusqlite::Result<Option<i64>> {
    connection.query_row("SELECT expired FROM queues WHERE name = ?1", [queue], |row| row.get(0)).optional()
}

/// Removes the messages of a queue, or of all, that have expired, and counts them.
pub(super) fn expire(connection: &Connection, queue: Option<&str>, now: i64) -> rusqlite::Result<()> {
    let queues = match queue {
        Some(queue) => vec![queue.to_owned()],
        None => {
            let mut statement = connection.prepare("SELECT DISTINCT queue FROM messages")?;
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?
        }
    };
    for queue in queues {
        let before = oldest(&of(connection, &queue)?, now);
        let sql = "DELETE FROM messages WHERE queue = ?1 AND entered_at < ?2";
        let expired = connection.execute(sql, params![queue, before])?;
        if expired > 0 {
            let sql = "INSERT INTO queues (name, expired) VALUES (?1, ?2)
                ON CONFLICT DO UPDATE SET expired = expired + ?2";
            connection.execute(sql, params![queue, i64::try_from(expired).unwrap_or(i64::MAX)])?;
        }
    }
    Ok(())
}
