//! `taipan python`, as those who know the python command expect it.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows only functions marked as tests, not those that they share"
)]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;

use taipan_testkit::command::{Ended, ended};

/// Runs Python in `folder`, with a cache that has all that it needs: filling it would be shown.
fn python(folder: &Path, arguments: &[&str], stdin: &str) -> Ended {
    static FILLED: Once = Once::new();
    FILLED.call_once(|| drop(run(folder, &["-c", ""], "")));
    run(folder, arguments, stdin)
}

fn run(folder: &Path, arguments: &[&str], stdin: &str) -> Ended {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let mut child = Command::new(env!("CARGO_BIN_EXE_taipan"))
        .arg("python")
        .args(arguments)
        .current_dir(folder)
        .env("TAIPAN_CACHE_DIR", cache)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program may end without having read it.
    drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
    ended(child).unwrap()
}

#[test]
fn scripts_see_their_arguments_and_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs_err::create_dir(&inner).unwrap();
    let script =
        "import sys, helper\nprint(sys.argv[1:], __name__, helper.X)\nprint(open('data.txt').read())\n";
    fs_err::write(inner.join("script.py"), script).unwrap();
    fs_err::write(inner.join("helper.py"), "X = 5\n").unwrap();
    fs_err::write(folder.path().join("data.txt"), "data").unwrap();
    let ended = python(folder.path(), &["inner/script.py", "-x", "ä"], "");
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "['-x', 'ä'] __main__ 5\ndata\n", ""));

    // A folder that the current one is not in is out of sight.
    let other = tempfile::tempdir().unwrap();
    fs_err::write(other.path().join("a.txt"), "there").unwrap();
    let text = other.path().join("a.txt").to_str().unwrap().to_owned();
    let code = "import sys; print(open(sys.argv[1]).read())";
    let ended = python(folder.path(), &["-c", code, &text], "");
    assert!(ended.code == Some(1) && ended.stderr.contains("FileNotFoundError"), "{}", ended.stderr);
    let ended =
        python(folder.path(), &["--allow-read", other.path().to_str().unwrap(), "-c", code, &text], "");
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "there\n"));
    // What can be read cannot be written.
    let ended = python(folder.path(), &["-c", "open('data.txt', 'w')"], "");
    assert!(ended.code == Some(1) && ended.stderr.contains("PermissionError"), "{}", ended.stderr);
    let ended = python(folder.path(), &["-c", "open('new.txt', 'w')"], "");
    assert_eq!(ended.code, Some(1));
    assert!(!folder.path().join("new.txt").exists());
}

#[test]
fn exit_statuses_are_those_of_python() {
    let folder = tempfile::tempdir().unwrap();
    for (code, status, stderr) in [
        ("", 0, ""),
        ("import sys; sys.exit(7)", 7, ""),
        ("import sys; sys.exit()", 0, ""),
        ("raise SystemExit('no')", 1, "no\n"),
        ("raise SystemExit(256 + 3)", 3, ""),
        (
            "import atexit; atexit.register(lambda: print('bye', file=__import__('sys').stderr)); raise SystemExit(2)",
            2,
            "bye\n",
        ),
    ] {
        let ended = python(folder.path(), &["-c", code], "");
        assert_eq!((ended.code, &*ended.stderr), (Some(status), stderr), "{code}");
    }
    let ended = python(folder.path(), &["-"], "def f():\n    return 1 / 0\nf()\n");
    assert_eq!(ended.code, Some(1));
    let expected = "Traceback (most recent call last):\n  File \"<stdin>\", line 3, in <module>\n  \
                    File \"<stdin>\", line 2, in f\nZeroDivisionError: division by zero\n";
    assert_eq!(ended.stderr, expected);
    let ended = python(folder.path(), &["missing.py"], "");
    assert!(
        ended.code == Some(2) && ended.stderr.contains("can't open file 'missing.py'"),
        "{}",
        ended.stderr
    );
}

#[test]
fn streams_modules_and_waits() {
    let folder = tempfile::tempdir().unwrap();
    let code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])";
    assert_eq!(python(folder.path(), &["-I", "-c", code], "abc").stdout, "cba");
    let ended = python(folder.path(), &["-m", "json.tool", "--compact"], "{\"a\": [1]}");
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "{\"a\":[1]}\n"));
    let code = "import asyncio\nasync def main():\n    await asyncio.sleep(0.01)\n    return 5\nprint(asyncio.run(main()))";
    let ended = python(folder.path(), &["-c", code], "");
    assert_eq!((&*ended.stdout, &*ended.stderr), ("5\n", ""));
    let ended = python(folder.path(), &["-V"], "");
    assert!(ended.stdout.starts_with("Python 3.14."), "{}", ended.stdout);
    let code = "import sysconfig; print(sysconfig.get_config_var('PYEMSCRIPTEN_PLATFORM_VERSION'))";
    assert_eq!(python(folder.path(), &["-c", code], "").stdout, "2026_0\n");
    assert_eq!(python(folder.path(), &["-Z"], "").code, Some(1));
}

#[test]
fn the_python_is_that_of_the_worker_or_the_one_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{ "name": "w", "main": "entry.py", "compatibility_flags": ["python_3.13"] }"#;
    fs_err::write(folder.path().join("wrangler.jsonc"), config).unwrap();
    fs_err::write(folder.path().join("entry.py"), "").unwrap();
    let code = "import sys; print(*sys.version_info[:2])";
    assert_eq!(python(folder.path(), &["-c", code], "").stdout, "3 13\n");
    assert_eq!(python(folder.path(), &["--python", "3.12", "-c", code], "").stdout, "3 12\n");
    assert_eq!(python(folder.path(), &["--python", "3.12", "-V"], "").stdout, "Python 3.12.7\n");
    let ended = python(folder.path(), &["--python", "3.11", "-V"], "");
    assert!(
        ended.code == Some(1) && ended.stderr.contains("choose one of 3.14, 3.13, 3.12"),
        "{}",
        ended.stderr
    );
}

/// Python on a terminal: each line is typed when there is a prompt. Gives all that the terminal shows, and the exit status.
fn typed(folder: &Path, lines: &[&str]) -> (String, Option<i32>) {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let command = format!("{} python", env!("CARGO_BIN_EXE_taipan"));
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .current_dir(folder)
        .env("TAIPAN_CACHE_DIR", cache)
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = String::new();
    let mut bytes = [0; 4096];
    let mut prompts = 0;
    let mut lines = lines.iter();
    loop {
        let count = from.read(&mut bytes).unwrap();
        if count == 0 {
            break;
        }
        shown.push_str(&String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()));
        // The editor draws a prompt at the beginning of a line, and has drawn it when it places the cursor after it.
        let seen = shown.matches("\r\x1b[K>>> \r").count() + shown.matches("\r\x1b[K... \r").count();
        if seen > prompts {
            prompts = seen;
            if let Some(line) = lines.next() {
                to.write_all(line.as_bytes()).unwrap();
            }
        }
    }
    (shown, child.wait().unwrap().code())
}

#[test]
fn lines_that_are_typed_are_run() {
    let folder = tempfile::tempdir().unwrap();
    drop(python(folder.path(), &["-c", ""], ""));
    let lines = [
        "x = 20\r",
        "for n in range(2):\r",
        "    print('n is', n + x)\r",
        "\r",
        "x / 0\r",
        // Interrupted: what was begun is forgotten.
        "def half(\x03",
        "'a' + 'b'\r",
        // The line before, from the history.
        "\x1b[A\r",
        "import asyncio\r",
        "await asyncio.sleep(0.01, 'slept')\r",
        "exit(7)\r",
    ];
    let (shown, code) = typed(folder.path(), &lines);
    for text in ["n is 20\r\nn is 21", "ZeroDivisionError: division by zero", "KeyboardInterrupt", "'slept'"]
    {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert_eq!(shown.matches("'ab'").count(), 2, "{shown}");
    assert_eq!(code, Some(7), "{shown}");
    // The end of input is an end, too.
    assert_eq!(typed(folder.path(), &["\x04"]).1, Some(0));
}
