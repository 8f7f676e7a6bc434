//! Objects that come in parts.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::bytes::etag_of_parts;
use super::{Answer, Metadata, Object, R2Bucket, Stored, check_key, check_metadata, index};
use crate::hex::random_name;
use crate::{Refusal, StorageError};

/// Most parts of an upload.
pub const MOST_PARTS: u32 = 10_000;
/// Smallest part of an upload but the last one, in bytes.
pub const SMALLEST_PART: u64 = 5 << 20;
/// An upload that was not completed is given up after so many days, as Cloudflare does.
pub const UPLOAD_DAYS: i64 = 7;

/// An upload that is neither completed nor given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The key of the object that it shall be.
    pub key: String,
    /// The upload's name.
    pub upload: String,
    /// When it was begun, in milliseconds since the epoch.
    pub begun_ms: i64,
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1 on.
    pub number: u32,
    /// In bytes.
    pub size: u64,
    /// The MD5 of its bytes.
    pub etag: String,
    /// When it came, in milliseconds since the epoch; 0 if that was not noted.
    pub stored_ms: i64,
    /// Checksums as hexadecimal digits, a JSON object.
    pub checksums: String,
    pub(super) blob: String,
}

impl R2Bucket {
    /// Begins an object that comes in parts. Gives the upload's name.
    pub fn create_upload(
        &self,
        key: String,
        metadata: Metadata,
        reply: impl FnOnce(Answer<String>) + Send + 'static,
    ) {
        let id = check_key(&key).and_then(|()| check_metadata(&metadata)).and_then(|()| random_name());
        let id = match id {
            Ok(id) => id,
            Err(error) => return reply(Err(error)),
        };
        let now = self.clock.now_ms();
        let work = move |c: &Connection| {
            let garbage = index::forget_older(c, oldest(now))?;
            index::create_upload(c, &id, &key, &metadata, now)?;
            Ok((id, garbage))
        };
        self.write_and_clear(work, None, reply);
    }

    /// Uploads that are neither completed nor given up: at most `most`, in the order of their keys, those after this
    /// key and name.
    pub fn uploads(
        &self,
        prefix: String,
        after: (String, String),
        most: u32,
        reply: impl FnOnce(Answer<Vec<Pending>>) + Send + 'static,
    ) {
        let oldest = oldest(self.clock.now_ms());
        self.readers.query(move |c| index::uploads(c, &prefix, &after, oldest, most), reply);
    }

    /// The parts of an upload that have come: at most `most`, in the order of their numbers, those after a number.
    pub fn parts(
        &self,
        key: String,
        upload: String,
        after: u32,
        most: u32,
        reply: impl FnOnce(Answer<Vec<Part>>) + Send + 'static,
    ) {
        let oldest = oldest(self.clock.now_ms());
        let work = move |c: &Connection| {
            let Some(_) = index::upload(c, &upload, &key, oldest)? else { return Ok(None) };
            index::parts(c, &upload, after, most).map(Some)
        };
        let reply =
            |parts: Answer<Option<Vec<Part>>>| reply(parts.and_then(|parts| parts.ok_or_else(no_upload)));
        self.readers.query(work, reply);
    }

    /// Keeps a part of it; another with its number is replaced. Gives the part's ETag.
    pub fn put_part(
        &self,
        key: String,
        upload: String,
        number: u32,
        stored: Stored,
        reply: impl FnOnce(Answer<String>) + Send + 'static,
    ) {
        if !(1..=MOST_PARTS).contains(&number) {
            let message = format!("the number of a part is from 1 to {MOST_PARTS}, not {number}");
            return reply(Err(StorageError::refused(message)));
        }
        let now = self.clock.now_ms();
        let part = Part {
            number,
            size: stored.size(),
            etag: stored.md5().to_owned(),
            stored_ms: now,
            checksums: stored.checksums(),
            blob: stored.blob().to_owned(),
        };
        let work = move |c: &Connection| match index::upload(c, &upload, &key, oldest(now))? {
            Some(_) => {
                let garbage = index::put_part(c, &upload, &part)?;
                Ok((Some(part.etag), garbage.into_iter().collect()))
            }
            None => Ok((None, vec![part.blob])),
        };
        let reply = |etag: Answer<Option<String>>| reply(etag.and_then(|etag| etag.ok_or_else(no_upload)));
        self.write_and_clear(work, Some(stored), reply);
    }

    /// Makes the object of its parts: their numbers and ETags, in order.
    pub fn complete_upload(
        &self,
        key: String,
        upload: String,
        parts: Vec<(u32, String)>,
        reply: impl FnOnce(Answer<Object>) + Send + 'static,
    ) {
        self.complete_upload_with(key, upload, parts, |_| "{}".to_owned(), reply);
    }

    /// The same; `checksums` makes the object's checksums of those of its parts, each a JSON object.
    pub fn complete_upload_with(
        &self,
        key: String,
        upload: String,
        parts: Vec<(u32, String)>,
        checksums: impl FnOnce(&[String]) -> String + Send + 'static,
        reply: impl FnOnce(Answer<Object>) + Send + 'static,
    ) {
        let now = self.clock.now_ms();
        let work = move |c: &Connection| {
            let refused = |error| Ok((Err(error), Vec::new()));
            let Some(metadata) = index::upload(c, &upload, &key, oldest(now))? else {
                return refused(no_upload());
            };
            if parts.is_empty() || !parts.is_sorted_by(|(one, _), (next, _)| one < next) {
                let message = "the parts of an upload are a list in the order of their numbers";
                return refused(StorageError::because(Refusal::PartOrder, message));
            }
            let known = index::parts(c, &upload, 0, MOST_PARTS)?;
            let mut known: BTreeMap<u32, Part> = known.into_iter().map(|part| (part.number, part)).collect();
            let mut used = Vec::new();
            for (number, etag) in &parts {
                match known.remove(number).filter(|part| part.etag == *etag) {
                    Some(part) => used.push(part),
                    None => {
                        let message = format!("the upload has no part {number} with the ETag {etag}");
                        return refused(StorageError::because(Refusal::NoPart, message));
                    }
                }
            }
            if let Some(error) = used.split_last().and_then(|(_, others)| others.iter().find_map(too_small)) {
                return refused(error);
            }
            let before = index::get(c, &key)?;
            let object = Object {
                key: key.clone(),
                version: upload.clone(),
                size: used.iter().map(|part| part.size).sum(),
                etag: etag_of_parts(used.iter().map(|part| part.etag.as_str())),
                uploaded_ms: now,
                http_metadata: metadata.http,
                custom_metadata: metadata.custom,
                checksums: checksums(&used.iter().map(|part| part.checksums.clone()).collect::<Vec<_>>()),
                parts: used.into_iter().map(|part| (part.blob, part.size)).collect(),
            };
            index::put(c, &object)?;
            index::forget_upload(c, &upload)?;
            let mut garbage = before.map(Object::into_blobs).unwrap_or_default();
            garbage.extend(known.into_values().map(|part| part.blob));
            Ok((Ok(object), garbage))
        };
        self.write_and_clear(work, None, |done| reply(done.and_then(|done| done)));
    }

    /// Gives it up.
    pub fn abort_upload(&self, key: String, upload: String, reply: impl FnOnce(Answer<()>) + Send + 'static) {
        let oldest = oldest(self.clock.now_ms());
        let work = move |c: &Connection| {
            if index::upload(c, &upload, &key, oldest)?.is_none() {
                return Ok((Err(no_upload()), Vec::new()));
            }
            let parts = index::parts(c, &upload, 0, MOST_PARTS)?;
            index::forget_upload(c, &upload)?;
            Ok((Ok(()), parts.into_iter().map(|part| part.blob).collect()))
        };
        self.write_and_clear(work, None, |done| reply(done.and_then(|done| done)));
    }
}

/// When the oldest upload was begun that may still be completed, in milliseconds.
pub(super) fn oldest(now: i64) -> i64 {
    now.saturating_sub(UPLOAD_DAYS * 24 * 3600 * 1000)
}

fn no_upload() -> StorageError {
    let message = "there is no such upload of this key: it was completed, given up, or is too old";
    StorageError::because(Refusal::NoUpload, message)
}

/// Whether other parts cannot follow this one.
fn too_small(part: &Part) -> Option<StorageError> {
    let Part { number, size, .. } = part;
    let message = || {
        format!(
            "part {number} is too small: {size} < {SMALLEST_PART} bytes, which each part but the last one has"
        )
    };
    (*size < SMALLEST_PART).then(|| StorageError::because(Refusal::SmallPart, message()))
}
