//! `ws.*`: WebSockets, those that clients open and those that the guest does.

use bytes::Bytes;
use taipan_engine::OpReply;
use taipan_guest::protocol::{Field, FieldRef, Message};

use super::{OpError, pairs};
use crate::web_sockets::{SocketMessage, WebSockets};
use crate::{Dial, EventSender, Requests, Response, ResponseBody, WebSocketDialer};

/// A close frame has room for 125 bytes, and two are the code's.
const LONGEST_REASON: usize = 123;

pub(super) struct Parts<'a> {
    pub(super) sockets: &'a WebSockets,
    pub(super) requests: &'a Requests,
    pub(super) events: &'a EventSender,
    pub(super) dialer: Option<&'a dyn WebSocketDialer>,
}

pub(super) fn call(verb: &str, id: u32, args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    let sockets = parts.sockets;
    let answer: Vec<Field> = match verb {
        "upgrade" => vec![upgrade(args, parts)?.into()],
        "connect" => return connect(id, args, parts),
        "receive" => return Ok(sockets.receive(args.u32(0)?, id, parts.events.clone())),
        "drained" => return Ok(sockets.drained(args.u32(0)?, id, parts.events.clone())),
        "send" => {
            let message = match args.get(1) {
                FieldRef::Str(text) => SocketMessage::Text(text.to_owned()),
                _ => SocketMessage::Binary(Bytes::copy_from_slice(args.bytes(1)?)),
            };
            sockets.send(args.u32(0)?, message).map(|buffered| vec![number(buffered)]).unwrap_or_default()
        }
        "buffered" => vec![number(sockets.buffered(args.u32(0)?))],
        "close" => {
            let code = match args.get(1) {
                FieldRef::Null => None,
                _ => Some(u16::try_from(args.u32(1)?).unwrap_or(1011)),
            };
            let reason = args.str(2)?;
            if reason.len() > LONGEST_REASON {
                return Err(OpError {
                    name: "SyntaxError",
                    message: "the reason is longer than 123 bytes".into(),
                });
            }
            sockets.close(args.u32(0)?, code, reason.to_owned());
            vec![]
        }
        _ => return Err(OpError::unknown(verb)),
    };
    Ok(OpReply::Ready(answer))
}

fn number(n: usize) -> Field {
    u32::try_from(n).unwrap_or(u32::MAX).into()
}

/// Answers the request with a WebSocket.
fn upgrade(args: &Message<'_>, parts: &Parts<'_>) -> Result<u32, OpError> {
    let request = args.u32(0)?;
    let headers = pairs(args, 1)?;
    let (number, connection) = parts.sockets.open();
    let body = ResponseBody::WebSocket(connection);
    let response = Response { status: 101, status_text: String::new(), headers, body };
    if parts.requests.contains(request) && !parts.requests.respond(request, response, None) {
        return Err(OpError::type_error("the request has been answered already"));
    }
    Ok(number)
}

fn connect(id: u32, args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    let Some(dialer) = parts.dialer else {
        return Err(OpError {
            name: "NotSupportedError",
            message: "WebSockets cannot be opened here".into(),
        });
    };
    let (_, connection) = parts.sockets.open();
    let dial = Dial::new(connection, id, parts.events.clone());
    dialer.dial(args.str(0)?.to_owned(), pairs(args, 1)?, dial);
    Ok(OpReply::Later)
}
