//! What curl says about us, by each protocol.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy knows only functions marked as tests, not those that they share"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use taipan_testkit::server::{Server, ServerOptions};

fn start(args: &[&str]) -> Server {
    start_in("examples/echo", args)
}

fn start_in(folder: &str, args: &[&str]) -> Server {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut options = ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), folder, &cache);
    options.args.extend(args.iter().map(|arg| (*arg).to_owned()));
    Server::start(&options).unwrap()
}

fn end(mut server: Server) {
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}

/// The version of HTTP, the status and the body.
fn curl(args: &[&str], url: &str) -> String {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--max-time",
        "60",
        "--write-out",
        " %{http_version} %{http_code}",
    ]);
    let output = command.args(args).arg(url).output().expect("curl is installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn in_the_open() {
    let server = start(&[]);
    let url = format!("http://localhost:{}/x", server.port());
    assert_eq!(curl(&["--http1.1", "--data", "one"], &url), "one 1.1 200");
    assert_eq!(curl(&["--http1.0", "--data", "zero"], &url), "zero 1 200");
    assert_eq!(curl(&["--http2-prior-knowledge", "--data", "two"], &url), "two 2 200");
    // An offer to go on with HTTP/2, which nobody has to take.
    assert_eq!(curl(&["--http2", "--data", "either"], &url), "either 1.1 200");
    end(server);
}

#[test]
fn what_applications_are_told_and_say() {
    let server = start_in("tests/behaviour/asgi", &[]);
    let url = |path: &str| format!("http://localhost:{}/{path}", server.port());
    for (protocol, version) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
        // Trailers are among the headers that curl dumps.
        let got = curl(&["--dump-header", "-", protocol, "--header", "te: trailers"], &url("trailers"));
        let (_, after) = got.split_once("body").unwrap();
        assert!(after.contains("x-digest: abc"), "{got}");
        let scope = curl(&[protocol], &url("scope"));
        assert!(scope.contains(&format!("\"http_version\": \"{version}\"")), "{scope}");
        assert!(scope.contains("\"client\": \"127.0.0.1\""), "{scope}");
    }
    end(server);
    let server = start_in("tests/behaviour/wsgi", &[]);
    let url = format!("http://localhost:{}/environ", server.port());
    let environ = curl(&["--http2-prior-knowledge", "--data", "x"], &url);
    assert!(environ.contains("\"REMOTE_ADDR\": \"127.0.0.1\""), "{environ}");
    assert!(environ.contains("\"SERVER_PROTOCOL\": \"HTTP/2\""), "{environ}");
    end(server);
}

#[test]
fn by_tls() {
    let server = start(&["--local-protocol", "https"]);
    let url = format!("https://localhost:{}/x", server.port());
    assert_eq!(curl(&["--insecure", "--http2", "--data", "two"], &url), "two 2 200");
    assert_eq!(curl(&["--insecure", "--http1.1", "--data", "one"], &url), "one 1.1 200");
    assert!(server.log.text(taipan_testkit::server::Stream::Stdout).contains("Ready on https://localhost:"));
    end(server);
}

#[test]
fn with_content_encodings() {
    let server = start_in("tests/behaviour/content-encoding", &[]);
    let url = |path: &str| format!("http://localhost:{}/{path}", server.port());
    for encoding in ["gzip", "deflate", "br"] {
        // Debian's curl knows them all.
        let got = curl(&["--compressed", "--http1.1"], &url(encoding));
        assert_eq!(got, format!("{} 1.1 200", "text ".repeat(1000)), "{encoding}");
    }
    assert_eq!(curl(&["--compressed", "--http2-prior-knowledge"], &url("framework")), "once 2 200");
    end(server);
}

/// What comes back for some bytes until the server closes the connection.
fn raw(server: &Server, sent: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    let mut got = String::new();
    stream.read_to_string(&mut got).unwrap();
    got
}

/// Whoever sends all of a request before it looks at the answer gets it, although nobody wanted the rest.
#[test]
fn an_answer_before_the_end_of_the_request_arrives() {
    let server = start_in("tests/behaviour/incoming", &[]);
    let rest = vec![b'x'; 16 << 20];
    let send = |head: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&rest).unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        got
    };
    let head = format!("host: a\r\ncontent-length: {}\r\n\r\n", rest.len());
    for _ in 0..100 {
        let refused = send(&format!("POST /unread HTTP/1.1\r\n{head}"));
        assert!(refused.starts_with("HTTP/1.1 403 ") && refused.ends_with("\r\n\r\nnot wanted"), "{refused}");
    }
    for _ in 0..10 {
        let not_signed = send(&format!("PUT /cdn-cgi/local/api/kv/a/b HTTP/1.1\r\n{head}"));
        assert!(not_signed.starts_with("HTTP/1.1 403 "), "{not_signed}");
        // The head is refused while what follows it is on its way.
        let malformed = send("POST /\u{1} HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(malformed.starts_with("HTTP/1.1 400 "), "{malformed}");
    }
    end(server);
}

#[test]
fn heads_and_expectations() {
    let server = start_in("tests/behaviour/incoming", &[]);
    // Nothing is asked for that the handler does not read, and the answer does not wait for it.
    let refused =
        raw(&server, "POST /unread HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 403 ") && refused.ends_with("\r\n\r\nnot wanted"), "{refused}");
    // No byte follows the head in an answer to HEAD, or the next one could not be read.
    let request = |method: &str, more: &str| format!("{method} /range HTTP/1.1\r\nhost: a\r\n{more}\r\n");
    let both = raw(&server, &(request("HEAD", "") + &request("GET", "connection: close\r\n")));
    let parts: Vec<_> = both.split("\r\n\r\n").collect();
    let [head, second, body] = parts[..] else { panic!("{both}") };
    for head in [head, second] {
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-length: 10"), "{both}");
    }
    assert_eq!(body, "0123456789");
    let url = format!("http://localhost:{}/cf", server.port());
    assert!(curl(&["--http2-prior-knowledge"], &url).contains("\"httpProtocol\":\"HTTP/2\""));
    end(server);
}
