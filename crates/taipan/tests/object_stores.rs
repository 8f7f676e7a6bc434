//! Buckets whose bytes are in a store that speaks S3: another taipan, and servers that fail in their own ways.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy does not see that helpers of tests are tests"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fs_err as fs;
use taipan_testkit::http::{Client, Request, Response};
use taipan_testkit::server::{Server, ServerOptions};
use tempfile::TempDir;

const WORKER: &str = r#"
from urllib.parse import urlsplit
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        _, binding, key = urlsplit(request.url).path.split("/", 2)
        bucket = getattr(self.env, "THINGS" if binding == "LIST" else binding)
        try:
            if request.method == "PUT":
                return Response(str((await bucket.put(key, request.js_object.body)).size))
            if request.method == "DELETE":
                await bucket.delete(key)
                return Response("")
            if binding == "LIST":
                return Response(str(len((await bucket.list()).objects)))
            found = await bucket.get(key)
            return Response(found.body) if found else Response("", status=404)
        except Exception as error:
            return Response(f"{type(error).__name__}: {error}", status=500)
"#;

/// A Worker with a bucket; its bytes are at the endpoint, if there is one.
fn worker(endpoint: Option<&str>, bucket: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), endpoint, bucket);
    fs::write(folder.path().join("entry.py"), WORKER).unwrap();
    folder
}

fn configure(folder: &Path, endpoint: Option<&str>, bucket: &str) {
    let stores = endpoint.map(|endpoint| {
        let store = format!(
            r#"{{ "r2_bucket": "{bucket}", "endpoint": "{endpoint}", "bucket": "bytes", "prefix": "of/{bucket}", "timeout_seconds": 2 }}"#
        );
        format!(r#""taipan": {{ "object_stores": [{store}] }},"#)
    });
    let stores = stores.unwrap_or_default();
    let config = format!(
        r#"{{ "name": "w", "main": "entry.py", "compatibility_date": "2026-11-01", "compatibility_flags": ["python_workers"], {stores}
            "r2_buckets": [{{ "binding": "THINGS", "bucket_name": "{bucket}" }}, {{ "binding": "OWN", "bucket_name": "own" }}] }}"#
    );
    fs::write(folder.join("wrangler.jsonc"), config).unwrap();
}

fn start(folder: &TempDir, variables: &[(&str, &str)]) -> Server {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let mut options = ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), folder.path(), &cache);
    options.env.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Server::start(&options).unwrap()
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];

/// A taipan whose bucket is somebody's store.
fn store() -> (TempDir, Server, String) {
    let folder = worker(None, "bytes");
    let keys = [("TAIPAN_S3_ACCESS_KEY_ID", "key"), ("TAIPAN_S3_SECRET_ACCESS_KEY", "secret")];
    let server = start(&folder, &keys);
    let endpoint = format!("http://localhost:{}/cdn-cgi/local/r2/s3", server.port());
    (folder, server, endpoint)
}

fn send(server: &Server, method: &str, path: &str, body: &[u8]) -> Response {
    let mut request = Request::get(path);
    request.method = method.to_owned();
    request.body = body.to_vec();
    Client::new(server.port(), Duration::from_secs(120)).send(&request).unwrap()
}

fn files(folder: &TempDir, bucket: &str) -> usize {
    let folder = folder.path().join(format!(".wrangler/state/taipan-v1/r2/{bucket}.blobs"));
    fs::read_dir(folder).map_or(0, Iterator::count)
}

fn comes_to(folder: &TempDir, bucket: &str, count: usize) {
    let begun = Instant::now();
    while files(folder, bucket) != count {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{} files instead of {count}",
            files(folder, bucket)
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn value(seed: u8, size: usize) -> Vec<u8> {
    (0..size).map(|i| (i >> 8) as u8 ^ (i as u8).wrapping_mul(seed)).collect()
}

#[test]
fn bytes_are_in_the_store_and_what_is_known_of_them_is_here() {
    let (kept, there, endpoint) = store();
    let folder = worker(Some(&endpoint), "things");
    let server = start(&folder, &KEYS);
    let (large, small) = (value(3, 40 << 20), value(5, 1000));
    assert_eq!(send(&server, "PUT", "/THINGS/large", &large).text(), large.len().to_string());
    assert_eq!(send(&server, "PUT", "/THINGS/small", &small).text(), "1000");
    assert_eq!(send(&server, "PUT", "/OWN/here", &small).text(), "1000");
    assert!(send(&server, "GET", "/THINGS/large", b"").body == large);
    assert!(send(&server, "GET", "/THINGS/small", b"").body == small);
    // Three parts of 16 MiB at most, and the small one.
    assert_eq!((files(&folder, "things"), files(&folder, "own"), files(&kept, "bytes")), (0, 1, 4));
    send(&server, "PUT", "/THINGS/small", b"");
    assert_eq!(send(&server, "GET", "/THINGS/small", b"").body, b"");
    send(&server, "DELETE", "/THINGS/large", b"");
    comes_to(&kept, "bytes", 1);
    // A process that is killed in the middle of an upload leaves nothing, once there is another one.
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let head = format!("PUT /THINGS/half HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", 40 << 20);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&large[..30 << 20]).unwrap();
    comes_to(&kept, "bytes", 2);
    drop(server);
    let server = start(&folder, &KEYS);
    assert_eq!(send(&server, "GET", "/THINGS/half", b"").status, 404);
    assert_eq!(send(&server, "PUT", "/THINGS/small", &small).text(), "1000");
    drop(server);
    // Without a server, commands look themselves, and need the keys.
    let get = |keys: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taipan"));
        command.args(["r2", "object", "get", "things/small", "--pipe"]).current_dir(folder.path());
        command.env_remove("AWS_ACCESS_KEY_ID").envs(keys.iter().copied()).output().unwrap()
    };
    assert!(get(&KEYS).stdout == small);
    let said = String::from_utf8(get(&[]).stderr).unwrap();
    assert!(said.contains("needs a key: things") && said.contains("AWS_ACCESS_KEY_ID"), "{said}");
    let said = String::from_utf8(get(&[KEYS[0], ("AWS_SECRET_ACCESS_KEY", "wrong")]).stderr).unwrap();
    assert!(
        said.contains(&format!("{endpoint}/bytes/of/things")) && said.contains("SignatureDoesNotMatch"),
        "{said}"
    );
    // Not by accident where they were not.
    configure(folder.path(), None, "things");
    let said = String::from_utf8(get(&KEYS).stderr).unwrap();
    assert!(said.contains("/bytes/of/things, not in files beside its index"), "{said}");
    drop(there);
}

#[test]
fn a_store_that_does_not_answer_is_named_and_others_go_on() {
    let (_kept, there, endpoint) = store();
    let folder = worker(Some(&endpoint), "things");
    let server = start(&folder, &KEYS);
    assert_eq!(send(&server, "PUT", "/THINGS/a", b"before").text(), "6");
    drop(there);
    let begun = Instant::now();
    for (method, path) in [("PUT", "/THINGS/a"), ("PUT", "/THINGS/b")] {
        let refused = send(&server, method, path, b"after");
        assert_eq!(refused.status, 500);
        let said = refused.text();
        assert!(said.contains(&format!("cannot use the object store: {endpoint}/bytes/of/things")), "{said}");
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(send(&server, "GET", "/THINGS/b", b"").status, 404);
    // What a response promised cannot be kept: it breaks off.
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(b"GET /THINGS/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    assert!(!String::from_utf8_lossy(&answer).contains("before"));
    assert_eq!(send(&server, "PUT", "/OWN/a", b"own").text(), "3");
    assert_eq!(send(&server, "GET", "/OWN/a", b"").text(), "own");
    drop(server);
    // It starts without the store.
    let server = start(&folder, &KEYS);
    assert_eq!(send(&server, "GET", "/LIST/", b"").text(), "1");
}

/// What a server does with a connection.
type Deed = fn(&mut TcpStream);

fn server_that(does: Deed) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || does(&mut stream.unwrap()));
        }
    });
    format!("http://127.0.0.1:{port}")
}

fn hear(stream: &mut TcpStream) {
    let mut bytes = [0; 65536];
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = stream.read(&mut bytes).unwrap();
        head.extend_from_slice(&bytes[..read]);
    }
}

#[test]
fn whatever_a_store_does_nothing_is_acknowledged_that_is_not_there() {
    let says_500 = |stream: &mut TcpStream| {
        hear(stream);
        let body = "<Error><Code>InternalError</Code><Message>broken today</Message></Error>";
        let head = format!("HTTP/1.1 500 No\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        drop(stream.write_all((head + body).as_bytes()));
    };
    let closes_early = |stream: &mut TcpStream| hear(stream);
    let says_nothing = |_: &mut TcpStream| thread::sleep(Duration::from_secs(600));
    let breaks_off = |stream: &mut TcpStream| {
        hear(stream);
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"));
    };
    let cases: [(Deed, &str); 4] = [
        (says_500, "broken today"),
        (closes_early, "/bytes/"),
        (says_nothing, "no answer for 2 seconds"),
        (breaks_off, "/bytes/"),
    ];
    for (i, (does, expected)) in cases.into_iter().enumerate() {
        let endpoint = server_that(does);
        let folder = worker(Some(&endpoint), "things");
        let server = start(&folder, &KEYS);
        for size in [5, 17 << 20] {
            let refused = send(&server, "PUT", "/THINGS/a", &vec![7; size]);
            let said = refused.text();
            assert_eq!(refused.status, 500, "case {i}, {size} bytes: {said}");
            assert!(said.contains(&endpoint) && said.contains(expected), "case {i}, {size} bytes: {said}");
        }
        assert_eq!(send(&server, "GET", "/THINGS/a", b"").status, 404);
        assert_eq!(send(&server, "GET", "/LIST/", b"").text(), "0");
    }
}
