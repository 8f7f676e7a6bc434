//! `kv.*`: key-value namespaces.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use taipan_engine::OpReply;
use taipan_guest::protocol::{Field, FieldRef, Message};
use taipan_storage::kv::{End, Entry, List, ListOptions, Put};

use super::OpError;
use super::data::Parts;

pub(super) fn call(verb: &str, id: u32, args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    let store = parts.store(args, |table| &table.kv)?;
    match verb {
        "get" => {
            let is_text = args.str(2)? == "text";
            if let Some(found) = store.get_now(args.str(1)?) {
                return Ok(parts.now(id, found.map_or_else(Vec::new, |entry| whole(entry, is_text))));
            }
            let fields = move |entry: Option<Entry>| Ok(entry.map_or_else(Vec::new, |e| whole(e, is_text)));
            store.get(args.str(1)?.to_owned(), parts.answer(id, fields));
        }
        "open" => {
            let blobs = parts.blobs.clone();
            let fields = move |entry: Option<Entry>| {
                let Some(entry) = entry else { return Ok(vec![]) };
                let length = u32::try_from(entry.value.len()).unwrap_or(u32::MAX);
                Ok(vec![blobs.hold(entry.value.into())?.into(), length.into(), optional(entry.metadata)])
            };
            store.get(args.str(1)?.to_owned(), parts.answer(id, fields));
        }
        "many" => {
            let fields = |entries: Vec<Option<Entry>>| {
                let pair = |entry: Option<Entry>| match entry {
                    Some(entry) => whole(entry, true),
                    None => vec![Field::Null, Field::Null],
                };
                Ok(entries.into_iter().flat_map(pair).collect())
            };
            store.get_many(rest(args, 1)?, parts.answer(id, fields));
        }
        "put" => {
            let value = match args.get(2) {
                FieldRef::Str(text) => Bytes::copy_from_slice(text.as_bytes()),
                FieldRef::Num(_) => parts.blobs.take(args.u32(2)?).map_err(OpError::type_error)?,
                _ => Bytes::copy_from_slice(args.bytes(2)?),
            };
            let end = match args.get(4) {
                FieldRef::Str("at") => Some(End::At(seconds(args, 5)?)),
                FieldRef::Str(_) => Some(End::After(seconds(args, 5)?)),
                _ => None,
            };
            let put = Put { key: args.str(1)?.to_owned(), value, metadata: text(args, 3)?, end };
            store.put(put, parts.answer(id, |()| Ok(vec![])));
        }
        "delete" => store.delete(rest(args, 1)?, parts.answer(id, |()| Ok(vec![]))),
        "list" => {
            let limit = match args.get(2) {
                FieldRef::Null => None,
                _ => Some(
                    args.u32(2).map_err(|_| OpError::range_error("the limit of a list is from 1 to 1000"))?,
                ),
            };
            let after = text(args, 3)?.map(|cursor| key_of(&cursor)).transpose()?;
            let options = ListOptions { prefix: args.str(1)?.to_owned(), limit, after };
            store.list(options, parts.answer(id, |list| Ok(listed(list))));
        }
        _ => return Err(OpError::unknown(verb)),
    }
    Ok(OpReply::Later)
}

fn whole(entry: Entry, is_text: bool) -> Vec<Field> {
    let value = match is_text {
        true => match String::from_utf8(entry.value) {
            Ok(text) => Field::Str(text),
            Err(error) => Field::Str(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        },
        false => Field::Bytes(entry.value),
    };
    vec![value, optional(entry.metadata)]
}

fn listed(list: List) -> Vec<Field> {
    // The next list comes after the last key of this one.
    let cursor = list.keys.last().filter(|_| !list.is_complete).map(|last| BASE64.encode(&last.key));
    let mut fields = vec![optional(cursor)];
    for key in list.keys {
        let end = key.expires_at.map_or(Field::Null, |seconds| Field::Num(seconds as f64));
        fields.extend([key.key.into(), end, optional(key.metadata)]);
    }
    fields
}

fn key_of(cursor: &str) -> Result<String, OpError> {
    let key = BASE64.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| OpError::range_error(format!("the cursor is none that a list gave: {cursor}")))
}

fn optional(text: Option<String>) -> Field {
    text.map_or(Field::Null, Field::from)
}

fn text(args: &Message<'_>, i: usize) -> Result<Option<String>, OpError> {
    match args.get(i) {
        FieldRef::Null => Ok(None),
        _ => Ok(Some(args.str(i)?.to_owned())),
    }
}

fn seconds(args: &Message<'_>, i: usize) -> Result<i64, OpError> {
    let seconds = args.num(i)?;
    if seconds.fract() != 0.0 || seconds.abs() > 1e15 {
        return Err(OpError::range_error(format!("a time is a whole number of seconds, not {seconds}")));
    }
    // The range was checked on the line above.
    Ok(seconds as i64)
}

fn rest(args: &Message<'_>, from: usize) -> Result<Vec<String>, OpError> {
    (from..args.len()).map(|i| Ok(args.str(i)?.to_owned())).collect()
}
