//! Keys at the terminal of `taipan dev`, pressed in one that `script` makes.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "clippy does not see that helpers of tests are tests")]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fs_err as fs;
use tempfile::TempDir;

/// Bounds a hang.
const PATIENCE: Duration = Duration::from_secs(180);

/// It is the foreground of the terminal.
const DEV: &str = "DEV; echo code $?";

/// A `taipan dev` in a terminal, between two looks at how that is set.
struct Session {
    folder: TempDir,
    process: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<String>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

impl Session {
    /// Runs a script in which `DEV` is the command.
    fn start(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        fs::write(
            dir.join("wrangler.jsonc"),
            r#"{ "main": "entry.py", "compatibility_date": "2026-11-01" }"#,
        )
        .unwrap();
        let worker = "from workers import Response, WorkerEntrypoint\n\n\nclass Default(WorkerEntrypoint):\n    \
                      def fetch(self, request):\n        return Response('hi')\n";
        fs::write(dir.join("entry.py"), worker).unwrap();
        let browser = dir.join("browser");
        fs::write(&browser, "#!/bin/sh\necho \"$1\" >> \"$(dirname \"$0\")/pages\"\n").unwrap();
        fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o755)).unwrap();
        let dev = format!("'{}' dev --port 0", env!("CARGO_BIN_EXE_taipan"));
        let script = format!("stty -g > before; {}; stty -g > after; echo over", script.replace("DEV", &dev));
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        let mut process = Command::new("script")
            .args(["--quiet", "--flush", "--return", "--command", &script, "/dev/null"])
            .current_dir(dir)
            .env("TAIPAN_CACHE_DIR", cache)
            .env("BROWSER", browser)
            .env("SHELL", "/bin/bash")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (keys, mut output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let shown = Arc::<Mutex<String>>::default();
        let place = shown.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                place.lock().unwrap().push_str(&String::from_utf8_lossy(bytes.get(..n).unwrap()));
            }
        });
        Self { folder, process, keys, shown }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "never came: {what}; in the terminal: {}", self.shown());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_to_see(&self, text: &str) {
        self.wait_for(text, || self.shown().contains(text));
    }

    fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
        self.keys.flush().unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// It has ended with this code, and the terminal is as it was.
    fn expect_end(&self, code: u8) {
        self.wait_to_see("\nover");
        assert!(self.shown().contains(&format!("code {code}\r\n")), "{}", self.shown());
        let [before, after] = ["before", "after"].map(|name| fs::read_to_string(self.file(name)).unwrap());
        assert!(before.len() > 20);
        assert_eq!(before, after);
    }
}

#[test]
fn keys_open_pages_and_end_the_process() {
    let mut session = Session::start(DEV);
    session.wait_to_see("[x] exit");
    session.press(b"?eB");
    let pages = || fs::read_to_string(session.file("pages")).unwrap_or_default();
    session.wait_for("two pages", || pages().lines().count() == 2);
    let (pages, shown) = (pages(), session.shown());
    let address = shown.split("Ready on ").nth(1).and_then(|rest| rest.lines().next()).unwrap().trim();
    let mut opened: Vec<&str> = pages.lines().collect();
    opened.sort_unstable();
    let explorer = format!("{address}/cdn-cgi/local/explorer");
    assert_eq!(opened, [address, explorer.as_str()]);
    // They are printed, too, for those without a browser here; the keys themselves are not.
    assert!(shown.contains(&format!("{explorer}\r\n{address}\r\n")) && !shown.contains('?'), "{shown}");
    session.press(b"c");
    session.wait_to_see("\x1b[2J");
    session.press(b"q");
    session.wait_to_see("Stopping…");
    session.expect_end(0);
}

#[test]
fn the_terminal_is_as_it_was_after_each_way_to_end() {
    // Ctrl-C, Ctrl-\ and Ctrl-D.
    for key in [b"\x03", b"\x1c", b"\x04"] {
        let mut session = Session::start(DEV);
        session.wait_to_see("[x] exit");
        session.press(key);
        session.expect_end(0);
    }
    let session = Session::start(DEV);
    session.wait_to_see("[x] exit");
    // Of the process with the Worker's folder, whose number its state does not say: it has no data.
    let child = |pid: &str| fs::read_to_string(format!("/proc/{0}/task/{0}/children", pid.trim())).unwrap();
    let kill = format!("kill -TERM {}", child(&child(&session.process.id().to_string())));
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    session.expect_end(0);
}

#[test]
fn a_process_behind_a_shell_leaves_the_terminal_alone() {
    // `set -m` gives it a group of its own. What is typed is the shell's.
    let mut session = Session::start(
        "set -m; DEV > log 2>&1 & read line; echo \"the shell got $line\"; kill -TERM $!; wait $!; echo code $?",
    );
    let log = || fs::read_to_string(session.file("log")).unwrap_or_default();
    session.wait_for("readiness", || log().contains("Ready on"));
    session.press(b"xeq\n");
    session.wait_to_see("the shell got xeq");
    session.expect_end(0);
    let log = fs::read_to_string(session.file("log")).unwrap();
    assert!(!log.contains("[x] exit") && !session.file("pages").exists(), "{log}");
}
