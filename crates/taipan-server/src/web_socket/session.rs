//! One connection, from the handshake to its end: frames on one side, the guest on the other. One task, because each side
//! holds the other back.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use taipan_bindings::{Closed, Connection, Outgoing};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::frame::{Decoder, Encoder, Input, Role};
use super::pulse::{Pulse, Verdict};

/// Nothing more is taken from the guest while so much waits for the peer.
const HIGH_WATER: usize = 64 << 10;

/// An idle connection has a buffer of so many bytes, a busy one up to this.
const SMALLEST_READ: usize = 512;
const LARGEST_READ: usize = 64 << 10;

/// The time for the peer's half of the closing handshake.
const CLOSING: Duration = Duration::from_secs(10);

/// The time for a peer to read why it was sent away.
const LINGERING: Duration = Duration::from_secs(1);

/// What a session needs to know.
pub(crate) struct Terms {
    pub(crate) role: Role,
    pub(crate) has_deflate: bool,
    /// Becomes true when the process is about to end.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Serves the connection until it has ended. `early` was read behind the handshake.
pub(crate) async fn run<S>(stream: S, early: Bytes, connection: Connection, terms: Terms)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (reader, writer) = tokio::io::split(stream);
    let mut decoder = Decoder::new(terms.role, terms.has_deflate);
    decoder.buffer.extend_from_slice(&early);
    let session = Session {
        reader,
        writer,
        decoder,
        encoder: Encoder::new(terms.role, terms.has_deflate),
        connection,
        next_read: SMALLEST_READ,
        pulse: Pulse::new(Instant::now()),
        said_goodbye: None,
        heard_goodbye: None,
        is_over: false,
    };
    session.run(terms.stopping).await;
}

struct Session<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    decoder: Decoder,
    encoder: Encoder,
    connection: Connection,
    next_read: usize,
    pulse: Pulse,
    /// When our close frame was queued.
    said_goodbye: Option<Instant>,
    heard_goodbye: Option<Closed>,
    /// Nothing more is read: what is queued is sent, and that is it.
    is_over: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        self.digest();
        let mut is_stopping = *stopping.borrow();
        if is_stopping {
            self.goodbye(Some(1001), "the server is shutting down");
        }
        let mut broke_off = false;
        while !(self.is_over && self.encoder.buffer.is_empty()) {
            if self.encoder.buffer.is_empty() {
                self.pulse.progress(Instant::now());
            }
            let is_open = self.said_goodbye.is_none();
            let may_send = is_open && self.encoder.buffer.len() < HIGH_WATER;
            // What comes after our goodbye goes nowhere, so there is always room for it.
            let has_room = !is_open || self.connection.has_room();
            let may_read = !self.is_over && has_room && self.encoder.buffer.len() < HIGH_WATER;
            if may_read {
                self.decoder.buffer.reserve(self.next_read);
            }
            let deadline = self.deadline();
            let (connection, decoder, encoder) = (&mut self.connection, &mut self.decoder, &mut self.encoder);
            tokio::select! {
                outgoing = poll_fn(|cx| connection.poll_outgoing(cx, may_send, !has_room)) => {
                    if let Some(outgoing) = outgoing {
                        self.say(outgoing);
                    }
                }
                read = self.reader.read_buf(&mut decoder.buffer), if may_read => {
                    if !self.has_read(read) {
                        broke_off = true;
                        break;
                    }
                }
                written = self.writer.write_buf(&mut encoder.buffer), if !encoder.buffer.is_empty() => {
                    if !matches!(written, Ok(1..)) {
                        broke_off = true;
                        break;
                    }
                    self.pulse.progress(Instant::now());
                    if self.encoder.buffer.is_empty() {
                        // An idle connection needs none.
                        self.encoder.buffer = Default::default();
                    }
                }
                () = sleep_until(deadline) => {
                    if !self.is_alive() {
                        broke_off = true;
                        break;
                    }
                }
                changed = stopping.changed(), if !is_stopping => {
                    is_stopping = true;
                    if changed.is_ok() && self.said_goodbye.is_none() {
                        self.goodbye(Some(1001), "the server is shutting down");
                    }
                }
            }
        }
        let closed = self.heard_goodbye.take().unwrap_or_else(broken_off);
        self.connection.end(closed);
        if !broke_off {
            linger(self.reader, self.writer).await;
        }
    }

    /// When something is to be done about silence.
    fn deadline(&self) -> Instant {
        if let Some(since) = self.said_goodbye {
            return since + CLOSING;
        }
        self.pulse.deadline(!self.encoder.buffer.is_empty())
    }

    /// The deadline has come. False: the peer is given up.
    fn is_alive(&mut self) -> bool {
        if self.said_goodbye.is_some() {
            return false;
        }
        let (has_unread, listens) = (!self.encoder.buffer.is_empty(), self.connection.has_room());
        match self.pulse.check(Instant::now(), has_unread, listens) {
            Verdict::GiveUp => return false,
            Verdict::Ping => self.encoder.ping(),
            Verdict::Wait => {}
        }
        true
    }

    fn say(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Message(message) => self.encoder.message(&message),
            Outgoing::Close { code, reason } => self.goodbye(code, &reason),
            Outgoing::Abandoned => self.goodbye(Some(1012), "the Worker has stopped"),
        }
    }

    fn goodbye(&mut self, code: Option<u16>, reason: &str) {
        self.encoder.close(code, reason);
        self.said_goodbye = Some(Instant::now());
    }

    /// False: the connection has broken off.
    fn has_read(&mut self, read: io::Result<usize>) -> bool {
        let Ok(count @ 1..) = read else { return false };
        self.pulse.heard(Instant::now());
        self.next_read = if count >= self.next_read { (count * 2).min(LARGEST_READ) } else { SMALLEST_READ };
        self.digest();
        if self.decoder.buffer.is_empty() && self.next_read == SMALLEST_READ {
            self.decoder.buffer = Default::default();
        }
        true
    }

    /// Does what has arrived asks for.
    fn digest(&mut self) {
        while !self.is_over {
            let input = match self.decoder.next() {
                Ok(Some(input)) => input,
                Ok(None) => return,
                Err(violation) => {
                    if self.said_goodbye.is_none() {
                        self.goodbye(Some(violation.code), violation.reason);
                    }
                    self.heard_goodbye = Some(Closed { reason: violation.reason.to_owned(), ..broken_off() });
                    self.is_over = true;
                    return;
                }
            };
            match input {
                // By the standard, what arrives while closing is dropped.
                Input::Message(message) if self.said_goodbye.is_none() => self.connection.deliver(message),
                Input::Message(_) | Input::Pong => {}
                Input::Ping(data) if self.said_goodbye.is_none() => self.encoder.pong(&data),
                Input::Ping(_) => {}
                Input::Close { code, reason } => {
                    if self.said_goodbye.is_none() {
                        self.goodbye(code, "");
                    }
                    self.heard_goodbye = Some(Closed { code: code.unwrap_or(1005), reason, was_clean: true });
                    self.is_over = true;
                }
            }
        }
    }
}

fn broken_off() -> Closed {
    Closed { code: 1006, reason: String::new(), was_clean: false }
}

/// A socket that is closed with something unread in it takes back what it has sent.
async fn linger<S: AsyncRead + AsyncWrite>(mut reader: ReadHalf<S>, mut writer: WriteHalf<S>) {
    let mut rest = [0; 1024];
    let leave = async {
        drop(writer.shutdown().await);
        while matches!(reader.read(&mut rest).await, Ok(1..)) {}
    };
    timeout(LINGERING, leave).await.unwrap_or_default();
}
