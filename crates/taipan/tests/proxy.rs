//! Requests of Workers through the proxies that the environment names.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy knows only functions marked as tests, not those that they share"
)]

use std::io::{Read, Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use taipan_testkit::http::{Client, Request};
use taipan_testkit::server::{Server, ServerOptions};
use taipan_testkit::upstream::Upstream;

const WORKER: &str = r#"
from urllib.parse import unquote, urlsplit
from workers import Response, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        try:
            response = await fetch(unquote(urlsplit(request.url).query))
            return Response(f"{response.status} {await response.text()}")
        except OSError as error:
            return Response(f"failed: {error}")
"#;

/// A proxy that takes every name for this machine's, but connects to none that has "forbidden" in it.
fn proxy() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, seen) = (client.unwrap(), seen.clone());
            thread::spawn(move || serve(client, &seen));
        }
    });
    (port, heads)
}

fn serve(mut client: TcpStream, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).unwrap_or_default() == 0 {
            return;
        }
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    seen.lock().unwrap().push(head.clone());
    let target = head.split(' ').nth(1).expect("a request has a target");
    if target.contains("forbidden") {
        client.write_all(b"HTTP/1.1 403 Not by me\r\n\r\n").unwrap();
        return;
    }
    let authority = target.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let (_, port) = authority.rsplit_once(':').expect("the target has a port");
    let mut server = TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).unwrap();
    if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connected\r\nx-a: b\r\n\r\n").unwrap();
    } else {
        // This server takes the whole URL as well.
        server.write_all(head.as_bytes()).unwrap();
    }
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
fn requests_go_through_the_proxies_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("entry.py"), WORKER).unwrap();
    let config = r#"{ "name": "proxied", "main": "entry.py", "compatibility_date": "2026-09-08", "compatibility_flags": ["python_workers"] }"#;
    fs_err::write(folder.path().join("wrangler.jsonc"), config).unwrap();
    let upstream = Upstream::start().unwrap();
    let (port, heads) = proxy();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let mut options = ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), folder.path(), &cache);
    options.env.extend([
        ("HTTP_PROXY".into(), format!("http://me:secret@127.0.0.1:{port}")),
        ("HTTPS_PROXY".into(), format!("http://127.0.0.1:{port}")),
        ("NO_PROXY".into(), "127.0.0.1,.unproxied".into()),
        upstream.env(),
    ]);
    let mut server = Server::start(&options).unwrap();
    let mut client = Client::new(server.port(), Duration::from_secs(60));
    let mut ask = |url: &str| client.send(&Request::get(&format!("/?{url}"))).unwrap().text();
    let of = |name: &str| upstream.vars().into_iter().find(|(n, _)| *n == name).unwrap().1;
    let (plain, secure) = (of("UPSTREAM"), of("UPSTREAM_TLS"));
    let plain_port = plain.rsplit(':').next().unwrap();
    let secure_port = secure.rsplit(':').next().unwrap();

    // The proxy finds the host, which nobody else could.
    let answer = ask(&format!("http://only.the.proxy.knows.invalid:{plain_port}/status/201"));
    assert!(answer.starts_with("201"), "{answer}");
    let head = heads.lock().unwrap().pop().unwrap();
    let start = format!("GET http://only.the.proxy.knows.invalid:{plain_port}/status/201 HTTP/1.1\r\n");
    assert!(head.starts_with(&start), "{head}");
    assert!(head.contains("proxy-authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");

    // What is secure goes through it unread, by HTTP/2 as well.
    let answer = ask(&format!("{secure}/status/202"));
    assert!(answer.starts_with("202"), "{answer}");
    let head = heads.lock().unwrap().pop().unwrap();
    assert_eq!(
        head,
        format!("CONNECT localhost:{secure_port} HTTP/1.1\r\nhost: localhost:{secure_port}\r\n\r\n")
    );

    let answer = ask("https://forbidden.invalid:1/");
    assert_eq!(answer, "failed: the proxy does not connect to forbidden.invalid: HTTP/1.1 403 Not by me");
    heads.lock().unwrap().clear();

    // These need none.
    assert!(ask(&format!("{plain}/status/203")).starts_with("203"));
    assert!(ask("http://host.unproxied.invalid.unproxied/").starts_with("failed: cannot resolve"));
    assert!(heads.lock().unwrap().is_empty());
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}
