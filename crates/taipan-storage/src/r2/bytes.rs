//! The bytes of objects: files that are written once, or what another place has of them.

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use fs_err as fs;
use parking_lot::Mutex;
use ring::digest::{self, Algorithm};
use serde_json::json;

use super::hasher::Hasher;
use super::md5::Md5;
use super::output::Output;
use super::place::{self, Elsewhere, Receiving, Sending};
use crate::hex::{hex, random_name, unhex};
use crate::io::on_io_thread;
use crate::sqlite::Writer;
use crate::{Refusal, StorageError};

/// A file of at least so many bytes is large.
const LARGE: u64 = 16 << 20;

/// The folder of a bucket's files, or where they are instead.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    elsewhere: Option<Elsewhere>,
    /// Of the index.
    writer: Writer,
    index: Arc<Path>,
    /// Those that somebody reads.
    read: Mutex<HashMap<String, Use>>,
}

#[derive(Debug, Default)]
struct Use {
    readers: usize,
    /// No object has it any more: whoever reads it last removes it.
    is_garbage: bool,
}

impl Files {
    pub(super) fn open(
        folder: PathBuf,
        elsewhere: Option<Elsewhere>,
        writer: Writer,
        index: Arc<Path>,
    ) -> Result<Self, StorageError> {
        fs::create_dir_all(&folder).map_err(|error| StorageError::io(&folder, error))?;
        if let Some(above) = folder.parent() {
            sync_folder(above)?;
        }
        Ok(Self { folder, elsewhere, writer, index, read: Mutex::default() })
    }

    /// Removes what no object has: what a process left that ended.
    pub(super) fn remove_all_but(&self, known: &HashSet<String>) -> Result<(), StorageError> {
        let at = |error| StorageError::io(&self.folder, error);
        for entry in fs::read_dir(&self.folder).map_err(at)? {
            let entry = entry.map_err(at)?;
            if !entry.file_name().to_str().is_some_and(|name| known.contains(name)) {
                fs::remove_file(entry.path()).map_err(at)?;
            }
        }
        Ok(())
    }

    pub(super) fn are_elsewhere(&self) -> bool {
        self.elsewhere.is_some()
    }

    /// Removes files that no object has any more, once nobody reads them. Those that stay are removed at the next start.
    pub(super) fn remove<'a>(self: &Arc<Self>, blobs: impl IntoIterator<Item = &'a String>) {
        for blob in blobs {
            match self.read.lock().get_mut(blob) {
                Some(used) => used.is_garbage = true,
                None => self.discard(blob),
            }
        }
    }

    /// Nobody has them.
    fn discard(self: &Arc<Self>, blob: &str) {
        let Some(elsewhere) = self.elsewhere.clone() else {
            return remove_file(&self.folder.join(blob));
        };
        let (files, blob) = (self.clone(), blob.to_owned());
        on_io_thread(move || match elsewhere.remove(&blob) {
            Ok(()) => {
                let at = files.index.clone();
                files.writer.write(
                    move |c| place::forget(c, &blob).map_err(|error| StorageError::sqlite(&at, error)),
                    |forgotten| {
                        if let Err(error) = forgotten {
                            tracing::warn!("bytes that are gone stay noted: {error}");
                        }
                    },
                );
            }
            Err(error) => {
                let place = elsewhere.name();
                tracing::warn!("bytes that no object has stay until the next start: {place}: {error}");
            }
        });
    }

    pub(super) fn upload(self: &Arc<Self>) -> Result<Upload, StorageError> {
        let blob = random_name()?;
        let path = self.folder.join(&blob);
        let target = match &self.elsewhere {
            None => Output::create(path.clone()).map(Target::File).map_err(|e| StorageError::io(&path, e))?,
            Some(elsewhere) => {
                self.note(blob.clone())?;
                Target::Elsewhere(elsewhere.begin(&blob)?)
            }
        };
        let unfinished = Unfinished { files: self.clone(), blob, is_kept: false };
        Ok(Upload { target, unfinished, hasher: Hasher::new(), size: 0 })
    }

    /// Notes, on disk, that there will be bytes elsewhere.
    fn note(&self, blob: String) -> Result<(), StorageError> {
        let (sender, receiver) = mpsc::channel();
        let index = self.index.clone();
        self.writer.write(
            move |c| place::note(c, &blob).map_err(|error| StorageError::sqlite(&index, error)),
            move |noted| drop(sender.send(noted)),
        );
        receiver.recv().unwrap_or(Err(StorageError::Closed))
    }

    /// So many of the bytes under a name.
    fn read(&self, blob: &str, offset: u64, length: u64) -> Result<Box<dyn Receiving>, StorageError> {
        if let Some(elsewhere) = &self.elsewhere {
            return elsewhere.read(blob, offset, length);
        }
        let path = self.folder.join(blob);
        let mut file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(gone(path)),
            Err(error) => return Err(StorageError::io(&path, error)),
        };
        file.seek(SeekFrom::Start(offset)).map_err(|error| StorageError::io(&path, error))?;
        Ok(Box::new(file))
    }

    /// Why they cannot be read.
    fn failed(&self, blob: &str, error: std::io::Error) -> StorageError {
        match &self.elsewhere {
            Some(elsewhere) => elsewhere.failed(error),
            None => StorageError::io(&self.folder.join(blob), error),
        }
    }

    /// Bytes of an object, whose files stay while they are read. Whoever asks makes sure that it still is the object.
    pub(super) fn body(self: &Arc<Self>, parts: &[(String, u64)], mut offset: u64, length: u64) -> Body {
        let mut body = Body { files: self.clone(), parts: Vec::new(), begin: 0, open: None, left: length };
        let mut wanted = 0;
        for (blob, size) in parts {
            if body.parts.is_empty() && offset >= *size {
                offset -= size;
                continue;
            }
            if body.parts.is_empty() {
                body.begin = offset;
            }
            self.read.lock().entry(blob.clone()).or_default().readers += 1;
            body.parts.push((blob.clone(), *size));
            wanted += size;
            if wanted >= body.begin.saturating_add(length) {
                break;
            }
        }
        body.parts.reverse();
        body
    }

    /// A reader has no use for it any more.
    fn release(self: &Arc<Self>, blob: &str) {
        let mut read = self.read.lock();
        if let Some(used) = read.get_mut(blob) {
            used.readers -= 1;
            if used.readers == 0
                && let Some(used) = read.remove(blob)
                && used.is_garbage
            {
                self.discard(blob);
            }
        }
    }
}

/// Removes a file. Nobody waits for what a large one has, which the disk and its cache take their time to give back.
fn remove_file(path: &Path) {
    let file = fs::File::open(path);
    drop(fs::remove_file(path));
    if let Ok(file) = file
        && file.metadata().is_ok_and(|found| found.len() >= LARGE)
    {
        on_io_thread(move || drop(file));
    }
}

/// A file that is removed unless it was kept.
#[derive(Debug)]
struct Unfinished {
    files: Arc<Files>,
    blob: String,
    is_kept: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_kept {
            self.files.discard(&self.blob);
        }
    }
}

/// Bytes that are being written; dropped, they are gone.
#[derive(Debug)]
pub struct Upload {
    target: Target,
    unfinished: Unfinished,
    hasher: Hasher,
    size: u64,
}

#[derive(Debug)]
enum Target {
    File(Output),
    Elsewhere(Box<dyn Sending>),
}

impl Upload {
    /// Appends bytes.
    ///
    /// # Errors
    /// When the disk is full, say.
    pub fn write(&mut self, bytes: impl Into<Bytes>) -> Result<(), StorageError> {
        let bytes = bytes.into();
        self.hasher.update(&bytes);
        self.size += bytes.len() as u64;
        let written = match &mut self.target {
            Target::File(output) => output.write(&bytes),
            Target::Elsewhere(sending) => sending.write(bytes),
        };
        let Unfinished { files, blob, .. } = &self.unfinished;
        written.map_err(|error| files.failed(blob, error))
    }

    /// Syncs them to disk. `expected` is the name of a checksum and its value as hexadecimal digits.
    ///
    /// # Errors
    /// When the disk fails, or the checksum is another one.
    pub fn finish(self, expected: Option<(&str, &str)>) -> Result<Stored, StorageError> {
        let Self { target, unfinished, hasher, size } = self;
        let Unfinished { files, blob, .. } = &unfinished;
        match target {
            Target::File(mut output) => {
                output.sync().map_err(|error| files.failed(blob, error))?;
                sync_folder(&files.folder)?;
            }
            Target::Elsewhere(sending) => {
                sending.finish().map_err(|error| files.failed(blob, error))?;
            }
        }
        let md5 = hex(&hasher.finish());
        let mut checksums = serde_json::Map::from_iter([("md5".to_owned(), json!(md5))]);
        if let Some((name, value)) = expected {
            let algorithm = match name {
                "md5" => None,
                "sha1" => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
                "sha256" => Some(&digest::SHA256),
                "sha384" => Some(&digest::SHA384),
                "sha512" => Some(&digest::SHA512),
                _ => return Err(StorageError::refused(format!("there is no such checksum: {name}"))),
            };
            let found = match algorithm {
                None => md5.clone(),
                Some(algorithm) => {
                    let read = digest(algorithm, &mut files.read(blob, 0, size)?);
                    read.map_err(|error| files.failed(blob, error))?
                }
            };
            if !found.eq_ignore_ascii_case(value) {
                let message = format!("the {name} checksum of what came is {found}, not {value}");
                return Err(StorageError::because(Refusal::Checksum, message));
            }
            checksums.insert(name.to_owned(), json!(found));
        }
        Ok(Stored { unfinished, size, md5, checksums })
    }
}

/// Bytes that are on disk, and no object's yet; dropped, they are gone.
#[derive(Debug)]
pub struct Stored {
    unfinished: Unfinished,
    size: u64,
    md5: String,
    checksums: serde_json::Map<String, serde_json::Value>,
}

impl Stored {
    pub(super) fn blob(&self) -> &str {
        &self.unfinished.blob
    }

    /// Notes a checksum that they have: its name, and its value as hexadecimal digits.
    pub fn note_checksum(&mut self, name: &str, value: String) {
        self.checksums.insert(name.to_owned(), value.into());
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn md5(&self) -> &str {
        &self.md5
    }

    pub(super) fn checksums(&self) -> String {
        serde_json::Value::Object(self.checksums.clone()).to_string()
    }

    /// An object has them now.
    pub(super) fn keep(mut self) {
        self.unfinished.is_kept = true;
    }
}

/// Bytes of an object, read from beginning to end.
#[derive(Debug)]
pub struct Body {
    files: Arc<Files>,
    /// What comes next is the last one, with its size. They are opened one after the other: there may be thousands.
    parts: Vec<(String, u64)>,
    /// Where the first one begins.
    begin: u64,
    /// The part that is being read, and what is left of it.
    open: Option<(Box<dyn Receiving>, u64)>,
    left: u64,
}

impl Body {
    /// How many bytes are left.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes, `most` of them at most; none at the end. Takes time: not for threads that may not wait.
    ///
    /// # Errors
    /// When the disk fails, or somebody has removed the bytes.
    pub fn read(&mut self, most: usize) -> Result<Option<Vec<u8>>, StorageError> {
        let mut bytes = vec![0; most.min(usize::try_from(self.left).unwrap_or(usize::MAX))];
        let read = self.read_into(&mut bytes)?;
        bytes.truncate(read);
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// The same, into a buffer. Gives how many there are; none at the end.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn read_into(&mut self, buffer: &mut [u8]) -> Result<usize, StorageError> {
        while self.left > 0 && !buffer.is_empty() {
            self.open()?;
            let (Some((bytes, left)), Some((blob, _))) = (&mut self.open, self.parts.last()) else {
                return Err(self.gone());
            };
            if *left == 0 {
                self.next();
                continue;
            }
            let most = buffer.len().min(usize::try_from(self.left.min(*left)).unwrap_or(usize::MAX));
            let into = buffer.get_mut(..most).unwrap_or_default();
            let read = match bytes.read(into) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(|error| self.files.failed(blob, error))?,
            };
            if read == 0 {
                return Err(self.gone());
            }
            *left -= read as u64;
            self.left -= read as u64;
            return Ok(read);
        }
        Ok(0)
    }

    /// Opens what comes next if that is a file, so that it is known whether it is there.
    pub(super) fn open_file(&mut self) -> Result<(), StorageError> {
        if self.files.are_elsewhere() { Ok(()) } else { self.open() }
    }

    /// Opens what comes next, if there is something and it is not open.
    fn open(&mut self) -> Result<(), StorageError> {
        let Some((blob, size)) = self.parts.last().filter(|_| self.open.is_none()) else { return Ok(()) };
        let begin = std::mem::take(&mut self.begin);
        let left = (size - begin).min(self.left);
        self.open = Some((self.files.read(blob, begin, left)?, left));
        Ok(())
    }

    fn next(&mut self) {
        self.open = None;
        if let Some((blob, _)) = self.parts.pop() {
            self.files.release(&blob);
        }
    }

    fn gone(&self) -> StorageError {
        let file = match self.parts.last() {
            Some((blob, _)) => self.files.folder.join(blob),
            None => self.files.folder.clone(),
        };
        gone(file)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        while !self.parts.is_empty() {
            self.next();
        }
    }
}

/// That there is an object, and what it consists of is not there.
pub(super) fn gone(file: PathBuf) -> StorageError {
    StorageError::Damaged { file, reason: "bytes of an object are gone".to_owned() }
}

/// As S3 has it: the MD5 of the parts' MD5s, and how many there are.
pub(super) fn etag_of_parts<'a>(etags: impl Iterator<Item = &'a str>) -> String {
    let mut md5 = Md5::new();
    let mut count = 0;
    for etag in etags {
        md5.update(&unhex(etag).unwrap_or_default());
        count += 1;
    }
    format!("{}-{count}", hex(&md5.finish()))
}

fn digest(algorithm: &'static Algorithm, from: &mut impl Read) -> std::io::Result<String> {
    let mut digest = digest::Context::new(algorithm);
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        match bytes.get(..read) {
            Some(bytes) if read > 0 => digest.update(bytes),
            _ => return Ok(hex(digest.finish().as_ref())),
        }
    }
}

fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| StorageError::io(folder, error))
}
