//! LangChain, with stand-ins for what has no build.

use std::path::Path;
use std::time::Duration;

use taipan_testkit::http::{Client, Request};
use taipan_testkit::index::{Entry, Wheel};
use taipan_testkit::server::{Server, ServerOptions};

use crate::project::cache;

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
    let mut server = Server::start(&ServerOptions {
        binary: env!("CARGO_BIN_EXE_taipan").into(),
        folder: worker.clone(),
        port: 0,
        args: vec!["--package-index".into(), wheels.to_string_lossy().into_owned()],
        env: vec![("TAIPAN_CACHE_DIR".into(), cache().to_string_lossy().into_owned())],
    })
    .unwrap();
    let lock = fs_err::read_to_string(worker.join("pylock.toml")).unwrap();
    assert!(lock.contains("name = \"orjson\"") && lock.contains("langchain_core-1.8.3"), "{lock}");
    let mut client = Client::new(server.port(), Duration::from_secs(60));
    for (path, expected) in [
        ("/", "heard: Tell me of cats"),
        ("/sync", "heard: Tell me of bears"),
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
