//! `cache.*`: `caches.default` and the named ones.

use std::time::Instant;

use bytes::Bytes;
use taipan_guest::protocol::{Field, FieldRef, Message};

use super::{Fields, OpError};
use crate::caches::{Caches, Refusal, Stored, select};

pub(super) fn call(verb: &str, args: &Message<'_>, caches: &Caches) -> Fields {
    let (cache, url, now) = (args.str(0)?, args.str(1)?, Instant::now());
    match verb {
        "match" => {
            let request = pairs(args, 2)?.0;
            let Some((response, age)) = caches.find(cache, url, &request, now) else { return Ok(vec![]) };
            let Stored { status, status_text, headers, body } = select(&request, response);
            let body = body.map_or(Field::Null, |body| Field::Bytes(body.into()));
            let mut fields = vec![status.into(), status_text.into(), body];
            fields.extend(headers.into_iter().flat_map(|(name, value)| [name.into(), value.into()]));
            fields.extend(["age".into(), age.to_string().into(), "cf-cache-status".into(), "HIT".into()]);
            Ok(fields)
        }
        "put" => {
            let body = match args.get(4) {
                FieldRef::Null => None,
                _ => Some(Bytes::copy_from_slice(args.bytes(4)?)),
            };
            let (request, next) = pairs(args, 5)?;
            let (headers, _) = pairs(args, next)?;
            let response =
                Stored { status: args.u32(2)?, status_text: args.str(3)?.to_owned(), headers, body };
            caches.put(cache, url, &request, response, now).map_err(|refusal| {
                OpError::type_error(match refusal {
                    Refusal::VariesByAll => "the response cannot be cached: it has Vary: *",
                    Refusal::Partial => "the response cannot be cached: it is a partial one (206)",
                })
            })?;
            Ok(vec![])
        }
        "delete" => Ok(vec![u32::from(caches.delete(cache, url, now)).into()]),
        _ => Err(OpError::unknown(verb)),
    }
}

/// Names and values up to a null or the end, and where it goes on.
fn pairs(args: &Message<'_>, from: usize) -> Result<(Vec<(String, String)>, usize), OpError> {
    let mut pairs = Vec::new();
    let mut i = from;
    while args.get(i) != FieldRef::Null {
        pairs.push((args.str(i)?.to_owned(), args.str(i + 1)?.to_owned()));
        i += 2;
    }
    Ok((pairs, i + 1))
}
