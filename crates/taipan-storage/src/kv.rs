//! Key-value namespaces: keys in the order of their bytes, each with a value, perhaps with metadata and a time to end at.
//!
//! ```sql
//! entries(key TEXT UNIQUE, expires_at INTEGER, metadata TEXT, value BLOB)   -- seconds since the epoch; metadata is JSON
//! ```
//! The value comes last, so that lists do not read it. An entry whose time has come is not there for anybody, and is removed
//! with some later write.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::Clock;
use crate::order::end_of;
use crate::sqlite::{self, Layout, Near, Readers, Writer};
use crate::{StateFolder, StorageError};

const LAYOUT: Layout = Layout {
    steps: &["CREATE TABLE entries (
            id INTEGER PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            expires_at INTEGER,
            metadata TEXT,
            value BLOB NOT NULL
        ) STRICT;
        CREATE INDEX by_end ON entries (expires_at) WHERE expires_at IS NOT NULL"],
};

/// Longest key, in bytes.
pub const LONGEST_KEY: usize = 512;
/// Largest value, in bytes.
pub const LARGEST_VALUE: usize = 25 << 20;
/// Longest metadata as JSON, in bytes.
pub const LONGEST_METADATA: usize = 1024;
/// Most keys that are read at once, or listed.
pub const MOST_READ: usize = 100;
/// Most keys that are listed at once.
pub const MOST_LISTED: u32 = 1000;
/// An entry lives for so many seconds at least.
pub const SHORTEST_LIFE: i64 = 60;

/// Larger values, in bytes, are not read on the spot.
const LARGEST_NEAR: i64 = 64 << 10;

/// So often, in seconds, a write removes what has ended; at most so many entries.
const SWEEP_EVERY: i64 = 60;
const SWEEP_MOST: u32 = 1000;

/// A namespace.
pub struct KvNamespace {
    writer: Writer,
    readers: Readers,
    near: Near,
    file: Arc<std::path::Path>,
    clock: Arc<dyn Clock>,
    swept_at: Arc<AtomicI64>,
}

impl fmt::Debug for KvNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KvNamespace({})", self.file.display())
    }
}

/// What is under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// Its metadata, as JSON.
    pub metadata: Option<String>,
}

/// What to put under a key.
#[derive(Clone, Debug, Default)]
pub struct Put {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Bytes,
    /// Metadata as JSON.
    pub metadata: Option<String>,
    /// When the entry ends.
    pub end: Option<End>,
}

/// When an entry ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At this time, in seconds since the epoch.
    At(i64),
    /// After so many seconds.
    After(i64),
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// When it ends, in seconds since the epoch.
    pub expires_at: Option<i64>,
    /// Its metadata, as JSON.
    pub metadata: Option<String>,
}

/// Which keys to list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// They begin with this.
    pub prefix: String,
    /// So many at most.
    pub limit: Option<u32>,
    /// They come after this key.
    pub after: Option<String>,
}

/// Keys, and whether there are more after them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The keys in order.
    pub keys: Vec<Listed>,
    /// Whether that is all.
    pub is_complete: bool,
}

type Answer<T> = Result<T, StorageError>;

impl KvNamespace {
    /// Opens the namespace, which is made if need be.
    ///
    /// # Errors
    /// When its file cannot be used.
    pub fn open(folder: &StateFolder, id: &str) -> Result<Self, StorageError> {
        let file = folder.file("kv", id)?;
        let clock = folder.clock();
        let connection = sqlite::open(&file, LAYOUT, &*clock)?;
        let readers = Readers::new(file.clone(), |_| Ok(()));
        let near = Near::new(file.clone(), |_| Ok(()));
        let writer = Writer::start(connection, file.clone())?;
        Ok(Self { writer, readers, near, file: file.into(), clock, swept_at: Arc::default() })
    }

    fn now(&self) -> i64 {
        self.clock.now_ms() / 1000
    }

    /// What is under a key.
    pub fn get(&self, key: String, reply: impl FnOnce(Answer<Option<Entry>>) + Send + 'static) {
        if let Err(error) = check_key(&key) {
            return reply(Err(error));
        }
        let now = self.now();
        self.readers.query(move |connection| get(connection, &key, now), reply);
    }

    /// What is under a key, on the spot; nothing when that has to be asked of [`Self::get`].
    pub fn get_now(&self, key: &str) -> Option<Option<Entry>> {
        check_key(key).ok()?;
        let now = self.now();
        self.near.read(&self.readers, |connection, ()| get_small(connection, key, now).ok().flatten())
    }

    /// What is under several keys, in their order and as of one moment.
    pub fn get_many(
        &self,
        keys: Vec<String>,
        reply: impl FnOnce(Answer<Vec<Option<Entry>>>) + Send + 'static,
    ) {
        let checked = match keys.len() > MOST_READ {
            true => {
                Err(StorageError::refused(format!("too many keys at once: {} > {MOST_READ}", keys.len())))
            }
            false => keys.iter().try_for_each(|key| check_key(key)),
        };
        if let Err(error) = checked {
            return reply(Err(error));
        }
        let now = self.now();
        let file = self.file.clone();
        self.readers.read(move |connection| {
            reply(connection.and_then(|(c, ())| {
                let transaction = c.unchecked_transaction();
                let transaction = transaction.map_err(|error| StorageError::sqlite(&file, error))?;
                let mut entries = Vec::new();
                let mut size = 0;
                for key in &keys {
                    let entry = get(&transaction, key, now);
                    let entry = entry.map_err(|error| StorageError::sqlite(&file, error))?;
                    size += entry.as_ref().map_or(0, |entry| entry.value.len());
                    if size > LARGEST_VALUE {
                        let message =
                            format!("the values are too large together: more than {LARGEST_VALUE} bytes");
                        return Err(StorageError::refused(message));
                    }
                    entries.push(entry);
                }
                Ok(entries)
            }));
        });
    }

    /// Puts a value under a key, in place of what is there.
    pub fn put(&self, put: Put, reply: impl FnOnce(Answer<()>) + Send + 'static) {
        let now = self.now();
        let expires_at = match check_put(&put, now) {
            Ok(expires_at) => expires_at,
            Err(error) => return reply(Err(error)),
        };
        let (file, swept_at) = (self.file.clone(), self.swept_at.clone());
        let work = move |connection: &Connection| -> rusqlite::Result<()> {
            // A clock that is set back must not stop it for as long.
            if (now - swept_at.load(Ordering::Relaxed)).abs() >= SWEEP_EVERY {
                swept_at.store(now, Ordering::Relaxed);
                let sql = "DELETE FROM entries WHERE id IN
                    (SELECT id FROM entries WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
                connection.prepare_cached(sql)?.execute(params![now, SWEEP_MOST])?;
            }
            let sql = "INSERT INTO entries (key, expires_at, metadata, value) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (key) DO UPDATE SET expires_at = ?2, metadata = ?3, value = ?4";
            let value: &[u8] = &put.value;
            connection.prepare_cached(sql)?.execute(params![put.key, expires_at, put.metadata, value])?;
            Ok(())
        };
        self.writer.write(move |c| work(c).map_err(|error| StorageError::sqlite(&file, error)), reply);
    }

    /// Removes keys, all or none; those that are not there do not matter.
    pub fn delete(&self, keys: Vec<String>, reply: impl FnOnce(Answer<()>) + Send + 'static) {
        if let Err(error) = keys.iter().try_for_each(|key| check_key(key)) {
            return reply(Err(error));
        }
        let file = self.file.clone();
        let work = move |connection: &Connection| -> rusqlite::Result<()> {
            let mut statement = connection.prepare_cached("DELETE FROM entries WHERE key = ?1")?;
            keys.iter().try_for_each(|key| statement.execute([key]).map(|_| ()))
        };
        self.writer.write(move |c| work(c).map_err(|error| StorageError::sqlite(&file, error)), reply);
    }

    /// Lists keys in the order of their bytes.
    pub fn list(&self, options: ListOptions, reply: impl FnOnce(Answer<List>) + Send + 'static) {
        let limit = options.limit.unwrap_or(MOST_LISTED);
        if !(1..=MOST_LISTED).contains(&limit) {
            let message = format!("the limit of a list is from 1 to {MOST_LISTED}, not {limit}");
            return reply(Err(StorageError::refused(message)));
        }
        let now = self.now();
        self.readers.query(move |connection| list(connection, &options, limit, now), reply);
    }
}

fn get(connection: &Connection, key: &str, now: i64) -> rusqlite::Result<Option<Entry>> {
    let sql =
        "SELECT metadata, value FROM entries WHERE key = ?1 AND (expires_at IS NULL OR expires_at > ?2)";
    let mut statement = connection.prepare_cached(sql)?;
    statement
        .query_row(params![key, now], |row| {
            let value = match row.get_ref(1)? {
                ValueRef::Blob(bytes) | ValueRef::Text(bytes) => bytes.to_vec(),
                _ => Vec::new(),
            };
            Ok(Entry { metadata: row.get(0)?, value })
        })
        .optional()
}

/// As [`get`]; nothing when the value is large, which is not read then.
fn get_small(connection: &Connection, key: &str, now: i64) -> rusqlite::Result<Option<Option<Entry>>> {
    let sql = "SELECT metadata, CASE WHEN length(value) <= ?3 THEN value END
        FROM entries WHERE key = ?1 AND (expires_at IS NULL OR expires_at > ?2)";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![key, now, LARGEST_NEAR])?;
    let Some(row) = rows.next()? else { return Ok(Some(None)) };
    Ok(match row.get_ref(1)? {
        ValueRef::Blob(bytes) => Some(Some(Entry { metadata: row.get(0)?, value: bytes.to_vec() })),
        _ => None,
    })
}

fn list(connection: &Connection, options: &ListOptions, limit: u32, now: i64) -> rusqlite::Result<List> {
    let sql = "SELECT key, expires_at, metadata FROM entries
        WHERE key >= ?1 AND key > ?2 AND (?3 IS NULL OR key < ?3) AND (expires_at IS NULL OR expires_at > ?4)
        ORDER BY key LIMIT ?5";
    let mut statement = connection.prepare_cached(sql)?;
    // No key is empty, so each comes after the empty one.
    let after = options.after.as_deref().unwrap_or_default();
    let end = end_of(&options.prefix);
    let rows = statement.query_map(params![options.prefix, after, end, now, limit + 1], |row| {
        Ok(Listed { key: row.get(0)?, expires_at: row.get(1)?, metadata: row.get(2)? })
    })?;
    let mut keys = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let is_complete = keys.len() <= limit as usize;
    keys.truncate(limit as usize);
    Ok(List { keys, is_complete })
}

fn check_key(key: &str) -> Result<(), StorageError> {
    let refuse = |message: String| Err(StorageError::refused(message));
    match key {
        "" => refuse("a key is not empty".to_owned()),
        "." | ".." => refuse(format!("a key cannot be {key:?}")),
        _ if key.len() > LONGEST_KEY => {
            refuse(format!("the key is too long: {} > {LONGEST_KEY} bytes of UTF-8", key.len()))
        }
        _ => Ok(()),
    }
}

fn check_put(put: &Put, now: i64) -> Result<Option<i64>, StorageError> {
    let refuse = |message: String| Err(StorageError::refused(message));
    check_key(&put.key)?;
    if put.value.len() > LARGEST_VALUE {
        return refuse(format!("the value is too large: {} > {LARGEST_VALUE} bytes", put.value.len()));
    }
    if let Some(metadata) = put.metadata.as_ref().filter(|metadata| metadata.len() > LONGEST_METADATA) {
        let length = metadata.len();
        return refuse(format!("the metadata is too long: {length} > {LONGEST_METADATA} bytes of JSON"));
    }
    match put.end {
        None => Ok(None),
        Some(End::After(seconds)) if seconds < SHORTEST_LIFE => {
            refuse(format!("expirationTtl is at least {SHORTEST_LIFE} seconds, not {seconds}"))
        }
        Some(End::After(seconds)) => Ok(Some(now.saturating_add(seconds))),
        Some(End::At(at)) if at < now.saturating_add(SHORTEST_LIFE) => refuse(format!(
            "expiration is a time at least {SHORTEST_LIFE} seconds from now ({now}), not {at}"
        )),
        Some(End::At(at)) => Ok(Some(at)),
    }
}
