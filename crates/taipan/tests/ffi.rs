//! The cases of `tests/ffi` in a Worker, on each release of Python: one process and one isolate for each, a request for each case.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::{Arguments, Trial};
use taipan_testkit::behaviour;
use taipan_testkit::http::{Client, Request};
use taipan_testkit::releases;
use taipan_testkit::server::{Log, Server, ServerOptions};
use tempfile::TempDir;

/// A case that takes longer hangs.
const CASE: Duration = Duration::from_secs(60);

/// A release of Python before the one that `wrangler.jsonc` selects; its differences are in a file of this name.
const OLDER: [&str; 2] = ["3.13", "3.12"];

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/ffi")
}

/// The names in a list with comments.
fn read(list: &str) -> Result<BTreeSet<String>> {
    let text = fs_err::read_to_string(cases().join(list))?;
    Ok(text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect())
}

struct Running {
    server: Server,
    _folder: TempDir,
}

/// The Worker on one release.
struct Worker {
    python: Option<&'static str>,
    /// It starts with its first case. Cases see each other's effects while they wait, so there is one at a time.
    running: Mutex<Option<Running>>,
}

fn main() -> Result<ExitCode> {
    let known = read("known-differences.txt")?;
    let newest = Arc::new(Worker { python: None, running: Mutex::default() });
    let (names, _) = newest.get("/")?;
    let names: BTreeSet<String> = serde_json::from_slice(&names)?;
    let mut workers = vec![newest];
    let mut trials = Vec::new();
    for python in [None].into_iter().chain(OLDER.map(Some)) {
        let mut differs = known.clone();
        if let Some(python) = python {
            workers.push(Arc::new(Worker { python: Some(python), running: Mutex::default() }));
            differs.extend(read(&format!("python-{python}.txt"))?);
        }
        let Some(worker) = workers.last() else { continue };
        for name in &differs {
            ensure!(names.contains(name), "a list names a case that there is not: {name}");
        }
        for name in &names {
            let (worker, differs, path) = (worker.clone(), differs.contains(name), format!("/{name}"));
            let name = python.map_or(name.clone(), |python| format!("{name}@{python}"));
            trials.push(Trial::test(name, move || {
                worker.run(&path, differs).map_err(|error| format!("{error:#}").into())
            }));
        }
    }
    let code = libtest_mimic::run(&Arguments::from_args(), trials).exit_code();
    for worker in workers {
        if let Some(mut running) = worker.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            running.server.interrupt()?;
            running.server.expect_clean_end()?;
        }
    }
    Ok(code)
}

impl Worker {
    fn start(&self) -> Result<Running> {
        let folder = tempfile::tempdir()?;
        behaviour::copy(&cases(), folder.path())?;
        if let Some(python) = self.python {
            releases::select(folder.path(), python)?;
        }
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        let options = ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), folder.path(), &cache);
        Ok(Running { server: Server::start(&options)?, _folder: folder })
    }

    /// The body of a response, and what was printed from where.
    fn get(&self, path: &str) -> Result<(Vec<u8>, (Log, usize))> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            *running = Some(self.start()?);
        }
        let server = &running.as_ref().context("it has just begun")?.server;
        let log = (server.log.clone(), server.log.len());
        let response = Client::new(server.port(), CASE).send(&Request::get(path))?;
        ensure!(response.status == 200, "answered {}: {}", response.status, response.text());
        Ok((response.body, log))
    }

    fn run(&self, path: &str, differs: bool) -> Result<()> {
        let (body, (log, from)) = self.get(path)?;
        match (serde_json::from_slice::<Option<String>>(&body)?, differs) {
            (None, true) => bail!("it passes now: take it out of the list of differences"),
            (Some(report), false) => {
                let printed: String = log.since(from).iter().map(|(_, line)| format!("\n  {line}")).collect();
                bail!("{report}{printed}")
            }
            _ => Ok(()),
        }
    }
}
