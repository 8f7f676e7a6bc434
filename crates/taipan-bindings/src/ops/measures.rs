//! `ratelimit.*` and `analytics.*`.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use taipan_engine::OpReply;
use taipan_guest::protocol::Message;
use taipan_storage::analytics::{Blob, Point};

use super::OpError;
use super::data::Parts;

/// The longest key that is counted, in bytes.
const LONGEST_KEY: usize = 4096;

pub(super) fn limit(verb: &str, args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    let limit = parts.store(args, |table| &table.limits)?;
    let key = args.str(1)?;
    if verb != "limit" {
        return Err(OpError::unknown(verb));
    }
    if key.len() > LONGEST_KEY {
        return Err(OpError::range_error(format!(
            "the key is too long: {} > {LONGEST_KEY} bytes",
            key.len()
        )));
    }
    Ok(OpReply::Ready(vec![u32::from(limit.allows(key, Instant::now())).into()]))
}

pub(super) fn note(verb: &str, args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    let dataset = parts.store(args, |table| &table.datasets)?;
    if verb != "note" {
        return Err(OpError::unknown(verb));
    }
    let point = point(args.str(1)?).map_err(|message| OpError::type_error(message.to_owned()))?;
    taipan_storage::analytics::check(&point)?;
    dataset.analytics.note_unheard(&dataset.name, point);
    Ok(OpReply::Ready(vec![]))
}

fn point(json: &str) -> Result<Point, &'static str> {
    let given: Value = serde_json::from_str(json).map_err(|_| "not a data point")?;
    let list = |key: &str| given.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let blob = |value: &Value| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(Blob::Text(text.clone()))),
        other => {
            let bytes = other.get("b").and_then(Value::as_str).and_then(|text| BASE64.decode(text).ok());
            bytes.map(|bytes| Some(Blob::Bytes(bytes))).ok_or("a blob of a data point is text or bytes")
        }
    };
    let double = |value: &Value| match value {
        Value::Null => Ok(None),
        other => other.as_f64().map(Some).ok_or("a double of a data point is a number"),
    };
    let indexes = list("indexes");
    if indexes.len() > 1 {
        return Err("a data point has at most one index");
    }
    let index = match indexes.first().map(&blob).transpose()?.flatten() {
        None => None,
        Some(Blob::Text(text)) => Some(text),
        Some(Blob::Bytes(bytes)) => Some(String::from_utf8_lossy(&bytes).into_owned()),
    };
    Ok(Point {
        index,
        blobs: list("blobs").iter().map(blob).collect::<Result<_, _>>()?,
        doubles: list("doubles").iter().map(double).collect::<Result<_, _>>()?,
    })
}
