//! A running `taipan dev` or `taipan serve`.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take from its start to `Ready on`. Compiling Pyodide for an empty cache belongs to
/// it, and native modules of packages; the bound exists to end a hang.
const START: Duration = Duration::from_secs(900);
/// How long a process may take to end after SIGINT.
const STOP: Duration = Duration::from_secs(30);

/// What a process is started with.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The `taipan` binary.
    pub binary: PathBuf,
    /// The Worker's folder, which is also the working directory.
    pub folder: PathBuf,
    /// The port; 0 for a free one.
    pub port: u16,
    /// The state folder of a `taipan serve`, which takes the place of `taipan dev`.
    pub state: Option<PathBuf>,
    /// Further arguments of the command.
    pub args: Vec<String>,
    /// Environment variables, added to our own.
    pub env: Vec<(String, String)>,
}

impl ServerOptions {
    /// A Worker on a free port, with this cache folder and nothing else.
    pub fn new(binary: impl Into<PathBuf>, folder: impl Into<PathBuf>, cache: &Path) -> Self {
        let env = vec![("TAIPAN_CACHE_DIR".into(), cache.to_string_lossy().into_owned())];
        Self { binary: binary.into(), folder: folder.into(), port: 0, state: None, args: vec![], env }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        match &self.state {
            Some(state) => command.args(["serve", "--admin-port", "0", "--state"]).arg(state),
            None => command.arg("dev").arg(&self.folder),
        };
        command
            .args(["--port", &self.port.to_string()])
            .args(&self.args)
            .current_dir(&self.folder)
            .env("NO_COLOR", "1")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// Where a line was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Lines that a process has printed so far.
#[derive(Clone, Default)]
pub struct Log(Arc<Lines>);

#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<(Stream, String)>>,
    added: Condvar,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<(Stream, String)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn collect(&self, stream: Stream, from: impl Read + Send + 'static) -> thread::JoinHandle<()> {
        let log = self.clone();
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(from.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                log.0.lock().push((stream, text));
                log.0.added.notify_all();
                line.clear();
            }
        })
    }

    /// How many lines there are; a position to search from.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether nothing was printed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lines from position `from` on.
    pub fn since(&self, from: usize) -> Vec<(Stream, String)> {
        self.0.lock().iter().skip(from).cloned().collect()
    }

    /// Everything printed to one stream.
    pub fn text(&self, stream: Stream) -> String {
        let lines = self.since(0);
        lines.iter().filter(|(s, _)| *s == stream).map(|(_, line)| format!("{line}\n")).collect()
    }

    /// Waits for a line that contains `text`, from position `from` on.
    pub fn wait_for(
        &self,
        text: &str,
        stream: Option<Stream>,
        from: usize,
        timeout: Duration,
    ) -> Option<String> {
        let find = |lines: &[(Stream, String)]| {
            lines
                .iter()
                .skip(from)
                .find(|(s, line)| stream.is_none_or(|wanted| wanted == *s) && line.contains(text))
                .map(|(_, line)| line.clone())
        };
        let (guard, _) = self
            .0
            .added
            .wait_timeout_while(self.0.lock(), timeout, |lines| find(lines).is_none())
            .unwrap_or_else(PoisonError::into_inner);
        find(&guard)
    }
}

/// How a process ended, and what it printed.
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its lines.
    pub log: Log,
}

/// Runs `taipan dev` with options that must make it fail before it serves.
pub fn run_to_end(options: &ServerOptions) -> Result<Ended> {
    let mut server = Server::spawn(options)?;
    let status = server.wait(START)?.context("it did not end: it seems to serve")?;
    server.join_readers();
    Ok(Ended { status, log: server.log.clone() })
}

/// A `taipan dev` process; killed when dropped.
pub struct Server {
    child: Child,
    readers: Vec<thread::JoinHandle<()>>,
    port: u16,
    /// What it prints.
    pub log: Log,
}

impl Server {
    /// Starts a process and waits until it says `Ready on`.
    pub fn start(options: &ServerOptions) -> Result<Self> {
        let mut server = Self::spawn(options)?;
        let deadline = Instant::now() + START;
        loop {
            if let Some(line) = server.log.wait_for("Ready on ", None, 0, Duration::from_millis(200)) {
                let port = line.trim_end_matches('/').rsplit(':').next().unwrap_or_default();
                server.port = port.parse().with_context(|| format!("no port in: {line}"))?;
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                server.join_readers();
                bail!("taipan ended before it was ready: {status}\n{}", server.log.text(Stream::Stderr));
            }
            if Instant::now() > deadline {
                bail!("taipan was not ready in time\n{}", server.log.text(Stream::Stderr));
            }
        }
    }

    fn spawn(options: &ServerOptions) -> Result<Self> {
        let mut child = options
            .command()
            .spawn()
            .with_context(|| format!("cannot start: {}", options.binary.display()))?;
        let log = Log::default();
        let mut readers = Vec::new();
        if let Some(out) = child.stdout.take() {
            readers.push(log.collect(Stream::Stdout, out));
        }
        if let Some(err) = child.stderr.take() {
            readers.push(log.collect(Stream::Stderr, err));
        }
        Ok(Self { child, readers, port: options.port, log })
    }

    /// The port it serves on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The memory that is its own, in bytes. What isolates share, they would each count as resident.
    pub fn private_bytes(&self) -> Result<u64> {
        let process = Path::new("/proc").join(self.child.id().to_string());
        let rollup = fs_err::read_to_string(process.join("smaps_rollup"))?;
        let mut kib = 0;
        for line in rollup.lines() {
            let Some((_, size)) = line.split_once(':').filter(|(name, _)| name.starts_with("Private_"))
            else {
                continue;
            };
            let size = size.trim().trim_end_matches("kB").trim_end();
            kib += size.parse::<u64>().context("smaps_rollup has a size that is no number")?;
        }
        Ok(kib << 10)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).context("cannot send SIGINT")
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it has ended; `None` when it has not in time.
    fn wait(&mut self, timeout: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the end that [`Self::interrupt`] asked for; it must be in time and with status 0.
    pub fn expect_clean_end(&mut self) -> Result<()> {
        let Some(status) = self.wait(STOP)? else {
            bail!("taipan did not end after SIGINT");
        };
        self.join_readers();
        if !status.success() {
            bail!("taipan did not end cleanly after SIGINT: {status}");
        }
        Ok(())
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
