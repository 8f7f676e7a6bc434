//! Snapshots are made in a process of their own.
//!
//! Module scope is the one moment at which code that nobody has seen yet runs for as long as it likes and allocates what it
//! likes, and what comes of it is written to disk. A server keeps that out of the process that answers requests: whatever
//! happens to the builder, it gets another one. The two share the cache folder; a builder writes snapshots to it and says how
//! it went.
//!
//! ```text
//! server ── Job ──▶ builder       [`wire`] has both, as frames on the builder's standard input and output
//!        ◀─ Said ──
//! ```
//! Secrets do not go there: what they are called is all that matters to a snapshot.

mod serve;
mod wire;

use std::io::{self, BufReader, BufWriter};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use parking_lot::Mutex;
use taipan_engine::{BootError, IsolateError};

use crate::boot::WorkerSpec;
use crate::{Console, Level};
pub use serve::serve;
pub(crate) use serve::silent_host;
pub(crate) use wire::Made;
use wire::{Job, Said};

/// A builder's process, started when it is needed and kept for the next time.
pub struct Builder {
    command: Box<dyn Fn() -> Command + Send + Sync>,
    process: Mutex<Option<Process>>,
}

impl Builder {
    /// `command` starts a process that calls [`serve`].
    pub fn new(command: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        Self { command: Box::new(command), process: Mutex::default() }
    }

    /// Starts the process before it is needed. A failure is met again when it is.
    pub fn prepare(&self) {
        let mut process = self.process.lock();
        if process.is_none() {
            *process = Process::start(&self.command).ok();
        }
    }

    /// Has the Worker's snapshots made. What module scope prints goes to the console.
    pub(crate) fn build(&self, spec: &WorkerSpec, console: &dyn Console) -> Result<Made, BootError> {
        let job = Job::new(spec);
        // One at a time: a start uses all the processors that it can get.
        let mut kept = self.process.lock();
        // One that was kept may have ended since, or be about to: if it says nothing, the job goes to a new one.
        if let Some(mut known) = kept.take()
            && known.send(&job).is_ok()
            && let Ok(first) = known.next()
        {
            return finish(&mut kept, known, Ok(first), console);
        }
        let started = Process::start(&self.command).and_then(|mut new| new.send(&job).map(|()| new));
        let mut process = started.map_err(|e| failed(format!("it cannot be started: {e}")))?;
        let first = process.next();
        finish(&mut kept, process, first, console)
    }
}

/// Forwards what is said until the job is done, and keeps the process for the next one.
fn finish(
    kept: &mut Option<Process>,
    mut process: Process,
    first: io::Result<Said>,
    console: &dyn Console,
) -> Result<Made, BootError> {
    let mut said = first;
    loop {
        match said {
            Ok(Said::Guest { level, line }) => console.guest(Level::from(level), &line),
            Ok(Said::Warning(text)) => console.warning(&text),
            Ok(Said::Done(outcome)) => {
                *kept = Some(process);
                return outcome.into_result();
            }
            Err(error) => return Err(failed(process.end(&error))),
        }
        said = process.next();
    }
}

fn failed(reason: String) -> BootError {
    IsolateError::Internal { reason: format!("the process that makes snapshots failed: {reason}") }.into()
}

/// A process that waits for jobs. It ends when its standard input does.
struct Process {
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &dyn Fn() -> Command) -> io::Result<Self> {
        let mut child = command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no standard input and output"));
        };
        Ok(Self { child, input: BufWriter::new(input), output: BufReader::new(output) })
    }

    fn send(&mut self, job: &Job) -> io::Result<()> {
        wire::write(&mut self.input, job)
    }

    /// What it says next. When it has ended, the error is of the kind `UnexpectedEof`.
    fn next(&mut self) -> io::Result<Said> {
        wire::read(&mut self.output)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Says how it ended, and sees to it that it has.
    fn end(mut self, error: &io::Error) -> String {
        let is_gone = error.kind() == io::ErrorKind::UnexpectedEof;
        if !is_gone {
            // It says what nobody understands.
            let _ = self.child.kill();
        }
        match self.child.wait() {
            Ok(status) if is_gone => format!("it ended: {status}"),
            _ => error.to_string(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody waits for what it may be doing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
