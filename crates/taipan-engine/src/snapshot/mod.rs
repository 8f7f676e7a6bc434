//! Snapshots: a whole isolate as a file.
//!
//! The linear memory holds both heaps, so a snapshot is that image, the few values that live outside of it, and a
//! description of how to link the same code again ([`Frozen`]). [`image`] has the memory, as layers; [`file`] says how a
//! layer lies on disk, [`take`] how a snapshot is read from an isolate, [`restore`] how another isolate is made from it.

mod file;
mod image;
mod inspect;
mod restore;
mod take;
mod working_set;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use wasmtime::Store;

use crate::code::CodeName;
use crate::functions::Origin;
use crate::layered::Layered;
use crate::runtime::Runtime;
use crate::state::{ExportOrigin, GlobalOrigin, InstanceRecord, State};
use working_set::WorkingSet;

pub(crate) use image::{Digest, Image};
pub use inspect::{LayerInfo, ModuleCost, SnapshotInfo, inspect, module_costs};
pub(crate) use restore::{finish, prepare};
pub(crate) use take::take;

/// Addresses of the engine's blocks in the main module's heap.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) data: u32,
    /// The top of its stack.
    pub(crate) stack: u32,
    /// Address and number of cells of the argument stack.
    pub(crate) arguments: (u32, u32),
    /// Where the number of the request stands for which the guest works.
    pub(crate) cause: u32,
}

/// All of an isolate that is not in its linear memory.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Frozen {
    /// The Pyodide release.
    pub(crate) version: String,
    pub(crate) main: CodeName,
    pub(crate) engine: CodeName,
    pub(crate) memory_pages: u64,
    /// What the guest's monotonic clock showed.
    pub(crate) monotonic_ms: f64,
    pub(crate) slots: u32,
    pub(crate) layout: Layout,
    /// Values of the globals that the main module imports, in their order.
    pub(crate) main_import_globals: Vec<u64>,
    /// Values of the mutable globals that modules export, ours among them: the main module's, then those of the
    /// instances after it. The engine's come last.
    pub(crate) mutable_globals: Vec<Vec<(String, u64)>>,
    pub(crate) functions: Arc<Layered<Origin>>,
    pub(crate) globals: Arc<Layered<GlobalOrigin>>,
    /// Values of the globals that JavaScript made, by number.
    pub(crate) made_globals: HashMap<u32, u64>,
    /// Tables and tags by number, without the function table.
    pub(crate) tables: Vec<ExportOrigin>,
    pub(crate) tags: Vec<ExportOrigin>,
    /// The modules after the main module.
    pub(crate) modules: Vec<CodeName>,
    /// How many of them Pyodide loads by itself.
    pub(crate) own_modules: u32,
    pub(crate) instances: Vec<InstanceRecord>,
    pub(crate) table_length: u64,
    /// The function in each slot that element segments fill.
    pub(crate) table_numbers: Arc<Layered<Option<u32>>>,
    /// What JavaScript has put into slots, in their order.
    pub(crate) table_sets: Vec<(u32, Option<u32>)>,
}

impl Frozen {
    /// Puts what was read from a file upon the layer below; `None` if it was not made there.
    fn upon(mut self, below: Option<&Self>) -> Option<Self> {
        self.functions = Arc::into_inner(self.functions)?.upon(below.map(|b| &b.functions))?;
        self.globals = Arc::into_inner(self.globals)?.upon(below.map(|b| &b.globals))?;
        self.table_numbers = Arc::into_inner(self.table_numbers)?.upon(below.map(|b| &b.table_numbers))?;
        Some(self)
    }
}

/// An isolate's state, ready to be restored any number of times. Clones are the same snapshot.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) image: Arc<Image>,
    path: Arc<Path>,
}

/// A snapshot cannot be taken, or a file cannot be used as one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The isolate is in a state that cannot be kept.
    #[error("the isolate cannot be kept as a snapshot: {reason}")]
    NotNow {
        /// What stands in the way.
        reason: String,
    },
    /// The Worker's own code stands in the way: work goes on, or one of its hooks failed.
    #[error("the Worker cannot be kept as a snapshot")]
    Worker {
        /// The guest's report, as of a failed handler.
        report_json: String,
    },
    /// The file cannot be read or written.
    #[error("cannot access snapshot: {}", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what this installation wrote. Nothing of it was used.
    #[error("snapshot is not usable and will be made again: {} ({reason})", path.display())]
    Refused {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The guest stopped while it was being prepared.
    #[error(transparent)]
    Isolate(#[from] crate::IsolateError),
}

impl Snapshot {
    /// Opens a snapshot that this installation has written. Every byte is checked against the keyed digest before any
    /// of it is interpreted. The layer below it must be open, or the base snapshot.
    pub fn open(runtime: &Arc<Runtime>, path: &Path) -> Result<Self, SnapshotError> {
        file::open(runtime, path, |below| {
            runtime.known(below).or_else(|| {
                // Opening the base snapshot makes it known.
                runtime.base().ok()?;
                runtime.known(below)
            })
        })
    }
}

/// Notes which pages an isolate has needed since it was restored, so that the next ones get them at once.
pub(crate) fn learn(store: &Store<State>, snapshot: &Snapshot) -> Result<(), SnapshotError> {
    if snapshot.image.has_learned() {
        return Ok(());
    }
    let io_error = |source| SnapshotError::Io { path: snapshot.path.to_path_buf(), source };
    let Ok(guest) = crate::calls::guest(store) else { return Ok(()) };
    let (start, length) = (guest.memory.data_ptr(store), guest.memory.data_size(store));
    let working_set = WorkingSet::measure(start, length).map_err(io_error)?;
    snapshot.image.learn(&working_set);
    let key = store.data().runtime.key();
    working_set.save(key, &snapshot.path, &snapshot.image.digest).map_err(io_error)
}
