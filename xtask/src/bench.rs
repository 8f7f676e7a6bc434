//! Measures taipan beside a peer, alternating between the two in one run.
//!
//! Both run the same Python module `bench/worker/NAME.py`, which measures itself inside; so neither HTTP nor
//! pipes are part of a number. One sample of each side is taken in turn, and a case's figure is the median of
//! its samples: what slows the machine down slows both.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use taipan_testkit::http::{Client, Request};
use taipan_testkit::server::{Server, ServerOptions};

#[derive(Args)]
pub(crate) struct Options {
    /// The benchmark: a module of bench/worker.
    name: String,
    /// Print one JSON object per case instead of a table.
    #[arg(long)]
    json: bool,
    /// Samples of each side per case.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// The taipan binary.
    #[arg(long)]
    taipan: PathBuf,
    /// The unpacked npm package `pyodide`.
    #[arg(long)]
    pyodide: PathBuf,
}

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
    _server: Server,
    client: Client,
}

impl Ours {
    fn start(options: &Options, folder: &Path) -> Result<Self> {
        let server = Server::start(&ServerOptions {
            binary: options.taipan.clone(),
            folder: folder.to_owned(),
            port: 0,
            args: Vec::new(),
            env: Vec::new(),
        })?;
        let client = Client::new(server.port(), Duration::from_secs(120));
        Ok(Self { _server: server, client })
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

/// A process that answers each line with a line.
struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    fn start(options: &Options, root: &Path, folder: &Path) -> Result<Self> {
        let mut child = Command::new("node")
            .arg(root.join("bench/peer/pyodide.mjs"))
            .args([&options.pyodide, folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start node")?;
        let to = child.stdin.take().context("no standard input")?;
        let from = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, to, from })
    }
}

impl Side for Peer {
    fn ask(&mut self, question: &str) -> Result<String> {
        writeln!(self.to, "{question}")?;
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            bail!("the peer ended instead of answering {question}");
        }
        Ok(line)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs one benchmark and prints its rows.
pub(crate) fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let folder = root.join("bench/worker");
    let name = &options.name;
    if !folder.join(name).with_extension("py").is_file() {
        bail!("no such benchmark: {name} (./x help lists them)");
    }
    let mut ours = Ours::start(options, &folder)?;
    let mut peer = Peer::start(options, root, &folder)?;
    let cases: Vec<String> = serde_json::from_str(&ours.ask(name)?).context("not a list of cases")?;
    let mut out = std::io::stdout();
    if !options.json {
        writeln!(out, "{:<28} {:>12} {:>12} {:>8}", "ns per operation", "taipan", "pyodide/node", "ratio")?;
    }
    for case in &cases {
        // The first sample of each side warms it up.
        let question = format!("{name}/{case}");
        ours.sample(&question)?;
        peer.sample(&question)?;
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds.max(1) {
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
            writeln!(out, "{case:<28} {ours:>12.0} {peer:>12.0} {ratio:>8.2}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The middle value; the mean of the two middle ones when their number is even.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle.saturating_sub(1)..=middle) {
        Some(&[a, b]) if values.len().is_multiple_of(2) => f64::midpoint(a, b),
        _ => values.get(middle).copied().unwrap_or(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn median() {
        assert_eq!(super::median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(super::median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(super::median(vec![7.0]), 7.0);
    }
}
