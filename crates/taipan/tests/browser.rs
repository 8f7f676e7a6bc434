//! A real browser meets a Worker: WebSocket, EventSource, a streamed response, a form with a file, an abort.
//!
//! The page of `browser/` does all of it and reports what it has seen, which the Worker prints.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use taipan_testkit::server::{Server, ServerOptions};

/// Loading a page and talking to the Worker takes a second or two; the bound ends a hang.
const PATIENCE: Duration = Duration::from_secs(180);

/// Ends with the test, also when that fails.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

#[test]
fn a_browser_and_a_worker_understand_each_other() {
    let temp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut server = Server::start(&ServerOptions {
        binary: env!("CARGO_BIN_EXE_taipan").into(),
        folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser"),
        port: 0,
        args: vec![],
        env: vec![("TAIPAN_CACHE_DIR".into(), temp.join("cache").to_string_lossy().into_owned())],
    })
    .unwrap();
    let profile = tempfile::tempdir_in(temp).unwrap();
    let browser = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        // Without it a headless browser ends when the page has loaded.
        .args(["--remote-debugging-port=0", &format!("http://localhost:{}/", server.port())])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromium is installed (`./x setup`)");
    let browser = Browser(browser);
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
