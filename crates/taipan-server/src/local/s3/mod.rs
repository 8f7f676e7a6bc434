//! Buckets as S3 has them, at `/cdn-cgi/local/r2/s3`: what its clients need to put, get, list, copy and delete objects, whole or in
//! parts. Every request must be signed. Buckets are those that are configured; they are neither made nor removed here.

mod uploads;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use taipan_bindings::{Stores, object_body};
use taipan_storage::r2::{Conditions, Found, List, ListOptions, MOST_LISTED, Object, R2Bucket};
use taipan_storage::{Refusal, StorageError, hex, sha256};

use super::checksum::{Algorithm, Announced, announced, base64};
use super::chunked::Chunked;
use super::objects::{self, BodyError, Expected, Received, ask, on_io};
use super::sigv4::{self, S3Keys, Signed};
use super::time::iso;
use super::uri::{decode, encode, pairs};
use super::xml::{all, element, text};
use crate::body::{Arriving, Body, Stream};

/// Below this path.
pub(super) const PATH: &str = "/cdn-cgi/local/r2/s3";

/// The largest body of XML.
const LARGEST_XML: usize = 2 << 20;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// What S3 says when it does not do something.
struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

type Answer = Result<Response<Body>, Failure>;

fn failure(status: u16, code: &'static str, message: impl Into<String>) -> Failure {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Failure { status, code, message: message.into() }
}

fn missing(key: &str) -> Failure {
    failure(404, "NoSuchKey", format!("there is no such object: {key}"))
}

fn not_here(what: &str) -> Failure {
    failure(501, "NotImplemented", format!("not available here: {what}"))
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        let (status, code) = match &error {
            StorageError::Refused { reason, .. } => match reason {
                Refusal::NoUpload => (404, "NoSuchUpload"),
                Refusal::NoPart => (400, "InvalidPart"),
                Refusal::PartOrder => (400, "InvalidPartOrder"),
                Refusal::SmallPart => (400, "EntityTooSmall"),
                Refusal::Range => (416, "InvalidRange"),
                Refusal::LongKey => (400, "KeyTooLongError"),
                Refusal::LongMetadata => (400, "MetadataTooLarge"),
                Refusal::Checksum => (400, "BadDigest"),
                _ => (400, "InvalidArgument"),
            },
            StorageError::Full { .. } => (507, "InsufficientStorage"),
            _ => (500, "InternalError"),
        };
        failure(status, code, error.to_string())
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Store(error) => error.into(),
            BodyError::Bad(code @ "SignatureDoesNotMatch", message) => failure(403, code, message),
            BodyError::Bad(code, message) => failure(400, code, message),
        }
    }
}

/// One request to a bucket.
struct Call {
    store: Arc<R2Bucket>,
    bucket: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
}

impl Call {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// How many of something are to be listed.
    fn most(&self, name: &str) -> Result<u32, Failure> {
        match self.query(name).map(str::parse::<u32>) {
            None => Ok(MOST_LISTED),
            Some(Ok(limit)) => Ok(limit.min(MOST_LISTED)),
            Some(Err(_)) => Err(failure(400, "InvalidArgument", format!("{name} is no number"))),
        }
    }
}

pub(super) async fn answer(stores: &Stores, keys: &S3Keys, parts: Parts, body: Arriving) -> Response<Body> {
    let path = parts.uri.path().to_owned();
    let is_head = parts.method == Method::HEAD;
    let answered = perform(stores, keys, parts, body).await;
    answered.unwrap_or_else(|failure| {
        let resource = element("Resource", path.strip_prefix(PATH).unwrap_or(&path));
        let (code, message) = (element("Code", failure.code), element("Message", &failure.message));
        let content = format!("<Error>{code}{message}{resource}<RequestId>-</RequestId></Error>");
        let mut response = xml(content);
        *response.status_mut() = failure.status;
        if is_head || failure.status == StatusCode::NOT_MODIFIED {
            *response.body_mut() = Body::full(Bytes::new());
        }
        response
    })
}

async fn perform(stores: &Stores, keys: &S3Keys, parts: Parts, body: Arriving) -> Answer {
    let query = pairs(parts.uri.query().unwrap_or_default());
    let mut headers = parts.headers;
    if let (Some(authority), None) = (parts.uri.authority(), headers.get(header::HOST))
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        // HTTP/2 has it elsewhere.
        headers.insert(header::HOST, host);
    }
    let signed = sigv4::check(keys, parts.method.as_str(), parts.uri.path(), &query, &headers);
    let signed = signed.map_err(|(code, message)| failure(403, code, message))?;
    let path = parts.uri.path().strip_prefix(PATH).unwrap_or_default().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let (bucket, key) = (decode(bucket), decode(key));
    if bucket.is_empty() {
        return match parts.method {
            Method::GET => Ok(buckets(stores)),
            _ => Err(failure(405, "MethodNotAllowed", "only GET")),
        };
    }
    if !stores.known_r2().iter().any(|known| known.id == bucket) {
        let message = format!("the configuration's `r2_buckets` have no such bucket: {bucket}");
        return Err(failure(404, "NoSuchBucket", message));
    }
    let opened = stores.clone();
    let id = bucket.clone();
    let store = on_io(move || opened.r2(&id)).await?;
    let call = Call { store, bucket, query, headers };
    let expected = || expected(&call.headers, announced(&call.headers), &signed);
    // What a document may say of checksums is about the object.
    let written = || self::expected(&call.headers, Ok(Vec::new()), &signed);
    match (parts.method.as_str(), key.is_empty()) {
        ("HEAD", true) => Ok(empty(StatusCode::OK)),
        ("PUT", true) if call.query.is_empty() => Err(failure(409, "BucketAlreadyOwnedByYou", "it is there")),
        ("GET", true) if call.query("location").is_some() => {
            Ok(xml(format!("<LocationConstraint xmlns=\"{NAMESPACE}\">auto</LocationConstraint>")))
        }
        ("GET", true) if call.query("uploads").is_some() => uploads::list(&call).await,
        ("GET", true) => list(&call).await,
        ("POST", true) if call.query("delete").is_some() => {
            let sent = document(body, written()?).await?;
            delete_many(&call, &sent).await
        }
        ("GET", false) if call.query("uploadId").is_some() => uploads::parts(&call, key).await,
        ("GET", false) if call.query("attributes").is_some() => attributes(&call, key).await,
        ("GET" | "HEAD", false) => get(&call, key, &parts.method).await,
        ("PUT", false) if call.query("uploadId").is_some() => {
            let received = match call.headers.get("x-amz-copy-source").map(objects::text) {
                None => objects::receive(&call.store, body, expected()?).await?,
                Some(source) => {
                    Received { stored: copied(&call, stores, &source).await?.0, sums: Vec::new() }
                }
            };
            uploads::part(&call, key, received).await
        }
        ("PUT", false) => match call.headers.get("x-amz-copy-source").map(objects::text) {
            None => {
                let received = objects::receive(&call.store, body, expected()?).await?;
                put(&call, key, received).await
            }
            Some(source) => copy(&call, stores, key, &source).await,
        },
        ("POST", false) if call.query("uploads").is_some() => uploads::create(&call, key).await,
        ("POST", false) if call.query("uploadId").is_some() => {
            let sent = document(body, written()?).await?;
            uploads::complete(&call, key, &sent).await
        }
        ("DELETE", false) => match call.query("uploadId").map(str::to_owned) {
            Some(upload) => {
                ask(|reply| call.store.abort_upload(key, upload, reply)).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            None => {
                ask(|reply| call.store.delete(vec![key], reply)).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
        },
        (method, _) => Err(not_here(&format!("{method} {}", parts.uri))),
    }
}

/// What the client says that a body is.
fn expected(
    headers: &HeaderMap,
    sums: Result<Announced, &'static str>,
    signed: &Signed,
) -> Result<Expected, Failure> {
    let invalid = |name: &str| failure(400, "InvalidRequest", format!("the checksum cannot be one: {name}"));
    let mut expected = Expected { sums: sums.map_err(invalid)?, ..Expected::default() };
    match signed.payload.as_str() {
        "UNSIGNED-PAYLOAD" => {}
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => expected.chunked = Some(Chunked::default()),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => {
            expected.chunked = Some(Chunked::signed(signed.chain.clone(), false));
        }
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
            expected.chunked = Some(Chunked::signed(signed.chain.clone(), true));
        }
        other if other.starts_with("STREAMING-") => return Err(not_here(other)),
        sha256 => expected.sha256 = Some(sha256.to_owned()),
    }
    let field = |name: &str| headers.get(name).map(objects::text);
    if expected.chunked.is_none() {
        if expected.sums.iter().any(|(_, value)| value.is_none()) {
            return Err(failure(400, "InvalidRequest", "a body without S3's chunks has no trailer"));
        }
    } else if let Some(length) = field("x-amz-decoded-content-length") {
        let length = length.trim().parse();
        let wrong = |_| failure(400, "InvalidRequest", "x-amz-decoded-content-length is no number");
        expected.length = Some(length.map_err(wrong)?);
    }
    if let Some(md5) = field("content-md5") {
        let md5 = BASE64.decode(md5.trim()).ok().filter(|bytes| bytes.len() == 16);
        expected.md5 = Some(hex(&md5.ok_or_else(|| failure(400, "InvalidDigest", "not an MD5"))?));
    }
    Ok(expected)
}

/// A body of XML.
async fn document(body: Arriving, expected: Expected) -> Result<String, Failure> {
    let bytes = Limited::new(body, LARGEST_XML).collect().await;
    let bytes =
        bytes.map_err(|_| failure(400, "IncompleteBody", "the request body broke off or is too large"))?;
    let mut bytes = bytes.to_bytes();
    if let Some(mut chunked) = expected.chunked {
        bytes = chunked.push(&bytes).map_err(BodyError::from)?.concat().into();
        if !chunked.has_ended() {
            return Err(failure(400, "IncompleteBody", "the last chunk is missing"));
        }
    }
    let found = sha256(&bytes);
    if expected.sha256.is_some_and(|expected| expected.to_ascii_lowercase() != found) {
        return Err(failure(
            400,
            "XAmzContentSHA256Mismatch",
            "the body does not have the SHA-256 that was signed",
        ));
    }
    String::from_utf8(bytes.into()).map_err(|_| failure(400, "MalformedXML", "the body is no text"))
}

fn xml(content: String) -> Response<Body> {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{content}");
    let mut response = Response::new(Body::full(text.into()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::full(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// What was put has this ETag, and the checksums that were asked for.
fn tagged(etag: &str, sums: &[(Algorithm, Vec<u8>)]) -> Response<Body> {
    let mut response = empty(StatusCode::OK);
    if let Ok(etag) = HeaderValue::from_str(&quoted(etag)) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    let sums: Vec<_> = sums.iter().map(|(algorithm, sum)| (*algorithm, base64(sum))).collect();
    add_sums(response.headers_mut(), &sums, "FULL_OBJECT");
    response
}

/// Checksums as Base64, and what they are of.
fn add_sums(headers: &mut HeaderMap, sums: &[(Algorithm, String)], kind: &'static str) {
    for (algorithm, sum) in sums {
        if let Ok(value) = HeaderValue::from_str(sum) {
            headers.insert(algorithm.header(), value);
            headers.insert("x-amz-checksum-type", HeaderValue::from_static(kind));
        }
    }
}

/// What is known of an object, as XML: those things that are asked for.
async fn attributes(call: &Call, key: String) -> Answer {
    let asked: Vec<String> = call
        .headers
        .get_all("x-amz-object-attributes")
        .iter()
        .flat_map(|value| {
            objects::text(value).split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()
        })
        .collect();
    let is_asked = |name: &str| asked.iter().any(|asked| asked == name);
    let name = key.clone();
    let Some(object) = ask(|reply| call.store.head(key, reply)).await? else { return Err(missing(&name)) };
    let mut content = String::new();
    if is_asked("ETag") {
        content += &element("ETag", &object.etag);
    }
    let (sums, kind) = objects::checksums(&object.checksums);
    if is_asked("Checksum") && !sums.is_empty() {
        let sums: String = sums.iter().map(|(algorithm, sum)| element(&algorithm.element(), sum)).collect();
        content += &format!("<Checksum>{sums}{}</Checksum>", element("ChecksumType", kind));
    }
    if let Some((_, parts)) = object.etag.split_once('-').filter(|_| is_asked("ObjectParts")) {
        content += &format!("<ObjectParts>{}</ObjectParts>", element("PartsCount", parts));
    }
    if is_asked("StorageClass") {
        content += "<StorageClass>STANDARD</StorageClass>";
    }
    if is_asked("ObjectSize") {
        content += &element("ObjectSize", &object.size.to_string());
    }
    let mut response = xml(format!(
        "<GetObjectAttributesResponse xmlns=\"{NAMESPACE}\">{content}</GetObjectAttributesResponse>"
    ));
    let uploaded = u64::try_from(object.uploaded_ms).unwrap_or_default();
    let uploaded = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(uploaded));
    if let Ok(uploaded) = HeaderValue::from_str(&uploaded) {
        response.headers_mut().insert(header::LAST_MODIFIED, uploaded);
    }
    Ok(response)
}

fn buckets(stores: &Stores) -> Response<Body> {
    let buckets: Vec<String> = stores
        .known_r2()
        .into_iter()
        .map(|known| {
            format!("<Bucket>{}{}</Bucket>", element("Name", &known.id), element("CreationDate", &iso(0)))
        })
        .collect();
    let owner = "<Owner><ID>local</ID></Owner>";
    xml(format!(
        "<ListAllMyBucketsResult xmlns=\"{NAMESPACE}\">{owner}<Buckets>{}</Buckets></ListAllMyBucketsResult>",
        buckets.concat()
    ))
}

async fn list(call: &Call) -> Answer {
    let is_new = call.query("list-type") == Some("2");
    let limit = call.most("max-keys")?;
    let prefix = call.query("prefix").unwrap_or_default().to_owned();
    let delimiter = call.query("delimiter").filter(|delimiter| !delimiter.is_empty()).map(str::to_owned);
    let after = call.query(if is_new { "start-after" } else { "marker" }).map(str::to_owned);
    let token = call.query("continuation-token").filter(|_| is_new);
    let from = token.map(|token| BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()));
    let from = match from {
        None => None,
        Some(Some(from)) => Some(from),
        Some(None) => return Err(failure(400, "InvalidArgument", "the continuation token is none of ours")),
    };
    // Nothing may be asked for, too.
    let found = match limit {
        0 => List::default(),
        _ => {
            // A prefix that was the end of the last page is not listed again.
            let after = match (is_new, &after, &delimiter) {
                (false, Some(marker), Some(delimiter)) if marker.ends_with(delimiter.as_str()) => {
                    Some(format!("{marker}\u{10FFFF}"))
                }
                _ => after.clone(),
            };
            let options = ListOptions {
                prefix: prefix.clone(),
                limit: Some(limit),
                from,
                after,
                delimiter: delimiter.clone(),
            };
            ask(|reply| call.store.list(options, reply)).await?
        }
    };
    let is_encoded = call.query("encoding-type") == Some("url");
    let key = |text: &str| if is_encoded { encode(text, true) } else { text.to_owned() };
    let mut content = element("Name", &call.bucket) + &element("Prefix", &key(&prefix));
    content += &element("MaxKeys", &limit.to_string());
    content += &element("IsTruncated", if found.next.is_some() { "true" } else { "false" });
    if let Some(delimiter) = &delimiter {
        content += &element("Delimiter", &key(delimiter));
    }
    if is_encoded {
        content += &element("EncodingType", "url");
    }
    if is_new {
        content += &element("KeyCount", &(found.objects.len() + found.prefixes.len()).to_string());
        if let Some(token) = token {
            content += &element("ContinuationToken", token);
        }
        if let Some(after) = &after {
            content += &element("StartAfter", &key(after));
        }
        if let Some(next) = &found.next {
            content += &element("NextContinuationToken", &BASE64.encode(next));
        }
    } else {
        content += &element("Marker", &key(after.as_deref().unwrap_or_default()));
        if found.next.is_some() {
            let last = found.objects.last().map(|object| object.key.as_str());
            let last = last.max(found.prefixes.last().map(String::as_str));
            content += &element("NextMarker", &key(last.unwrap_or_default()));
        }
    }
    for object in &found.objects {
        let Object { size, etag, uploaded_ms, .. } = object;
        content += "<Contents>";
        content += &element("Key", &key(&object.key));
        content += &element("LastModified", &iso(*uploaded_ms));
        content += &element("ETag", &quoted(etag));
        content += &element("Size", &size.to_string());
        content += "<StorageClass>STANDARD</StorageClass></Contents>";
    }
    for prefix in &found.prefixes {
        content += &format!("<CommonPrefixes>{}</CommonPrefixes>", element("Prefix", &key(prefix)));
    }
    Ok(xml(format!("<ListBucketResult xmlns=\"{NAMESPACE}\">{content}</ListBucketResult>")))
}

async fn delete_many(call: &Call, sent: &str) -> Answer {
    let keys: Option<Vec<String>> =
        all(sent, "Object").into_iter().map(|object| text(object, "Key")).collect();
    let Some(keys) = keys.filter(|keys| !keys.is_empty() && keys.len() <= MOST_LISTED as usize) else {
        return Err(failure(
            400,
            "MalformedXML",
            format!("from 1 to {MOST_LISTED} keys are deleted at once"),
        ));
    };
    let gone = keys.clone();
    ask(|reply| call.store.delete(gone, reply)).await?;
    let is_quiet = text(sent, "Quiet").as_deref() == Some("true");
    let shown = |key: &String| format!("<Deleted>{}</Deleted>", element("Key", key));
    let deleted: String = if is_quiet { String::new() } else { keys.iter().map(shown).collect() };
    Ok(xml(format!("<DeleteResult xmlns=\"{NAMESPACE}\">{deleted}</DeleteResult>")))
}

async fn get(call: &Call, key: String, method: &Method) -> Answer {
    let conditions = objects::conditions(&call.headers);
    let range = objects::range(&call.headers);
    let name = key.clone();
    let asked = conditions.clone();
    let found = ask(|reply| call.store.get(key, asked, range, reply)).await?;
    let (object, offset, length, body) = match found {
        None => return Err(missing(&name)),
        Some(Found::Object(object, offset, length, body)) => (object, offset, length, body),
        Some(Found::Unmet(object)) => return Ok(unmet(&object, &conditions)),
    };
    let mut response = empty(StatusCode::OK);
    objects::describe(&object, response.headers_mut());
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let end = (offset + length).saturating_sub(1);
        let span = HeaderValue::from_str(&format!("bytes {offset}-{end}/{}", object.size));
        span.map(|span| response.headers_mut().insert(header::CONTENT_RANGE, span)).ok();
    }
    let wants_sums = call.headers.get("x-amz-checksum-mode");
    if range.is_none() && wants_sums.is_some_and(|mode| mode.as_bytes().eq_ignore_ascii_case(b"ENABLED")) {
        let (sums, kind) = objects::checksums(&object.checksums);
        add_sums(response.headers_mut(), &sums, kind);
    }
    // What a signed URL says that the client shall be told.
    for (name, value) in &call.query {
        if let Some(header) = name.strip_prefix("response-")
            && let (Ok(header), Ok(value)) =
                (header::HeaderName::try_from(header), HeaderValue::from_str(value))
        {
            response.headers_mut().insert(header, value);
        }
    }
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if *method != Method::HEAD {
        *response.body_mut() = Body::stream(Stream::of_host(object_body(body)));
    }
    Ok(response)
}

/// The object is there, but not as the client wants it: it knows this one, or it wants another.
fn unmet(object: &Object, conditions: &Conditions) -> Response<Body> {
    let is_known = match (&conditions.etag_does_not_match, &conditions.etag_matches) {
        (Some(etags), None) => etags.iter().any(|etag| etag == "*" || *etag == object.etag),
        (None, None) => conditions.uploaded_after.is_some(),
        _ => false,
    };
    let mut response = match is_known {
        true => empty(StatusCode::NOT_MODIFIED),
        false => {
            let mut response = xml(format!(
                "<Error>{}{}</Error>",
                element("Code", "PreconditionFailed"),
                element("Message", "the object does not meet the conditions")
            ));
            *response.status_mut() = StatusCode::PRECONDITION_FAILED;
            response
        }
    };
    if let Ok(etag) = HeaderValue::from_str(&quoted(&object.etag)) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

async fn put(call: &Call, key: String, received: Received) -> Answer {
    let Received { stored, sums } = received;
    let (metadata, conditions) = (objects::metadata(&call.headers), objects::conditions(&call.headers));
    let put = ask(|reply| call.store.put(key, stored, metadata, conditions, reply)).await?;
    match put {
        Some(object) => Ok(tagged(&object.etag, &sums)),
        None => Err(failure(412, "PreconditionFailed", "what is there does not meet the conditions")),
    }
}

/// The bytes of another object, and what is known of it.
async fn copied(
    call: &Call,
    stores: &Stores,
    source: &str,
) -> Result<(taipan_storage::r2::Stored, Object), Failure> {
    let source = decode(source.split('?').next().unwrap_or_default());
    let source = source.trim_start_matches('/');
    let (bucket, key) = source.split_once('/').unwrap_or((source, ""));
    if !stores.known_r2().iter().any(|known| known.id == bucket) {
        return Err(failure(404, "NoSuchBucket", format!("there is no such bucket: {bucket}")));
    }
    let (opened, id) = (stores.clone(), bucket.to_owned());
    let from = on_io(move || opened.r2(&id)).await?;
    let name = key.to_owned();
    let range = call.headers.get("x-amz-copy-source-range").and_then(|value| {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, value.clone());
        objects::range(&headers)
    });
    let found = ask(|reply| from.get(name, Conditions::default(), range, reply)).await?;
    let Some(Found::Object(object, _, _, mut body)) = found else { return Err(missing(key)) };
    let to = call.store.clone();
    let stored = on_io(move || {
        let mut upload = to.upload()?;
        while let Some(piece) = body.read(1 << 20)? {
            upload.write(piece)?;
        }
        upload.finish(None)
    });
    Ok((stored.await?, object))
}

async fn copy(call: &Call, stores: &Stores, key: String, source: &str) -> Answer {
    let (mut stored, from) = copied(call, stores, source).await?;
    objects::keep_checksums(&mut stored, &from.checksums);
    let is_replaced =
        call.headers.get("x-amz-metadata-directive").is_some_and(|value| value.as_bytes() == b"REPLACE");
    let metadata = match is_replaced {
        true => objects::metadata(&call.headers),
        false => taipan_storage::r2::Metadata { http: from.http_metadata, custom: from.custom_metadata },
    };
    let put = ask(|reply| call.store.put(key, stored, metadata, Conditions::default(), reply)).await?;
    let object = put.unwrap_or_default();
    let content = element("ETag", &quoted(&object.etag)) + &element("LastModified", &iso(object.uploaded_ms));
    Ok(xml(format!("<CopyObjectResult xmlns=\"{NAMESPACE}\">{content}</CopyObjectResult>")))
}
