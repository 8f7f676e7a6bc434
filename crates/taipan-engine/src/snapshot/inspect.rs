//! What a snapshot's file says of itself, without running it.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Serialize;

use super::image::{Digest, PAGE};
use super::working_set::WorkingSet;
use super::{Frozen, SnapshotError, file};

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
    /// JavaScript values that WebAssembly code holds.
    pub references: usize,
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
        references: frozen.references.iter().flat_map(|(_, handles)| handles).filter(|h| **h != 0).count(),
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
