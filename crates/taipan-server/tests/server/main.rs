//! The server over real sockets, with a fake in place of the isolate.

// The attribute tells clippy that panics are fine in there.
#[cfg(test)]
mod assets;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod pool;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use fake::{CHUNK, Seen, Server, boot, boot_fails, worker};
use taipan_bindings::HIGH_WATER;
use taipan_server::Started;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn a_request_and_its_response() {
    let server = Server::start().await;
    let answer = server.get("/ok", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert!(answer.contains("x-a: 1\r\nx-a: 2\r\n") && answer.contains("content-length: 5\r\n"), "{answer}");
    assert_eq!(server.seen.lines.lock().unwrap().as_slice(), ["GET /ok 200 OK"]);
}

#[tokio::test]
async fn what_the_handler_sees_of_the_head() {
    let server = Server::start().await;
    let answer = server.get("/head", "X-B: \u{e9}\r\ncf-connecting-ip: 6.6.6.6\r\n").await;
    for expected in [
        "Str(\"GET\")\nStr(\"http://t.test/head\")\nNull\n",
        "Str(\"x-b\")\nStr(\"é\")",
        "Str(\"127.0.0.1\")",
    ] {
        assert!(answer.contains(expected), "{expected}: {answer}");
    }
    assert!(!answer.contains("6.6.6.6"));
    let sent = "POST /head HTTP/1.1\r\nHost: t.test\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
    assert!(server.raw(sent).await.contains("Str(\"http://t.test/head\")\nNum(3.0)\n"));
    let sent = "POST /head HTTP/1.1\r\nHost: t.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(server.raw(sent).await.contains("Num(-1.0)\n"));
}

#[tokio::test]
async fn a_connection_carries_many_requests() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    // The handler reads none of it.
    let unread = format!(
        "POST /ok HTTP/1.1\r\nHost: t.test\r\nContent-Length: 1000000\r\n\r\n{}",
        "x".repeat(1_000_000)
    );
    for request in ["GET /ok HTTP/1.1\r\nHost: t.test\r\n\r\n", &unread, &unread] {
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let mut n = 0;
        while !answer[..n].ends_with(b"\r\n\r\nhello") {
            let more =
                timeout(Duration::from_secs(60), connection.read(&mut answer[n..])).await.unwrap().unwrap();
            assert_ne!(more, 0, "closed");
            n += more;
        }
    }
}

#[tokio::test]
async fn responses_without_a_body() {
    let server = Server::start().await;
    let answer = server.get("/empty", "").await;
    assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    let answer = server.raw("HEAD /ok HTTP/1.1\r\nHost: t.test\r\nConnection: close\r\n\r\n").await;
    assert!(answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn responses_that_http_cannot_carry() {
    let server = Server::start().await;
    for path in ["/bad-header", "/bad-status"] {
        let answer = server.get(path, "").await;
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("cannot be sent"), "{answer}");
    }
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let server = Server::start().await;
    let large = format!("GET /ok HTTP/1.1\r\nHost: t.test\r\nX: {}\r\n\r\n", "x".repeat(200 << 10));
    for (request, status) in [
        ("nonsense\r\n\r\n", "400"),
        ("GET /ok HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", "400"),
        ("GET /ok HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n", "400"),
        ("GET /ok HTTP/1.1\r\nbad header\r\n\r\n", "400"),
        ("POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "400"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "405"),
        (&large, "431"),
    ] {
        let answer = server.raw(request).await;
        let head = &request[..request.len().min(60)];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head:?}: {answer}");
    }
    assert!(server.get("/ok", "").await.ends_with("hello"));
}

#[tokio::test]
async fn a_failed_handler_shows_its_traceback() {
    let server = Server::start().await;
    let text = server.get("/fail", "Accept: */*\r\n").await;
    assert!(text.starts_with("HTTP/1.1 500 ") && text.contains("content-type: text/plain"), "{text}");
    assert!(text.ends_with("Traceback …\nValueError: <b>\nhint: try\n"), "{text}");
    let html = server.get("/fail", "Accept: text/html,*/*\r\n").await;
    assert!(html.contains("content-type: text/html") && html.contains("cache-control: no-store"), "{html}");
    assert!(html.contains("&lt;b&gt;") && !html.contains("<b>\n"), "{html}");
    assert!(server.seen.lines.lock().unwrap()[0].starts_with("failure Traceback"));
    assert!(server.get("/nothing", "").await.contains("without a response"));
}

#[tokio::test]
async fn a_handler_that_waits_for_nothing_is_given_up() {
    let server = Server::start().await;
    let answer = server.get("/hang", "").await;
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("can never happen"), "{answer}");
    assert_eq!(server.seen.boots.load(SeqCst), 1, "the isolate lives on");
}

#[tokio::test]
async fn a_hanging_handler_is_not_given_up_while_another_may_wake_it() {
    let server = Server::start().await;
    let (hanging, slow) = tokio::join!(server.get("/hang", ""), server.get("/slow", ""));
    assert!(slow.ends_with("slow"), "{slow}");
    assert!(hanging.contains("can never happen"), "{hanging}");
}

#[tokio::test]
async fn a_crash_fails_what_is_in_flight_and_nothing_else() {
    let server = Server::start().await;
    let mut streaming = server.connect().await;
    streaming.write_all(b"GET /flood HTTP/1.1\r\nHost: t.test\r\n\r\n").await.unwrap();
    let mut head = [0; 16];
    streaming.read_exact(&mut head).await.unwrap();
    let crash = async {
        sleep(Duration::from_millis(50)).await;
        server.get("/crash", "").await
    };
    let (waiting, crashed) = tokio::join!(server.get("/wait", ""), crash);
    for answer in [&waiting, &crashed] {
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("trap: unreachable"), "{answer}");
    }
    let mut rest = Vec::new();
    drop(
        timeout(Duration::from_secs(60), streaming.read_to_end(&mut rest))
            .await
            .expect("the stream breaks off"),
    );
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a broken stream must not look complete");
    assert!(server.get("/ok", "").await.ends_with("hello"));
    assert_eq!(server.seen.boots.load(SeqCst), 2);
    assert!(server.seen.lines.lock().unwrap().contains(&"stopped trap: unreachable 2".to_owned()));
}

#[tokio::test]
async fn request_bodies_are_read_no_faster_than_they_are_used() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    connection
        .write_all(b"POST /read-once HTTP/1.1\r\nHost: t.test\r\nContent-Length: 1000000000\r\n\r\n")
        .await
        .unwrap();
    let chunk = vec![0; 1 << 20];
    let mut sent = 0;
    // The kernel's own buffers take a few MiB; when nobody reads, they fill up.
    while let Ok(written) = timeout(Duration::from_millis(300), connection.write(&chunk)).await {
        sent += written.unwrap();
        assert!(sent < 100 << 20, "the server reads what nobody asked for");
    }
    assert!(server.seen.read.load(SeqCst) <= 256 << 10);
}

#[tokio::test]
async fn responses_are_written_no_faster_than_they_are_read() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET /flood HTTP/1.1\r\nHost: t.test\r\n\r\n").await.unwrap();
    server.seen.wait("the first writes", |s| s.written.load(SeqCst) > HIGH_WATER).await;
    let mut before = 0;
    // Until it stands still.
    while before != server.seen.written.load(SeqCst) {
        before = server.seen.written.load(SeqCst);
        assert!(before < 100 << 20, "the guest was never made to wait");
        sleep(Duration::from_millis(200)).await;
    }
    let mut read = vec![0; 1 << 20];
    for _ in 0..(8 << 20) / CHUNK {
        connection.read_exact(&mut read[..CHUNK]).await.unwrap();
    }
    server.seen.wait("more writes", |s| s.written.load(SeqCst) > before).await;
    drop(connection);
    server.seen.wait("the end", |s| s.failed_writes.load(SeqCst) == 1).await;
}

#[tokio::test]
async fn bodies_arrive_whole() {
    let server = Server::start().await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| b'a' + u8::try_from(i % 23).unwrap()).collect();
    for path in ["/echo", "/pipe"] {
        let mut connection = server.connect().await;
        let head = format!("POST {path} HTTP/1.0\r\nHost: t.test\r\nContent-Length: {}\r\n\r\n", body.len());
        let (mut reader, mut writer) = connection.split();
        let send = async {
            writer.write_all(head.as_bytes()).await.unwrap();
            writer.write_all(&body).await.unwrap();
        };
        let mut answer = Vec::new();
        let (_, read) = tokio::join!(send, timeout(Duration::from_secs(60), reader.read_to_end(&mut answer)));
        read.unwrap().unwrap();
        assert!(answer.ends_with(&body), "{path}: {} bytes", answer.len());
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_is_seen_to() {
    let server = Server::start().await;
    let answer = server.get("/break-off", "").await;
    assert!(answer.contains("part") && !answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_leaves_is_reported() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET /wait HTTP/1.1\r\nHost: t.test\r\n\r\n").await.unwrap();
    server.seen.wait("the handler has begun", |s| s.held.load(SeqCst) == 1).await;
    drop(connection);
    server.seen.wait("the event", |s| s.disconnected.load(SeqCst) == 1).await;
    assert!(server.get("/ok", "").await.ends_with("hello"));
}

#[tokio::test]
async fn stopping_lets_requests_finish() {
    let mut server = Server::start().await;
    let mut idle = server.connect().await;
    let stop = server.stop.take().unwrap();
    let slow = server.get("/slow", "");
    let stopping = async {
        sleep(Duration::from_millis(50)).await;
        stop.send(()).unwrap();
    };
    let (answer, ()) = tokio::join!(slow, stopping);
    assert!(answer.ends_with("slow"), "{answer}");
    assert!(server.task.await.unwrap());
    assert_eq!(idle.read(&mut [0; 8]).await.unwrap(), 0, "idle connections are closed");
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
    let begun = Instant::now();
    server.slot.current().retire(Duration::from_secs(10)).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn stopping_does_not_wait_forever() {
    let mut server = Server::start().await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET /wait HTTP/1.1\r\nHost: t.test\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    server.stop.take().unwrap().send(()).unwrap();
    assert!(!server.task.await.unwrap());
    server.slot.current().retire(Duration::from_millis(100)).await;
    let mut answer = String::new();
    timeout(Duration::from_secs(60), connection.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn a_worker_that_does_not_start_says_why_until_it_is_replaced() {
    let seen = Arc::new(Seen::default());
    let server =
        Server::with(seen.clone(), boot_fails(r#"{"type":"SyntaxError","message":"'(' was never closed"}"#))
            .await;
    assert!(matches!(server.slot.current().started().await, Started::Failed(_)));
    for _ in 0..2 {
        let answer = server.get("/ok", "").await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.ends_with("SyntaxError: '(' was never closed\n"), "{answer}");
    }
    server.slot.replace(worker(&seen, boot(&seen)));
    assert!(server.get("/ok", "").await.ends_with("hello"));
}

#[tokio::test]
async fn requests_in_flight_stay_with_their_version() {
    let server = Server::start().await;
    let reload = async {
        sleep(Duration::from_millis(50)).await;
        server.slot.replace(worker(&server.seen, boot_fails("{}")));
        server.get("/ok", "").await
    };
    let (old, new) = tokio::join!(server.get("/slow", ""), reload);
    assert!(old.ends_with("slow"), "{old}");
    assert!(new.starts_with("HTTP/1.1 500 "), "{new}");
}
