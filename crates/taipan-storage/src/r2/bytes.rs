//! The bytes of objects: files that are written once.

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fs_err as fs;
use parking_lot::Mutex;
use ring::digest::{self, Algorithm};
use serde_json::json;

use super::hasher::Hasher;
use super::md5::Md5;
use super::output::Output;
use crate::{Refusal, StorageError};

/// The folder of a bucket's files.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
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
    pub(super) fn open(folder: PathBuf) -> Result<Self, StorageError> {
        fs::create_dir_all(&folder).map_err(|error| StorageError::io(&folder, error))?;
        if let Some(above) = folder.parent() {
            sync_folder(above)?;
        }
        Ok(Self { folder, read: Mutex::default() })
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

    /// Removes files that no object has any more, once nobody reads them. Those that stay are removed at the next start.
    pub(super) fn remove<'a>(&self, blobs: impl IntoIterator<Item = &'a String>) {
        for blob in blobs {
            match self.read.lock().get_mut(blob) {
                Some(used) => used.is_garbage = true,
                None => drop(fs::remove_file(self.folder.join(blob))),
            }
        }
    }

    pub(super) fn upload(&self) -> Result<Upload, StorageError> {
        let blob = random_name()?;
        let path = self.folder.join(&blob);
        let output = Output::create(path.clone()).map_err(|error| StorageError::io(&path, error))?;
        let unfinished = Unfinished { path, is_kept: false };
        Ok(Upload { output, unfinished, blob, hasher: Hasher::new(), size: 0 })
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
            body.parts.push(blob.clone());
            wanted += size;
            if wanted >= body.begin.saturating_add(length) {
                break;
            }
        }
        body.parts.reverse();
        body
    }

    /// A reader has no use for it any more.
    fn release(&self, blob: &str) {
        let mut read = self.read.lock();
        if let Some(used) = read.get_mut(blob) {
            used.readers -= 1;
            if used.readers == 0
                && let Some(used) = read.remove(blob)
                && used.is_garbage
            {
                drop(fs::remove_file(self.folder.join(blob)));
            }
        }
    }
}

/// A file that is removed unless it was kept.
#[derive(Debug)]
struct Unfinished {
    path: PathBuf,
    is_kept: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_kept {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Bytes that are being written; dropped, they are gone.
#[derive(Debug)]
pub struct Upload {
    output: Output,
    unfinished: Unfinished,
    blob: String,
    hasher: Hasher,
    size: u64,
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
        let written = self.output.write(&bytes);
        written.map_err(|error| StorageError::io(&self.unfinished.path, error))
    }

    /// Syncs them to disk. `expected` is the name of a checksum and its value as hexadecimal digits.
    ///
    /// # Errors
    /// When the disk fails, or the checksum is another one.
    pub fn finish(mut self, expected: Option<(&str, &str)>) -> Result<Stored, StorageError> {
        let at = |error| StorageError::io(&self.unfinished.path, error);
        self.output.sync().map_err(at)?;
        if let Some(folder) = self.unfinished.path.parent() {
            sync_folder(folder)?;
        }
        let md5 = hex(&self.hasher.finish());
        let mut checksums = serde_json::Map::from_iter([("md5".to_owned(), json!(md5))]);
        if let Some((name, value)) = expected {
            let found = match name {
                "md5" => md5.clone(),
                "sha1" => digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.unfinished.path)?,
                "sha256" => digest(&digest::SHA256, &self.unfinished.path)?,
                "sha384" => digest(&digest::SHA384, &self.unfinished.path)?,
                "sha512" => digest(&digest::SHA512, &self.unfinished.path)?,
                _ => return Err(StorageError::refused(format!("there is no such checksum: {name}"))),
            };
            if !found.eq_ignore_ascii_case(value) {
                let message = format!("the {name} checksum of what came is {found}, not {value}");
                return Err(StorageError::because(Refusal::Checksum, message));
            }
            checksums.insert(name.to_owned(), json!(found));
        }
        let checksums = serde_json::Value::Object(checksums).to_string();
        Ok(Stored { unfinished: self.unfinished, blob: self.blob, size: self.size, md5, checksums })
    }
}

/// Bytes that are on disk, and no object's yet; dropped, they are gone.
#[derive(Debug)]
pub struct Stored {
    unfinished: Unfinished,
    blob: String,
    size: u64,
    md5: String,
    checksums: String,
}

impl Stored {
    pub(super) fn blob(&self) -> &str {
        &self.blob
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn md5(&self) -> &str {
        &self.md5
    }

    pub(super) fn checksums(&self) -> String {
        self.checksums.clone()
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
    /// What comes next is the last one. They are opened one after the other: there may be thousands.
    parts: Vec<String>,
    /// Where the first one begins.
    begin: u64,
    open: Option<fs::File>,
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
            let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let (Some(file), Some(buffer)) = (&mut self.open, buffer.get_mut(..most)) else {
                return Err(self.gone());
            };
            let read = match file.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(|error| StorageError::io(file.path(), error))?,
            };
            if read > 0 {
                self.left -= read as u64;
                return Ok(read);
            }
            self.next();
        }
        Ok(0)
    }

    /// Opens what comes next, if there is something and it is not open.
    pub(super) fn open(&mut self) -> Result<(), StorageError> {
        let Some(blob) = self.parts.last().filter(|_| self.open.is_none()) else { return Ok(()) };
        let path = self.files.folder.join(blob);
        let mut file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(self.gone()),
            Err(error) => return Err(StorageError::io(&path, error)),
        };
        let begin = std::mem::take(&mut self.begin);
        file.seek(SeekFrom::Start(begin)).map_err(|error| StorageError::io(&path, error))?;
        self.open = Some(file);
        Ok(())
    }

    fn next(&mut self) {
        self.open = None;
        if let Some(blob) = self.parts.pop() {
            self.files.release(&blob);
        }
    }

    fn gone(&self) -> StorageError {
        let file = match self.parts.last() {
            Some(blob) => self.files.folder.join(blob),
            None => self.files.folder.clone(),
        };
        StorageError::Damaged { file, reason: "bytes of an object are gone".to_owned() }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        while !self.parts.is_empty() {
            self.next();
        }
    }
}

/// 32 random hexadecimal digits.
pub(crate) fn random_name() -> Result<String, StorageError> {
    let mut bytes = [0; 16];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|_| StorageError::refused("the operating system has no randomness".to_owned()))?;
    Ok(hex(&bytes))
}

/// As S3 has it: the MD5 of the parts' MD5s, and how many there are.
pub(super) fn etag_of_parts<'a>(etags: impl Iterator<Item = &'a str>) -> String {
    let mut md5 = Md5::new();
    let mut count = 0;
    for etag in etags {
        let digits = etag.as_bytes().chunks(2).filter_map(|two| str::from_utf8(two).ok());
        let bytes: Vec<u8> = digits.filter_map(|two| u8::from_str_radix(two, 16).ok()).collect();
        md5.update(&bytes);
        count += 1;
    }
    format!("{}-{count}", hex(&md5.finish()))
}

fn digest(algorithm: &'static Algorithm, path: &Path) -> Result<String, StorageError> {
    let at = |error| StorageError::io(path, error);
    let mut digest = digest::Context::new(algorithm);
    let mut file = fs::File::open(path).map_err(at)?;
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut bytes).map_err(at)?;
        match bytes.get(..read) {
            Some(bytes) if read > 0 => digest.update(bytes),
            _ => return Ok(hex(digest.finish().as_ref())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| StorageError::io(folder, error))
}
