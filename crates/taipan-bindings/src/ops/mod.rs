//! From an operation's number to the function that performs it.

mod blob;
mod cache;
mod compress;
mod crypto;
mod d1;
mod data;
mod fetch;
mod files;
mod html;
mod http;
mod kv;
mod measures;
mod network;
mod program;
mod queue;
mod r2;
mod rpc;
mod save;
mod text;
mod url;
mod web_socket;

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use taipan_engine::{Event, Meter, OpReply, Ops};
use taipan_guest::ops::OPS;
use taipan_guest::protocol::{Field, MalformedMessage, Message};

pub use blob::object_body;
pub use files::{FileStat, Volume, read_at};
pub use program::Process;

use crate::background::Client;
use crate::blobs::Blobs;
use crate::connections::Connections;
use crate::fetches::Fetches;
use crate::rpc::Seat;
use crate::web_sockets::WebSockets;
use crate::{BindingTable, Caches, Egress, EventSender, Requests, WebSocketDialer};

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
    sockets: WebSockets,
    dialer: Option<Arc<dyn WebSocketDialer>>,
    fetches: Fetches,
    connections: Connections,
    egress: Option<Arc<dyn Egress>>,
    events: EventSender,
    embedder: Box<dyn Embedder>,
    volumes: Vec<Arc<dyn Volume>>,
    process: Option<Box<dyn Process>>,
    bindings: Option<Arc<BindingTable>>,
    blobs: Blobs,
    /// See [`data::Parts`].
    at_once: Cell<u32>,
    /// Among those that have functions of each other.
    seat: OnceCell<Seat>,
    caches: Caches,
    compressions: compress::Streams,
    rewriters: html::Rewriters,
}

impl HostOps {
    /// Operations on `requests`, whose completions come as events.
    pub fn new(requests: Requests, events: EventSender, embedder: Box<dyn Embedder>) -> Self {
        Self {
            requests,
            sockets: WebSockets::default(),
            dialer: None,
            fetches: Fetches::default(),
            connections: Connections::default(),
            egress: None,
            events,
            embedder,
            volumes: vec![],
            process: None,
            bindings: None,
            blobs: Blobs::default(),
            at_once: Cell::default(),
            seat: OnceCell::new(),
            caches: Caches::default(),
            compressions: compress::Streams::default(),
            rewriters: html::Rewriters::default(),
        }
    }

    /// With folders that the guest can read, by their numbers.
    #[must_use]
    pub fn with_volumes(mut self, volumes: Vec<Arc<dyn Volume>>) -> Self {
        self.volumes = volumes;
        self
    }

    /// With a way to WebSocket servers.
    #[must_use]
    pub fn with_dialer(mut self, dialer: Arc<dyn WebSocketDialer>) -> Self {
        self.dialer = Some(dialer);
        self
    }

    /// With the stores that the guest reaches.
    #[must_use]
    pub fn with_bindings(mut self, bindings: Arc<BindingTable>) -> Self {
        self.bindings = Some(bindings);
        self
    }

    /// With a way out.
    #[must_use]
    pub fn with_egress(mut self, egress: Arc<dyn Egress>) -> Self {
        self.egress = Some(egress);
        self
    }

    /// With the caches that the Worker's isolates share; otherwise it has some of its own.
    #[must_use]
    pub fn with_caches(mut self, caches: Caches) -> Self {
        self.caches = caches;
        self
    }

    /// For a program, with its streams.
    #[must_use]
    pub fn with_process(mut self, process: Box<dyn Process>) -> Self {
        self.process = Some(process);
        self
    }

    /// Taken when it is first needed: most isolates call no other.
    fn seat(&self) -> &Seat {
        let functions = || self.bindings.as_ref().map(|table| table.functions.clone());
        self.seat.get_or_init(|| functions().unwrap_or_default().seat())
    }

    fn parts(&self) -> web_socket::Parts<'_> {
        web_socket::Parts {
            sockets: &self.sockets,
            requests: &self.requests,
            events: &self.events,
            dialer: self.dialer.as_deref(),
        }
    }

    fn fetching(&self) -> fetch::Parts<'_> {
        fetch::Parts {
            fetches: &self.fetches,
            requests: &self.requests,
            events: &self.events,
            egress: self.egress.as_deref(),
        }
    }

    fn network(&self) -> network::Parts<'_> {
        let egress = self.egress.as_deref();
        network::Parts { connections: &self.connections, events: &self.events, egress }
    }

    fn data(&self) -> data::Parts<'_> {
        data::Parts {
            table: self.bindings.as_deref(),
            blobs: &self.blobs,
            events: &self.events,
            at_once: &self.at_once,
        }
    }

    fn dispatch(&mut self, name: &str, id: u32, args: &Message<'_>) -> Result<OpReply, OpError> {
        let (module, verb) = name.split_once('.').unwrap_or((name, ""));
        if module == "program"
            && let Some(process) = &mut self.process
        {
            return program::call(verb, args, &mut **process);
        }
        match module {
            "url" => url::call(verb, args).map(OpReply::Ready),
            "text" => text::call(verb, args).map(OpReply::Ready),
            "http" if verb == "save" => blob::save(id, args, &self.requests, &self.blobs, &self.events),
            "http" => http::call(verb, id, args, &self.requests, &self.fetches, &self.events),
            "fetch" => fetch::call(verb, id, args, &self.fetching()),
            "fetcher" => fetch::open_bound(args, &self.fetching(), self.bindings.as_deref()),
            "tcp" => network::tcp(verb, id, args, &self.network()),
            "dns" => network::dns(verb, id, args, &self.network()),
            "tls" => network::tls(verb, args, &self.network()),
            "cache" => cache::call(verb, args, &self.caches).map(OpReply::Ready),
            "compress" => {
                let client = Client::of(&self.requests, &self.events);
                compress::call(verb, id, args, &mut self.compressions, client)
            }
            "crypto" => crypto::call(verb, id, args, Client::of(&self.requests, &self.events)),
            "html" => {
                let client = Client::of(&self.requests, &self.events);
                html::call(verb, id, args, &mut self.rewriters, client)
            }
            "ws" => web_socket::call(verb, id, args, &self.parts()),
            "kv" => kv::call(verb, id, args, &self.data()),
            "d1" => d1::call(verb, id, args, &self.data()),
            "r2" => r2::call(verb, id, args, &self.data()),
            "blob" => blob::call(verb, id, args, &self.data(), &self.fetches),
            "service" => rpc::service(verb, id, args, self.bindings.as_deref(), &self.parts(), self.seat()),
            "rpc" => rpc::functions(verb, id, args, self.seat(), &self.requests, &self.events),
            "ratelimit" => measures::limit(verb, args, &self.data()),
            "analytics" => measures::note(verb, args, &self.data()),
            "queue" => queue::call(verb, id, args, &self.data()),
            "files" => files::call(verb, args, &self.volumes),
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

    fn read_file(&mut self, volume: u32, path: &str, position: u64, to: &mut [u8]) -> io::Result<usize> {
        files::volume(&self.volumes, volume)?.read(path, position, to)
    }

    fn fixed_file(&mut self, volume: u32, path: &str) -> Option<(Arc<File>, u64)> {
        files::volume(&self.volumes, volume).ok()?.fixed(path)
    }

    fn meter(&self) -> Arc<dyn Meter> {
        Arc::new(self.requests.clone())
    }

    fn log(&mut self, level: u8, line: &str) {
        self.embedder.log(level, line);
    }
}

/// An operation that fails at once.
#[derive(Debug)]
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

/// Names and values in turn, from field `from` on.
fn pairs(args: &Message<'_>, from: usize) -> Result<Vec<(String, String)>, OpError> {
    let mut pairs = Vec::new();
    for i in (from..args.len()).step_by(2) {
        pairs.push((args.str(i)?.to_owned(), args.str(i + 1)?.to_owned()));
    }
    Ok(pairs)
}

type Fields = Result<Vec<Field>, OpError>;
