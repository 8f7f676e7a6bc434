//! Clients that are slow, silent or greedy, and requests that two servers could read in two ways.

use std::time::Duration;

use taipan_server::IngressOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::fake::Server;

const SHORT: Duration = Duration::from_millis(300);

async fn impatient() -> Server {
    Server::guarded(IngressOptions {
        head_timeout: SHORT,
        stall_timeout: SHORT,
        body_limit: Some(100_000),
        ..IngressOptions::default()
    })
    .await
}

/// Everything until the server closes the connection.
async fn rest(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(60), connection.read_to_end(&mut answer)).await;
    // A connection that is closed with something unread is reset, which is an end as well.
    drop(read.expect("the connection is kept open"));
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn heads_that_do_not_come() {
    let server = impatient().await;
    for begin in
        ["", "G", "PRI", "GET /ok HTTP/1.1\r\nHost: t.test\r\n", "GET /ok HTTP/1.1\r\nHost: t.test\r\n\r\n"]
    {
        let mut connection = server.connect().await;
        connection.write_all(begin.as_bytes()).await.unwrap();
        let answer = rest(&mut connection).await;
        // The last one is answered, and closed because nothing follows.
        assert_eq!(answer.ends_with("hello"), begin.ends_with("\r\n\r\n"), "{begin:?}: {answer}");
    }
}

#[tokio::test]
async fn a_head_byte_by_byte_is_not_more_time() {
    let server = impatient().await;
    let mut connection = server.connect().await;
    let (mut reader, mut writer) = connection.split();
    let send = async {
        for byte in "GET /ok HTTP/1.1\r\n".bytes().chain(std::iter::repeat(b'a')) {
            if writer.write_all(&[byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = send => {}
        read = timeout(Duration::from_secs(60), reader.read_to_end(&mut answer)) => drop(read.unwrap()),
    }
    assert!(answer.is_empty());
}

#[tokio::test]
async fn bodies_that_do_not_come() {
    let server = impatient().await;
    let mut connection = server.connect().await;
    let head = "POST /echo HTTP/1.1\r\nHost: t.test\r\nContent-Length: 10\r\n\r\nabc";
    connection.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let server = impatient().await;
    let answer = server.raw("POST /echo HTTP/1.1\r\nHost: t.test\r\nContent-Length: 100001\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let mut connection = server.connect().await;
    let head = "POST /echo HTTP/1.1\r\nHost: t.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    while connection.write_all(chunk.as_bytes()).await.is_ok() {
        sleep(Duration::from_millis(1)).await;
    }
    let body = "x".repeat(100_000);
    let whole = format!(
        "POST /echo HTTP/1.1\r\nHost: t.test\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n{body}"
    );
    assert!(server.raw(&whole).await.ends_with(&body));
}

#[tokio::test]
async fn responses_that_nobody_reads() {
    let server = impatient().await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET /flood HTTP/1.1\r\nHost: t.test\r\n\r\n").await.unwrap();
    server.seen.wait("the end", |s| s.failed_writes.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    assert!(server.get("/ok", "").await.ends_with("hello"));
}

#[tokio::test]
async fn a_body_is_asked_for_when_it_is_read() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    let head = "POST /echo HTTP/1.1\r\nHost: t.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 25];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(b"abc").await.unwrap();
    let mut answer = vec![0; 12];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");
    // A handler that does not read it answers without.
    let answer = server.raw("POST /ok HTTP/1.1\r\nHost: t.test\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert!(answer.await.starts_with("HTTP/1.1 200 "));
}

/// Each is answered with these statuses, in order, and then the connection is closed. A `GET /ok` stands behind each, which must
/// not be taken for a request of its own where its bytes belong to the one before, nor be answered after a refusal.
const AMBIGUOUS: &[(&str, &str, &[u16])] = &[
    // Two lengths, or a length and chunks.
    (
        "two lengths",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        &[400],
    ),
    ("two lengths in a list", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\nabc", &[400]),
    (
        "one length twice",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        &[200, 200],
    ),
    (
        "length, then chunks",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[200],
    ),
    (
        "chunks, then length",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        &[200],
    ),
    ("a length with a sign", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", &[400]),
    ("a negative length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", &[400]),
    ("a length in hexadecimal", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", &[400]),
    ("a length with a fraction", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3.0\r\n\r\nabc", &[400]),
    (
        "a length beyond 64 bits",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabc",
        &[400],
    ),
    ("an empty length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc", &[400]),
    // What is not quite chunked.
    (
        "another encoding",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "an encoding after chunked",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    ("xchunked", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", &[400]),
    (
        "chunked with a tab before the colon",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "chunked with a space before the colon",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "chunked with a vertical tab",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "chunked on a folded line",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "chunked in HTTP/1.0",
        "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    // Chunks.
    (
        "chunks",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        &[200, 200],
    ),
    (
        "a chunk with an extension",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
        &[200, 200],
    ),
    (
        "trailers",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
        &[200, 200],
    ),
    (
        "a negative size",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a size that is none",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a size with a prefix",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a size beyond 64 bits",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a chunk longer than its size",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a bare line feed after a size",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a bare line feed in an extension",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    // Hosts.
    ("no host", "GET /ok HTTP/1.1\r\n\r\n", &[400, 200]),
    ("two hosts", "GET /ok HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &[400, 200]),
    ("an empty host", "GET /ok HTTP/1.1\r\nHost:\r\n\r\n", &[400, 200]),
    ("a host with a user", "GET /ok HTTP/1.1\r\nHost: a@b\r\n\r\n", &[400, 200]),
    ("a host in the target", "GET http://b/ok HTTP/1.1\r\nHost: a\r\n\r\n", &[200, 200]),
    // Lines.
    ("a space before a name", "GET /ok HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n", &[400]),
    ("a header without a colon", "GET /ok HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", &[400]),
    ("a header without a name", "GET /ok HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", &[400]),
    ("NUL in a value", "GET /ok HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", &[400]),
    ("a bare carriage return in a value", "GET /ok HTTP/1.1\r\nHost: a\r\nX: y\rZ: z\r\n\r\n", &[400]),
    ("a space in a target", "GET /ok  /x HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("a control character in a target", "GET /ok\x01 HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("no version", "GET /ok\r\nHost: a\r\n\r\n", &[400]),
    ("another version", "GET /ok HTTP/1.2\r\nHost: a\r\n\r\n", &[400]),
    ("HTTP/2 in HTTP/1's clothes", "GET /ok HTTP/2.0\r\nHost: a\r\n\r\n", &[400]),
    ("TLS", "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n", &[400]),
    // Requests in a row.
    ("an empty line before", "\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n", &[200, 200]),
    ("a body of a GET", "GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", &[200, 200]),
    (
        "two requests",
        "GET /ok HTTP/1.1\r\nHost: a\r\n\r\nHEAD /ok HTTP/1.1\r\nHost: a\r\n\r\n",
        &[200, 200, 200],
    ),
    ("close", "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &[200]),
];

#[tokio::test]
async fn requests_that_could_be_read_in_two_ways() {
    let server = Server::start().await;
    let mut wrong = vec![];
    for (name, request, statuses) in AMBIGUOUS {
        let mut connection = server.connect().await;
        let last = "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        connection.write_all(format!("{request}{last}").as_bytes()).await.unwrap();
        let answer = rest(&mut connection).await;
        let found: Vec<u16> =
            answer.split("HTTP/1.1 ").skip(1).map(|part| part[..3].parse().unwrap()).collect();
        if found != *statuses {
            wrong.push(format!("{name}: {found:?} instead of {statuses:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn heads_that_are_too_large() {
    let server = Server::start().await;
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000));
    assert!(server.raw(&target).await.starts_with("HTTP/1.1 414 "));
    let one = format!("GET /ok HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    assert!(server.raw(&one).await.starts_with("HTTP/1.1 431 "));
    let many = format!("GET /ok HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(300));
    assert!(server.raw(&many).await.starts_with("HTTP/1.1 431 "));
    let fine = format!("GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n", "X: y\r\n".repeat(250));
    assert!(server.raw(&fine).await.ends_with("hello"));
}
