//! The frames of RFC 6455, and what is made of them. Everything that a peer can do wrong is found here.

use bytes::{Buf, Bytes, BytesMut};
use taipan_bindings::SocketMessage;

use super::deflate;

/// The largest message, as on Cloudflare. A larger one ends the connection with 1009.
pub(crate) const MESSAGE_LIMIT: usize = 32 << 20;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The peer broke the protocol: the close code that tells it, and what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

fn violation<T>(reason: &'static str) -> Result<T, Violation> {
    Err(Violation { code: 1002, reason })
}

/// Which side of the connection is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The peer masks its frames.
    Server,
    /// We mask ours.
    Client,
}

/// What the peer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Message(SocketMessage),
    Ping(Bytes),
    Pong,
    Close { code: Option<u16>, reason: String },
}

struct Partial {
    is_text: bool,
    is_compressed: bool,
    data: Vec<u8>,
}

/// Reads frames from what has arrived.
pub(crate) struct Decoder {
    pub(crate) buffer: BytesMut,
    role: Role,
    has_deflate: bool,
    partial: Option<Partial>,
}

impl Decoder {
    pub(crate) fn new(role: Role, has_deflate: bool) -> Self {
        Self { buffer: BytesMut::new(), role, has_deflate, partial: None }
    }

    /// The next thing that was said in full; none until more has arrived.
    pub(crate) fn next(&mut self) -> Result<Option<Input>, Violation> {
        while let Some((head, payload)) = self.frame()? {
            let input = match head.opcode {
                CLOSE | PING | PONG => Some(control(head.opcode, payload)?),
                _ => self.data(&head, payload)?,
            };
            if input.is_some() {
                return Ok(input);
            }
        }
        Ok(None)
    }

    fn frame(&mut self) -> Result<Option<(Head, BytesMut)>, Violation> {
        let Some(head) = Head::parse(&self.buffer)? else { return Ok(None) };
        let collected = self.partial.as_ref().map_or(0, |p| p.data.len());
        self.check(&head)?;
        let length = usize::try_from(head.length).unwrap_or(usize::MAX);
        if length.saturating_add(collected) > MESSAGE_LIMIT {
            return Err(Violation { code: 1009, reason: "the message is too large" });
        }
        if self.buffer.len() < head.size + length {
            return Ok(None);
        }
        self.buffer.advance(head.size);
        let mut payload = self.buffer.split_to(length);
        if let Some(key) = head.mask {
            mask(&mut payload, key);
        }
        Ok(Some((head, payload)))
    }

    fn check(&self, head: &Head) -> Result<(), Violation> {
        if head.mask.is_some() != (self.role == Role::Server) {
            return violation("clients mask their frames, and servers do not");
        }
        let is_first = matches!(head.opcode, TEXT | BINARY);
        let may_be_compressed = is_first && self.has_deflate;
        if head.reserved & 3 != 0 || (head.reserved != 0 && !may_be_compressed) {
            return violation("a reserved bit is set");
        }
        match head.opcode {
            CONTINUATION if self.partial.is_none() => violation("there is nothing to continue"),
            TEXT | BINARY if self.partial.is_some() => violation("the message before is not complete"),
            CONTINUATION | TEXT | BINARY => Ok(()),
            CLOSE | PING | PONG if !head.is_final => violation("a control frame is fragmented"),
            CLOSE | PING | PONG if head.length > 125 => violation("a control frame is too long"),
            CLOSE | PING | PONG => Ok(()),
            _ => violation("the opcode is reserved"),
        }
    }

    fn data(&mut self, head: &Head, payload: BytesMut) -> Result<Option<Input>, Violation> {
        let mut partial = match self.partial.take() {
            None => {
                let (is_text, is_compressed) = (head.opcode == TEXT, head.reserved != 0);
                if head.is_final && !is_compressed {
                    return message(is_text, payload.freeze()).map(Some);
                }
                Partial { is_text, is_compressed, data: Vec::from(payload) }
            }
            Some(mut partial) => {
                partial.data.extend_from_slice(&payload);
                partial
            }
        };
        if !head.is_final {
            self.partial = Some(partial);
            return Ok(None);
        }
        if partial.is_compressed {
            partial.data = deflate::inflate(&partial.data, MESSAGE_LIMIT)?;
        }
        message(partial.is_text, partial.data.into()).map(Some)
    }
}

fn message(is_text: bool, data: Bytes) -> Result<Input, Violation> {
    Ok(Input::Message(if is_text {
        SocketMessage::Text(text(&data)?.to_owned())
    } else {
        SocketMessage::Binary(data)
    }))
}

fn text(bytes: &[u8]) -> Result<&str, Violation> {
    str::from_utf8(bytes).map_err(|_| Violation { code: 1007, reason: "the text is not UTF-8" })
}

fn control(opcode: u8, payload: BytesMut) -> Result<Input, Violation> {
    match opcode {
        PING => Ok(Input::Ping(payload.freeze())),
        PONG => Ok(Input::Pong),
        _ => match payload.split_at_checked(2) {
            None if payload.is_empty() => Ok(Input::Close { code: None, reason: String::new() }),
            None => violation("the close frame has half a code"),
            Some((code, reason)) => {
                let code = code.try_into().map(u16::from_be_bytes).unwrap_or_default();
                if !is_sendable(code) {
                    return violation("the close code is not one that is sent");
                }
                Ok(Input::Close { code: Some(code), reason: text(reason)?.to_owned() })
            }
        },
    }
}

/// Whether the code may be in a close frame.
fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

struct Head {
    is_final: bool,
    /// The three bits, RSV1 being 4.
    reserved: u8,
    opcode: u8,
    mask: Option<[u8; 4]>,
    length: u64,
    /// Of the head itself, in bytes.
    size: usize,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Violation> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
        let (length, width) = match second & 0x7f {
            126 => match rest.first_chunk::<2>() {
                Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(bytes) => (u64::from_be_bytes(*bytes), 8),
                None => return Ok(None),
            },
            short => (u64::from(short), 0),
        };
        if length >> 63 != 0 {
            return violation("the length is negative");
        }
        let is_masked = second & 0x80 != 0;
        let mask = rest.get(width..).and_then(|rest| rest.first_chunk::<4>()).copied();
        if is_masked && mask.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            is_final: first & 0x80 != 0,
            reserved: (first >> 4) & 7,
            opcode: first & 0x0f,
            mask: mask.filter(|_| is_masked),
            length,
            size: 2 + width + if is_masked { 4 } else { 0 },
        }))
    }
}

/// Masks or unmasks, which is the same.
fn mask(payload: &mut [u8], key: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    let word = u32::from_ne_bytes(key);
    for bytes in words {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// Writes frames.
pub(crate) struct Encoder {
    pub(crate) buffer: BytesMut,
    role: Role,
    has_deflate: bool,
}

/// Compressing less than this costs more than it saves.
const WORTH_COMPRESSING: usize = 128;

impl Encoder {
    pub(crate) fn new(role: Role, has_deflate: bool) -> Self {
        Self { buffer: BytesMut::new(), role, has_deflate }
    }

    pub(crate) fn message(&mut self, message: &SocketMessage) {
        let (opcode, data) = match message {
            SocketMessage::Text(text) => (TEXT, text.as_bytes()),
            SocketMessage::Binary(data) => (BINARY, &data[..]),
        };
        if self.has_deflate && data.len() >= WORTH_COMPRESSING {
            let compressed = deflate::deflate(data);
            if compressed.len() < data.len() {
                return self.frame(opcode, 0xc0, &compressed);
            }
        }
        self.frame(opcode, 0x80, data);
    }

    pub(crate) fn ping(&mut self) {
        self.frame(PING, 0x80, b"");
    }

    pub(crate) fn pong(&mut self, data: &[u8]) {
        self.frame(PONG, 0x80, data);
    }

    pub(crate) fn close(&mut self, code: Option<u16>, reason: &str) {
        let mut payload = Vec::new();
        if let Some(code) = code {
            payload.extend_from_slice(&code.to_be_bytes());
            payload.extend_from_slice(reason.as_bytes());
        }
        self.frame(CLOSE, 0x80, &payload);
    }

    fn frame(&mut self, opcode: u8, flags: u8, payload: &[u8]) {
        let masked = if self.role == Role::Client { 0x80 } else { 0 };
        self.buffer.reserve(payload.len() + 14);
        self.buffer.extend_from_slice(&[flags | opcode]);
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(short @ 0..=125), _) => self.buffer.extend_from_slice(&[masked | short]),
            (_, Ok(length)) => {
                self.buffer.extend_from_slice(&[masked | 126]);
                self.buffer.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                self.buffer.extend_from_slice(&[masked | 127]);
                self.buffer.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        let mut key = [0; 4];
        if self.role == Role::Client {
            // Without randomness the mask protects nobody, and is still a mask.
            getrandom::fill(&mut key).unwrap_or_default();
            self.buffer.extend_from_slice(&key);
        }
        let start = self.buffer.len();
        self.buffer.extend_from_slice(payload);
        if let Some(written) = self.buffer.get_mut(start..).filter(|_| masked != 0) {
            mask(written, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Input {
        Input::Message(SocketMessage::Text(text.into()))
    }

    /// A client's frame with the mask 0, which changes nothing.
    fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            n @ 0..=125 => frame.push(0x80 | u8::try_from(n).unwrap()),
            n => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(n).unwrap().to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        frame
    }

    /// Everything a server makes of the frames, given byte by byte.
    fn read(deflate: bool, frames: &[Vec<u8>]) -> Result<Vec<Input>, u16> {
        let mut decoder = Decoder::new(Role::Server, deflate);
        let mut inputs = vec![];
        for byte in frames.concat() {
            decoder.buffer.extend_from_slice(&[byte]);
            while let Some(input) = decoder.next().map_err(|v| v.code)? {
                inputs.push(input);
            }
        }
        Ok(inputs)
    }

    #[test]
    fn what_one_side_writes_the_other_reads() {
        for (from, to) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            for has_deflate in [false, true] {
                let mut encoder = Encoder::new(from, has_deflate);
                let mut decoder = Decoder::new(to, has_deflate);
                for length in [0, 1, 125, 126, 127, 65535, 65536, 200_000] {
                    let data: Bytes = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
                    encoder.message(&SocketMessage::Binary(data.clone()));
                    decoder.buffer.extend_from_slice(&encoder.buffer.split());
                    assert_eq!(decoder.next(), Ok(Some(Input::Message(SocketMessage::Binary(data)))));
                }
                encoder.message(&SocketMessage::Text("hällo".into()));
                encoder.ping();
                encoder.pong(b"x");
                encoder.close(Some(4000), "why");
                decoder.buffer.extend_from_slice(&encoder.buffer.split());
                assert_eq!(decoder.next(), Ok(Some(text("hällo"))));
                assert_eq!(decoder.next(), Ok(Some(Input::Ping(Bytes::new()))));
                assert_eq!(decoder.next(), Ok(Some(Input::Pong)));
                assert_eq!(decoder.next(), Ok(Some(Input::Close { code: Some(4000), reason: "why".into() })));
                assert_eq!(decoder.next(), Ok(None));
            }
        }
    }

    #[test]
    fn fragments_with_a_ping_between_them() {
        let frames = [raw(1, b"h\xc3"), raw(0x89, b"p"), raw(0, b"\xa4"), raw(0x80, b"!")];
        assert_eq!(read(false, &frames), Ok(vec![Input::Ping(Bytes::from("p")), text("hä!")]));
        // By RFC 7692, section 7.2.3.2: "Hello" in two fragments.
        let frames = [raw(0x41, &[0xf2, 0x48, 0xcd]), raw(0x80, &[0xc9, 0xc9, 0x07, 0x00])];
        assert_eq!(read(true, &frames), Ok(vec![text("Hello")]));
    }

    #[test]
    fn violations() {
        let long = vec![b'x'; 126];
        let cases: &[(&str, Vec<Vec<u8>>, u16)] = &[
            ("reserved bit", vec![raw(0xc1, b"")], 1002),
            ("reserved bit 3", vec![raw(0x91, b"")], 1002),
            ("reserved opcode", vec![raw(0x83, b"")], 1002),
            ("reserved control opcode", vec![raw(0x8b, b"")], 1002),
            ("unmasked", vec![vec![0x81, 0]], 1002),
            ("continuation of nothing", vec![raw(0x80, b"x")], 1002),
            ("message within a message", vec![raw(1, b"x"), raw(0x81, b"y")], 1002),
            ("fragmented ping", vec![raw(9, b"")], 1002),
            ("long ping", vec![raw(0x89, &long)], 1002),
            ("half a code", vec![raw(0x88, b"\x03")], 1002),
            ("code 1005", vec![raw(0x88, &1005u16.to_be_bytes())], 1002),
            ("code 999", vec![raw(0x88, &999u16.to_be_bytes())], 1002),
            ("code 5000", vec![raw(0x88, &5000u16.to_be_bytes())], 1002),
            ("reason that is no text", vec![raw(0x88, b"\x03\xe8\xff")], 1007),
            ("text that is no text", vec![raw(0x81, b"\xed\xa0\x80")], 1007),
            ("negative length", vec![[&[0x82, 0xff][..], &[0xff; 8], &[0; 4]].concat()], 1002),
            ("too large", vec![[&[0x82, 0xff][..], &(1u64 << 40).to_be_bytes(), &[0; 4]].concat()], 1009),
        ];
        for (name, frames, code) in cases {
            assert_eq!(read(false, frames), Err(*code), "{name}");
        }
        assert_eq!(read(true, &[raw(0xc9, b"")]), Err(1002), "compressed ping");
        assert_eq!(read(true, &[raw(1, b"a"), raw(0xc0, b"")]), Err(1002), "compressed continuation");
        assert_eq!(read(true, &[raw(0xc1, b"\xff\xff\xff")]), Err(1007), "not compressed data");
    }

    #[test]
    fn a_bomb_is_not_inflated() {
        let bomb = deflate::deflate(&vec![0; MESSAGE_LIMIT + 1]);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(deflate::inflate(&bomb, MESSAGE_LIMIT).map_err(|v| v.code), Err(1009));
    }
}
