//! `fetch.*`: requests that the guest makes.

use bytes::Bytes;
use taipan_engine::OpReply;
use taipan_guest::protocol::{FieldRef, Message};

use super::{OpError, rpc};
use crate::fetches::{FetchAnswer, FetchBody, FetchRequest, Fetches, Redirect};
use crate::streams::{Aborted, StreamWriter};
use crate::{BindingTable, Egress, EventSender, Requests};

/// How many requests may be made for one that came in, redirects included.
const SUBREQUESTS: u32 = 1000;

pub(super) struct Parts<'a> {
    pub(super) fetches: &'a Fetches,
    pub(super) requests: &'a Requests,
    pub(super) events: &'a EventSender,
    pub(super) egress: Option<&'a dyn Egress>,
}

pub(super) fn call(verb: &str, id: u32, args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    let fetches = parts.fetches;
    if verb == "open" {
        return open(args, parts);
    }
    let number = args.u32(0)?;
    match verb {
        "response" => return Ok(fetches.response(number, id, parts.events.clone())),
        "read" => {
            let egress = parts.egress.ok_or_else(nowhere)?;
            return Ok(fetches.read(number, id, parts.events.clone(), egress));
        }
        "write" => return Ok(fetches.write(number, id, Bytes::copy_from_slice(args.bytes(1)?))),
        "end" => {
            let end = match args.get(1) {
                FieldRef::Null => Ok(()),
                _ => Err(Aborted { message: args.str(1)?.to_owned() }),
            };
            fetches.end_upload(number, end);
        }
        "cancel" => fetches.cancel(number),
        _ => return Err(OpError::unknown(verb)),
    }
    Ok(OpReply::Ready(Vec::new()))
}

fn nowhere() -> OpError {
    OpError { name: "NotSupportedError", message: "requests cannot be made here".into() }
}

fn open(args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    let egress = parts.egress.ok_or_else(nowhere)?;
    begin(args, 0, 0, parts, |request, answer| egress.fetch(request, answer))
}

/// `fetcher.open`: as `fetch.open`, to what the binding stands for.
pub(super) fn open_bound(
    args: &Message<'_>,
    parts: &Parts<'_>,
    table: Option<&BindingTable>,
) -> Result<OpReply, OpError> {
    let name = args.str(0)?;
    let fetcher = table
        .and_then(|table| table.fetchers.get(name))
        .ok_or_else(|| OpError::type_error(format!("the configuration has no such binding: {name}")))?;
    let depth = rpc::deeper(parts.requests, args.u32(1)?)?;
    begin(args, 1, depth, parts, |request, answer| fetcher.fetch(request, answer))
}

/// The request's fields begin with field `at`.
fn begin(
    args: &Message<'_>,
    at: usize,
    depth: u32,
    parts: &Parts<'_>,
    send: impl FnOnce(FetchRequest, FetchAnswer),
) -> Result<OpReply, OpError> {
    let count = parts.requests.subrequest(args.u32(at)?);
    if count > SUBREQUESTS {
        let message = format!("too many requests were made for one: {count}, at most {SUBREQUESTS}");
        return Err(OpError { name: "Error", message });
    }
    let redirect = match args.str(at + 3)? {
        "manual" => Redirect::Manual,
        "error" => Redirect::Error,
        _ => Redirect::Follow,
    };
    let (body, upload) = match args.get(at + 5) {
        FieldRef::Null => (FetchBody::Empty, None),
        FieldRef::Num(fetch) if fetch >= 0.0 => match parts.fetches.take(args.u32(at + 5)?) {
            Some(body) => (FetchBody::Passed(body), None),
            None => return Err(OpError::type_error("the request's body is not there any more")),
        },
        FieldRef::Num(_) => {
            let gone = "the request's body is not read any more";
            let (writer, stream) = StreamWriter::to(parts.events.clone(), gone);
            (FetchBody::Stream(stream), Some(writer))
        }
        _ => (FetchBody::Full(Bytes::copy_from_slice(args.bytes(at + 5)?)), None),
    };
    let mut headers = Vec::new();
    for i in (at + 6..args.len()).step_by(2) {
        headers.push((args.str(i)?.to_owned(), args.str(i + 1)?.to_owned()));
    }
    let request = FetchRequest {
        method: args.str(at + 1)?.to_owned(),
        url: args.str(at + 2)?.to_owned(),
        headers,
        body,
        redirect,
        decode: args.u32(at + 4)? != 0,
        budget: SUBREQUESTS.saturating_sub(count),
        depth,
    };
    let (number, answer) = parts.fetches.open(upload);
    send(request, answer);
    Ok(OpReply::Ready(vec![number.into()]))
}
