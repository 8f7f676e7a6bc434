//! The Web Platform Tests that fit a Worker, each file in a request to one process. See `tests/wpt/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::{Arguments, Trial};
use taipan_testkit::http::{Client, Request};
use taipan_testkit::server::{Server, ServerOptions};

/// A file that takes longer hangs.
const FILE: Duration = Duration::from_secs(240);

/// Where the files are that can say something about a Worker.
const AREAS: [&str; 12] = [
    "FileAPI",
    "WebCryptoAPI",
    "console",
    "dom",
    "encoding",
    "hr-time",
    "html",
    "performance-timeline",
    "streams",
    "url",
    "user-timing",
    "webidl",
];

/// Files that are not run: (beginning of the name, why).
const NOT_APPLICABLE: [(&str, &str); 14] = [
    ("FileAPI/idlharness", "about FileReader"),
    ("FileAPI/reading-data-section/", "about FileReader"),
    ("FileAPI/url/", "about URLs of blobs"),
    ("WebCryptoAPI/generateKey/failures_Ed448", "about curve 448, which Workers do not have"),
    ("WebCryptoAPI/generateKey/failures_X448", "about curve 448"),
    ("WebCryptoAPI/generateKey/successes_Ed448", "about curve 448"),
    ("WebCryptoAPI/generateKey/successes_X448", "about curve 448"),
    ("WebCryptoAPI/historical", "about pages that came over plain HTTP"),
    ("WebCryptoAPI/import_export/okp_importKey_failures_Ed448", "about curve 448"),
    ("WebCryptoAPI/import_export/okp_importKey_failures_X448", "about curve 448"),
    ("encoding/replacement-encodings", "about XMLHttpRequest"),
    ("encoding/unsupported-encodings", "about XMLHttpRequest"),
    ("html/webappapis/microtask-queuing/queue-microtask-exceptions", "about the window's error event"),
    ("performance-timeline/webtiming-resolution", "about clocks made coarse against other pages"),
];

/// Files whose variants are the same for other parameters, at some seconds each: the first variant is run.
const SAMPLED: [&str; 2] =
    ["WebCryptoAPI/derive_bits_keys/pbkdf2.https.any.js", "WebCryptoAPI/generateKey/successes_RSA"];

/// Our own, which runs data of theirs.
const OURS: &str = "urlpattern.any.js";

/// What is known to fail: names of tests, or a part of names, by file.
#[derive(Default)]
struct Known {
    names: BTreeSet<String>,
    parts: BTreeSet<String>,
}

struct Worker {
    server: Server,
    /// The files share an isolate, so there is one at a time.
    turn: Mutex<()>,
    known: BTreeMap<String, Known>,
}

fn main() -> Result<ExitCode> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wpt");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let tests = target.join("../tools/web-platform-tests");
    let data = tests.join("urlpattern/resources/urlpatterntestdata.json");
    ensure!(
        tests.join("versions.json").exists() && data.exists(),
        "the Web Platform Tests are not there: run ./x test once"
    );
    let folder = tempfile::tempdir()?;
    for file in ["entry.py", "harness.js", "wrangler.jsonc", OURS] {
        fs_err::copy(ours.join(file), folder.path().join(file))?;
    }
    fs_err::os::unix::fs::symlink(fs_err::canonicalize(&tests)?, folder.path().join("tests"))?;

    let mut files = files(&tests)?;
    files.insert(OURS.to_owned());
    let known = known(&fs_err::read_to_string(ours.join("known-failures.txt"))?)?;
    for name in known.keys() {
        ensure!(files.contains(name), "known-failures.txt names a file that is not run: {name}");
    }
    let options = ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), folder.path(), &target.join("cache"));
    let worker = Arc::new(Worker { server: Server::start(&options)?, turn: Mutex::new(()), known });
    let trials = files
        .into_iter()
        .map(|name| {
            let worker = worker.clone();
            Trial::test(name.clone(), move || worker.run(&name).map_err(|error| format!("{error:#}").into()))
        })
        .collect();
    let code = libtest_mimic::run(&Arguments::from_args(), trials).exit_code();
    let mut worker = Arc::into_inner(worker).context("a file still runs")?;
    worker.server.interrupt()?;
    worker.server.expect_clean_end()?;
    Ok(code)
}

/// The files that are run, each with its variant.
fn files(tests: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<PathBuf> = AREAS.iter().map(|area| tests.join(area)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(tests)?.to_string_lossy().into_owned();
            // Files of this name mean to run in any global scope.
            if !name.ends_with(".any.js") || NOT_APPLICABLE.iter().any(|(start, _)| name.starts_with(start)) {
                continue;
            }
            let text = fs_err::read_to_string(&path)?;
            let mut variants: Vec<&str> =
                text.lines().filter_map(|line| line.strip_prefix("// META: variant=")).collect();
            if variants.is_empty() {
                variants.push("");
            }
            if SAMPLED.iter().any(|start| name.starts_with(start)) {
                variants.truncate(1);
            }
            found.extend(variants.iter().map(|variant| format!("{name}{variant}")));
        }
    }
    Ok(found)
}

/// Reads `file: "a test's name"` and `file: ~ "a part of tests' names"`.
fn known(text: &str) -> Result<BTreeMap<String, Known>> {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (file, test) = line
            .split_once(": ")
            .with_context(|| format!("this is no line of known-failures.txt: {line}"))?;
        let known = known.entry(file.to_owned()).or_default();
        let (set, test) = match test.strip_prefix("~ ") {
            Some(part) => (&mut known.parts, part),
            None => (&mut known.names, test),
        };
        set.insert(serde_json::from_str(test).with_context(|| format!("this is no string: {test}"))?);
    }
    Ok(known)
}

impl Worker {
    fn run(&self, name: &str) -> Result<()> {
        let (names, parts) = match self.known.get(name) {
            Some(known) => (known.names.clone(), known.parts.clone()),
            None => Default::default(),
        };
        let (passed, failed) = self.results(name)?;
        let mut wrong = Vec::new();
        for (test, message) in &failed {
            if !names.contains(test) && !parts.iter().any(|part| test.contains(part)) {
                wrong.push(format!("failed: {}: {message}", serde_json::to_string(test)?));
            }
        }
        let unlisted = "take it out of known-failures.txt";
        for test in &names {
            if !failed.contains_key(test) {
                let what = if passed.contains(test) { "it passes now" } else { "there is no such test" };
                wrong.push(format!("{what}, {unlisted}: {}", serde_json::to_string(test)?));
            }
        }
        for part in &parts {
            if !failed.keys().any(|test| test.contains(part)) {
                wrong.push(format!("none of these fails, {unlisted}: ~ {}", serde_json::to_string(part)?));
            }
            for test in passed.iter().filter(|test| test.contains(part)) {
                wrong.push(format!("passes now, so name the others: {}", serde_json::to_string(test)?));
            }
        }
        if !wrong.is_empty() {
            bail!("{}", wrong.join("\n"));
        }
        Ok(())
    }

    /// Names of the tests that passed; names and messages of those that did not.
    fn results(&self, name: &str) -> Result<(BTreeSet<String>, BTreeMap<String, String>)> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let path = format!("/{}", name.replace('|', "%7C"));
        let response = Client::new(self.server.port(), FILE).send(&Request::get(&path))?;
        if response.status != 200 {
            return Ok((
                BTreeSet::new(),
                [("(the file)".into(), format!("answered {}", response.status))].into(),
            ));
        }
        let rows: Vec<(String, bool, String)> = serde_json::from_slice(&response.body)?;
        ensure!(!rows.is_empty(), "the file has no tests");
        let failed: BTreeMap<_, _> = rows
            .iter()
            .filter(|(_, passed, _)| !passed)
            .map(|(name, _, message)| (name.clone(), message.clone()))
            .collect();
        // Names may repeat: what fails once has failed.
        let passed =
            rows.into_iter().map(|(name, ..)| name).filter(|name| !failed.contains_key(name)).collect();
        Ok((passed, failed))
    }
}
