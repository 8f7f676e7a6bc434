//! Programs that are measured from the outside, and those that measure themselves and are asked.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use taipan_testkit::http::{Client, Request};

use super::Options;
use super::table::Sample;

/// Bounds a hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two attempts to reach a server that starts.
const PAUSE: Duration = Duration::from_micros(200);

pub(crate) fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// A process that answers each line with a line; killed when dropped.
pub(crate) struct Lines {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Lines {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let to = child.stdin.take().context("no standard input")?;
        let from = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, to, from })
    }

    /// The program of `bench/harness` for Workers on Python 3.12.
    pub(crate) fn older_harness(options: &Options) -> Result<Self> {
        Self::start(Command::new(&options.harness).arg(options.folder.join("harness-cache")).arg("3.12"))
    }

    /// The program of `bench/harness`, with a cache of its own: what it has mapped cannot be evicted for others.
    pub(crate) fn harness(options: &Options) -> Result<Self> {
        Self::start(Command::new(&options.harness).arg(options.folder.join("harness-cache")))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ask(&mut self, question: &str) -> Result<String> {
        writeln!(self.to, "{question}")?;
        self.line().with_context(|| format!("no answer to {question}"))
    }

    /// The answer to a question of the harness.
    pub(crate) fn figures(&mut self, question: &Value) -> Result<Sample> {
        let answer = self.ask(&question.to_string())?;
        serde_json::from_str(&answer).with_context(|| format!("not figures: {answer}"))
    }

    /// The next line that the program prints.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            bail!("the program ended");
        }
        Ok(line)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A server on a port of this machine; killed when dropped.
pub(crate) struct Served {
    child: Child,
    port: u16,
    client: Client,
}

impl Served {
    /// Starts a program and waits for the response to a first request, which must contain `text`. `command` gets the port.
    pub(crate) fn start(
        command: impl FnOnce(&str) -> Command,
        path: &str,
        text: &str,
    ) -> Result<(Self, Duration)> {
        // Free a moment later; nobody else is expected to take it.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let begun = Instant::now();
        let child = spawn(command(&port.to_string()).stdin(Stdio::null()).stdout(Stdio::null()))?;
        let mut served = Self { child, port, client: Client::new(port, PATIENCE) };
        loop {
            match served.get(path) {
                Ok(body) if body.contains(text) => return Ok((served, begun.elapsed())),
                Ok(body) => bail!("{path} was answered with {body}"),
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => thread::sleep(PAUSE),
            }
            if let Some(status) = served.child.try_wait()? {
                bail!("the server ended: {status}");
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The body of the response.
    pub(crate) fn get(&mut self, path: &str) -> Result<String> {
        let response = self.client.send(&Request::get(path))?;
        if response.status != 200 {
            bail!("{path} was answered with {}: {}", response.status, response.text());
        }
        Ok(response.text())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// How long a program takes from its start to its first line, which must contain `text`.
pub(crate) fn first_line(command: &mut Command, text: &str) -> Result<Duration> {
    let begun = Instant::now();
    let mut program = Lines::start(command)?;
    let line = program.line()?;
    if !line.contains(text) {
        bail!("the program printed {line}");
    }
    Ok(begun.elapsed())
}

/// `taipan dev` in a folder, with the benchmarks' cache.
pub(crate) fn taipan_dev(options: &Options, folder: &Path, port: &str) -> Command {
    let mut command = Command::new(&options.taipan);
    command.arg("dev").arg(folder).args(["--port", port, "--log-level", "warn"]);
    command.arg("--cache-dir").arg(cache(options)).stderr(Stdio::null());
    command
}

/// The cache of [`taipan_dev`].
pub(crate) fn cache(options: &Options) -> std::path::PathBuf {
    options.folder.join("cache")
}

/// `python3` with the packages that the FastAPI Worker has, and uvicorn.
pub(crate) fn python(options: &Options, modules: &Path) -> Command {
    let path = [options.folder.join("native"), modules.to_owned()];
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", std::env::join_paths(path).unwrap_or_default());
    command
}

/// uvicorn with an application of `modules`.
pub(crate) fn uvicorn(options: &Options, modules: &Path, app: &str, port: &str) -> Command {
    let mut command = python(options, modules);
    command.args(["-m", "uvicorn", app, "--port", port, "--log-level", "warning"]);
    command
}

fn spawn(command: &mut Command) -> Result<Child> {
    // Who develops may have it set, and each error that is made then walks the stack, also those that are expected.
    command.env_remove("RUST_BACKTRACE");
    command.spawn().with_context(|| format!("cannot start: {}", command.get_program().display()))
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
