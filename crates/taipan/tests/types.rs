//! What a type checker finds in a Worker with the stubs of `taipan types`.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows only functions marked as tests, not those that they share"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use taipan_testkit::behaviour::copy;

const FILES: [&str; 3] = ["right.py", "wrong.py", "every.py"];

/// A file, a line in it counted from 1, and the rule.
type Mistake = (String, u64, String);

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn types(folder: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_taipan"))
        .arg("types")
        .arg(folder)
        .env("TAIPAN_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The mistakes that the Worker's files say they have.
fn announced(folder: &Path) -> BTreeSet<Mistake> {
    let mut found = BTreeSet::new();
    for name in FILES {
        let text = fs_err::read_to_string(folder.join("src").join(name)).unwrap();
        for (line, number) in text.lines().zip(1..) {
            if let Some((_, rule)) = line.split_once("# error: ") {
                found.insert((name.to_owned(), number, rule.to_owned()));
            }
        }
    }
    found
}

fn checked(folder: &Path) -> BTreeSet<Mistake> {
    let program = repository().join("tests/types/node_modules/pyright/index.js");
    assert!(program.is_file(), "not installed: {}; run ./x setup", program.display());
    let output =
        Command::new("node").arg(program).args(["--outputjson", "--project"]).arg(folder).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found = BTreeSet::new();
    for one in report.pointer("/generalDiagnostics").and_then(Value::as_array).unwrap() {
        let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap();
        let file = text("file").rsplit('/').next().unwrap().to_owned();
        let line = one.pointer("/range/start/line").and_then(Value::as_u64).unwrap() + 1;
        let rule = text(if one.get("rule").is_some() { "rule" } else { "message" }).to_owned();
        found.insert((file, line, rule));
    }
    found
}

/// What mypy finds: files and lines, for its rules have other names. Of the file that uses every name, what there is to find when it is strict.
fn found_by_mypy(folder: &Path) -> BTreeSet<(String, u64)> {
    let mut found = mypy(folder, &["src/right.py", "src/wrong.py"]);
    found.extend(mypy(folder, &["--strict", "src/every.py"]));
    found
}

fn mypy(folder: &Path, arguments: &[&str]) -> BTreeSet<(String, u64)> {
    let modules = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools/mypy");
    assert!(modules.is_dir(), "not installed: {}; run ./x setup", modules.display());
    let output = Command::new("python3")
        .args(["-m", "mypy", "--python-version", "3.14", "--no-error-summary"])
        .args(arguments)
        .env("PYTHONPATH", modules)
        .env("MYPYPATH", "typings")
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let mistake = |line: &str| {
        let mut parts = line.strip_prefix("src/")?.splitn(3, ':');
        let place = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
        parts.next()?.starts_with(" error: ").then_some(place)
    };
    text.lines().filter_map(mistake).collect()
}

#[test]
fn type_checkers_find_the_mistakes_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    copy(&repository().join("tests/types/worker"), folder.path()).unwrap();
    let said = types(folder.path());
    assert!(said.contains("stubs are new"), "{said}");
    assert_eq!(checked(folder.path()), announced(folder.path()));
    let announced = announced(folder.path()).into_iter().map(|(file, line, _)| (file, line));
    assert_eq!(found_by_mypy(folder.path()), announced.collect());
    let every = folder.path().join("src/every.py");
    for (script, arguments) in [("twins.py", vec![]), ("mentioned.py", vec![&every])] {
        let script = repository().join("tests/types").join(script);
        let typings = folder.path().join("typings");
        let output = Command::new("python3").arg(script).arg(typings).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // The second time there is nothing to be written.
    let said = types(folder.path());
    assert!(said.contains(": 0 of "), "{said}");
    // Nothing of a secret but its name.
    let stub = fs_err::read_to_string(folder.path().join("typings/workers/_env.pyi")).unwrap();
    assert!(stub.contains("API_KEY: str") && !stub.contains("secret\""), "{stub}");
}
