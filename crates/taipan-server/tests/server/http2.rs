//! HTTP/2, frame by frame: what clients do, and what attackers do.

use std::time::Duration;

use taipan_server::IngressOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fake::Server;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const PROTOCOL_ERROR: u32 = 1;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A literal header without indexing, by RFC 7541, section 6.2.2.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        let length = text.len();
        match u8::try_from(length) {
            Ok(short @ 0..=126) => bytes.push(short),
            _ => {
                bytes.push(127);
                let mut rest = length - 127;
                while rest >= 128 {
                    bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                    rest /= 128;
                }
                bytes.push(u8::try_from(rest).unwrap());
            }
        }
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "t.test")];
    pseudo.iter().chain(more).flat_map(|(name, value)| literal(name, value)).collect()
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", path, &[]))
}

struct Client(TcpStream);

impl Client {
    /// Connects, with these settings.
    async fn connect(server: &Server, settings: &[(u16, u32)]) -> Self {
        let mut client = Self(server.connect().await);
        client.0.set_nodelay(true).unwrap();
        let mut payload = vec![];
        for (setting, value) in settings {
            payload.extend(setting.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        client.send(&[PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat()).await;
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// The next frame; none when the connection has ended.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        let read = timeout(Duration::from_secs(60), self.0.read_exact(&mut head)).await.expect("silence");
        read.ok()?;
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        Some(Frame { kind, flags, stream, payload })
    }

    /// The error with which the server ends the connection; none when it just ends.
    async fn goodbye(&mut self) -> Option<u32> {
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                return Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
            }
        }
        None
    }

    /// The body of the stream's response, or the error with which it was reset.
    async fn body(&mut self, stream: u32) -> Result<Vec<u8>, u32> {
        let mut body = vec![];
        loop {
            let frame = self.next().await.expect("the connection has ended");
            if frame.stream != stream {
                assert_ne!(frame.kind, GOAWAY);
                continue;
            }
            match frame.kind {
                DATA => body.extend(frame.payload),
                RESET => return Err(u32::from_be_bytes(frame.payload.try_into().unwrap())),
                _ => {}
            }
            if frame.kind <= HEADERS && frame.flags & END_STREAM != 0 {
                return Ok(body);
            }
        }
    }
}

/// What an attack on one connection leaves alone.
async fn others_are_served(server: &Server) {
    assert!(server.get("/ok", "").await.ends_with("hello"));
    let mut client = Client::connect(server, &[]).await;
    client.send(&get(1, "/ok")).await;
    assert_eq!(client.body(1).await.unwrap(), b"hello");
}

#[tokio::test]
async fn requests_side_by_side() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, &[]).await;
    let post = frame(HEADERS, END_HEADERS, 3, &head("POST", "/echo", &[("content-length", "6")]));
    let data = [frame(DATA, 0, 3, b"abc"), frame(DATA, END_STREAM, 3, b"def")].concat();
    client.send(&[get(1, "/slow"), post, data].concat()).await;
    assert_eq!(client.body(3).await.unwrap(), b"abcdef");
    assert_eq!(client.body(1).await.unwrap(), b"slow");
    client.send(&get(5, "/head")).await;
    let head = String::from_utf8(client.body(5).await.unwrap()).unwrap();
    assert!(head.contains("Str(\"http://t.test/head\")") && head.contains("HTTP/2"), "{head}");
    let ping = frame(PING, 0, 0, b"12345678");
    client.send(&ping).await;
    while client.next().await.unwrap().payload != b"12345678" {}
}

#[tokio::test]
async fn malformed_requests() {
    let server = Server::start().await;
    let request = |stream, block: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, stream, block);
    let cases: &[(&str, Vec<u8>)] = &[
        ("no method", [literal(":path", "/ok"), literal(":scheme", "http")].concat()),
        ("two methods", head("GET", "/ok", &[(":method", "POST")])),
        ("a header of HTTP/1", head("GET", "/ok", &[("connection", "close")])),
        ("transfer-encoding", head("GET", "/ok", &[("transfer-encoding", "chunked")])),
        ("upper case", head("GET", "/ok", &[("X-Upper", "a")])),
        ("a line end in a value", head("GET", "/ok", &[("x", "a\r\nb: c")])),
        ("another length than sent", head("GET", "/ok", &[("content-length", "5")])),
    ];
    for (name, block) in cases {
        let mut client = Client::connect(&server, &[]).await;
        client.send(&request(1, block)).await;
        let error = loop {
            let Frame { kind, payload, .. } = client.next().await.expect("an answer");
            match kind {
                RESET => break payload,
                GOAWAY => break payload[4..8].to_vec(),
                HEADERS => panic!("answered: {name}"),
                _ => {}
            }
        };
        assert_eq!(error, PROTOCOL_ERROR.to_be_bytes(), "{name}");
    }
    let mut client = Client::connect(&server, &[]).await;
    // Whose host is it?
    client.send(&request(101, &head("GET", "/ok", &[("host", "other.test")]))).await;
    assert_eq!(client.body(101).await.unwrap(), b"the Host header is not the request's authority\n");
    client.send(&get(103, "/ok")).await;
    assert_eq!(client.body(103).await.unwrap(), b"hello");
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, &[]).await;
    let block = head("GET", "/ok", &[("x", &"x".repeat(150_000))]);
    let mut frames = frame(HEADERS, END_STREAM, 1, &block[..16_000]);
    let rest: Vec<&[u8]> = block[16_000..].chunks(16_000).collect();
    for (i, part) in rest.iter().enumerate() {
        let flags = if i + 1 == rest.len() { END_HEADERS } else { 0 };
        frames.extend(frame(CONTINUATION, flags, 1, part));
    }
    client.send(&frames).await;
    let answer = client.next().await;
    assert!(answer.is_some());
    others_are_served(&server).await;
}

#[tokio::test]
async fn a_head_without_end() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, &[]).await;
    let mut frames = frame(HEADERS, 0, 1, &head("GET", "/ok", &[]));
    for _ in 0..10_000 {
        frames.extend(frame(CONTINUATION, 0, 1, &literal("x", &"y".repeat(1000))));
    }
    // The server may hang up before it has all.
    drop(client.0.write_all(&frames).await);
    assert!(matches!(client.goodbye().await, Some(ENHANCE_YOUR_CALM) | None));
    others_are_served(&server).await;
}

#[tokio::test]
async fn requests_that_are_given_up_at_once() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, &[]).await;
    let mut frames = vec![];
    for stream in (1..4000).step_by(2) {
        frames.extend(get(stream, "/wait"));
        frames.extend(frame(RESET, 0, stream, &CANCEL.to_be_bytes()));
    }
    drop(client.0.write_all(&frames).await);
    assert!(matches!(client.goodbye().await, Some(ENHANCE_YOUR_CALM) | None));
    others_are_served(&server).await;
}

#[tokio::test]
async fn requests_that_are_given_up_once_they_have_begun() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, &[]).await;
    let give_up = async {
        for stream in (1..4000).step_by(2) {
            let (request, reset) = (get(stream, "/wait"), frame(RESET, 0, stream, &CANCEL.to_be_bytes()));
            if client.0.write_all(&request).await.is_err() {
                return;
            }
            // Answered behind the request, so that has arrived.
            drop(client.0.write_all(&frame(PING, 0, 0, &[0; 8])).await);
            loop {
                match client.next().await {
                    Some(Frame { kind: PING, flags: ACK, .. }) => break,
                    Some(_) => {}
                    None => return,
                }
            }
            drop(client.0.write_all(&reset).await);
        }
        panic!("2,000 requests were given up, and nothing came of it");
    };
    give_up.await;
    others_are_served(&server).await;
}

#[tokio::test]
async fn a_flood_of_settings_and_pings_that_nobody_reads() {
    let options = IngressOptions { stall_timeout: Duration::from_millis(500), ..IngressOptions::default() };
    let server = Server::guarded(options).await;
    for flood in [frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]), frame(PING, 0, 0, &[7; 8])] {
        let mut client = Client::connect(&server, &[]).await;
        let block = flood.repeat(10_000);
        let mut sent = 0;
        while sent < 1 << 30 && client.0.write_all(&block).await.is_ok() {
            sent += block.len();
        }
        assert!(sent < 1 << 30, "the server goes on reading");
        others_are_served(&server).await;
    }
}

#[tokio::test]
async fn more_requests_than_allowed_are_refused() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, &[]).await;
    // The server's settings come first, and say so.
    let settings = client.next().await.unwrap();
    assert_eq!(settings.kind, SETTINGS);
    assert!(settings.payload.chunks(6).any(|s| s == [0, 3, 0, 0, 0, 128]), "{:?}", settings.payload);
    client.send(&frame(SETTINGS, ACK, 0, &[])).await;
    for stream in (1..=259).step_by(2) {
        client.send(&get(stream, "/wait")).await;
    }
    assert_eq!(client.body(259).await, Err(7), "refused");
    others_are_served(&server).await;
}

#[tokio::test]
async fn a_response_that_nobody_reads() {
    let options = IngressOptions { stall_timeout: Duration::from_millis(300), ..IngressOptions::default() };
    let server = Server::guarded(options).await;
    // No window for a single byte of a body, and all the pings that are asked for.
    let mut client = Client::connect(&server, &[(4, 0)]).await;
    client.send(&get(1, "/flood")).await;
    assert_eq!(client.goodbye().await, None, "the connection ends");
    // With a window now and then it goes on.
    let mut client = Client::connect(&server, &[(4, 0)]).await;
    client.send(&get(1, "/flood")).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.send(&frame(WINDOW_UPDATE, 0, 1, &70_000_u32.to_be_bytes())).await;
        client.send(&frame(WINDOW_UPDATE, 0, 0, &70_000_u32.to_be_bytes())).await;
        let mut got = 0;
        while got < 65_535 {
            let frame = client.next().await.expect("the connection has ended");
            got += if frame.kind == DATA { frame.payload.len() } else { 0 };
        }
    }
    others_are_served(&server).await;
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let options = IngressOptions { head_timeout: Duration::from_millis(200), ..IngressOptions::default() };
    let server = Server::guarded(options).await;
    let mut client = Client::connect(&server, &[]).await;
    client.send(&get(1, "/ok")).await;
    assert_eq!(client.body(1).await.unwrap(), b"hello");
    client.send(&frame(SETTINGS, ACK, 0, &[])).await;
    // A graceful end asks with a ping whether more is on its way.
    while let Some(frame) = client.next().await {
        if frame.kind == PING && frame.flags == 0 {
            client.send(&self::frame(PING, ACK, 0, &frame.payload)).await;
        }
    }
    others_are_served(&server).await;
}
