//! Buckets of objects: an index in SQLite, and their bytes in files beside it.
//!
//! ```text
//!  r2/ID.sqlite      objects(key, version, …, parts), uploads and their parts; JSON where nothing is looked for
//!  r2/ID.blobs/BLOB  bytes that never change; an object is one of them, or several one after the other
//! ```
//! An object is put in three steps, each of them on disk before the next: its bytes in a new file, the name of the file in its folder,
//! the object in the index. Then the bytes of the one before are removed. What a process leaves that ends in between are files that
//! no object has; they are removed when the bucket is opened next. A damaged index is set aside together with its bytes.
//!
//! The bytes may be elsewhere instead, in a store of objects: see [`Place`].

mod bytes;
mod hasher;
mod index;
mod md5;
mod output;
mod place;
mod uploads;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::clock::Clock;
use crate::io::on_io_thread;
use crate::sqlite::{self, Readers, Writer};
use crate::{Refusal, StateFolder, StorageError};
use bytes::Files;
pub use bytes::{Body, Stored, Upload};
use place::Elsewhere;
pub use place::{Place, Receiving, Sending};
pub use uploads::{MOST_PARTS, Part, Pending, SMALLEST_PART, UPLOAD_DAYS};

/// Longest key, in bytes.
pub const LONGEST_KEY: usize = 1024;
/// Longest custom metadata as JSON, in bytes.
pub const LONGEST_METADATA: usize = 8192;
/// Most objects that are listed or deleted at once.
pub const MOST_LISTED: u32 = 1000;

/// A bucket.
pub struct R2Bucket {
    writer: Writer,
    readers: Readers,
    files: Arc<Files>,
    file: Arc<Path>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for R2Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R2Bucket({})", self.file.display())
    }
}

/// What is known of an object without its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// The key.
    pub key: String,
    /// Differs for each put.
    pub version: String,
    /// In bytes.
    pub size: u64,
    /// The MD5 of its bytes as hexadecimal digits; with the number of parts if there were some.
    pub etag: String,
    /// When it was put, in milliseconds since the epoch.
    pub uploaded_ms: i64,
    /// `httpMetadata`, a JSON object.
    pub http_metadata: String,
    /// `customMetadata`, a JSON object.
    pub custom_metadata: String,
    /// Checksums as hexadecimal digits, a JSON object.
    pub checksums: String,
    parts: Vec<(String, u64)>,
}

impl Object {
    fn into_blobs(self) -> Vec<String> {
        self.parts.into_iter().map(|(blob, _)| blob).collect()
    }
}

/// Demands on the object that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Its ETag is one of these.
    pub etag_matches: Option<Vec<String>>,
    /// Its ETag is none of these.
    pub etag_does_not_match: Option<Vec<String>>,
    /// It was put before this time, in milliseconds.
    pub uploaded_before: Option<i64>,
    /// It was put after this time.
    pub uploaded_after: Option<i64>,
    /// Times are compared in whole seconds, which is all that headers have.
    pub in_seconds: bool,
}

impl Conditions {
    /// Whether the object, or that there is none, meets them.
    fn hold(&self, object: Option<&Object>) -> bool {
        let Some(object) = object else {
            return self.etag_matches.is_none() && self.uploaded_after.is_none();
        };
        let among = |etags: &Vec<String>| etags.iter().any(|etag| etag == "*" || *etag == object.etag);
        let precise = |ms: i64| if self.in_seconds { ms.div_euclid(1000) } else { ms };
        let uploaded = precise(object.uploaded_ms);
        // As for headers: whoever names an ETag does not mean the time.
        let before = |time| uploaded < precise(time) || self.in_seconds && uploaded == precise(time);
        (match &self.etag_matches {
            Some(etags) => among(etags),
            None => self.uploaded_before.is_none_or(before),
        }) && match &self.etag_does_not_match {
            Some(etags) => !among(etags),
            None => self.uploaded_after.is_none_or(|time| uploaded > precise(time)),
        }
    }
}

/// Which bytes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// From an offset, so many or all that are left.
    From(u64, Option<u64>),
    /// The last ones.
    Last(u64),
}

/// How an object is to be kept.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// `httpMetadata`, a JSON object.
    pub http: String,
    /// `customMetadata`, a JSON object.
    pub custom: String,
}

/// What is found under a key.
#[derive(Debug)]
pub enum Found {
    /// The object, which does not meet the conditions.
    Unmet(Object),
    /// The object; which of its bytes: offset and length; and the bytes.
    Object(Object, u64, u64, Body),
}

/// Which objects to list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Their keys begin with this.
    pub prefix: String,
    /// So many at most, prefixes included.
    pub limit: Option<u32>,
    /// Where another list ended.
    pub from: Option<String>,
    /// Their keys come after this one.
    pub after: Option<String>,
    /// What comes after the prefix up to this is listed once.
    pub delimiter: Option<String>,
}

/// Objects in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The objects.
    pub objects: Vec<Object>,
    /// What keys begin with up to the delimiter.
    pub prefixes: Vec<String>,
    /// Where the next list begins, if there is more.
    pub next: Option<String>,
}

type Answer<T> = Result<T, StorageError>;

impl R2Bucket {
    /// Opens the bucket, which is made if need be. Its bytes are files beside the index, or in the place.
    ///
    /// # Errors
    /// When its files cannot be used, or its bytes are in another place.
    pub fn open(folder: &StateFolder, id: &str, place: Option<Arc<dyn Place>>) -> Answer<Self> {
        let file = folder.file("r2", id)?;
        let clock = folder.clock();
        let connection = match sqlite::open(&file, index::LAYOUT, &*clock) {
            Err(error @ StorageError::SetAside { .. }) => return Err(set_bytes_aside(&file, error)),
            opened => opened?,
        };
        let at = |error| StorageError::sqlite(&file, error);
        let elsewhere = Elsewhere::of(&connection, place, at)?;
        let forgotten = index::forget_older(&connection, uploads::oldest(clock.now_ms())).map_err(at)?;
        let known = index::blobs(&connection).map_err(at)?;
        if elsewhere.is_some() {
            forgotten.iter().try_for_each(|blob| place::note(&connection, blob)).map_err(at)?;
        }
        let left = place::noted(&connection).map_err(at)?;
        let readers = Readers::new(file.clone(), |_| Ok(()));
        let writer = Writer::start(connection, file.clone())?;
        let file: Arc<Path> = file.into();
        let bytes = file.with_extension("blobs");
        let files = Arc::new(Files::open(bytes, elsewhere, writer.clone(), file.clone())?);
        match files.are_elsewhere() {
            true => files.remove(&left),
            false => files.remove_all_but(&known)?,
        }
        Ok(Self { writer, readers, files, file, clock })
    }

    /// Bytes to be put. Writing them takes time: not for threads that may not wait.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn upload(&self) -> Answer<Upload> {
        self.files.upload()
    }

    /// Puts an object under a key, in place of what is there. Gives none when that does not meet the conditions.
    pub fn put(
        &self,
        key: String,
        stored: Stored,
        metadata: Metadata,
        conditions: Conditions,
        reply: impl FnOnce(Answer<Option<Object>>) + Send + 'static,
    ) {
        if let Err(error) = check_key(&key).and_then(|()| check_metadata(&metadata)) {
            return reply(Err(error));
        }
        let object = Object {
            key,
            version: stored.blob().to_owned(),
            size: stored.size(),
            etag: stored.md5().to_owned(),
            uploaded_ms: self.clock.now_ms(),
            http_metadata: metadata.http,
            custom_metadata: metadata.custom,
            checksums: stored.checksums(),
            parts: vec![(stored.blob().to_owned(), stored.size())],
        };
        let work = move |connection: &Connection| {
            let before = index::get(connection, &object.key)?;
            if !conditions.hold(before.as_ref()) {
                return Ok((None, object.into_blobs()));
            }
            index::put(connection, &object)?;
            Ok((Some(object), before.map(Object::into_blobs).unwrap_or_default()))
        };
        self.write_and_clear(work, Some(stored), reply);
    }

    /// What is known of an object.
    pub fn head(&self, key: String, reply: impl FnOnce(Answer<Option<Object>>) + Send + 'static) {
        self.readers.query(move |connection| index::get(connection, &key), reply);
    }

    /// An object and its bytes.
    pub fn get(
        &self,
        key: String,
        conditions: Conditions,
        range: Option<Range>,
        reply: impl FnOnce(Answer<Option<Found>>) + Send + 'static,
    ) {
        let (file, files) = (self.file.clone(), self.files.clone());
        self.readers.read(move |connection| {
            reply(connection.and_then(|(connection, ())| {
                let look =
                    || index::get(connection, &key).map_err(|error| StorageError::sqlite(&file, error));
                let mut found = look()?;
                // The object may be replaced, and its files removed, before they are known to be read.
                while let Some(object) = found {
                    if !conditions.hold(Some(&object)) {
                        return Ok(Some(Found::Unmet(object)));
                    }
                    let (offset, length) = span(range, object.size)?;
                    let mut body = files.body(&object.parts, offset, length);
                    found = look()?;
                    if found.as_ref().is_some_and(|now| now.version == object.version) {
                        body.open_file()?;
                        return Ok(Some(Found::Object(object, offset, length, body)));
                    }
                }
                Ok(None)
            }));
        });
    }

    /// Removes objects, all or none; those that are not there do not matter.
    pub fn delete(&self, keys: Vec<String>, reply: impl FnOnce(Answer<()>) + Send + 'static) {
        if keys.len() > MOST_LISTED as usize {
            let message = format!("too many keys at once: {} > {MOST_LISTED}", keys.len());
            return reply(Err(StorageError::refused(message)));
        }
        let work = move |connection: &Connection| {
            let mut garbage = Vec::new();
            for key in &keys {
                garbage.extend(index::get(connection, key)?.map(Object::into_blobs).unwrap_or_default());
                index::delete(connection, key)?;
            }
            Ok(((), garbage))
        };
        self.write_and_clear(work, None, reply);
    }

    /// Lists objects.
    pub fn list(&self, options: ListOptions, reply: impl FnOnce(Answer<List>) + Send + 'static) {
        let limit = options.limit.unwrap_or(MOST_LISTED);
        if !(1..=MOST_LISTED).contains(&limit) {
            let message = format!("the limit of a list is from 1 to {MOST_LISTED}, not {limit}");
            return reply(Err(StorageError::refused(message)));
        }
        self.readers.query(move |connection| index::list(connection, &options, limit as usize), reply);
    }

    /// Writes to the index, then removes the files that `work` says no object has any more; `stored` may be one of them.
    fn write_and_clear<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<(T, Vec<String>)> + Send + 'static,
        stored: Option<Stored>,
        reply: impl FnOnce(Answer<T>) + Send + 'static,
    ) {
        let (files, put) = (self.files.clone(), stored.as_ref().map(|stored| stored.blob().to_owned()));
        let are_elsewhere = files.are_elsewhere();
        let work = move |connection: &Connection| {
            let (done, garbage) = work(connection)?;
            if are_elsewhere {
                put.iter().try_for_each(|blob| place::forget(connection, blob))?;
                garbage.iter().try_for_each(|blob| place::note(connection, blob))?;
            }
            Ok((done, garbage))
        };
        self.write(work, move |done: Answer<(T, Vec<String>)>| {
            // What a commit has done that failed is known after the next start; only on a full disk it has done nothing.
            if let Some(stored) = stored
                && !matches!(done, Err(StorageError::Full { .. }))
            {
                stored.keep();
            }
            match done {
                Ok((done, garbage)) if garbage.is_empty() => reply(Ok(done)),
                // Large files take their time, and this is the thread that writes.
                Ok((done, garbage)) => on_io_thread(move || {
                    files.remove(&garbage);
                    reply(Ok(done));
                }),
                Err(error) => reply(Err(error)),
            }
        });
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        reply: impl FnOnce(Answer<T>) + Send + 'static,
    ) {
        let file = self.file.clone();
        self.writer.write(move |c| work(c).map_err(|error| StorageError::sqlite(&file, error)), reply);
    }
}

/// The bytes go where their index went: to the next one they would be nobody's.
fn set_bytes_aside(file: &Path, error: StorageError) -> StorageError {
    let StorageError::SetAside { kept, .. } = &error else { return error };
    let bytes = file.with_extension("blobs");
    match fs_err::rename(&bytes, kept.with_extension("blobs")) {
        Err(failed) if failed.kind() != std::io::ErrorKind::NotFound => StorageError::io(&bytes, failed),
        _ => error,
    }
}

fn check_key(key: &str) -> Answer<()> {
    match key.len() {
        0 => Err(StorageError::refused("a key is not empty".to_owned())),
        n if n > LONGEST_KEY => {
            let message = format!("the key is too long: {n} > {LONGEST_KEY} bytes of UTF-8");
            Err(StorageError::because(Refusal::LongKey, message))
        }
        _ => Ok(()),
    }
}

fn check_metadata(metadata: &Metadata) -> Answer<()> {
    let length = metadata.http.len().max(metadata.custom.len());
    match length > LONGEST_METADATA {
        true => {
            let message = format!("the metadata is too long: {length} > {LONGEST_METADATA} bytes of JSON");
            Err(StorageError::because(Refusal::LongMetadata, message))
        }
        false => Ok(()),
    }
}

/// Offset and length of a range.
fn span(range: Option<Range>, size: u64) -> Answer<(u64, u64)> {
    match range {
        None => Ok((0, size)),
        Some(Range::Last(n)) if n > 0 => Ok((size.saturating_sub(n), size.min(n))),
        Some(Range::From(offset, length)) if offset < size && length != Some(0) => {
            Ok((offset, length.unwrap_or(u64::MAX).min(size - offset)))
        }
        Some(_) => {
            let message = format!("the range is not within the object's {size} bytes");
            Err(StorageError::because(Refusal::Range, message))
        }
    }
}
