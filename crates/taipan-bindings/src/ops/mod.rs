//! From an operation's number to the function that performs it.

mod http;
mod text;
mod url;

use std::time::Instant;

use taipan_engine::{Event, OpReply, Ops};
use taipan_guest::ops::OPS;
use taipan_guest::protocol::{Field, MalformedMessage, Message};

use crate::{EventSender, Requests};

/// What an isolate's owner does for it.
pub trait Embedder: Send {
    /// As [`Ops::log`].
    fn log(&mut self, level: u8, line: &str);

    /// As [`Ops::wait`], for the events that went to the isolate's [`EventSender`].
    fn wait(&mut self, deadline: Option<Instant>) -> Option<Event>;
}

/// The operations of one isolate.
pub struct HostOps {
    requests: Requests,
    events: EventSender,
    embedder: Box<dyn Embedder>,
}

impl HostOps {
    /// Operations on `requests`, whose completions come as events.
    pub fn new(requests: Requests, events: EventSender, embedder: Box<dyn Embedder>) -> Self {
        Self { requests, events, embedder }
    }

    fn dispatch(&self, name: &str, id: u32, args: &Message<'_>) -> Result<OpReply, OpError> {
        let (module, verb) = name.split_once('.').unwrap_or((name, ""));
        match module {
            "url" => url::call(verb, args).map(OpReply::Ready),
            "text" => text::call(verb, args).map(OpReply::Ready),
            "http" => http::call(verb, id, args, &self.requests, &self.events),
            _ => Err(OpError::unknown(name)),
        }
    }
}

impl Ops for HostOps {
    fn call(&mut self, number: u32, id: u32, args: &Message<'_>) -> OpReply {
        let name = usize::try_from(number).ok().and_then(|n| OPS.get(n)).map_or("", |op| op.name);
        self.dispatch(name, id, args).unwrap_or_else(|e| OpReply::Failed { name: e.name, message: e.message })
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Event> {
        self.embedder.wait(deadline)
    }

    fn log(&mut self, level: u8, line: &str) {
        self.embedder.log(level, line);
    }
}

/// An operation that fails at once.
struct OpError {
    name: &'static str,
    message: String,
}

impl OpError {
    fn type_error(message: impl Into<String>) -> Self {
        Self { name: "TypeError", message: message.into() }
    }

    fn range_error(message: impl Into<String>) -> Self {
        Self { name: "RangeError", message: message.into() }
    }

    fn unknown(name: &str) -> Self {
        Self::type_error(format!("the host has no such operation: {name}"))
    }
}

impl From<MalformedMessage> for OpError {
    fn from(e: MalformedMessage) -> Self {
        Self::type_error(e.to_string())
    }
}

type Fields = Result<Vec<Field>, OpError>;
