//! What the embedder gives an isolate and gets from it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use taipan_guest::protocol::{Field, Message};

/// The answer to an operation.
#[derive(Debug, PartialEq)]
pub enum OpReply {
    /// The answer, now. Right for synchronous operations, allowed for asynchronous ones.
    Ready(Vec<Field>),
    /// The answer follows as [`Event::Complete`] or [`Event::Failed`] with the same id.
    Later,
    /// The operation failed: the guest sees an exception of class `name` (a JavaScript error class or a
    /// `DOMException` name).
    Failed {
        /// Class of the exception.
        name: &'static str,
        /// Its message.
        message: String,
    },
}

/// The operations that an isolate's guest may ask for; one value per isolate.
///
/// Called on the isolate's thread in the middle of a turn: it must not block.
pub trait Ops: Send {
    /// Runs operation `number` of [`taipan_guest::ops::OPS`]. `id` is the guest's name for an asynchronous
    /// call and 0 for a synchronous one.
    fn call(&mut self, number: u32, id: u32, args: &Message<'_>) -> OpReply;

    /// Blocks until an operation has completed or the deadline has passed (`None`: no deadline). Called when guest
    /// code waits in the middle of a turn; must return only [`Event::Complete`] and [`Event::Failed`], and keep
    /// everything else for later turns.
    fn wait(&mut self, deadline: Option<Instant>) -> Option<Event>;

    /// Reads a file of a volume from `position` on into `to`, and gives how many bytes that were: fewer only at the end of the file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_file(&mut self, volume: u32, path: &str, position: u64, to: &mut [u8]) -> io::Result<usize> {
        let _ = (volume, path, position, to);
        Err(ErrorKind::NotFound.into())
    }

    /// A file of a volume, and its size in bytes, if it may be mapped: its content must never change while it is open, and above all
    /// it must not become shorter, since a guest that reads where nothing is left ends the process. `None` for all others.
    fn fixed_file(&mut self, volume: u32, path: &str) -> Option<(Arc<File>, u64)> {
        let _ = (volume, path);
        None
    }

    /// Who adds up what requests cost.
    fn meter(&self) -> Arc<dyn Meter>;

    /// A line that the guest printed. `level`: 0 debug, 1 log (stdout), 2 info, 3 warning, 4 error (stderr).
    fn log(&mut self, level: u8, line: &str);
}

/// What an isolate's requests cost. Asked in the middle of a turn, and by another thread than the isolate's: it must not block.
pub trait Meter: Send + Sync {
    /// CPU time was spent for a request. Gives what has been spent for it in all; more than [`IsolateOptions::request_cpu`]
    /// stops the isolate.
    fn spent(&self, request: u32, cpu: Duration) -> Duration;
}

/// Remembers nothing: each request has as much as a turn.
#[derive(Clone, Copy, Debug)]
pub struct NoMeter;

impl Meter for NoMeter {
    fn spent(&self, _request: u32, cpu: Duration) -> Duration {
        cpu
    }
}

/// Something that happened outside and that a turn delivers to the guest.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// A request for the handler. Fields: method, URL, length of the body (null: no body, −1: unknown),
    /// the `cf` object as JSON, the connection (HTTP's version, the client's address and port, the server's address and
    /// port, with spaces between), then header name, header value, …
    Fetch {
        /// The embedder's number for the request, used by the `http.*` operations.
        request: u32,
        /// The request's head.
        head: Vec<Field>,
    },
    /// The client is gone: nobody reads the response any more.
    Disconnected {
        /// The request.
        request: u32,
    },
    /// Nothing is left that could wake the request's handler: the guest says where it waits, and gives up.
    Hung {
        /// The request.
        request: u32,
    },
    /// An asynchronous operation succeeded.
    Complete {
        /// The guest's id of the call.
        id: u32,
        /// The answer.
        fields: Vec<Field>,
    },
    /// An asynchronous operation failed.
    Failed {
        /// The guest's id of the call.
        id: u32,
        /// As in [`OpReply::Failed`].
        name: &'static str,
        /// As in [`OpReply::Failed`].
        message: String,
    },
}

/// How an isolate was left by a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When the next timer is due; run an empty turn then.
    pub next_timer: Option<Instant>,
    /// Asynchronous operations whose answer is outstanding.
    pub pending_ops: u32,
}

/// One file of the Worker.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path relative to the folder of the main module, with `/`.
    pub path: String,
    /// The content.
    pub content: Arc<[u8]>,
}

/// Something that `env` has beside variables.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Binding {
    /// Its name in `env`.
    pub name: String,
    /// What it is; the guest knows the kinds.
    pub kind: String,
}

/// A Worker's code and settings.
pub struct WorkerCode {
    /// The Worker's files, the main module among them.
    pub sources: Vec<Source>,
    /// Path of the main module within `sources`, such as `entry.py`.
    pub main: String,
    /// `env` as a JSON object: the names and values of `vars` and secrets.
    pub env_json: String,
    /// Names in `env` that module scope must not read, whether `env_json` has a value for them or not: secrets that would
    /// otherwise get into a snapshot. Handlers can.
    pub withheld: Vec<String>,
    /// Whether `on_fetch`-style global handlers are accepted beside class entrypoints.
    pub global_handlers: bool,
    /// What the host's volumes hold.
    pub volumes: Volumes,
    /// What `env` has beside variables. No secret, and kept in snapshots.
    pub bindings: Vec<Binding>,
}

/// What the host has of a Worker as volumes, to be read when it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Volumes {
    /// Packages, as volume 0.
    pub packages: bool,
    /// The Worker's own files, as volume 1; otherwise they are copied.
    pub sources: bool,
}

/// What a [`Program`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgramKind {
    /// The file, folder or archive at the path [`Program::what`].
    Script,
    /// The module named [`Program::what`].
    Module,
    /// The text [`Program::what`].
    Command,
    /// Standard input, to its end.
    Input,
    /// Standard input, line by line and with prompts.
    Terminal,
}

/// A Python program to run in place of a Worker. It sees packages as the host's volume 0, others as 1, 2, …, and uses the operations
/// `program.*`.
#[derive(Clone, Debug, Serialize)]
pub struct Program {
    /// What `what` is.
    pub kind: ProgramKind,
    /// As `kind` says.
    pub what: String,
    /// `sys.argv`.
    pub argv: Vec<String>,
    /// `sys.executable`.
    pub executable: String,
    /// The current folder.
    pub folder: String,
    /// What comes first on the module search path.
    pub path: String,
    /// Whether nothing does.
    pub isolated: bool,
    /// Whether output is written at once.
    pub unbuffered: bool,
    /// Environment variables over those of every isolate.
    pub env: BTreeMap<String, String>,
    /// Whether there are packages.
    pub packages: bool,
    /// Modules of the standard library that come to the packages when `program.obtain` asks for them.
    pub lacks: Vec<String>,
    /// Where the volumes are seen that follow the packages.
    pub mounts: Vec<String>,
    /// Whether standard input, output and error are terminals.
    pub terminals: [bool; 3],
}

/// What an isolate may use, and whom it asks.
pub struct IsolateOptions {
    /// The largest size of the linear memory, in bytes; a multiple of 64 KiB. Counts the runtime's own
    /// memory as well.
    pub memory_limit: usize,
    /// CPU time that a request may take in all of its turns, and a turn for whatever it works, before the isolate is stopped.
    pub request_cpu: Duration,
    /// CPU time that starting may take: Python's own start, or the Worker's module scope.
    pub boot_cpu: Duration,
    /// The host's operations.
    pub ops: Box<dyn Ops>,
}

/// The files of one Pyodide release, as unpacked from its package.
pub struct RuntimeFiles {
    /// The release, such as `314.0.7`.
    pub version: String,
    /// Says what is in the files: where the content differs, so does this.
    pub digest: String,
    /// Gives the folder with `pyodide.mjs`, `pyodide.asm.mjs`, `pyodide.asm.wasm`, `python_stdlib.zip` and
    /// `pyodide-lock.json`. Only asked while compiled code or the base snapshot is missing.
    pub folder: Box<FolderOf>,
}

/// Finds a folder, or fetches what belongs into it.
pub type FolderOf = dyn Fn() -> Result<PathBuf, Box<dyn Error + Send + Sync>> + Send + Sync;

/// A step of preparing a runtime that takes seconds, for a progress display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompileStep {
    /// Machine code is being made (about ten seconds, once per machine and version).
    Compiling,
    /// The same, for this much of packages' native modules.
    CompilingModules {
        /// The sum of their sizes, in bytes.
        bytes: u64,
    },
    /// One of them is done.
    CompiledModule {
        /// Its size, in bytes.
        bytes: u64,
    },
    /// All is ready.
    Compiled,
    /// Python starts for the first time, to be kept as a snapshot (a few seconds, once per machine and version).
    Starting,
    /// It is kept.
    Started,
}

/// How a [`crate::Runtime`] is made.
pub struct RuntimeOptions {
    /// The release to run.
    pub files: RuntimeFiles,
    /// Folder for compiled code; created when missing.
    pub cache_dir: PathBuf,
    /// Told about slow steps.
    pub progress: Box<dyn Fn(CompileStep) + Send + Sync>,
}
