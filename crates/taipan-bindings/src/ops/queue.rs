//! `queue.*`: messages to queues.

use bytes::Bytes;
use taipan_engine::OpReply;
use taipan_guest::protocol::{FieldRef, Message};
use taipan_storage::queues::{LONGEST_DELAY, Outgoing};

use super::OpError;
use super::data::Parts;

/// The kinds of bodies that there are.
const KINDS: [&str; 4] = ["json", "text", "bytes", "v8"];

pub(super) fn call(verb: &str, id: u32, args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    let producer = parts.store(args, |table| &table.queues)?;
    if verb != "send" {
        return Err(OpError::unknown(verb));
    }
    let mut messages = Vec::new();
    for i in (1..args.len()).step_by(3) {
        let kind = args.str(i)?;
        if !KINDS.contains(&kind) {
            let message = format!("not a content type of messages: {kind}; there are {}", KINDS.join(", "));
            return Err(OpError::type_error(message));
        }
        let body = match args.get(i + 1) {
            FieldRef::Str(text) => text.as_bytes(),
            _ => args.bytes(i + 1)?,
        };
        let delay = match args.get(i + 2) {
            FieldRef::Null => producer.delay,
            _ => Some(args.u32(i + 2).map_err(|_| {
                OpError::range_error(format!(
                    "a delay is a whole number of seconds from 0 to {LONGEST_DELAY}"
                ))
            })?),
        };
        messages.push(Outgoing { kind: kind.to_owned(), body: Bytes::copy_from_slice(body), delay });
    }
    producer.queues.send(&producer.queue, messages, parts.answer(id, |()| Ok(vec![])));
    Ok(OpReply::Later)
}
