//! Queues: messages that wait for somebody to work on them, in the order of the time from which they may be had.
//!
//! ```sql
//! messages(id INTEGER PRIMARY KEY, queue TEXT, kind TEXT, sent_at INTEGER, due_at INTEGER, attempts INTEGER, body BLOB,
//!     entered_at INTEGER)
//! ```
//! Times are milliseconds since the epoch; `entered_at` is that of the queue it is in, from which its retention counts. All queues are in one file, so that a message moves from one to another in one
//! transaction. Who has a message is known to this process only, and for as long as it lives: what was not settled before it ended is
//! delivered again. `attempts` counts the deliveries that were settled without an acknowledgement.
//!
//! What has expired is seen by nobody from that moment on. It is removed when somebody comes across it, and every hour.
//!
//! A clock may be set. A message that would be due later than any delay allows was sent by a clock that has been set back since, and is due.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use crate::clock::Clock;
use crate::sqlite::{self, Layout, Readers, Writer};
use crate::{StateFolder, StorageError};

mod settings;

pub use settings::{Change, RETENTION, RETENTIONS, Settings};

const LAYOUT: Layout = Layout {
    steps: &[
        "CREATE TABLE messages (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            queue TEXT NOT NULL,
            kind TEXT NOT NULL,
            sent_at INTEGER NOT NULL,
            due_at INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            body BLOB NOT NULL
        ) STRICT;
        CREATE INDEX by_due ON messages (queue, due_at, id)",
        "ALTER TABLE messages ADD COLUMN entered_at INTEGER NOT NULL DEFAULT 0;
        UPDATE messages SET entered_at = sent_at;
        CREATE TABLE queues (
            name TEXT PRIMARY KEY,
            retention_ms INTEGER,
            delay_s INTEGER,
            is_paused INTEGER NOT NULL DEFAULT 0,
            expired INTEGER NOT NULL DEFAULT 0
        ) STRICT, WITHOUT ROWID",
    ],
};

/// Largest message, in bytes.
pub const LARGEST_MESSAGE: usize = 128 << 10;
/// Most messages that are sent at once.
pub const MOST_SENT: usize = 100;
/// They may be as large together, in bytes.
pub const LARGEST_BATCH: usize = 256 << 10;
/// Longest delay, in seconds.
pub const LONGEST_DELAY: u32 = 43_200;

/// So often expired messages of all queues are looked for, in milliseconds.
const PURGE_EVERY: i64 = 3600 * 1000;

/// The queues of a folder.
pub struct Queues {
    writer: Writer,
    readers: Readers,
    file: Arc<Path>,
    clock: Arc<dyn Clock>,
    /// Messages that somebody has.
    taken: Arc<Mutex<HashSet<i64>>>,
    /// When those were last looked for that are too old.
    purged_at: AtomicI64,
    watchers: Arc<Mutex<Vec<Watcher>>>,
}

/// Is told the name of a queue in which there may be something to take that was not there before. Gives false when it need not be
/// told again.
pub type Watcher = Box<dyn Fn(&str) -> bool + Send>;

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queues({})", self.file.display())
    }
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// How its body is to be read; a word of the sender's.
    pub kind: String,
    /// Its body.
    pub body: Bytes,
    /// Nobody gets it for so many seconds; without a number, for those of the queue.
    pub delay: Option<u32>,
}

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub id: i64,
    /// How its body is to be read.
    pub kind: String,
    /// When it was sent, in milliseconds since the epoch.
    pub sent_at: i64,
    /// Which delivery this is, from 1 on.
    pub attempts: u32,
    /// Its body.
    pub body: Vec<u8>,
}

/// What there was to take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The messages, the first due first; none when there were fewer than asked for.
    pub messages: Vec<Message>,
    /// How many could have been had, as far as they were counted.
    pub ready: usize,
    /// When the next one is due after these, in milliseconds since the epoch.
    pub next_due: Option<i64>,
}

/// What becomes of a message that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done with.
    Acknowledged,
    /// It is to be had again after so many seconds, unless that was its last delivery.
    Retry(u32),
    /// It was not delivered, and is as it was.
    Untouched,
}

/// What holds for messages that were not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How many times a message is delivered again.
    pub max_retries: u32,
    /// The queue for those that are not any more; without one they are lost.
    pub dead_letter_queue: Option<String>,
}

/// How many messages a queue has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub messages: i64,
    /// Those that are delayed.
    pub delayed: i64,
    /// When the oldest was sent, in milliseconds since the epoch.
    pub oldest: Option<i64>,
    /// How many have expired so far.
    pub expired: i64,
    /// What holds for it.
    pub settings: Settings,
    /// Somebody has said so.
    pub is_set: bool,
}

type Answer<T> = Result<T, StorageError>;

impl Queues {
    /// Opens the queues of a folder.
    ///
    /// # Errors
    /// When their file cannot be used.
    pub fn open(folder: &StateFolder) -> Result<Self, StorageError> {
        let file = folder.file("queues", "queues")?;
        let clock = folder.clock();
        let connection = sqlite::open(&file, LAYOUT, &*clock)?;
        let now = clock.now_ms();
        settings::expire(&connection, None, now).map_err(|error| StorageError::sqlite(&file, error))?;
        let readers = Readers::new(file.clone(), |_| Ok(()));
        let writer = Writer::start(connection, file.clone())?;
        Ok(Self {
            writer,
            readers,
            file: file.into(),
            clock,
            taken: Arc::default(),
            purged_at: AtomicI64::new(now),
            watchers: Arc::default(),
        })
    }

    /// Has `watcher` told of messages, on a thread of the store's.
    pub fn watch(&self, watcher: Watcher) {
        lock(&self.watchers).push(watcher);
    }

    /// Sends messages, all or none.
    pub fn send(
        &self,
        queue: &str,
        messages: Vec<Outgoing>,
        reply: impl FnOnce(Answer<()>) + Send + 'static,
    ) {
        if let Err(error) = check(&messages) {
            return reply(Err(error));
        }
        let now = self.clock.now_ms();
        let (file, queue, watchers) = (self.file.clone(), queue.to_owned(), self.watchers.clone());
        let name = queue.clone();
        let is_time = !(0..PURGE_EVERY).contains(&(now - self.purged_at.load(Ordering::Relaxed)));
        if is_time {
            self.purged_at.store(now, Ordering::Relaxed);
        }
        let work = move |connection: &Connection| -> rusqlite::Result<()> {
            if is_time {
                settings::expire(connection, None, now)?;
            }
            let usual = settings::of(connection, &queue)?.delay;
            let sql = "INSERT INTO messages (queue, kind, sent_at, due_at, attempts, body, entered_at) VALUES (?1, ?2, ?3, ?4, 0, ?5, ?3)";
            let mut statement = connection.prepare_cached(sql)?;
            for message in &messages {
                let delay = message.delay.unwrap_or(usual);
                let due = now.saturating_add(i64::from(delay) * 1000);
                let body: &[u8] = &message.body;
                statement.execute(params![queue, message.kind, now, due, body])?;
            }
            Ok(())
        };
        let done = move |answer: Answer<()>| {
            if answer.is_ok() {
                lock(&watchers).retain(|watcher| watcher(&name));
            }
            reply(answer);
        };
        self.writer.write(move |c| work(c).map_err(|error| StorageError::sqlite(&file, error)), done);
    }

    /// Takes at most `most` messages that are due, if there are `least`. Whoever has them settles them.
    pub fn take(
        &self,
        queue: &str,
        least: usize,
        most: usize,
        reply: impl FnOnce(Answer<Taken>) + Send + 'static,
    ) {
        let (file, queue, taken) = (self.file.clone(), queue.to_owned(), self.taken.clone());
        let (now, writer) = (self.clock.now_ms(), self.writer.clone());
        self.readers.read(move |connection| {
            let answer = connection.and_then(|(connection, ())| {
                let at = |error| StorageError::sqlite(&file, error);
                let settings = settings::of(connection, &queue).map_err(at)?;
                if settings.is_paused {
                    return Ok((Taken::default(), false));
                }
                // Before the first read: what is settled afterwards would be seen as it was, and be taken for free.
                let others = lock(&taken).clone();
                let after = settings::oldest(&settings, now);
                find(connection, &queue, (now, after), least, most, &others).map_err(at)
            });
            let answer = answer.map(|(found, has_expired)| {
                lock(&taken).extend(found.messages.iter().map(|message| message.id));
                if has_expired {
                    let expire = move |c: &Connection| {
                        settings::expire(c, Some(&queue), now)
                            .map_err(|error| StorageError::sqlite(&file, error))
                    };
                    // On an error, the next one comes across them.
                    writer.write(expire, drop);
                }
                found
            });
            reply(answer);
        });
    }

    /// Says what becomes of messages that were taken.
    pub fn settle(
        &self,
        queue: &str,
        outcomes: Vec<(i64, Outcome)>,
        terms: Terms,
        reply: impl FnOnce(Answer<()>) + Send + 'static,
    ) {
        let now = self.clock.now_ms();
        let ids: Vec<i64> = outcomes.iter().map(|(id, _)| *id).collect();
        let mut told: BTreeSet<String> = terms.dead_letter_queue.iter().cloned().collect();
        told.insert(queue.to_owned());
        let work = move |connection: &Connection| -> rusqlite::Result<()> {
            for (id, outcome) in &outcomes {
                let delay = match outcome {
                    Outcome::Untouched => continue,
                    Outcome::Retry(delay) => delay,
                    Outcome::Acknowledged => {
                        connection.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([id])?;
                        continue;
                    }
                };
                let due = now.saturating_add(i64::from(*delay) * 1000);
                let sql = "UPDATE messages SET attempts = attempts + 1, due_at = ?2 WHERE id = ?1 AND attempts < ?3";
                if connection.prepare_cached(sql)?.execute(params![id, due, terms.max_retries])? > 0 {
                    continue;
                }
                match &terms.dead_letter_queue {
                    Some(dead) => {
                        let sql = "UPDATE messages SET queue = ?2, attempts = 0, due_at = ?3, entered_at = ?3 WHERE id = ?1";
                        connection.prepare_cached(sql)?.execute(params![id, dead, now])?;
                    }
                    None => {
                        connection.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([id])?;
                    }
                }
            }
            Ok(())
        };
        let (file, taken, watchers) = (self.file.clone(), self.taken.clone(), self.watchers.clone());
        let done = move |answer: Answer<()>| {
            // On an error, too: they are as they were, and are delivered again.
            let mut taken = lock(&taken);
            taken.retain(|id| !ids.contains(id));
            drop(taken);
            told.iter().for_each(|queue| lock(&watchers).retain(|watcher| watcher(queue)));
            reply(answer);
        };
        self.writer.write(move |c| work(c).map_err(|error| StorageError::sqlite(&file, error)), done);
    }

    /// How many messages a queue has.
    pub fn count(&self, queue: &str, reply: impl FnOnce(Answer<Count>) + Send + 'static) {
        let (queue, now) = (queue.to_owned(), self.clock.now_ms());
        let sql = "SELECT count(*) FILTER (WHERE entered_at >= ?3),
                count(*) FILTER (WHERE entered_at >= ?3 AND due_at > ?2),
                min(sent_at) FILTER (WHERE entered_at >= ?3),
                count(*) FILTER (WHERE entered_at < ?3)
            FROM messages WHERE queue = ?1";
        let count = move |connection: &Connection| {
            let settings = settings::of(connection, &queue)?;
            let row = settings::row(connection, &queue)?;
            connection.query_row(sql, params![queue, now, settings::oldest(&settings, now)], |found| {
                let expired: i64 = found.get(3)?;
                Ok(Count {
                    messages: found.get(0)?,
                    delayed: found.get(1)?,
                    oldest: found.get(2)?,
                    expired: row.unwrap_or_default().saturating_add(expired),
                    settings,
                    is_set: row.is_some(),
                })
            })
        };
        self.readers.query(count, reply);
    }

    /// The first messages of a queue, due or not, which stay there.
    pub fn peek(&self, queue: &str, most: usize, reply: impl FnOnce(Answer<Vec<Message>>) + Send + 'static) {
        let (queue, now) = (queue.to_owned(), self.clock.now_ms());
        let find = move |connection: &Connection| {
            let after = settings::oldest(&settings::of(connection, &queue)?, now);
            Ok(find(connection, &queue, (i64::MAX, after), 0, most, &HashSet::new())?.0.messages)
        };
        self.readers.query(find, reply);
    }

    /// Removes all messages of a queue. Gives their number.
    pub fn purge(&self, queue: &str, reply: impl FnOnce(Answer<usize>) + Send + 'static) {
        let (file, queue) = (self.file.clone(), queue.to_owned());
        let work = move |connection: &Connection| {
            connection.execute("DELETE FROM messages WHERE queue = ?1", [queue])
        };
        self.writer.write(move |c| work(c).map_err(|error| StorageError::sqlite(&file, error)), reply);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Messages that are due `now` and entered the queue `after`, and whether there are others that entered it before.
fn find(
    connection: &Connection,
    queue: &str,
    (now, after): (i64, i64),
    least: usize,
    most: usize,
    others: &HashSet<i64>,
) -> rusqlite::Result<(Taken, bool)> {
    let (mut found, mut has_expired) = (Taken::default(), false);
    // No delay leads beyond it.
    let horizon = now.saturating_add(i64::from(LONGEST_DELAY) * 1000);
    for is_beyond in [false, true] {
        let sql = format!(
            "SELECT id, due_at, kind, sent_at, attempts, body, entered_at FROM messages WHERE queue = ?1 AND due_at {} ?2 ORDER BY due_at, id",
            if is_beyond { ">" } else { "<=" }
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![queue, horizon])?;
        while let Some(row) = rows.next()? {
            let (id, due): (i64, i64) = (row.get(0)?, row.get(1)?);
            if others.contains(&id) {
                continue;
            }
            if due > now && !is_beyond {
                found.next_due = Some(due);
                break;
            }
            if row.get::<_, i64>(6)? < after {
                has_expired = true;
                continue;
            }
            found.ready += 1;
            if found.messages.len() == most {
                break;
            }
            found.messages.push(message(row)?);
        }
    }
    if found.messages.len() < least {
        found.messages.clear();
    }
    Ok((found, has_expired))
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let body = match row.get_ref(5)? {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => bytes.to_vec(),
        _ => Vec::new(),
    };
    let attempts: u32 = row.get(4)?;
    let attempts = attempts.saturating_add(1);
    Ok(Message { id: row.get(0)?, kind: row.get(2)?, sent_at: row.get(3)?, attempts, body })
}

fn check(messages: &[Outgoing]) -> Result<(), StorageError> {
    let refuse = |message: String| Err(StorageError::refused(message));
    if messages.len() > MOST_SENT {
        return refuse(format!("too many messages at once: {} > {MOST_SENT}", messages.len()));
    }
    for message in messages {
        if message.body.len() > LARGEST_MESSAGE {
            return refuse(format!(
                "the message is too large: {} > {LARGEST_MESSAGE} bytes",
                message.body.len()
            ));
        }
        if let Some(delay) = message.delay.filter(|delay| *delay > LONGEST_DELAY) {
            return refuse(format!("the delay is from 0 to {LONGEST_DELAY} seconds, not {delay}"));
        }
    }
    let size: usize = messages.iter().map(|message| message.body.len()).sum();
    if size > LARGEST_BATCH {
        return refuse(format!("the messages are too large together: {size} > {LARGEST_BATCH} bytes"));
    }
    Ok(())
}
