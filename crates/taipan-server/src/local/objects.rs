//! Objects of buckets as HTTP has them.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use taipan_storage::r2::{Conditions, Metadata, Object, R2Bucket, Range, Stored, Upload};
use taipan_storage::{StorageError, hex, on_io_thread, unhex};
use tokio::sync::oneshot;

use super::checksum::{Algorithm, Announced, Sum, base64};
use super::chunked::{Chunked, Wrong};
use super::time::{epoch_of_iso, iso};
use crate::body::Arriving;

/// Members of `httpMetadata`, and the headers that they are.
const HTTP: [(&str, &str); 6] = [
    ("contentType", "content-type"),
    ("contentLanguage", "content-language"),
    ("contentDisposition", "content-disposition"),
    ("contentEncoding", "content-encoding"),
    ("cacheControl", "cache-control"),
    ("cacheExpiry", "expires"),
];

/// Among checksums, those of parts' checksums.
const COMPOSED: &str = "composite";

/// The prefix of headers with custom metadata.
const CUSTOM: &str = "x-amz-meta-";

/// Waits for what a store answers.
pub(super) async fn ask<T: Send + 'static>(
    ask: impl FnOnce(Box<dyn FnOnce(Result<T, StorageError>) + Send>),
) -> Result<T, StorageError> {
    let (sender, receiver) = oneshot::channel();
    ask(Box::new(move |answer| drop(sender.send(answer))));
    receiver.await.unwrap_or(Err(StorageError::Closed))
}

/// Has something done that waits for files.
pub(super) async fn on_io<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    ask(|reply| on_io_thread(move || reply(work()))).await
}

pub(super) fn metadata(headers: &HeaderMap) -> Metadata {
    let (mut http, mut custom) = (Map::new(), Map::new());
    for (name, header) in HTTP {
        let Some(value) = headers.get(header).map(text) else { continue };
        let value = match header {
            // What `aws-chunked` says is about the way here.
            "content-encoding" => {
                value.split(',').map(str::trim).filter(|v| *v != "aws-chunked").collect::<Vec<_>>().join(", ")
            }
            "expires" => match httpdate::parse_http_date(&value) {
                Ok(time) => {
                    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                    iso(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
                }
                Err(_) => continue,
            },
            _ => value,
        };
        if !value.is_empty() {
            http.insert(name.to_owned(), value.into());
        }
    }
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(CUSTOM) {
            custom.insert(name.to_owned(), text(value).into());
        }
    }
    Metadata { http: Value::Object(http).to_string(), custom: Value::Object(custom).to_string() }
}

/// The headers that say what is known of an object.
pub(super) fn describe(object: &Object, headers: &mut HeaderMap) {
    let mut set = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    };
    let members = |json: &str| serde_json::from_str::<Map<String, Value>>(json).unwrap_or_default();
    set("content-type", "application/octet-stream");
    let http = members(&object.http_metadata);
    for (name, header) in HTTP {
        let Some(value) = http.get(name).and_then(Value::as_str) else { continue };
        match header {
            "expires" => {
                if let Some(time) = epoch_of_iso(value).and_then(|s| u64::try_from(s).ok()) {
                    set(header, &httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(time)));
                }
            }
            _ => set(header, value),
        }
    }
    for (name, value) in members(&object.custom_metadata) {
        set(&format!("{CUSTOM}{name}"), value.as_str().unwrap_or_default());
    }
    set("etag", &format!("\"{}\"", object.etag));
    set("accept-ranges", "bytes");
    let uploaded = UNIX_EPOCH + Duration::from_millis(u64::try_from(object.uploaded_ms).unwrap_or_default());
    set("last-modified", &httpdate::fmt_http_date(uploaded));
}

pub(super) fn conditions(headers: &HeaderMap) -> Conditions {
    let etags = |name: &str| {
        let list = headers.get(name).map(text)?;
        let bare = |etag: &str| etag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
        Some(list.split(',').map(bare).collect())
    };
    let time = |name: &str| {
        let time = httpdate::parse_http_date(&headers.get(name).map(text)?).ok()?;
        i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    };
    Conditions {
        etag_matches: etags("if-match"),
        etag_does_not_match: etags("if-none-match"),
        uploaded_before: time("if-unmodified-since"),
        uploaded_after: time("if-modified-since"),
        in_seconds: true,
    }
}

/// What the header Range asks for. Several ranges are answered with everything, as the standard allows.
pub(super) fn range(headers: &HeaderMap) -> Option<Range> {
    let range = headers.get("range").map(text)?;
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    match (first.trim().parse::<u64>(), last.trim()) {
        (Ok(first), "") => Some(Range::From(first, None)),
        (Ok(first), last) => {
            let last: u64 = last.parse().ok().filter(|last| *last >= first)?;
            Some(Range::From(first, Some((last - first).saturating_add(1))))
        }
        (Err(_), last) if first.trim().is_empty() => last.parse().ok().map(Range::Last),
        _ => None,
    }
}

/// The checksums of S3's that an object has, as Base64, and whether they are of all its bytes or of its parts' checksums.
pub(super) fn checksums(json: &str) -> (Vec<(Algorithm, String)>, &'static str) {
    let known = serde_json::from_str::<Map<String, Value>>(json).unwrap_or_default();
    let found = |known: &Map<String, Value>| -> Vec<(Algorithm, String)> {
        let shown = |algorithm: Algorithm| {
            let text = known.get(algorithm.name())?.as_str()?;
            let (digits, parts) = text.split_once('-').map_or((text, None), |(sum, n)| (sum, Some(n)));
            let sum = base64(&unhex(digits)?);
            Some((algorithm, parts.map_or_else(|| sum.clone(), |parts| format!("{sum}-{parts}"))))
        };
        Algorithm::ALL.into_iter().filter_map(shown).collect()
    };
    match known.get(COMPOSED).and_then(Value::as_object) {
        Some(composed) => (found(composed), "COMPOSITE"),
        None => (found(&known), "FULL_OBJECT"),
    }
}

/// The checksums of an object in parts, of which all have one: that of the parts' checksums, and how many there are.
pub(super) fn composed(parts: &[String]) -> String {
    let parts: Vec<Map<String, Value>> =
        parts.iter().map(|json| serde_json::from_str(json).unwrap_or_default()).collect();
    let of = |algorithm: Algorithm| {
        let mut sum = Sum::new(algorithm);
        for part in &parts {
            sum.update(&unhex(part.get(algorithm.name())?.as_str()?)?);
        }
        Some((algorithm.name().to_owned(), format!("{}-{}", hex(&sum.finish()), parts.len()).into()))
    };
    let found: Map<String, Value> =
        Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_composed()).filter_map(of).collect();
    match found.is_empty() {
        true => "{}".to_owned(),
        false => json!({ COMPOSED: found }).to_string(),
    }
}

/// Has bytes keep the checksums of others that are the same.
pub(super) fn keep_checksums(stored: &mut Stored, json: &str) {
    for (name, value) in serde_json::from_str::<Map<String, Value>>(json).unwrap_or_default() {
        if let (Some(value), true) = (value.as_str(), name != "md5") {
            stored.note_checksum(&name, value.to_owned());
        }
    }
}

/// What a body must be; each as the client said it.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// SHA-256 as it was signed, as hexadecimal digits.
    pub(super) sha256: Option<String>,
    /// MD5, as hexadecimal digits.
    pub(super) md5: Option<String>,
    /// Other checksums; without a value, that comes after the body.
    pub(super) sums: Announced,
    /// The body comes in S3's own chunks.
    pub(super) chunked: Option<Chunked>,
    /// How long it is without what is said of chunks.
    pub(super) length: Option<u64>,
}

/// Why a body was not kept.
#[derive(Debug)]
pub(super) enum BodyError {
    /// The store failed.
    Store(StorageError),
    /// It broke off, or is not what it should be; S3's code and what to say.
    Bad(&'static str, String),
}

impl From<StorageError> for BodyError {
    fn from(error: StorageError) -> Self {
        Self::Store(error)
    }
}

impl From<Wrong> for BodyError {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Form(message) => Self::Bad("InvalidChunk", message.to_owned()),
            Wrong::Signature => {
                let message = "a chunk of the body is not what was signed";
                Self::Bad("SignatureDoesNotMatch", message.to_owned())
            }
        }
    }
}

/// A body that is on disk.
pub(super) struct Received {
    pub(super) stored: Stored,
    /// Checksums that were asked for, and that it has.
    pub(super) sums: Vec<(Algorithm, Vec<u8>)>,
}

/// A body on its way into a file.
struct Intake {
    upload: Upload,
    sha256: Option<Sum>,
    sums: Vec<(Algorithm, Sum)>,
    length: u64,
}

impl Intake {
    fn write(&mut self, bytes: &Bytes) -> Result<(), StorageError> {
        let sums = self.sums.iter_mut().map(|(_, sum)| sum);
        self.sha256.iter_mut().chain(sums).for_each(|sum| sum.update(bytes));
        self.length += bytes.len() as u64;
        self.upload.write(bytes.clone())
    }
}

/// Brings a request's body to disk.
pub(super) async fn receive(
    store: &std::sync::Arc<R2Bucket>,
    mut body: Arriving,
    mut expected: Expected,
) -> Result<Received, BodyError> {
    let begun = store.clone();
    let upload = on_io(move || begun.upload()).await?;
    let sha256 = expected.sha256.is_some().then(|| Sum::new(Algorithm::Sha256));
    let sums = expected.sums.iter().map(|(algorithm, _)| (*algorithm, Sum::new(*algorithm))).collect();
    let mut intake = Intake { upload, sha256, sums, length: 0 };
    while let Some(frame) = body.frame().await {
        let broken = |_| BodyError::Bad("IncompleteBody", "the request body broke off".to_owned());
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        let pieces: Vec<Bytes> = match &mut expected.chunked {
            None => vec![data],
            Some(chunked) => chunked.push(&data)?,
        };
        intake = on_io(move || {
            pieces.iter().try_for_each(|piece| intake.write(piece))?;
            Ok(intake)
        })
        .await?;
    }
    if let Some(chunked) = expected.chunked {
        if !chunked.has_ended() {
            return Err(BodyError::Bad("IncompleteBody", "the last chunk is missing".to_owned()));
        }
        for (algorithm, value) in expected.sums.iter_mut().filter(|(_, value)| value.is_none()) {
            let name = algorithm.header();
            let sent = chunked.trailer(name).and_then(|text| algorithm.value(text));
            let missing =
                || BodyError::Bad("MalformedTrailerError", format!("there is no such trailer: {name}"));
            *value = Some(sent.ok_or_else(missing)?);
        }
    }
    let Intake { upload, sha256, sums, length } = intake;
    if expected.length.is_some_and(|expected| expected != length) {
        let message = "the body is not as long as x-amz-decoded-content-length says".to_owned();
        return Err(BodyError::Bad("IncompleteBody", message));
    }
    let mut found = Vec::new();
    for ((algorithm, sum), (_, sent)) in sums.into_iter().zip(expected.sums) {
        let sum = sum.finish();
        if sent.is_some_and(|sent| sent != sum) {
            let message =
                format!("the body does not have the checksum that was sent: {}", algorithm.header());
            return Err(BodyError::Bad("BadDigest", message));
        }
        found.push((algorithm, sum));
    }
    if let (Some(sum), Some(expected)) = (sha256, &expected.sha256)
        && hex(&sum.finish()) != expected.to_ascii_lowercase()
    {
        let message = "the body does not have the SHA-256 that was signed".to_owned();
        return Err(BodyError::Bad("XAmzContentSHA256Mismatch", message));
    }
    let md5 = expected.md5;
    let mut stored = on_io(move || upload.finish(md5.as_deref().map(|md5| ("md5", md5)))).await?;
    for (algorithm, sum) in &found {
        stored.note_checksum(algorithm.name(), hex(sum));
    }
    Ok(Received { stored, sums: found })
}

pub(super) fn text(value: &HeaderValue) -> String {
    crate::service::header_text(value)
}
