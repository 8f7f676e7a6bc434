//! What a snapshot's file says of itself, without running it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::image::{Digest, PAGE};
use super::working_set::WorkingSet;
use super::{Frozen, Snapshot, SnapshotError, file};
use crate::base::NoHost;
use crate::{Isolate, IsolateOptions, Runtime};

/// What a snapshot consists of.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotInfo {
    /// Version of the format.
    pub format: u32,
    /// The Pyodide release.
    pub runtime: String,
    /// Size of the linear memory, in bytes.
    pub memory_bytes: u64,
    /// The layers, the lowest first; this file is the last.
    pub layers: Vec<LayerInfo>,
    /// Memory that an isolate has written to by the end of its first request, in bytes; `None` until one was measured.
    pub working_set_bytes: Option<u64>,
    /// Native modules that were loaded above the base snapshot, which has two small ones of Pyodide's own, as they are named
    /// in the cache of compiled code.
    pub native_modules: Vec<String>,
    /// Functions that JavaScript knows.
    pub functions: usize,
    /// Globals that JavaScript knows.
    pub globals: usize,
}

/// One file of a snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct LayerInfo {
    /// The file.
    pub path: PathBuf,
    /// What identifies it.
    pub digest: String,
    /// What it stores of the memory, in bytes.
    pub stored_bytes: u64,
    /// In how many runs of pages.
    pub runs: usize,
    /// Size of the file, in bytes.
    pub file_bytes: u64,
}

/// What a Python module costs that was imported above the base snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModuleCost {
    /// Its full name.
    pub name: String,
    /// The size of Python's objects that can be reached from it and not from modules imported before, in bytes.
    pub bytes: u64,
    /// Time that its import took when the snapshot was made, without the imports within it.
    pub milliseconds: f64,
}

/// Asks an isolate of the snapshot what its modules cost; in the order in which they were imported. Needs the stack of a
/// thread with [`crate::STACK_SIZE`].
///
/// # Errors
/// When the snapshot is not for this runtime, or its isolate does not answer.
pub fn module_costs(runtime: &Arc<Runtime>, info: &SnapshotInfo) -> Result<Vec<ModuleCost>, SnapshotError> {
    // A layer is opened upon one that is open.
    let layers = info.layers.iter().map(|layer| Snapshot::open(runtime, &layer.path));
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    let snapshot =
        layers.last().ok_or_else(|| SnapshotError::NotNow { reason: "it has no layers".into() })?;
    let memory = (snapshot.image.frozen.memory_pages << 16) as usize;
    let options = IsolateOptions {
        memory_limit: memory.saturating_add(ROOM),
        request_cpu: CPU,
        boot_cpu: CPU,
        ops: Box::new(NoHost),
    };
    let json = Isolate::restore(runtime, snapshot, options, "{}")?.costs()?;
    serde_json::from_str(&json)
        .map_err(|e| SnapshotError::NotNow { reason: format!("its answer is broken: {e}") })
}

/// Memory for counting, in bytes.
const ROOM: usize = 64 << 20;

/// Counting takes a second for a hundred thousand objects.
const CPU: Duration = Duration::from_secs(60);

/// Reads a snapshot that this installation wrote; `cache_dir` has its key and the layers below. Every byte of the file is
/// checked first.
pub fn inspect(path: &Path, cache_dir: &Path) -> Result<SnapshotInfo, SnapshotError> {
    let key_path = cache_dir.join("key");
    let key = fs::read(&key_path).map_err(|source| SnapshotError::Io { path: key_path.clone(), source })?;
    let key = key.try_into().map_err(|_| SnapshotError::Refused {
        path: key_path,
        reason: "it is not the key of a cache folder",
    })?;
    let refused = |reason| SnapshotError::Refused { path: path.to_owned(), reason };
    let (_, view) = file::map(path)?;
    let parts = file::read(view.bytes(), &key).map_err(refused)?;
    let frozen = describe(path, &parts)?;
    let working_set = WorkingSet::load(&key, path, &parts.digest);
    let layer = |path: &Path, parts: &file::Parts<'_>, file_bytes: usize| LayerInfo {
        path: path.to_owned(),
        digest: hex(&parts.digest),
        stored_bytes: parts.extents.iter().map(|e| u64::from(e.pages) * PAGE as u64).sum(),
        runs: parts.extents.len(),
        file_bytes: file_bytes as u64,
    };
    let mut layers = vec![layer(path, &parts, view.bytes().len())];
    let mut below = parts.below;
    while below != [0; 32] {
        let path =
            find(cache_dir, &below).ok_or_else(|| refused("the layer below it is not in the cache"))?;
        let (_, view) = file::map(&path)?;
        let parts = file::read(view.bytes(), &key)
            .map_err(|reason| SnapshotError::Refused { path: path.clone(), reason })?;
        layers.push(layer(&path, &parts, view.bytes().len()));
        below = parts.below;
    }
    layers.reverse();
    Ok(SnapshotInfo {
        format: file::VERSION,
        memory_bytes: frozen.memory_pages << 16,
        layers,
        working_set_bytes: working_set.map(|set| set.written_bytes()),
        native_modules: frozen.modules.iter().skip(frozen.own_modules as usize).map(hex).collect(),
        functions: frozen.functions.len(),
        globals: frozen.globals.len(),
        runtime: frozen.version,
    })
}

fn describe(path: &Path, parts: &file::Parts<'_>) -> Result<Frozen, SnapshotError> {
    postcard::from_bytes(parts.description).map_err(|_| SnapshotError::Refused {
        path: path.to_owned(),
        reason: "its description cannot be read",
    })
}

fn hex(digest: &Digest) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}

/// The snapshot of this digest, in the cache folder or among the Workers' below it.
fn find(cache_dir: &Path, digest: &Digest) -> Option<PathBuf> {
    // There may be no Workers' yet.
    let folders = [cache_dir.to_owned(), cache_dir.join("workers")];
    let files = folders.into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    files
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "snapshot"))
        .find(|path| file::digest_of(path).as_ref() == Some(digest))
}
