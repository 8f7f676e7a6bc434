//! Connections of bytes that the guest opens, and TLS for those that it carries itself.
//!
//! A connection is a number in the table of its isolate and falls with it. Its other end is a [`Wire`], which an implementation of
//! [`Egress`](crate::Egress) serves: it answers pulls with what the peer sends and takes what the guest writes, so that neither
//! runs ahead. A TLS session has no connection at all: bytes go in and come out, as Python's `ssl` wants it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use taipan_config::Secret;
use taipan_engine::{Event, OpReply};
use taipan_guest::protocol::Field;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::streams::{Pull, RequestBody, ResponseStream, StreamWriter};
use crate::{Egress, EventSender};

/// Where a connection goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether by TLS.
    pub is_secure: bool,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A name for it, in the manner of `errno`.
    pub name: &'static str,
    /// What to tell.
    pub message: String,
}

/// An operation that waits; dropped, it fails.
struct Waiting(Option<(u32, EventSender)>);

impl Waiting {
    fn settle(&mut self, result: Result<Vec<Field>, Refusal>) {
        let Some((id, events)) = self.0.take() else { return };
        events.send(match result {
            Ok(fields) => Event::Complete { id, fields },
            Err(Refusal { name, message }) => Event::Failed { id, name, message },
        });
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.settle(Err(Refusal { name: "ECONNABORTED", message: "the connection was given up".into() }));
    }
}

/// The far end of a connection that is to be opened.
pub struct Wire {
    number: u32,
    table: Weak<Mutex<Table>>,
    waiting: Waiting,
    /// What the peer sends is asked for here; at its end the guest has closed the connection.
    pub pulls: UnboundedReceiver<Pull>,
    /// What the guest sends; its end is the end of that direction.
    pub outgoing: ResponseStream,
}

impl Wire {
    /// Tells the guest that there is a connection, and between which addresses.
    pub fn opened(&mut self, peer: SocketAddr, local: SocketAddr) {
        let mut fields = vec![self.number.into()];
        for address in [peer, local] {
            fields.extend([address.ip().to_string().into(), u32::from(address.port()).into()]);
        }
        self.waiting.settle(Ok(fields));
    }

    /// Tells the guest that there is none.
    pub fn refuse(mut self, refusal: Refusal) {
        if let Some(table) = self.table.upgrade() {
            Connections(table).close(self.number);
        }
        self.waiting.settle(Err(refusal));
    }
}

/// Who asks for the addresses of a name.
pub struct Lookup(Waiting);

impl Lookup {
    /// The addresses, or why there are none.
    pub fn found(mut self, result: Result<Vec<String>, Refusal>) {
        self.0.settle(result.map(|found| found.into_iter().map(Field::from).collect()));
    }
}

/// How a server's certificate is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsTerms {
    /// The server's name.
    pub name: String,
    /// Whether the certificate must be signed by somebody who is trusted.
    pub checks_chain: bool,
    /// Whether it must have the name.
    pub checks_name: bool,
    /// Certificates in PEM format that are trusted.
    pub roots: Option<String>,
    /// Whether those are trusted whom the system trusts.
    pub trusts_system: bool,
    /// What the client shows when the server asks: its certificate, those of its issuers and its key, in PEM format.
    pub identity: Option<Secret>,
    /// Names of protocols to offer.
    pub protocols: Vec<String>,
}

/// What came of a step of a [`TlsSession`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsStep {
    /// For the guest.
    pub plain: Vec<u8>,
    /// For the peer.
    pub wire: Vec<u8>,
    /// The handshake goes on.
    pub is_handshaking: bool,
    /// The peer has said that nothing follows.
    pub has_ended: bool,
    /// What is wrong. What is for the peer should be sent all the same.
    pub error: Option<String>,
}

/// What is known of a TLS connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// As Python names it: `TLSv1.3`.
    pub version: Option<String>,
    /// The cipher suite.
    pub cipher: Option<String>,
    /// The protocol that both sides chose.
    pub protocol: Option<String>,
    /// The server's certificate in DER format.
    pub certificate: Option<Vec<u8>>,
}

/// A TLS client without a connection.
pub trait TlsSession: Send {
    /// Takes bytes from the peer, and bytes for it; `close` says goodbye.
    fn step(&mut self, wire: &[u8], plain: &[u8], close: bool) -> TlsStep;

    /// What is known by now.
    fn facts(&self) -> TlsFacts;
}

struct Entry {
    incoming: RequestBody,
    outgoing: StreamWriter,
}

impl Drop for Entry {
    fn drop(&mut self) {
        // What was written is sent all the same.
        self.outgoing.end(Ok(Default::default()));
    }
}

/// Connections and TLS sessions of an isolate, by number. A cheap handle; clones are the same table.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<Table>>);

#[derive(Default)]
pub(crate) struct Table {
    last: u32,
    connections: HashMap<u32, Entry>,
    sessions: HashMap<u32, Box<dyn TlsSession>>,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn connect(&self, id: u32, events: &EventSender, target: Target, egress: &dyn Egress) {
        let (incoming, pulls) = RequestBody::channel();
        let (writer, outgoing) = StreamWriter::to(events.clone(), "the connection is closed");
        let mut table = self.lock();
        table.last = table.last.wrapping_add(1);
        let number = table.last;
        table.connections.insert(number, Entry { incoming, outgoing: writer });
        drop(table);
        let waiting = Waiting(Some((id, events.clone())));
        egress.connect(target, Wire { number, table: Arc::downgrade(&self.0), waiting, pulls, outgoing });
    }

    pub(crate) fn resolve(&self, id: u32, events: &EventSender, host: String, egress: &dyn Egress) {
        egress.resolve(host, Lookup(Waiting(Some((id, events.clone())))));
    }

    pub(crate) fn read(&self, number: u32, id: u32, events: EventSender) -> OpReply {
        let incoming = self.lock().connections.get(&number).map(|entry| entry.incoming.clone());
        match incoming {
            Some(incoming) => {
                incoming.pull(id, events);
                OpReply::Later
            }
            None => OpReply::Ready(Vec::new()),
        }
    }

    pub(crate) fn write(&self, number: u32, id: u32, chunk: Bytes) -> OpReply {
        let outgoing = self.lock().connections.get(&number).map(|entry| entry.outgoing.clone());
        match outgoing {
            Some(outgoing) => outgoing.write(id, chunk),
            None => OpReply::Failed { name: "AbortError", message: "the connection is closed".into() },
        }
    }

    /// Nothing more will be written.
    pub(crate) fn end(&self, number: u32) {
        if let Some(entry) = self.lock().connections.get(&number) {
            entry.outgoing.end(Ok(Default::default()));
        }
    }

    pub(crate) fn close(&self, number: u32) {
        let gone = self.lock().connections.remove(&number);
        drop(gone);
    }

    pub(crate) fn enter(&self, session: Box<dyn TlsSession>) -> u32 {
        let mut table = self.lock();
        table.last = table.last.wrapping_add(1);
        let number = table.last;
        table.sessions.insert(number, session);
        number
    }

    /// Does something with a TLS session, if there is one of this number.
    pub(crate) fn session<R>(&self, number: u32, f: impl FnOnce(&mut dyn TlsSession) -> R) -> Option<R> {
        self.lock().sessions.get_mut(&number).map(|session| f(&mut **session))
    }

    pub(crate) fn forget(&self, number: u32) {
        let gone = self.lock().sessions.remove(&number);
        drop(gone);
    }
}
