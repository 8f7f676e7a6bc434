//! A real browser meets a Worker, and the explorer of its data: WebSocket, EventSource, a streamed response, a form with a file, an abort.
//!
//! The page of `browser/` does all of it and reports what it has seen, which the Worker prints.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy does not see that helpers of tests are tests"
)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use taipan_testkit::http::Client;
use taipan_testkit::server::{Server, ServerOptions};
use tempfile::TempDir;

/// Loading a page and talking to the Worker takes a second or two; the bound ends a hang.
const PATIENCE: Duration = Duration::from_secs(180);

/// Ends with the test, also when that fails.
struct Browser {
    process: Child,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

/// A browser that looks at the Worker's page.
fn browse(port: u16) -> Browser {
    let profile = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let process = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .arg("--disable-dev-shm-usage")
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        // A page may open another one without being clicked at.
        .arg("--disable-popup-blocking")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        // Without it a headless browser ends when the page has loaded.
        .args(["--remote-debugging-port=0", &format!("http://localhost:{port}/")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromium is installed (`./x setup`)");
    Browser { process, _profile: profile }
}

#[test]
fn a_browser_and_a_worker_understand_each_other() {
    let temp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut server = Server::start(&ServerOptions::new(
        env!("CARGO_BIN_EXE_taipan"),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser"),
        &temp.join("cache"),
    ))
    .unwrap();
    let browser = browse(server.port());
    let line = server.log.wait_for("report: ", None, 0, PATIENCE).expect("the page has reported");
    let report = line.split_once("report: ").unwrap().1;
    let expected = concat!(
        r#"{"webSocket":[[4001,"",true],"HELLO SS",[1,2,3],100000],"#,
        r#""eventSource":[["1","first\nline"],"after 1"],"#,
        r#""stream":["first"," second"],"#,
        r#""upload":{"text":"mit ß und 🐍","name":"ä \"x\".bin","type":"application/x-test","size":3000000,"sum":3000000},"#,
        r#""abort":"AbortError"}"#,
    );
    assert_eq!(report, expected);
    drop(browser);
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}

/// The explorer of data, used by a page that opens it.
#[test]
fn data_is_browsed_searched_edited_and_asked() {
    let temp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tempfile::tempdir_in(temp).unwrap();
    for file in ["wrangler.jsonc", "entry.py", "driver.html"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explorer").join(file);
        fs_err::copy(from, folder.path().join(file)).unwrap();
    }
    let mut server =
        Server::start(&ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), folder.path(), &temp.join("cache")))
            .unwrap();
    let browser = browse(server.port());
    let line = server.log.wait_for("report: ", None, 0, PATIENCE).expect("the page has reported");
    let expected = concat!(
        r#"{"stores":["VISITS","PICTURES","notes","jobs","clicks"],"keys":["count","user:1","user:2"],"#,
        r#""value":"<b>bold</b>","isText":true,"found":["user:1","user:2"],"#,
        r#""objects":["cats/","read me.txt"],"row":["cats/1.png","293.0 KiB","image/png"],"#,
        r#""heads":["id","text","weight","data"],"#,
        r#""cells":["1","milk","1.5","blob, 2 B","9007199254740993","<b>bold</b>","NULL","NULL"],"#,
        r#""error":"no such column: absent","#,
        r#""message":["json","0","{\"of\":\"the Worker\",\"n\":1152921504606846976}"],"#,
        r#""sent":["{\"by\":\"<b>hand</b>\"}","2 messages, 1 of them delayed"],"left":0,"#,
        r#""point":["<i>","home","NULL","2.5","NULL"]}"#,
    );
    assert_eq!(line.split_once("report: ").unwrap().1, expected);
    drop(browser);
    // Nor is it for pages of others, whatever name they have for this machine.
    let client = Client::new(server.port(), PATIENCE);
    for path in ["explorer", "api/stores"] {
        for head in ["host: localhost\r\norigin: https://evil.example", "host: evil.example"] {
            let request = format!("GET /cdn-cgi/local/{path} HTTP/1.1\r\n{head}\r\n\r\n");
            assert_eq!(client.send_raw(request.as_bytes()).unwrap().status, 403, "{request}");
        }
    }
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}
