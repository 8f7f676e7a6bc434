//! Commands that end by themselves.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows only functions marked as tests, not those that they share"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use taipan_testkit::server::{Server, ServerOptions};

const BINARY: &str = env!("CARGO_BIN_EXE_taipan");

fn taipan(cache: &Path, args: &[&str]) -> Output {
    Command::new(BINARY).args(args).env("TAIPAN_CACHE_DIR", cache).env("NO_COLOR", "1").output().unwrap()
}

fn succeeds(cache: &Path, args: &[&str]) -> String {
    let output = taipan(cache, args);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn newest_snapshot(folder: &Path) -> PathBuf {
    let files = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let snapshots = files.filter(|path| path.extension().is_some_and(|e| e == "snapshot"));
    snapshots.max_by_key(|path| fs_err::metadata(path).unwrap().modified().unwrap()).unwrap()
}

#[test]
fn snapshot_inspect() {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let worker = tempfile::tempdir().unwrap();
    fs_err::write(worker.path().join("wrangler.toml"), "name = \"w\"\nmain = \"entry.py\"\n").unwrap();
    // Another Worker each time, so that its snapshot is the newest.
    let entry = format!(
        "# {}\nfrom workers import WorkerEntrypoint\nimport heavy\nclass Default(WorkerEntrypoint):\n    pass\n",
        worker.path().display()
    );
    fs_err::write(worker.path().join("heavy.py"), "import colorsys\nDATA = bytes(3_000_000)\n").unwrap();
    fs_err::write(worker.path().join("entry.py"), entry).unwrap();
    let mut server = Server::start(&ServerOptions::new(BINARY, worker.path(), &cache)).unwrap();
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();

    let file = newest_snapshot(&cache.join("workers"));
    let name = file.to_str().unwrap();
    let info: Value =
        serde_json::from_str(&succeeds(&cache, &["snapshot", "inspect", "--json", name])).unwrap();
    let layers = info["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2, "{info}");
    assert_eq!(layers[1]["path"], name);
    // A module has what it holds, and not what it has imported.
    let module = |name: &str| info["modules"].as_array().unwrap().iter().find(|m| m["name"] == name).cloned();
    let bytes = |name: &str| module(name).and_then(|m| m["bytes"].as_u64()).unwrap_or_default();
    assert!(bytes("heavy") > 3_000_000 && bytes("entry") < 100_000, "{info}");
    assert!((1..100_000).contains(&bytes("colorsys")), "{info}");
    assert!(module("heavy").and_then(|m| m["milliseconds"].as_f64()) > Some(0.0), "{info}");
    let text = succeeds(&cache, &["snapshot", "inspect", name]);
    for layer in layers {
        assert!(text.contains(layer["path"].as_str().unwrap()), "{text}");
    }
    // The base snapshot is a snapshot as well.
    let base = layers[0]["path"].as_str().unwrap();
    let info: Value =
        serde_json::from_str(&succeeds(&cache, &["snapshot", "inspect", "--json", base])).unwrap();
    assert_eq!(info["layers"].as_array().unwrap()[..], layers[..1]);

    let mut damaged = fs_err::read(&file).unwrap();
    damaged[5000] ^= 1;
    let file = worker.path().join("damaged.snapshot");
    fs_err::write(&file, damaged).unwrap();
    let output = taipan(&cache, &["snapshot", "inspect", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("its digest does not fit") && error.contains("damaged.snapshot"), "{error}");
}

#[test]
fn cache() {
    let cache = tempfile::tempdir().unwrap();
    let in_all = |text: &str| text.lines().last().unwrap().split_whitespace().nth(2).unwrap().to_owned();
    assert_eq!(in_all(&succeeds(cache.path(), &["cache"])), "0");
    fs_err::create_dir(cache.path().join("workers")).unwrap();
    for name in ["key", "base-1.snapshot", "workers/2.snapshot", "workers/2.snapshot.pages"] {
        fs_err::write(cache.path().join(name), [0; 1 << 20]).unwrap();
    }
    let text = succeeds(cache.path(), &["cache"]);
    assert_eq!(in_all(&text), "3");
    assert!(text.starts_with(cache.path().to_str().unwrap()), "{text}");
    let workers = text.lines().find(|line| line.starts_with("snapshots of Workers")).unwrap();
    assert!(workers.ends_with("2.0 MiB"), "{text}");

    let text = succeeds(cache.path(), &["cache", "prune"]);
    assert_eq!(text, "Removed 0 of 3, 0 B; left: 4.0 MiB\n");
    let text = succeeds(cache.path(), &["cache", "prune", "--max-size", "3"]);
    assert_eq!(text, "Removed 1 of 3, 2.0 MiB; left: 2.0 MiB\n");
    let text = succeeds(cache.path(), &["cache", "prune", "--all"]);
    assert_eq!(text, "Removed 1 of 2, 1.0 MiB; left: 1.0 MiB\n");
    assert!(cache.path().join("key").exists());
}
