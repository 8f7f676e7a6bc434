//! WebSockets between guest and host: messages, neither frames nor bytes on a wire.
//!
//! A socket has two ends. The guest's is a number in the table of its isolate and falls with the isolate. The connection's,
//! [`Connection`], belongs to whoever speaks the protocol with the peer; it is polled, and tells that one when it may read
//! on: what the guest has not received is bounded, and so is what the peer has not.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use taipan_engine::{Event, OpReply};
use taipan_guest::protocol::Field;

use crate::EventSender;

/// How many bytes may wait for the guest before nothing more is read from the peer.
const HIGH_WATER: usize = 256 << 10;

/// A guest that sends faster than its peer reads is stopped at this many waiting bytes.
const LIMIT: usize = 64 << 20;

/// What each message costs beside its content.
const OVERHEAD: usize = 64;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketMessage {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl SocketMessage {
    fn cost(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Text(text) => text.len(),
                Self::Binary(bytes) => bytes.len(),
            }
    }
}

/// What the guest wants sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A message.
    Message(SocketMessage),
    /// The closing handshake, and nothing after it.
    Close {
        /// The code; none for a close frame without a body.
        code: Option<u16>,
        /// Up to 123 bytes.
        reason: String,
    },
    /// The isolate is gone.
    Abandoned,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The peer's code; 1005 when it gave none, 1006 when the connection broke off.
    pub code: u16,
    /// The peer's reason.
    pub reason: String,
    /// Whether both sides have said goodbye.
    pub was_clean: bool,
}

enum Arrival {
    Message(SocketMessage),
    Closed(Closed),
}

impl Arrival {
    fn fields(self) -> Vec<Field> {
        match self {
            Self::Message(SocketMessage::Text(text)) => vec![text.into()],
            Self::Message(SocketMessage::Binary(bytes)) => vec![Field::Bytes(bytes.into())],
            Self::Closed(Closed { code, reason, was_clean }) => {
                vec![u32::from(code).into(), reason.into(), u32::from(was_clean).into()]
            }
        }
    }
}

#[derive(Default)]
struct State {
    arrivals: VecDeque<Arrival>,
    /// The cost of `arrivals`.
    waiting: usize,
    /// The guest's demand for the next arrival.
    receiver: Option<(u32, EventSender)>,
    departures: VecDeque<Outgoing>,
    /// The cost of `departures`.
    buffered: usize,
    /// Who in the guest waits for there to be less of it.
    senders: Vec<(u32, EventSender)>,
    /// The guest has said goodbye.
    is_closing: bool,
    /// The connection has ended.
    has_ended: bool,
    waker: Option<Waker>,
}

type Shared = Arc<Mutex<State>>;

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(state: &State) {
    if let Some(waker) = &state.waker {
        waker.wake_by_ref();
    }
}

fn tell(senders: Vec<(u32, EventSender)>) {
    for (id, events) in senders {
        events.send(Event::Complete { id, fields: Vec::new() });
    }
}

/// The connection's end of a socket. Dropped early, it tells the guest that the connection broke off.
pub struct Connection {
    shared: Shared,
    number: u32,
    /// The guest's end falls with this table.
    table: Weak<Mutex<Table>>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// What the guest wants sent next, if `may_send`. None: the guest has made room, which was asked for by `needs_room`.
    pub fn poll_outgoing(
        &mut self,
        cx: &mut Context<'_>,
        may_send: bool,
        needs_room: bool,
    ) -> Poll<Option<Outgoing>> {
        let mut state = lock(&self.shared);
        if needs_room && state.waiting < HIGH_WATER {
            return Poll::Ready(None);
        }
        if may_send && let Some(outgoing) = state.departures.pop_front() {
            if let Outgoing::Message(message) = &outgoing {
                state.buffered -= message.cost();
            }
            let senders =
                if state.buffered < HIGH_WATER { std::mem::take(&mut state.senders) } else { Vec::new() };
            drop(state);
            tell(senders);
            return Poll::Ready(Some(outgoing));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether the guest keeps up with the peer; when it does not, nothing more should be read.
    pub fn has_room(&self) -> bool {
        lock(&self.shared).waiting < HIGH_WATER
    }

    /// Gives the guest a message.
    pub fn deliver(&mut self, message: SocketMessage) {
        self.arrive(Arrival::Message(message));
    }

    /// Tells the guest how the connection has ended.
    pub fn end(self, closed: Closed) {
        self.arrive(Arrival::Closed(closed));
    }

    fn arrive(&self, arrival: Arrival) {
        let mut state = lock(&self.shared);
        if state.has_ended {
            return;
        }
        state.has_ended = matches!(arrival, Arrival::Closed(_));
        let senders = if state.has_ended { std::mem::take(&mut state.senders) } else { Vec::new() };
        if let Some((id, events)) = state.receiver.take() {
            let is_over = state.has_ended;
            drop(state);
            if is_over && let Some(table) = self.table.upgrade() {
                WebSockets(table).forget(self.number);
            }
            events.send(Event::Complete { id, fields: arrival.fields() });
        } else {
            if let Arrival::Message(message) = &arrival {
                state.waiting += message.cost();
            }
            state.arrivals.push_back(arrival);
            drop(state);
        }
        tell(senders);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.arrive(Arrival::Closed(Closed { code: 1006, reason: String::new(), was_clean: false }));
    }
}

/// A connection that the guest wants opened. Dropped without an answer, it fails.
pub struct Dial {
    connection: Option<Connection>,
    id: u32,
    events: EventSender,
}

/// Opens connections to WebSocket servers.
pub trait WebSocketDialer: Send + Sync {
    /// Connects to `url` (`ws:`, `wss:`, `http:` or `https:`), with these headers beside those of the handshake. Must not block.
    fn dial(&self, url: String, headers: Vec<(String, String)>, dial: Dial);
}

impl Dial {
    pub(crate) fn new(connection: Connection, id: u32, events: EventSender) -> Self {
        Self { connection: Some(connection), id, events }
    }

    /// The server has agreed; these are its response's headers. None when the guest is gone.
    pub fn connected(mut self, headers: Vec<(String, String)>) -> Option<Connection> {
        let connection = self.connection.take()?;
        let mut fields: Vec<Field> = vec![connection.number.into()];
        fields.extend(headers.into_iter().flat_map(|(name, value)| [name.into(), value.into()]));
        self.events.send(Event::Complete { id: self.id, fields });
        Some(connection)
    }

    /// There is no connection, and why.
    pub fn fail(mut self, message: String) {
        self.send_failure(message);
    }

    fn send_failure(&mut self, message: String) {
        let Some(connection) = self.connection.take() else { return };
        if let Some(table) = connection.table.upgrade() {
            WebSockets(table).forget(connection.number);
        }
        self.events.send(Event::Failed { id: self.id, name: "NetworkError", message });
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        self.send_failure("the connection was given up".into());
    }
}

/// The guest's end.
struct Socket(Shared);

impl Drop for Socket {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        if !state.is_closing {
            state.departures.push_back(Outgoing::Abandoned);
        }
        state.arrivals.clear();
        state.waiting = 0;
        wake(&state);
    }
}

/// The sockets of an isolate, by number. A cheap handle; clones are the same table.
#[derive(Clone, Default)]
pub(crate) struct WebSockets(Arc<Mutex<Table>>);

#[derive(Default)]
pub(crate) struct Table {
    last: u32,
    sockets: HashMap<u32, Socket>,
}

impl WebSockets {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self, socket: u32) -> Option<Shared> {
        self.table().sockets.get(&socket).map(|s| s.0.clone())
    }

    /// Makes a socket: its number for the guest, and its other end.
    pub(crate) fn open(&self) -> (u32, Connection) {
        let shared = Shared::default();
        let mut table = self.table();
        table.last = table.last.wrapping_add(1);
        let number = table.last;
        table.sockets.insert(number, Socket(shared.clone()));
        (number, Connection { shared, number, table: Arc::downgrade(&self.0) })
    }

    /// Queues a message for the peer. The answer is how many bytes wait; none when there is no such connection any more.
    pub(crate) fn send(&self, socket: u32, message: SocketMessage) -> Option<usize> {
        let shared = self.shared(socket)?;
        let mut state = lock(&shared);
        if state.is_closing || state.has_ended {
            return None;
        }
        state.buffered += message.cost();
        if state.buffered > LIMIT {
            // There is no way to hold the guest back: by the standard, sending does not wait.
            state.departures.clear();
            let reason = "too much was sent that the peer has not read".to_owned();
            state.departures.push_back(Outgoing::Close { code: Some(1011), reason });
            state.is_closing = true;
        } else {
            state.departures.push_back(Outgoing::Message(message));
        }
        wake(&state);
        let buffered = state.buffered;
        let senders = if state.is_closing { std::mem::take(&mut state.senders) } else { Vec::new() };
        drop(state);
        tell(senders);
        Some(buffered)
    }

    /// Begins the closing handshake.
    pub(crate) fn close(&self, socket: u32, code: Option<u16>, reason: String) {
        let Some(shared) = self.shared(socket) else { return };
        let mut state = lock(&shared);
        if !std::mem::replace(&mut state.is_closing, true) {
            state.departures.push_back(Outgoing::Close { code, reason });
            wake(&state);
        }
    }

    /// How many bytes wait for the peer.
    pub(crate) fn buffered(&self, socket: u32) -> usize {
        self.shared(socket).map_or(0, |shared| lock(&shared).buffered)
    }

    /// Waits until the peer has taken most of what was sent.
    pub(crate) fn drained(&self, socket: u32, id: u32, events: EventSender) -> OpReply {
        let Some(shared) = self.shared(socket) else { return OpReply::Ready(Vec::new()) };
        let mut state = lock(&shared);
        if state.has_ended || state.is_closing || state.buffered < HIGH_WATER {
            return OpReply::Ready(Vec::new());
        }
        state.senders.push((id, events));
        OpReply::Later
    }

    /// Asks for what arrives next. The number is free once that is the end.
    pub(crate) fn receive(&self, socket: u32, id: u32, events: EventSender) -> OpReply {
        let Some(shared) = self.shared(socket) else {
            return OpReply::Failed { name: "TypeError", message: "the WebSocket is closed".into() };
        };
        let mut state = lock(&shared);
        let Some(arrival) = state.arrivals.pop_front() else {
            state.receiver = Some((id, events));
            return OpReply::Later;
        };
        let mut is_over = false;
        match &arrival {
            Arrival::Message(message) => {
                let was_full = state.waiting >= HIGH_WATER;
                state.waiting -= message.cost();
                if was_full && state.waiting < HIGH_WATER {
                    wake(&state);
                }
            }
            Arrival::Closed(_) => is_over = true,
        }
        drop(state);
        if is_over {
            self.forget(socket);
        }
        OpReply::Ready(arrival.fields())
    }

    /// The guest has no use for the socket any more.
    pub(crate) fn forget(&self, socket: u32) {
        let gone = self.table().sockets.remove(&socket);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn poll(connection: &mut Connection) -> Poll<Option<Outgoing>> {
        connection.poll_outgoing(&mut Context::from_waker(Waker::noop()), true, false)
    }

    fn text(text: &str) -> SocketMessage {
        SocketMessage::Text(text.into())
    }

    #[test]
    fn messages_go_both_ways() {
        let sockets = WebSockets::default();
        let (number, mut connection) = sockets.open();
        let (sender, events) = mpsc::channel();
        let events_to = EventSender::new(move |event| sender.send(event).unwrap());

        assert!(poll(&mut connection).is_pending());
        assert_eq!(sockets.send(number, text("a")), Some(OVERHEAD + 1));
        assert_eq!(poll(&mut connection), Poll::Ready(Some(Outgoing::Message(text("a")))));
        assert_eq!(sockets.buffered(number), 0);

        assert_eq!(sockets.receive(number, 7, events_to.clone()), OpReply::Later);
        connection.deliver(text("b"));
        assert_eq!(events.recv().unwrap(), Event::Complete { id: 7, fields: vec!["b".into()] });
        connection.deliver(text("c"));
        assert_eq!(sockets.receive(number, 8, events_to.clone()), OpReply::Ready(vec!["c".into()]));

        sockets.close(number, Some(1000), "bye".into());
        assert_eq!(sockets.send(number, text("late")), None);
        assert_eq!(
            poll(&mut connection),
            Poll::Ready(Some(Outgoing::Close { code: Some(1000), reason: "bye".into() }))
        );
        connection.end(Closed { code: 1000, reason: "bye".into(), was_clean: true });
        let closed = vec![1000.0.into(), "bye".into(), 1.0.into()];
        assert_eq!(sockets.receive(number, 9, events_to.clone()), OpReply::Ready(closed));
        assert!(matches!(sockets.receive(number, 10, events_to), OpReply::Failed { .. }));
    }

    #[test]
    fn reading_waits_for_a_slow_guest() {
        let sockets = WebSockets::default();
        let (number, mut connection) = sockets.open();
        let events = EventSender::new(|_| ());
        let block = SocketMessage::Binary(Bytes::from(vec![0; HIGH_WATER / 2]));
        connection.deliver(block.clone());
        assert!(connection.has_room());
        connection.deliver(block);
        assert!(!connection.has_room());
        assert!(matches!(sockets.receive(number, 1, events), OpReply::Ready(_)));
        assert!(connection.has_room());
    }

    #[test]
    fn sending_waits_for_a_slow_peer() {
        let sockets = WebSockets::default();
        let (number, mut connection) = sockets.open();
        let (sender, events) = mpsc::channel();
        let events_to = EventSender::new(move |event| sender.send(event).unwrap());
        assert_eq!(sockets.drained(number, 1, events_to.clone()), OpReply::Ready(vec![]));
        sockets.send(number, SocketMessage::Binary(Bytes::from(vec![0; HIGH_WATER]))).unwrap();
        assert_eq!(sockets.drained(number, 2, events_to.clone()), OpReply::Later);
        assert!(poll(&mut connection).is_ready());
        assert_eq!(events.recv().unwrap(), Event::Complete { id: 2, fields: vec![] });
        sockets.send(number, SocketMessage::Binary(Bytes::from(vec![0; HIGH_WATER]))).unwrap();
        assert_eq!(sockets.drained(number, 3, events_to), OpReply::Later);
        drop(connection);
        assert_eq!(events.recv().unwrap(), Event::Complete { id: 3, fields: vec![] });
    }

    #[test]
    fn a_flooding_guest_is_stopped() {
        let sockets = WebSockets::default();
        let (number, mut connection) = sockets.open();
        let block = SocketMessage::Binary(Bytes::from(vec![0; LIMIT / 4]));
        let sent = (0..10).take_while(|_| sockets.send(number, block.clone()).is_some()).count();
        assert_eq!(sent, 4);
        assert!(matches!(poll(&mut connection), Poll::Ready(Some(Outgoing::Close { code: Some(1011), .. }))));
        assert!(poll(&mut connection).is_pending());
    }

    #[test]
    fn each_end_hears_that_the_other_is_gone() {
        let sockets = WebSockets::default();
        let (number, connection) = sockets.open();
        drop(connection);
        let closed = vec![1006.0.into(), "".into(), 0.0.into()];
        assert_eq!(sockets.receive(number, 1, EventSender::new(|_| ())), OpReply::Ready(closed));

        let (_, mut connection) = sockets.open();
        drop(sockets);
        assert_eq!(poll(&mut connection), Poll::Ready(Some(Outgoing::Abandoned)));
    }
}
