//! How an isolate comes into being. Everything that starts one goes through [`boot_isolate`].

use std::sync::Arc;
use std::time::Duration;

use taipan_engine::{
    BootError, Event, Isolate, IsolateError, IsolateOptions, Runtime, Source, Turn, WorkerCode,
};

use crate::worker::{Boot, Guest};

/// One version of a Worker: its files and settings.
#[derive(Clone, Debug)]
pub struct WorkerSpec {
    /// The Worker's files, the main module among them.
    pub sources: Arc<[Source]>,
    /// Path of the main module within `sources`.
    pub main: String,
    /// `env` as a JSON object.
    pub env_json: String,
    /// Whether `on_fetch`-style global handlers are accepted.
    pub global_handlers: bool,
    /// The largest linear memory, in bytes; a multiple of 64 KiB.
    pub memory_limit: usize,
    /// CPU time that one turn may take.
    pub turn_cpu: Duration,
    /// CPU time that booting may take.
    pub boot_cpu: Duration,
}

/// Makes the function by which a [`crate::Worker`] starts its isolates: from the base snapshot, then the Worker's own
/// module scope.
pub fn boot_isolate(runtime: Arc<Runtime>, spec: WorkerSpec) -> Boot {
    Box::new(move |ops| -> Result<Box<dyn Guest>, BootError> {
        let options = IsolateOptions {
            memory_limit: spec.memory_limit,
            turn_cpu: spec.turn_cpu,
            boot_cpu: spec.boot_cpu,
            ops: Box::new(ops()),
        };
        let mut isolate = match runtime.base() {
            Ok(base) => Isolate::restore(&runtime, &base, options, "{}")?,
            Err(error) => {
                // A full disk, say: slower, but no reason not to serve.
                tracing::warn!("isolates start without a snapshot: {error}");
                Isolate::boot(&runtime, options)?
            }
        };
        isolate.load(WorkerCode {
            sources: spec.sources.to_vec(),
            main: spec.main.clone(),
            env_json: spec.env_json.clone(),
            global_handlers: spec.global_handlers,
        })?;
        Ok(Box::new(isolate))
    })
}

impl Guest for Isolate {
    fn turn(&mut self, events: Vec<Event>) -> Result<Turn, IsolateError> {
        Self::turn(self, events)
    }
}
