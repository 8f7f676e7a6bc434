//! Python modules that measure themselves inside: in a Worker, and in Pyodide on Node.
//!
//! Both run the same `bench/worker/NAME.py`; so neither HTTP nor pipes are part of a number. The peer of `bindings` is a program with
//! the same cases.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;
use taipan_testkit::http::{Client, Request};
use taipan_testkit::server::{Server, ServerOptions};
use taipan_testkit::stats::median;

use super::program::Lines;
use super::{Options, buckets};

/// What a side answers to a case.
#[derive(Deserialize)]
struct Sample {
    /// Nanoseconds per operation.
    ns: f64,
}

/// A side that takes one sample of a case when asked.
trait Side {
    fn ask(&mut self, question: &str) -> Result<String>;

    fn sample(&mut self, question: &str) -> Result<f64> {
        let answer = self.ask(question)?;
        let sample: Sample =
            serde_json::from_str(&answer).with_context(|| format!("not a sample: {answer}"))?;
        Ok(sample.ns)
    }
}

struct Ours {
    server: Server,
    client: Client,
}

impl Ours {
    fn start(options: &Options, folder: &Path) -> Result<Self> {
        let state = options.folder.join("state");
        if state.exists() {
            fs_err::remove_dir_all(&state)?;
        }
        let server = Server::start(&ServerOptions {
            binary: options.taipan.clone(),
            folder: folder.to_owned(),
            port: 0,
            // A state of its own, so that it begins empty.
            state: None,
            args: vec!["--persist-to".to_owned(), state.to_string_lossy().into_owned()],
            env: Vec::new(),
        })?;
        let client = Client::new(server.port(), Duration::from_secs(120));
        Ok(Self { server, client })
    }
}

impl Side for Ours {
    fn ask(&mut self, question: &str) -> Result<String> {
        let answer = self.client.send(&Request::get(&format!("/{}", question.replace(' ', "%20"))))?;
        if answer.status != 200 {
            bail!("taipan answered {} to {question}: {}", answer.status, answer.text());
        }
        Ok(answer.text())
    }
}

/// `bench/peer/pyodide.mjs`; or, as that has no data, `bench/peer/bindings.py`.
struct Peer(Lines);

impl Peer {
    fn start(options: &Options, root: &Path, folder: &Path) -> Result<Self> {
        if options.name == "bindings" {
            let mut python = Command::new("python3");
            python.arg(root.join("bench/peer/bindings.py")).arg(&options.folder);
            return Ok(Self(Lines::start(&mut python)?));
        }
        let mut node = Command::new("node");
        node.arg(root.join("bench/peer/pyodide.mjs")).args([&options.pyodide, folder]);
        Ok(Self(Lines::start(&mut node)?))
    }
}

impl Side for Peer {
    fn ask(&mut self, question: &str) -> Result<String> {
        self.0.ask(question)
    }
}

/// Runs one benchmark and prints its rows.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let folder = root.join("bench/worker");
    let name = &options.name;
    if !folder.join(name).with_extension("py").is_file() {
        bail!("no such benchmark: {name} (./x help lists them)");
    }
    let mut ours = Ours::start(options, &folder)?;
    let mut peer = Peer::start(options, root, &folder)?;
    let cases: Vec<String> = serde_json::from_str(&ours.ask(name)?).context("not a list of cases")?;
    let mut out = std::io::stdout();
    let peer_name = if name == "bindings" { "peer" } else { "pyodide/node" };
    if !options.json {
        writeln!(out, "{:<32} {:>12} {:>12} {:>8}", "ns per operation", "taipan", peer_name, "ratio")?;
    }
    for case in &cases {
        // The first sample of each side warms it up.
        let question = format!("{name}/{case}");
        ours.sample(&question)?;
        peer.sample(&question)?;
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds(7) {
            a.push(ours.sample(&question)?);
            b.push(peer.sample(&question)?);
        }
        let (ours, peer) = (median(a), median(b));
        let ratio = ours / peer;
        if options.json {
            let row = json!({
                "bench": name, "case": case, "ours": ours, "peer": peer, "unit": "ns", "ratio": ratio,
            });
            writeln!(out, "{row}")?;
        } else {
            writeln!(out, "{case:<32} {ours:>12.0} {peer:>12.0} {ratio:>8.2}")?;
        }
    }
    if name == "bindings" {
        buckets::run(&ours.server, options)?;
    }
    Ok(())
}
