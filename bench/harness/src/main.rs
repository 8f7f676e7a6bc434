//! Isolates inside one process, for the benchmarks that HTTP from the outside would blur (`xtask/src/bench/`).
//!
//! Each line of standard input is a [`Question`], each line of standard output its answer: numbers by name. So the one who
//! asks can take samples of this and of a peer in turn.
#![forbid(unsafe_code)]

mod density;
mod engine;
mod server;
mod worker;

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde_json::json;
use taipan_engine::{Runtime, RuntimeFiles, RuntimeOptions, STACK_SIZE};
use taipan_packages::pyodide::{self, Cache, RELEASES, Release, Silent, Source};
use taipan_testkit::process::Memory;

use crate::engine::Engine;
use crate::server::Served;
use crate::worker::Worker;

#[derive(Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
enum Question {
    /// A cold start by the engine alone, in nanoseconds by stage.
    Restore {
        worker: Worker,
        /// From an isolate that was prepared.
        spare: bool,
        /// The Worker's snapshot is read from the disk first.
        from_disk: bool,
    },
    /// A request over HTTP to a server that has no isolate of the Worker, or one when it is `warm`; in nanoseconds.
    Serve { worker: Worker, warm: bool },
    /// Makes isolates of one Worker, of which each answers a request, and keeps them; nanoseconds for each.
    Isolates { worker: Worker, count: usize },
    /// Makes isolates of one Worker, one after the other, of which each answers a request and is dropped; nanoseconds for each.
    Soak { worker: Worker, count: usize },
    /// Deploys so many Workers, of which each has its own code and answers a request, and keeps them. With `packages` they import
    /// what that Worker does, from its packages.
    Workers { count: usize, packages: Option<Worker> },
    /// What the process takes now.
    Memory,
}

/// Everything that answers questions.
struct Bench {
    engine: Engine,
    served: Served,
}

impl Bench {
    fn answer(&mut self, question: &str) -> Result<serde_json::Value> {
        let question = serde_json::from_str(question).with_context(|| format!("no question: {question}"))?;
        Ok(match question {
            Question::Restore { worker, spare, from_disk: false } => self.engine.restore(&worker, spare)?,
            Question::Restore { worker, spare, from_disk: true } => {
                self.engine.restore_from_disk(&worker, spare)?
            }
            Question::Serve { worker, warm } => self.served.request(&worker, warm)?,
            Question::Isolates { worker, count } => density::isolates(&mut self.engine, &worker, count)?,
            Question::Soak { worker, count } => density::soak(&mut self.engine, &worker, count)?,
            Question::Workers { count, packages } => {
                density::workers(&mut self.served, count, packages.as_ref())?
            }
            Question::Memory => {
                let now = Memory::of(std::process::id())?;
                json!({
                    "private dirty": now.private_dirty, "pss": now.pss, "mappings": now.mappings, "threads": now.threads,
                    "descriptors": now.descriptors,
                })
            }
        })
    }
}

/// The release that Workers run on: of the Python that the second argument names, or the newest.
fn release() -> Result<&'static Release> {
    let python = std::env::args().nth(2);
    let is_wanted = |release: &&Release| {
        let minor = release.python.rsplit_once('.').map(|(minor, _)| minor);
        python.as_deref().is_none_or(|python| minor == Some(python))
    };
    RELEASES.iter().find(is_wanted).context("no such Python")
}

fn runtime(cache: PathBuf) -> Result<Arc<Runtime>> {
    let release = release()?;
    let cache = Cache::new(Some(cache))?;
    let cache_dir = cache.folder().to_owned();
    let files = RuntimeFiles {
        version: release.version.into(),
        digest: release.tarball.sha256.into(),
        folder: Box::new(move || Ok(pyodide::obtain(release, &cache, &Source::Npm, &Silent)?)),
    };
    let options = RuntimeOptions { files, cache_dir, progress: Box::new(|_| ()) };
    Ok(Runtime::new(options)?)
}

fn run(cache: PathBuf) -> Result<()> {
    let runtime = runtime(cache)?;
    let mut bench = Bench { engine: Engine::new(runtime.clone())?, served: Served::start(runtime)? };
    let mut out = std::io::stdout();
    for question in std::io::stdin().lock().lines() {
        writeln!(out, "{}", bench.answer(&question?)?)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let cache = std::env::args_os().nth(1).context("usage: taipan-bench CACHE [PYTHON]")?.into();
    // Turns need more stack than a main thread has.
    let thread = thread::Builder::new().stack_size(STACK_SIZE).spawn(move || run(cache))?;
    thread.join().map_err(|_| anyhow!("the benchmark panicked"))?
}
