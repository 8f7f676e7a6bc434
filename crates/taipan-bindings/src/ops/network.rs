//! `tcp.*`, `dns.*` and `tls.*`: connections that the guest opens.

use bytes::Bytes;
use taipan_config::Secret;
use taipan_engine::OpReply;
use taipan_guest::protocol::{Field, FieldRef, Message};

use super::OpError;
use crate::connections::{Connections, Target, TlsTerms};
use crate::{Egress, EventSender};

pub(super) struct Parts<'a> {
    pub(super) connections: &'a Connections,
    pub(super) events: &'a EventSender,
    pub(super) egress: Option<&'a dyn Egress>,
}

fn nowhere() -> OpError {
    OpError { name: "NotSupportedError", message: "connections cannot be opened here".into() }
}

pub(super) fn tcp(verb: &str, id: u32, args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    let connections = parts.connections;
    if verb == "connect" {
        let port =
            u16::try_from(args.u32(1)?).map_err(|_| OpError::range_error("a port is at most 65535"))?;
        let target = Target { host: args.str(0)?.to_owned(), port, is_secure: args.u32(2)? != 0 };
        connections.connect(id, parts.events, target, parts.egress.ok_or_else(nowhere)?);
        return Ok(OpReply::Later);
    }
    let number = args.u32(0)?;
    match verb {
        "read" => return Ok(connections.read(number, id, parts.events.clone())),
        "write" => return Ok(connections.write(number, id, Bytes::copy_from_slice(args.bytes(1)?))),
        "end" => connections.end(number),
        "close" => connections.close(number),
        _ => return Err(OpError::unknown(verb)),
    }
    Ok(OpReply::Ready(Vec::new()))
}

pub(super) fn dns(verb: &str, id: u32, args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    if verb != "resolve" {
        return Err(OpError::unknown(verb));
    }
    let egress = parts.egress.ok_or_else(nowhere)?;
    parts.connections.resolve(id, parts.events, args.str(0)?.to_owned(), egress);
    Ok(OpReply::Later)
}

pub(super) fn tls(verb: &str, args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    let connections = parts.connections;
    let gone = || OpError::type_error("the TLS session is over");
    let answer: Vec<Field> = match verb {
        "open" => {
            let mut protocols = Vec::new();
            for i in 6..args.len() {
                protocols.push(args.str(i)?.to_owned());
            }
            let terms = TlsTerms {
                name: args.str(0)?.to_owned(),
                checks_chain: args.u32(1)? != 0,
                checks_name: args.u32(2)? != 0,
                roots: match args.get(3) {
                    FieldRef::Null => None,
                    _ => Some(args.str(3)?.to_owned()),
                },
                trusts_system: args.u32(4)? != 0,
                identity: match args.get(5) {
                    FieldRef::Null => None,
                    _ => Some(Secret::new(args.str(5)?.to_owned())),
                },
                protocols,
            };
            let session = parts.egress.ok_or_else(nowhere)?.tls(&terms);
            let session = session.map_err(|message| OpError { name: "NetworkError", message })?;
            vec![connections.enter(session).into()]
        }
        "step" => {
            let (wire, plain, close) = (args.bytes(1)?, args.bytes(2)?, args.u32(3)? != 0);
            let step = connections.session(args.u32(0)?, |session| session.step(wire, plain, close));
            let step = step.ok_or_else(gone)?;
            vec![
                step.plain.into(),
                step.wire.into(),
                u32::from(step.is_handshaking).into(),
                u32::from(step.has_ended).into(),
                step.error.map_or(Field::Null, Field::from),
            ]
        }
        "facts" => {
            let facts = connections.session(args.u32(0)?, |session| session.facts()).ok_or_else(gone)?;
            let text = |value: Option<String>| value.map_or(Field::Null, Field::from);
            vec![
                text(facts.version),
                text(facts.cipher),
                text(facts.protocol),
                facts.certificate.map_or(Field::Null, Field::from),
            ]
        }
        "drop" => {
            connections.forget(args.u32(0)?);
            vec![]
        }
        _ => return Err(OpError::unknown(verb)),
    };
    Ok(OpReply::Ready(answer))
}
