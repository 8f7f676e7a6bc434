//! Programs in the sandbox: what `taipan python` runs, and what `taipan types` asks Python by.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use taipan_bindings::{Embedder, EventSender, HostOps, Process, Requests, Volume};
use taipan_engine::{Event, Isolate, IsolateOptions, Program, Runtime, STACK_SIZE};

/// A program may run for as long as it likes.
const CPU: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The most that the linear memory of a program can be.
const MEMORY_LIMIT: usize = 2048 << 20;

/// Runs a program to its end.
pub(crate) fn run_program(
    runtime: Arc<Runtime>,
    program: Program,
    volumes: Vec<Arc<dyn Volume>>,
    process: Box<dyn Process>,
) -> Result<()> {
    // Guest calls nest on a large stack.
    let thread = thread::Builder::new().name("python".into()).stack_size(STACK_SIZE);
    let work = move || execute(&runtime, &program, volumes, process);
    let joined = thread.spawn(work).context("cannot start a thread")?.join();
    joined.map_err(|_| anyhow!("the program's thread ended early"))?
}

fn execute(
    runtime: &Arc<Runtime>,
    program: &Program,
    volumes: Vec<Arc<dyn Volume>>,
    process: Box<dyn Process>,
) -> Result<()> {
    // Nothing that a program may ask for answers later.
    let events = EventSender::new(drop);
    let ops = HostOps::new(Requests::default(), events, Box::new(Outside))
        .with_volumes(volumes)
        .with_process(process);
    let options =
        IsolateOptions { memory_limit: MEMORY_LIMIT, request_cpu: CPU, boot_cpu: CPU, ops: Box::new(ops) };
    let mut isolate = Isolate::restore(runtime, &*runtime.base()?, options, "{}")?;
    Ok(isolate.run_program(program)?)
}

struct Outside;

impl Embedder for Outside {
    /// What JavaScript prints.
    fn log(&mut self, _level: u8, line: &str) {
        eprintln!("{line}");
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Event> {
        if let Some(deadline) = deadline {
            thread::sleep(deadline.saturating_duration_since(Instant::now()));
        }
        None
    }
}
