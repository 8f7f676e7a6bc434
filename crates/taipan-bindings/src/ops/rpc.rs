//! `service.*` and `rpc.*`: methods of other Workers, and functions of other isolates.

use bytes::Bytes;
use taipan_engine::OpReply;
use taipan_guest::protocol::{Field, FieldRef, Message};

use super::{OpError, pairs, web_socket};
use crate::rpc::{DEEPEST_CALL, LARGEST_VALUE, RpcCall, Seat};
use crate::{BindingTable, Dial, EventSender, Requests};

/// `service.call` and `service.socket`.
pub(super) fn service(
    verb: &str,
    id: u32,
    args: &Message<'_>,
    table: Option<&BindingTable>,
    parts: &web_socket::Parts<'_>,
    seat: &Seat,
) -> Result<OpReply, OpError> {
    let web_socket::Parts { sockets, requests, events, .. } = parts;
    let name = args.str(0)?;
    let fetcher = table.and_then(|table| table.fetchers.get(name));
    let fetcher = fetcher
        .ok_or_else(|| OpError::type_error(format!("the configuration has no such binding: {name}")))?;
    let depth = deeper(requests, args.u32(1)?)?;
    if verb == "socket" {
        let (url, headers) = (args.str(2)?.to_owned(), pairs(args, 3)?);
        let (_, connection) = sockets.open();
        fetcher.connect(url, headers, depth, Dial::new(connection, id, (*events).clone()));
        return Ok(OpReply::Later);
    }
    if verb != "call" {
        return Err(OpError::unknown(verb));
    }
    let arguments = args.bytes(3)?;
    if arguments.len() > LARGEST_VALUE {
        let message = format!("the arguments are too large: {} > {LARGEST_VALUE} bytes", arguments.len());
        return Err(OpError::range_error(message));
    }
    let method = args.str(2)?.to_owned();
    let number = number(args, 4)?;
    let (arguments, events) = (Bytes::copy_from_slice(arguments), (*events).clone());
    fetcher.call(RpcCall::new(method, arguments, depth, (seat, number), (id, events)));
    Ok(OpReply::Later)
}

/// The depth of a call that is made for the request.
pub(super) fn deeper(requests: &Requests, request: u32) -> Result<u32, OpError> {
    let depth = requests.depth(request) + 1;
    if depth > DEEPEST_CALL {
        let message = format!("Workers call each other too deeply: more than {DEEPEST_CALL} calls");
        return Err(OpError { name: "Error", message });
    }
    Ok(depth)
}

/// A number that the guest counts up.
fn number(args: &Message<'_>, i: usize) -> Result<u64, OpError> {
    // What is no such number is one that nothing has.
    Ok(args.num(i)? as u64)
}

pub(super) fn functions(
    verb: &str,
    id: u32,
    args: &Message<'_>,
    seat: &Seat,
    requests: &Requests,
    events: &EventSender,
) -> Result<OpReply, OpError> {
    let done = Ok(OpReply::Ready(vec![]));
    let failed = |message| OpError { name: "Error", message };
    // Exact up to 2⁵³ calls.
    let kept = |kept: Option<u64>| kept.map_or(Field::Null, |kept| Field::Num(kept as f64));
    match verb {
        "export" => {
            seat.export().map(|token| OpReply::Ready(vec![token.into()])).map_err(OpError::range_error)
        }
        "next" => Ok(seat.next(id, events.clone())),
        "invoke" => {
            let arguments = Bytes::copy_from_slice(args.bytes(1)?);
            let number = match args.get(2) {
                FieldRef::Num(_) => Some(number(args, 2)?),
                _ => None,
            };
            let invoked = seat.invoke(args.str(0)?, arguments, number, id, events.clone());
            invoked.map(|()| OpReply::Later).map_err(failed)
        }
        "reply" => {
            let answer = Bytes::copy_from_slice(args.bytes(1)?);
            Ok(OpReply::Ready(vec![kept(seat.reply(number(args, 0)?, answer))]))
        }
        "reserve" => {
            let is_reserved = seat.reserve(number(args, 0)?);
            Ok(OpReply::Ready(vec![u32::from(is_reserved).into()]))
        }
        "ask" => {
            let arguments = Bytes::copy_from_slice(args.bytes(1)?);
            let asked = seat.ask(number(args, 0)?, arguments, number(args, 2)?, id, events.clone());
            asked.map(|()| OpReply::Later).map_err(failed)
        }
        "settled" => {
            seat.settled(number(args, 0)?);
            done
        }
        "claim" => {
            let result = requests.result(args.u32(0)?);
            Ok(OpReply::Ready(vec![kept(result.and_then(|result| seat.claim(result)))]))
        }
        "hold" => {
            seat.hold(args.str(0)?);
            done
        }
        "watch" => seat.watch(args.str(0)?, number(args, 1)?, id, events.clone()).map_err(failed),
        "unwatch" => {
            seat.unwatch(number(args, 0)?);
            done
        }
        "retain" => {
            let retained = seat.retain(args.str(0)?).map(|()| OpReply::Ready(vec![]));
            retained.map_err(failed)
        }
        "release" => {
            seat.release(args.str(0)?);
            done
        }
        _ => Err(OpError::unknown(verb)),
    }
}
