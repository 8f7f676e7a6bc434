//! `taipan types`: stubs of what a Worker imports and an editor cannot, with what this Worker has in `env`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use fs_err as fs;
use serde_json::{Value, json};
use taipan_bindings::Process;
use taipan_config::{ConfigError, WorkerConfig};
use taipan_engine::{Program, ProgramKind};
use taipan_packages::pyodide::{self, ObtainError};

use crate::program::run_program;
use crate::report::hinted;
use crate::runtime;
use crate::settings::TypesSettings;

/// Runs in the sandbox, where the modules are.
const PROGRAM: &str = include_str!("../types/stubs.py");

/// Bindings that no module of ours has.
const OTHER_BINDINGS: &str = include_str!("../types/other_bindings.pyi");

/// JavaScript's globals.
const JS: &str = include_str!("../types/js.pyi");

pub(super) fn run(settings: TypesSettings) -> Result<ExitCode> {
    let config = WorkerConfig::load(&settings.folder, settings.env.as_deref());
    let config = config.map_err(|e| hinted(e, ConfigError::hint))?;
    let release = pyodide::release(config.release.version).map_err(|e| hinted(e, ObtainError::hint))?;
    let question =
        json!({ "names": names(&config), "other": OTHER_BINDINGS, "js": JS, "js_names": js_names() });
    let printed = Arc::new(Mutex::new(Printed::default()));
    let program = Program {
        kind: ProgramKind::Command,
        what: PROGRAM.to_owned(),
        argv: vec!["-c".to_owned(), question.to_string()],
        executable: "python".to_owned(),
        folder: "/session".to_owned(),
        path: String::new(),
        isolated: true,
        unbuffered: false,
        env: BTreeMap::new(),
        packages: false,
        lacks: vec![],
        mounts: vec![],
        terminals: [false; 3],
    };
    let runtime = runtime::prepare(release, settings.releases)?;
    run_program(runtime, program, vec![], Box::new(Collector(printed.clone())))?;
    let Printed { text, errors, status } =
        std::mem::take(&mut *printed.lock().unwrap_or_else(PoisonError::into_inner));
    if status != Some(0) {
        bail!("the stubs cannot be made: {}", String::from_utf8_lossy(&errors));
    }
    let files: BTreeMap<String, String> =
        serde_json::from_slice(&text).context("the stubs cannot be read")?;
    let folder = settings.output.unwrap_or_else(|| config.root.join(crate::project::sources::TYPES));
    let mut written = 0;
    for (path, text) in &files {
        written += usize::from(write(&folder, path, text)?);
    }
    println!(
        "{}: {written} of {} stubs are new; pyright finds them there, mypy with mypy_path = \"{}\"",
        folder.display(),
        files.len(),
        folder.strip_prefix(&config.root).unwrap_or(&folder).display()
    );
    Ok(ExitCode::SUCCESS)
}

/// What `env` has: names with the values of variables, whose types are wanted, or with the keys of bindings.
fn names(config: &WorkerConfig) -> Vec<Value> {
    let mut names = vec![];
    for (name, value) in config.vars.iter().filter(|(name, _)| !config.secrets.contains_key(*name)) {
        names.push(json!({ "name": name, "value": value }));
    }
    // Of secrets, no value goes anywhere.
    names.extend(config.secrets.keys().map(|name| json!({ "name": name, "value": "" })));
    names.extend(config.declared.iter().map(|d| json!({ "name": d.name, "key": d.key })));
    names
}

/// The names that [`JS`] defines.
fn js_names() -> Vec<&'static str> {
    let of_line = |line: &'static str| {
        let rest = line.strip_prefix("class ").or_else(|| line.strip_prefix("def ")).or_else(|| {
            // A variable: a name and its type.
            line.split_once(": ").map(|(name, _)| name)
        })?;
        rest.split(['(', ':', ' ']).next().filter(|name| !name.is_empty())
    };
    JS.lines().filter(|line| !line.starts_with([' ', '"'])).filter_map(of_line).collect()
}

/// Writes a stub unless it is there already. What comes out of the sandbox names files in the folder, or is refused.
fn write(folder: &Path, path: &str, text: &str) -> Result<bool> {
    let is_within = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if !is_within || !path.ends_with(".pyi") {
        return Err(anyhow!("not the name of a stub: {path}"));
    }
    let place = folder.join(path);
    if fs::read_to_string(&place).is_ok_and(|known| known == text) {
        return Ok(false);
    }
    fs::create_dir_all(place.parent().unwrap_or(folder))?;
    fs::write(&place, text)?;
    Ok(true)
}

#[derive(Default)]
struct Printed {
    text: Vec<u8>,
    errors: Vec<u8>,
    status: Option<u8>,
}

/// Keeps what the program prints.
struct Collector(Arc<Mutex<Printed>>);

impl Collector {
    fn with(&self, work: impl FnOnce(&mut Printed)) {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Process for Collector {
    fn input(&mut self, _most: usize) -> io::Result<Vec<u8>> {
        Ok(vec![])
    }

    fn line(&mut self, _prompt: &str) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn output(&mut self, is_error: bool, bytes: &[u8]) -> io::Result<()> {
        self.with(|printed| if is_error { &mut printed.errors } else { &mut printed.text }.extend(bytes));
        Ok(())
    }

    fn exit(&mut self, status: u8) {
        self.with(|printed| printed.status = Some(status));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_globals() {
        let names = js_names();
        for name in ["Response", "URL", "console", "fetch", "btoa"] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        assert!(!names.contains(&"from") && !names.contains(&"status"), "{names:?}");
    }

    #[test]
    fn stubs_stay_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            write(folder.path(), "a/b.pyi", "x").unwrap() && !write(folder.path(), "a/b.pyi", "x").unwrap()
        );
        for path in ["../a.pyi", "/tmp/a.pyi", "a.py", ""] {
            assert!(write(folder.path(), path, "x").is_err(), "{path}");
        }
    }
}
