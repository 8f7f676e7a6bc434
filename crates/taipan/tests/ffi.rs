//! The cases of `tests/ffi` in a Worker: one process, one isolate, a request for each case.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::{Arguments, Trial};
use taipan_testkit::http::{Client, Request};
use taipan_testkit::server::{Server, ServerOptions};

/// A case that takes longer hangs.
const CASE: Duration = Duration::from_secs(60);

struct Worker {
    server: Server,
    /// Cases see each other's effects while they wait, so there is one at a time.
    turn: Mutex<()>,
}

fn main() -> Result<ExitCode> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/ffi");
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let known = fs_err::read_to_string(folder.join("known-differences.txt"))?;
    let known: BTreeSet<String> =
        known.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect();
    let options = ServerOptions {
        binary: env!("CARGO_BIN_EXE_taipan").into(),
        folder,
        port: 0,
        args: vec![],
        env: vec![("TAIPAN_CACHE_DIR".into(), cache.to_string_lossy().into_owned())],
    };
    let server = Server::start(&options)?;
    let worker = Arc::new(Worker { server, turn: Mutex::new(()) });
    let names: BTreeSet<String> = serde_json::from_slice(&worker.get("/")?)?;
    for name in &known {
        ensure!(names.contains(name), "known-differences.txt names a case that there is not: {name}");
    }
    let trials = names
        .into_iter()
        .map(|name| {
            let (worker, known) = (worker.clone(), known.contains(&name));
            let path = format!("/{name}");
            Trial::test(name, move || worker.run(&path, known).map_err(|error| format!("{error:#}").into()))
        })
        .collect();
    let code = libtest_mimic::run(&Arguments::from_args(), trials).exit_code();
    let mut worker = Arc::into_inner(worker).context("a case still runs")?;
    worker.server.interrupt()?;
    worker.server.expect_clean_end()?;
    Ok(code)
}

impl Worker {
    fn get(&self, path: &str) -> Result<Vec<u8>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let response = Client::new(self.server.port(), CASE).send(&Request::get(path))?;
        ensure!(response.status == 200, "answered {}: {}", response.status, response.text());
        Ok(response.body)
    }

    fn run(&self, path: &str, known: bool) -> Result<()> {
        let from = self.server.log.len();
        let outcome = self
            .get(path)
            .and_then(|body| Ok(serde_json::from_slice::<Option<String>>(&body)?))
            .unwrap_or_else(|error| Some(format!("{error:#}")));
        match (outcome, known) {
            (None, true) => bail!("it passes now: take it out of known-differences.txt"),
            (Some(report), false) => {
                let lines = self.server.log.since(from);
                let printed: String = lines.iter().map(|(_, line)| format!("\n  {line}")).collect();
                bail!("{report}{printed}")
            }
            _ => Ok(()),
        }
    }
}
