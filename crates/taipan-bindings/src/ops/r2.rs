//! `r2.*`: buckets. Objects, metadata, conditions, ranges and lists travel as JSON, with the names that JavaScript has for them.

use std::sync::{Arc, PoisonError};

use serde_json::{Map, Value, json};
use taipan_engine::OpReply;
use taipan_guest::protocol::{Field, FieldRef, Message};
use taipan_storage::r2::{Conditions, Found, List, ListOptions, Metadata, Object, R2Bucket, Range, Stored};
use taipan_storage::{StorageError, on_io_thread};

use super::OpError;
use super::data::Parts;
use crate::blobs::{Shared, Waiting};

pub(super) fn call(verb: &str, id: u32, args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    let store = parts.store(args, |table| &table.r2)?;
    let blobs = parts.blobs.clone();
    match verb {
        "begin" => {
            let reply = parts.answer(id, move |upload| Ok(vec![blobs.upload(upload)?.into()]));
            on_io_thread(move || reply(store.upload()));
        }
        "put" => {
            let (key, value) = (key(args)?, value(args, 2, parts)?);
            let (metadata, conditions) = (metadata(args, 3)?, conditions(args, 4)?);
            let checksum = match args.get(5) {
                FieldRef::Null => None,
                _ => Some((args.str(5)?.to_owned(), args.str(6)?.to_owned())),
            };
            let reply = parts.answer(id, |object| Ok(optional(object)));
            on_io_thread(move || match value.store(&store, checksum) {
                Ok(stored) => store.put(key, stored, metadata, conditions, reply),
                Err(error) => reply(Err(error)),
            });
        }
        "head" => store.head(key(args)?, parts.answer(id, |object| Ok(optional(object)))),
        "get" => {
            let fields = move |found: Option<Found>| match found {
                None => Ok(vec![]),
                Some(Found::Unmet(object)) => Ok(vec![shown(&object, None).to_string().into()]),
                Some(Found::Object(object, offset, length, body)) => {
                    let object = shown(&object, Some((offset, length)));
                    Ok(vec![object.to_string().into(), blobs.body(body)?.into()])
                }
            };
            store.get(key(args)?, conditions(args, 2)?, range(args, 3)?, parts.answer(id, fields));
        }
        "list" => {
            let options = object(args, 1)?;
            let text = |name: &str| options.get(name).and_then(Value::as_str).map(str::to_owned);
            let limit = options.get("limit").filter(|limit| !limit.is_null());
            let options = ListOptions {
                prefix: text("prefix").unwrap_or_default(),
                limit: limit.map(|limit| limit.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0)),
                from: text("cursor"),
                after: text("startAfter"),
                delimiter: text("delimiter"),
            };
            store.list(options, parts.answer(id, |list| Ok(vec![listed(list).to_string().into()])));
        }
        "delete" => {
            let keys =
                (1..args.len()).map(|i| Ok(args.str(i)?.to_owned())).collect::<Result<_, OpError>>()?;
            store.delete(keys, parts.answer(id, |()| Ok(vec![])));
        }
        "create" => {
            let reply = parts.answer(id, |upload: String| Ok(vec![upload.into()]));
            store.create_upload(key(args)?, metadata(args, 2)?, reply);
        }
        "part" => {
            let (key, upload, number) = (key(args)?, args.str(2)?.to_owned(), args.u32(3)?);
            let value = value(args, 4, parts)?;
            let reply = parts.answer(id, |etag: String| Ok(vec![etag.into()]));
            on_io_thread(move || match value.store(&store, None) {
                Ok(stored) => store.put_part(key, upload, number, stored, reply),
                Err(error) => reply(Err(error)),
            });
        }
        "complete" => {
            let list = serde_json::from_str(args.str(3)?);
            let list = list.map_err(|_| OpError::type_error("parts are a list of numbers and ETags"))?;
            let fields = |object: Object| Ok(vec![shown(&object, None).to_string().into()]);
            store.complete_upload(key(args)?, args.str(2)?.to_owned(), list, parts.answer(id, fields));
        }
        "abort" => {
            store.abort_upload(key(args)?, args.str(2)?.to_owned(), parts.answer(id, |()| Ok(vec![])));
        }
        _ => return Err(OpError::unknown(verb)),
    }
    Ok(OpReply::Later)
}

/// What the guest gives to be kept.
enum Given {
    Whole(Waiting),
    File(Shared<taipan_storage::r2::Upload>),
}

impl Given {
    /// Brings it to disk.
    fn store(
        self,
        store: &Arc<R2Bucket>,
        checksum: Option<(String, String)>,
    ) -> Result<Stored, StorageError> {
        let upload = match self {
            Self::Whole(bytes) => {
                let mut upload = store.upload()?;
                upload.write(bytes.bytes.clone())?;
                upload
            }
            Self::File(file) => {
                let taken = file.lock().unwrap_or_else(PoisonError::into_inner).take();
                taken.ok_or(StorageError::Closed)?
            }
        };
        upload.finish(checksum.as_ref().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

fn value(args: &Message<'_>, i: usize, parts: &Parts<'_>) -> Result<Given, OpError> {
    let whole = |bytes: &[u8]| parts.blobs.waiting(bytes.to_vec()).map_err(OpError::range_error);
    Ok(match args.get(i) {
        FieldRef::Str(text) => Given::Whole(whole(text.as_bytes())?),
        FieldRef::Num(_) => {
            let blob = args.u32(i)?;
            let file = parts.blobs.writes(blob);
            parts.blobs.forget(blob);
            Given::File(file.ok_or_else(|| OpError::type_error(format!("there is no such blob: {blob}")))?)
        }
        _ => Given::Whole(whole(args.bytes(i)?)?),
    })
}

fn key(args: &Message<'_>) -> Result<String, OpError> {
    Ok(args.str(1)?.to_owned())
}

/// An object of JSON; none is an empty one.
fn object(args: &Message<'_>, i: usize) -> Result<Map<String, Value>, OpError> {
    match args.get(i) {
        FieldRef::Null => Ok(Map::new()),
        _ => {
            serde_json::from_str(args.str(i)?).map_err(|_| OpError::type_error("an option is not an object"))
        }
    }
}

fn metadata(args: &Message<'_>, i: usize) -> Result<Metadata, OpError> {
    let given = object(args, i)?;
    let part = |name: &str| match given.get(name) {
        Some(Value::Object(part)) => Value::Object(part.clone()).to_string(),
        _ => "{}".to_owned(),
    };
    Ok(Metadata { http: part("httpMetadata"), custom: part("customMetadata") })
}

fn conditions(args: &Message<'_>, i: usize) -> Result<Conditions, OpError> {
    let given = object(args, i)?;
    let etags = |name: &str| match given.get(name) {
        Some(Value::String(etag)) => Some(vec![bare(etag)]),
        Some(Value::Array(etags)) => Some(etags.iter().filter_map(Value::as_str).map(bare).collect()),
        _ => None,
    };
    let time = |name: &str| given.get(name).and_then(Value::as_f64).map(|ms| ms as i64);
    Ok(Conditions {
        etag_matches: etags("etagMatches"),
        etag_does_not_match: etags("etagDoesNotMatch"),
        uploaded_before: time("uploadedBefore"),
        uploaded_after: time("uploadedAfter"),
        in_seconds: given.get("secondsGranularity").and_then(Value::as_bool).unwrap_or_default(),
    })
}

/// Headers have ETags in quotation marks.
fn bare(etag: &str) -> String {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_owned()
}

fn range(args: &Message<'_>, i: usize) -> Result<Option<Range>, OpError> {
    let given = object(args, i)?;
    let number = |name: &str| match given.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value
            .as_u64()
            .or(value.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0).map(|n| n as u64))
        {
            Some(n) => Ok(Some(n)),
            None => Err(OpError::range_error(format!("the range's {name} is a whole number, not {value}"))),
        },
    };
    Ok(match (number("suffix")?, number("offset")?, number("length")?) {
        (Some(last), _, _) => Some(Range::Last(last)),
        (None, None, None) => None,
        (None, offset, length) => Some(Range::From(offset.unwrap_or_default(), length)),
    })
}

fn optional(object: Option<Object>) -> Vec<Field> {
    object.map(|object| shown(&object, None).to_string().into()).into_iter().collect()
}

fn shown(object: &Object, range: Option<(u64, u64)>) -> Value {
    let part = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| json!({}));
    let mut shown = json!({
        "key": object.key,
        "version": object.version,
        "size": object.size,
        "etag": object.etag,
        "httpEtag": format!("\"{}\"", object.etag),
        "uploaded": object.uploaded_ms,
        "httpMetadata": part(&object.http_metadata),
        "customMetadata": part(&object.custom_metadata),
        "checksums": checksums(&object.checksums),
        "storageClass": "Standard",
    });
    if let (Some(shown), Some((offset, length))) = (shown.as_object_mut(), range) {
        shown.insert("range".to_owned(), json!({ "offset": offset, "length": length }));
    }
    shown
}

/// Those that R2 knows; S3's clients have others.
fn checksums(json: &str) -> Value {
    let mut known = serde_json::from_str::<Map<String, Value>>(json).unwrap_or_default();
    known.retain(|name, _| ["md5", "sha1", "sha256", "sha384", "sha512"].contains(&name.as_str()));
    Value::Object(known)
}

fn listed(list: List) -> Value {
    let objects: Vec<Value> = list.objects.iter().map(|object| shown(object, None)).collect();
    let mut shown = json!({
        "objects": objects, "delimitedPrefixes": list.prefixes, "truncated": list.next.is_some(),
    });
    if let (Some(shown), Some(next)) = (shown.as_object_mut(), list.next) {
        shown.insert("cursor".to_owned(), next.into());
    }
    shown
}
