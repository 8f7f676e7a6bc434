//! Another place for the bytes of objects than files beside the index.
//!
//! Whoever knows one implements [`Place`]. The index says for good which place has a bucket's bytes, and notes each of them before it is sent
//! there (`elsewhere`): so what no object has, because the process or the place failed in between, is found without listing the place.
//! ```text
//!  note ─▶ bytes to the place ─▶ object in the index, and the note gone
//!  object and note in the index ─▶ bytes gone from the place ─▶ the note gone
//! ```

use std::fmt::Debug;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::Answer;
use super::bytes::gone;
use crate::StorageError;
use crate::hex::random_name;
use crate::io::elsewhere as away;

/// Keeps bytes under names. What it does takes time: it is called on threads that may wait.
pub trait Place: Debug + Send + Sync {
    /// Says where it is, the same each time.
    fn name(&self) -> &str;

    /// Begins to keep bytes under a name.
    ///
    /// # Errors
    /// When the place cannot be used.
    fn begin(&self, name: &str) -> io::Result<Box<dyn Sending>>;

    /// So many bytes of those under a name, from an offset on.
    ///
    /// # Errors
    /// When the place cannot be used; [`io::ErrorKind::NotFound`] when it has none under the name.
    fn read(&self, name: &str, offset: u64, length: u64) -> io::Result<Box<dyn Receiving>>;

    /// Removes what is under a name, if there is something.
    ///
    /// # Errors
    /// When the place cannot be used.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Bytes on their way to a place; dropped, they are given up.
pub trait Sending: Debug + Send {
    /// What comes next.
    ///
    /// # Errors
    /// When the place cannot be used.
    fn write(&mut self, bytes: Bytes) -> io::Result<()>;

    /// Returns when the place has all of them for certain.
    ///
    /// # Errors
    /// When the place cannot be used.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Bytes on their way from a place.
pub trait Receiving: io::Read + Debug + Send {}

impl<T: io::Read + Debug + Send> Receiving for T {}

/// A place, and the folder there that this bucket has for itself. Whoever waits for it lets others work meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Elsewhere {
    place: Arc<dyn Place>,
    folder: String,
}

impl Elsewhere {
    /// The place of the bucket's bytes, which is where they always were.
    pub(super) fn of(
        connection: &Connection,
        place: Option<Arc<dyn Place>>,
        at: impl Fn(rusqlite::Error) -> StorageError,
    ) -> Answer<Option<Self>> {
        let known = connection.query_row("SELECT name, folder FROM place", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        });
        match (known.optional().map_err(&at)?, place) {
            (None, None) => Ok(None),
            (Some((name, folder)), Some(place)) if name == place.name() => Ok(Some(Self { place, folder })),
            (Some((name, _)), wanted) => {
                let wanted = wanted.as_ref().map_or("files beside its index", |place| place.name());
                let message = format!("the bucket's bytes are in {name}, not in {wanted}");
                Err(StorageError::refused(message))
            }
            (None, Some(place)) => {
                let used = "SELECT EXISTS (SELECT 1 FROM objects) OR EXISTS (SELECT 1 FROM uploads)";
                if connection.query_row(used, [], |row| row.get(0)).map_err(&at)? {
                    let message =
                        format!("the bucket's bytes are files beside its index, not in {}", place.name());
                    return Err(StorageError::refused(message));
                }
                let folder = random_name()?;
                let sql = "INSERT INTO place (name, folder) VALUES (?1, ?2)";
                connection.execute(sql, params![place.name(), folder]).map_err(&at)?;
                Ok(Some(Self { place, folder }))
            }
        }
    }

    pub(super) fn begin(&self, blob: &str) -> Answer<Box<dyn Sending>> {
        let sending = away(|| self.place.begin(&self.path(blob))).map_err(|error| self.failed(error))?;
        Ok(Box::new(Away(sending)))
    }

    pub(super) fn read(&self, blob: &str, offset: u64, length: u64) -> Answer<Box<dyn Receiving>> {
        let path = self.path(blob);
        match away(|| self.place.read(&path, offset, length)) {
            Ok(receiving) => Ok(Box::new(Away(receiving))),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(gone(Path::new(self.name()).join(path))),
            Err(error) => Err(self.failed(error)),
        }
    }

    pub(super) fn remove(&self, blob: &str) -> io::Result<()> {
        away(|| self.place.remove(&self.path(blob)))
    }

    pub(super) fn name(&self) -> &str {
        self.place.name()
    }

    fn path(&self, blob: &str) -> String {
        format!("{}/{blob}", self.folder)
    }

    pub(super) fn failed(&self, error: io::Error) -> StorageError {
        StorageError::Elsewhere { place: self.name().to_owned(), source: Arc::new(error) }
    }
}

/// Bytes on their way, of which others do not wait for the next.
#[derive(Debug)]
struct Away<T>(T);

impl Sending for Away<Box<dyn Sending>> {
    fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        away(|| self.0.write(bytes))
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        away(|| self.0.finish())
    }
}

impl io::Read for Away<Box<dyn Receiving>> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        away(|| self.0.read(into))
    }
}

/// Notes that a place will have bytes which no object has.
pub(super) fn note(connection: &Connection, blob: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO elsewhere (blob) VALUES (?1)")?
        .execute([blob])
        .map(|_| ())
}

/// They are an object's, or gone.
pub(super) fn forget(connection: &Connection, blob: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM elsewhere WHERE blob = ?1")?.execute([blob]).map(|_| ())
}

pub(super) fn noted(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare("SELECT blob FROM elsewhere")?.query_map([], |row| row.get(0))?.collect()
}
