//! What can go wrong, as types that name the thing.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A runtime could not be prepared.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// The release's files cannot be had; the error is that of [`crate::RuntimeFiles::folder`].
    #[error(transparent)]
    Files(Box<dyn std::error::Error + Send + Sync>),
    /// A file of the release is missing or unreadable.
    #[error("cannot read runtime file: {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The cache of compiled code cannot be used.
    #[error("cannot use the cache of compiled code: {}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A module of the runtime was refused.
    #[error("cannot prepare module: {module}")]
    Module {
        /// Its name.
        module: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why an isolate stopped for good. The process lives on; boot another isolate.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum IsolateError {
    /// The guest used more CPU time in one turn than it may.
    #[error("exceeded the CPU limit of {} ms", limit.as_millis())]
    CpuLimit {
        /// The limit.
        limit: Duration,
    },
    /// The guest needed more memory than it may have, and could not go on without.
    #[error("exceeded the memory limit of {} MiB", limit >> 20)]
    OutOfMemory {
        /// The limit in bytes.
        limit: usize,
    },
    /// Calls were nested too deeply for the stack.
    #[error("stack overflow")]
    StackOverflow,
    /// The guest ended itself: `os.abort()`, `sys.exit()` outside of a handler, a fatal error of the interpreter.
    #[error("the interpreter stopped: {reason}")]
    Aborted {
        /// What it said.
        reason: String,
    },
    /// The guest executed an illegal operation.
    #[error("trap: {reason}")]
    Trap {
        /// Wasmtime's description.
        reason: String,
    },
    /// The isolate was used after it had stopped, or the host's side of it failed.
    #[error("internal error: {reason}")]
    Internal {
        /// What happened.
        reason: String,
    },
}

/// An isolate could not be started.
#[derive(Debug, Error)]
pub enum BootError {
    /// The Worker's own code failed: a syntax error, an exception in module scope, a missing handler. The
    /// JSON is a [`Failure`](https://docs.rs/taipan-guest) report as sent by `http.fail`.
    #[error("the Worker failed to start")]
    Worker {
        /// The report.
        report_json: String,
    },
    /// The isolate stopped while it was starting.
    #[error(transparent)]
    Isolate(#[from] IsolateError),
}
