//! LangChain, with stand-ins for what has no build.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use taipan_testkit::http::{Client, Request};
use taipan_testkit::index::{Entry, Wheel};
use taipan_testkit::server::{Server, ServerOptions};

use crate::project::cache;

/// A model behind HTTP, which says everything that it was told. It answers until the process ends.
fn model() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let is_known = line.starts_with("POST /v1/chat HTTP/1.1");
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap()
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let question: Value = serde_json::from_slice(&body).unwrap();
    let messages = question.get("messages").and_then(Value::as_array).unwrap();
    let told = messages.iter().map(|one| one.get("content").and_then(Value::as_str).unwrap());
    let said = told.collect::<Vec<_>>().join(" ");
    let answer = json!({ "choices": [{ "message": { "role": "assistant", "content": said } }] }).to_string();
    let status = if is_known { "200 OK" } else { "404 Not Found" };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    reader.into_inner().write_all((head + &answer).as_bytes()).unwrap();
}

#[test]
fn a_chain_of_prompt_model_and_parser_answers() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/langchain");
    let folder = tempfile::tempdir().unwrap();
    let worker = folder.path().join("worker");
    fs_err::create_dir(&worker).unwrap();
    for name in ["entry.py", "requirements.txt", "wrangler.jsonc"] {
        fs_err::copy(source.join("worker").join(name), worker.join(name)).unwrap();
    }
    let wheels = folder.path().join("wheels");
    fs_err::create_dir(&wheels).unwrap();
    for (name, version) in [("orjson", "3.13.0"), ("zstandard", "0.25.0")] {
        let module = format!("{name}.py");
        let content = fs_err::read(source.join(&module)).unwrap();
        let wheel = Wheel {
            name,
            version,
            tags: "py3-none-any",
            files: vec![Entry::new(&module, content)],
            ..Wheel::default()
        };
        fs_err::write(wheels.join(format!("{name}-{version}-py3-none-any.whl")), wheel.archive()).unwrap();
    }
    let mut options = ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), &worker, &cache());
    options.args = vec![
        "--package-index".into(),
        wheels.to_string_lossy().into_owned(),
        "--var".into(),
        format!("MODEL=http://{}/v1/chat", model()),
    ];
    let mut server = Server::start(&options).unwrap();
    let lock = fs_err::read_to_string(worker.join("pylock.toml")).unwrap();
    assert!(lock.contains("name = \"orjson\"") && lock.contains("langchain_core-1.8.3"), "{lock}");
    // No index has a wheel of it for the sandbox: it is built of its source, without libyaml.
    assert!(lock.contains("name = \"pyyaml\"") && lock.contains(".tar.gz"), "{lock}");
    let mut client = Client::new(server.port(), Duration::from_secs(60));
    for (path, expected) in [
        ("/", "heard: Tell me of cats"),
        ("/sync", "heard: Tell me of bears"),
        ("/remote", "You tell jokes. Tell me of owls; You tell jokes. Tell me of elks"),
        ("/refused", "refused: 404"),
        ("/yaml", "{'a': [1, 'b']} False"),
        ("/json", "{\"a\":[1]}"),
        ("/typed", "why 6"),
        ("/stream", "a|b|c"),
        ("/together", "{\"one\":\"heard: Tell me of cats\",\"length\":22}"),
    ] {
        let response = client.send(&Request::get(path)).unwrap();
        assert_eq!((response.status, &*response.text()), (200, expected), "{path}");
    }
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}
