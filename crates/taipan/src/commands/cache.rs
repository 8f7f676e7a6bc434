//! `taipan cache`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;
use fs_err as fs;
use taipan_packages::pyodide::{Cache, ObtainError};

use crate::cli::{CacheArgs, CacheCommand};
use crate::report::hinted;

/// What a file of the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Download,
    Code,
    Base,
    Packages,
    Worker,
    /// The key, locks: never removed.
    Other,
}

impl Kind {
    fn of(path: &Path) -> Self {
        let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
        let name = name.strip_suffix(".mac").or(name.strip_suffix(".pages")).unwrap_or(&name);
        match name.rsplit_once('.') {
            Some((_, "cwasm" | "first")) => Self::Code,
            Some((stem, "snapshot")) if stem.starts_with("base-") => Self::Base,
            Some((stem, "snapshot")) if stem.starts_with("packages-") => Self::Packages,
            Some((_, "snapshot")) => Self::Worker,
            _ if path.components().any(|c| c.as_os_str() == "pyodide") => Self::Download,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Download => "Pyodide",
            Self::Code => "compiled code",
            Self::Base => "base snapshots",
            Self::Packages => "snapshots of packages",
            Self::Worker => "snapshots of Workers",
            Self::Other => "other",
        }
    }
}

struct Entry {
    path: PathBuf,
    kind: Kind,
    bytes: u64,
    used: SystemTime,
}

pub(crate) fn run(args: CacheArgs) -> Result<ExitCode> {
    let cache = Cache::new(args.cache_dir).map_err(|e| hinted(e, ObtainError::hint))?;
    let mut entries = vec![];
    collect(cache.folder(), &mut entries)?;
    match args.command {
        None => show(cache.folder(), &entries),
        Some(CacheCommand::Prune { all: true, .. }) => prune(entries, 0),
        Some(CacheCommand::Prune { max_size, .. }) => prune(entries, max_size.saturating_mul(1 << 20)),
    }
    Ok(ExitCode::SUCCESS)
}

fn collect(folder: &Path, entries: &mut Vec<Entry>) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            collect(&entry.path(), entries)?;
        } else {
            let path = entry.path();
            // Reading is noted by most file systems once a day, writing always.
            let used = metadata.accessed().into_iter().chain(metadata.modified()).max();
            let used = used.unwrap_or(SystemTime::UNIX_EPOCH);
            entries.push(Entry { kind: Kind::of(&path), path, bytes: metadata.len(), used });
        }
    }
    Ok(())
}

fn show(folder: &Path, entries: &[Entry]) {
    println!("{}", folder.display());
    let mut kinds: BTreeMap<Kind, (usize, u64)> = BTreeMap::new();
    for entry in entries {
        let (files, bytes) = kinds.entry(entry.kind).or_default();
        *files += 1;
        *bytes += entry.bytes;
    }
    for (kind, (files, bytes)) in &kinds {
        println!("{:<22} {files:>5} files {:>10}", kind.name(), size(*bytes));
    }
    let files = entries.len();
    println!("{:<22} {files:>5} files {:>10}", "in all", size(entries.iter().map(|e| e.bytes).sum()));
}

/// Removes files until what is left is not larger than `most`. A process that uses one has it open, and keeps it.
fn prune(mut entries: Vec<Entry>, most: u64) {
    let mut left: u64 = entries.iter().map(|e| e.bytes).sum();
    // A snapshot of a Worker is made again in a moment, compiled code takes seconds.
    entries.sort_by_key(|e| (std::cmp::Reverse(e.kind == Kind::Worker), e.used));
    let (mut files, mut bytes) = (0usize, 0u64);
    for entry in entries {
        if left <= most {
            break;
        }
        if matches!(entry.kind, Kind::Download | Kind::Other) {
            continue;
        }
        match fs::remove_file(&entry.path) {
            Ok(()) => {
                left = left.saturating_sub(entry.bytes);
                bytes += entry.bytes;
                files += 1;
            }
            Err(error) => eprintln!("warning: {error}"),
        }
    }
    println!("Removed {files} files, {}; left: {}", size(bytes), size(left));
}

/// A number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut entries = vec![];
        collect(folder, &mut entries).unwrap();
        let name = |e: &Entry| e.path.strip_prefix(folder).unwrap().display().to_string();
        let mut names: Vec<_> = entries.iter().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn prune_spares_downloads_and_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            "key",
            "pyodide/314.0.7/pyodide.mjs",
            "ab.cwasm",
            "ab.cwasm.mac",
            "ab.first",
            "base-1.snapshot",
            "workers/packages-2.snapshot",
            "workers/3.snapshot",
            "workers/3.snapshot.pages",
        ];
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, [0; 1000]).unwrap();
        }
        let entries = || {
            let mut entries = vec![];
            collect(folder.path(), &mut entries).unwrap();
            entries
        };
        prune(entries(), 9000);
        assert_eq!(names(folder.path()).len(), files.len());
        // Snapshots of Workers go first.
        prune(entries(), 7000);
        assert!(names(folder.path()).iter().all(|name| !name.starts_with("workers/3")));
        prune(entries(), 0);
        assert_eq!(names(folder.path()), ["key", "pyodide/314.0.7/pyodide.mjs"]);
    }

    #[test]
    fn sizes() {
        assert_eq!([size(5), size(2048), size(3 << 20)], ["5 B", "2 KiB", "3.0 MiB"]);
    }
}
