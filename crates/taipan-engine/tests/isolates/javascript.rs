//! Conformance of the JavaScript engine as an isolate runs it: test262's parser tests and QuickJS-ng's own tests. See
//! `tests/javascript/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde::Serialize;

use crate::guest::{Guest, Limits, on_guest_stack, runtime};

/// What QuickJS-ng's own tests need of its command line, which a Worker does not have. The tests themselves are unchanged.
const STAND_INS: [(&str, &str); 2] =
    [("std.js", "export const gc = globalThis.gc;"), ("os.js", "export const platform = 'taipan';")];

/// Tests of QuickJS-ng that cannot be expressed here: (beginning of the name, why).
const NOT_EXPRESSIBLE: [(&str, &str); 9] = [
    ("quickjs/test_std.js", "tests its command line's modules"),
    ("quickjs/test_bjson.js", "tests its command line's modules"),
    ("quickjs/test_worker", "tests its command line's modules"),
    ("quickjs/detect_module/", "tests how its command line tells modules from scripts"),
    (
        "quickjs/bug1672/",
        "loops without end until an interrupt handler ends it; here the CPU limit does, and the isolate's life",
    ),
    ("quickjs/microbench.js", "is a benchmark"),
    ("quickjs/fixture_", "belongs to other tests"),
    ("quickjs/assert.js", "belongs to other tests"),
    ("quickjs/empty.js", "is empty"),
];

#[derive(Default, Serialize)]
struct Tests {
    parser: BTreeMap<String, ParserTest>,
    modules: BTreeMap<String, Module>,
    scripts: BTreeMap<String, Script>,
    #[serde(skip)]
    files: Vec<(String, Arc<[u8]>)>,
    #[serde(skip)]
    skipped: usize,
}

#[derive(Serialize)]
struct ParserTest {
    source: String,
    valid: bool,
    /// Where the guest finds it, if it is a module.
    path: Option<String>,
}

#[derive(Clone, Serialize)]
struct Module {
    path: String,
    /// The error that it must end with.
    negative: Option<String>,
}

#[derive(Clone, Serialize)]
struct Script {
    source: String,
    negative: Option<String>,
}

impl Tests {
    /// Each module and script as tests of its own.
    fn one_by_one(&self) -> impl Iterator<Item = Self> {
        let modules = self.modules.iter().map(|(name, test)| Self {
            modules: [(name.clone(), test.clone())].into(),
            files: self.files.clone(),
            ..Self::default()
        });
        let scripts = self
            .scripts
            .iter()
            .map(|(name, test)| Self { scripts: [(name.clone(), test.clone())].into(), ..Self::default() });
        modules.chain(scripts)
    }

    fn len(&self) -> usize {
        self.parser.len() + self.modules.len() + self.scripts.len()
    }

    /// A file that the guest's JavaScript can import; its path there.
    fn file(&mut self, name: &str, content: &str) -> String {
        self.files.push((name.to_owned(), content.as_bytes().into()));
        format!("/worker/{name}")
    }

    fn add_parser_tests(&mut self) {
        let package = folder().join("node_modules/test262-parser-tests");
        assert!(package.is_dir(), "run ./x setup: {} is missing", package.display());
        for (group, valid) in [("pass", true), ("pass-explicit", true), ("fail", false), ("early", false)] {
            for path in javascript_files(&package.join(group)) {
                let name = format!("parser/{group}/{}", file_name(&path));
                let source = fs_err::read_to_string(&path).unwrap();
                let path = name.ends_with(".module.js").then(|| self.file(&name, &source));
                self.parser.insert(name, ParserTest { source, valid, path });
            }
        }
    }

    fn add_quickjs_tests(&mut self) {
        let root = quickjs_tests();
        let mut folders: Vec<_> =
            fs_err::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.retain(|path| path.is_dir());
        for (name, content) in STAND_INS {
            self.file(&format!("quickjs/{name}"), content);
        }
        for path in folders.iter().chain([&root]).flat_map(|folder| javascript_files(folder)) {
            let name = format!("quickjs/{}", path.strip_prefix(&root).unwrap().display());
            let source = fs_err::read_to_string(&path).unwrap();
            // The guest's modules have absolute names.
            let source = source
                .replace("\"qjs:", "\"/worker/quickjs/")
                .replace("/quickjs/std\"", "/quickjs/std.js\"")
                .replace("/quickjs/os\"", "/quickjs/os.js\"")
                .replace("\"./", "\"/worker/quickjs/")
                .replace("\"../", "\"/worker/quickjs/");
            let path = self.file(&name, &source);
            if NOT_EXPRESSIBLE.iter().any(|(beginning, _)| name.starts_with(beginning)) {
                self.skipped += 1;
                continue;
            }
            let negative = negative(&source);
            if is_module(&source) {
                self.modules.insert(name, Module { path, negative });
            } else {
                self.scripts.insert(name, Script { source, negative });
            }
        }
    }
}

/// As QuickJS-ng's own runner sees it: by the test's flags, or else by what only a module may contain.
fn is_module(source: &str) -> bool {
    let flags = source.lines().find(|line| line.starts_with("flags:")).unwrap_or_default();
    let word = |flag: &str| flags.split(['[', ']', ',', ' ']).any(|word| word == flag);
    if word("module") || word("qjs:no-detect-module") {
        return word("module");
    }
    let at_top = |line: &str| !line.starts_with([' ', '\t', '/', '*']);
    source
        .lines()
        .filter(|line| at_top(line))
        .any(|line| line.starts_with("import") || line.starts_with("export") || line.contains("await "))
}

/// The class of the error that a test must end with, out of its heading in test262's format.
fn negative(source: &str) -> Option<String> {
    let (_, expected) = source.split_once("\nnegative:\n")?;
    let class = expected.lines().find_map(|line| line.trim().strip_prefix("type: "));
    Some(class.unwrap().to_owned())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/javascript")
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn javascript_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|e| e == "js")).collect()
}

/// The tests in the package that carries QuickJS-ng's sources.
fn quickjs_tests() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "rquickjs-sys").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("quickjs").join("tests")
}

const WORKER: &str = r#"
from pyodide.code import run_js

with open("/session/metadata/harness.js") as harness, open("/session/metadata/tests.json") as tests:
    results = run_js(harness.read())(run_js("JSON").parse(tests.read()))

async def run():
    return await results
"#;

/// The names in the list of known failures; the rest of a line says why.
fn known_failures() -> BTreeSet<String> {
    let list = fs_err::read_to_string(folder().join("known-failures.txt")).unwrap();
    let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

/// What fails, and how, in an isolate of its own.
fn run(tests: &Tests) -> BTreeMap<String, String> {
    let harness = fs_err::read(folder().join("harness.js")).unwrap();
    let mut files =
        vec![("harness.js", harness.into()), ("tests.json", serde_json::to_vec(tests).unwrap().into())];
    files.extend(tests.files.iter().map(|(name, content)| (name.as_str(), content.clone())));
    let answer = on_guest_stack(|| {
        let mut guest = Guest::load_with(runtime(), WORKER, &files, Limits::default()).unwrap();
        guest.call("run").unwrap()
    });
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn conformance() {
    let mut parser = Tests::default();
    parser.add_parser_tests();
    let mut quickjs = Tests::default();
    quickjs.add_quickjs_tests();
    let count = parser.len() + quickjs.len();
    let mut failures = run(&parser);
    // These change the world around them.
    for test in quickjs.one_by_one() {
        failures.extend(run(&test));
    }
    println!("{count} tests, {} fail, {} cannot be expressed", failures.len(), quickjs.skipped);

    let known = known_failures();
    for (name, reason) in failures.iter().filter(|(name, _)| !known.contains(*name)) {
        println!("fails: {name}: {reason}");
    }
    for name in known.iter().filter(|name| !failures.contains_key(*name)) {
        println!("passes, or is no test: take it off the list of known failures: {name}");
    }
    assert_eq!(known, failures.into_keys().collect());
}
