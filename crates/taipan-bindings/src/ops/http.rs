//! `http.*`: the request that is being handled and its response.

use bytes::Bytes;
use taipan_engine::OpReply;
use taipan_guest::protocol::{FieldRef, Message};

use super::{OpError, pairs};
use crate::fetches::Fetches;
use crate::streams::{Aborted, Passed};
use crate::{EventSender, Failure, Requests, Response, ResponseBody};

pub(super) fn call(
    verb: &str,
    id: u32,
    args: &Message<'_>,
    requests: &Requests,
    fetches: &Fetches,
    events: &EventSender,
) -> Result<OpReply, OpError> {
    let request = args.u32(0)?;
    match verb {
        "read" => return Ok(requests.read(request, id, events.clone())),
        "write" => return Ok(requests.write(request, id, Bytes::copy_from_slice(args.bytes(1)?))),
        "pass" => {
            let body = requests.take_body(request);
            let body = body.ok_or_else(|| OpError::type_error("the request body is no longer available"))?;
            return Ok(OpReply::Ready(vec![fetches.hold(Box::new(Passed::new(body))).into()]));
        }
        "respond" => respond(request, args, requests, fetches, events)?,
        "gone" => return Ok(requests.gone(request, id, events.clone())),
        "close" => requests.end_stream(request, Ok(pairs(args, 1)?)),
        "abort" => requests.end_stream(request, Err(Aborted { message: args.str(1)?.to_owned() })),
        "fail" => requests.fail(request, Failure::Report(args.str(1)?.into())),
        "done" => requests.done(request),
        _ => return Err(OpError::unknown(verb)),
    }
    Ok(OpReply::Ready(Vec::new()))
}

fn respond(
    request: u32,
    args: &Message<'_>,
    requests: &Requests,
    fetches: &Fetches,
    events: &EventSender,
) -> Result<(), OpError> {
    let (body, streamed) = match args.get(3) {
        FieldRef::Null => (ResponseBody::Empty, None),
        FieldRef::Num(fetch) if fetch >= 0.0 => match fetches.take(args.u32(3)?) {
            Some(body) => (ResponseBody::Fetched(body), None),
            None => return Err(OpError::type_error("the body is not there any more")),
        },
        FieldRef::Num(_) => (ResponseBody::Empty, Some(events.clone())),
        _ => (ResponseBody::Full(Bytes::copy_from_slice(args.bytes(3)?)), None),
    };
    let headers = pairs(args, 4)?;
    let response = Response { status: args.u32(1)?, status_text: args.str(2)?.to_owned(), headers, body };
    if requests.contains(request) && !requests.respond(request, response, streamed) {
        return Err(OpError::type_error("the request has been answered already"));
    }
    Ok(())
}
