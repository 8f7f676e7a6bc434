//! Rules of the house that neither rustc nor clippy can hold: the arrows between crates, the size of files,
//! and words that must not occur in the tree.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Which crates each crate may use. `taipan-bench`, `xtask` and `taipan-testkit` are for development only.
const ARROWS: &[(&str, &[&str])] = &[
    ("taipan-config", &[]),
    ("taipan-wasm", &[]),
    ("taipan-guest", &[]),
    ("taipan-packages", &["taipan-config"]),
    ("taipan-engine", &["taipan-wasm", "taipan-guest"]),
    ("taipan-storage", &[]),
    ("taipan-bindings", &["taipan-engine", "taipan-guest", "taipan-storage", "taipan-config"]),
    (
        "taipan-server",
        &[
            "taipan-bindings",
            "taipan-config",
            "taipan-engine",
            "taipan-guest",
            "taipan-packages",
            "taipan-storage",
        ],
    ),
    (
        "taipan",
        &[
            "taipan-bindings",
            "taipan-config",
            "taipan-engine",
            "taipan-packages",
            "taipan-server",
            "taipan-storage",
        ],
    ),
    ("taipan-testkit", &[]),
    (
        "taipan-bench",
        &[
            "taipan-bindings",
            "taipan-config",
            "taipan-engine",
            "taipan-guest",
            "taipan-packages",
            "taipan-server",
            "taipan-testkit",
        ],
    ),
    ("xtask", &["taipan-testkit"]),
];

/// What a crate may use in its tests alone, beside `taipan-testkit`: tests of isolates need a Pyodide.
const TEST_ARROWS: &[(&str, &str)] = &[("taipan-engine", "taipan-packages")];

/// The crate that may contain `unsafe`.
const UNSAFE_CRATE: &str = "taipan-engine";

/// Largest size of a file, in bytes.
const FILE_CEILING: usize = 60_000;

/// Files that a tool writes: their size and their words are its own.
const GENERATED: &[&str] = &["Cargo.lock", "package-lock.json", "uv.lock"];

/// The parts of texts that must not occur, joined here so that they do not occur in this file.
const FORBIDDEN: &[(&[&str], &str)] = &[
    (&["crates", ".io"], "host of a package registry"),
    (&["py", "pi.org"], "host of a package registry"),
    (&["python", "hosted.org"], "host of a package registry"),
    (&["npm", "js.org"], "host of a package registry"),
    (&["npm", "js.com"], "host of a package registry"),
    (&["deb.", "debian.org"], "host of a package registry"),
    (&["/wo", "rk/"], "path of a development machine"),
    (&["/ro", "ot/"], "path of a development machine"),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: String,
}

/// Runs every check on the repository at `root`; prints what is wrong.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    let mut wrong = Vec::new();
    let metadata = metadata(root)?;
    arrows(&metadata, &mut wrong);
    unsafe_code(&metadata, &mut wrong)?;
    files(root, &mut wrong)?;
    for line in &wrong {
        eprintln!("error: {line}");
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn metadata(root: &Path) -> Result<Metadata> {
    let out = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot run cargo metadata")?;
    if !out.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&out.stderr));
    }
    serde_json::from_slice(&out.stdout).context("cargo metadata printed something else")
}

fn arrows(metadata: &Metadata, wrong: &mut Vec<String>) {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in &metadata.packages {
        let Some(allowed) = allowed.get(package.name.as_str()) else {
            wrong.push(format!(
                "crate without a row in the table of arrows (xtask/src/check.rs): {}",
                package.name
            ));
            continue;
        };
        for used in package.dependencies.iter().filter(|d| d.path.is_some()) {
            let in_tests = used.kind.as_deref() == Some("dev")
                && (used.name == "taipan-testkit"
                    || TEST_ARROWS.contains(&(package.name.as_str(), used.name.as_str())));
            if !in_tests && !allowed.contains(&used.name.as_str()) {
                wrong.push(format!("crate {} must not use {}", package.name, used.name));
            }
        }
    }
}

fn unsafe_code(metadata: &Metadata, wrong: &mut Vec<String>) -> Result<()> {
    for package in metadata.packages.iter().filter(|p| p.name != UNSAFE_CRATE) {
        for target in package.targets.iter().filter(|t| t.kind.iter().any(|k| k == "lib" || k == "bin")) {
            if !fs_err::read_to_string(&target.src_path)?.contains("#![forbid(unsafe_code)]") {
                wrong.push(format!("missing #![forbid(unsafe_code)]: {}", target.src_path));
            }
        }
    }
    Ok(())
}

fn files(root: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let out = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    if !out.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&out.stderr));
    }
    for name in String::from_utf8_lossy(&out.stdout).split_terminator('\0') {
        let path = root.join(name);
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        // A file that is listed but gone was deleted and not yet committed.
        if GENERATED.contains(&&*file_name) || !path.is_file() {
            continue;
        }
        let content = fs_err::read(&path)?;
        if content.len() > FILE_CEILING {
            wrong.push(format!("file larger than {FILE_CEILING} bytes: {name} has {}", content.len()));
        }
        words(name, &String::from_utf8_lossy(&content), wrong);
    }
    Ok(())
}

fn words(name: &str, content: &str, wrong: &mut Vec<String>) {
    for (number, line) in (1..).zip(content.lines()) {
        for (parts, what) in FORBIDDEN {
            if contains_word(line, &parts.concat()) {
                wrong.push(format!("{what} at {name}:{number}"));
            }
        }
        let code = line.trim_start();
        if name.ends_with(".rs") && (code.starts_with("#[allow(") || code.starts_with("#![allow(")) {
            wrong.push(format!("use #[expect(lint, reason = \"…\")] instead of allow at {name}:{number}"));
        }
    }
}

/// Whether `word` occurs where a longer word or path does not merely end with it.
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|s| s.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, content: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        words(name, content, &mut wrong);
        wrong
    }

    #[test]
    fn forbidden_words_are_found() {
        let path = ["cd /wo", "rk/main"].concat();
        assert_eq!(found("a.md", &format!("fine\n{path}")), ["path of a development machine at a.md:2"]);
        assert_eq!(found("a.md", "src/network/mod.rs"), [""; 0]);
        assert_eq!(found("a.rs", "    #[allow(dead_code)]").len(), 1);
        assert_eq!(found("a.rs", "#[expect(dead_code, reason = \"r\")]"), [""; 0]);
    }

    #[test]
    fn a_new_arrow_is_found() {
        let metadata = |user: &str, kind: Option<&str>, used: &str| Metadata {
            packages: vec![Package {
                name: user.into(),
                dependencies: vec![Dependency {
                    name: used.into(),
                    kind: kind.map(Into::into),
                    path: Some(String::new()),
                }],
                targets: vec![],
            }],
        };
        let wrong = |m: Metadata| {
            let mut wrong = Vec::new();
            arrows(&m, &mut wrong);
            wrong.len()
        };
        assert_eq!(wrong(metadata("taipan-engine", None, "taipan-wasm")), 0);
        assert_eq!(wrong(metadata("taipan-engine", None, "taipan-server")), 1);
        assert_eq!(wrong(metadata("taipan-engine", Some("dev"), "taipan-testkit")), 0);
        assert_eq!(wrong(metadata("taipan-engine", None, "taipan-testkit")), 1);
        assert_eq!(wrong(metadata("taipan-engine", Some("dev"), "taipan-packages")), 0);
        assert_eq!(wrong(metadata("taipan-engine", None, "taipan-packages")), 1);
        assert_eq!(wrong(metadata("taipan-wasm", Some("dev"), "taipan-packages")), 1);
        assert_eq!(wrong(metadata("taipan-new", None, "taipan-wasm")), 1);
    }
}
