//! The Workers' snapshots on disk: a cache, which may lose any file at any time.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use fs_err as fs;
use taipan_engine::{Runtime, Snapshot, SnapshotError};

/// All files together are not larger, but for the newest one. Saving a file in `dev` leaves a snapshot behind each time.
const MOST: u64 = 1 << 30;

/// The folder of the Workers' snapshots.
pub(crate) struct SnapshotStore {
    folder: PathBuf,
}

impl SnapshotStore {
    pub(crate) fn new(runtime: &Runtime) -> Self {
        Self { folder: runtime.cache_dir().join("workers") }
    }

    /// Where the snapshot of this name is, or will be.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.snapshot"))
    }

    /// Where it is written what was learned of a snapshot of packages.
    pub(crate) fn list(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.imports"))
    }

    /// A snapshot from an earlier run. None: it has to be made.
    pub(crate) fn open(&self, runtime: &Arc<Runtime>, path: &Path) -> Option<Snapshot> {
        match Snapshot::open(runtime, path) {
            Ok(snapshot) => Some(snapshot),
            Err(SnapshotError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!("{error}");
                None
            }
        }
    }

    /// Removes the files that have not been used for longest when there are too many, on a thread of its own: somebody waits
    /// for the isolate. Isolates that run keep what they need: their process has the file open. What the newest one lies above
    /// (`below`) is about to be opened by another process.
    pub(crate) fn prune(self, below: Option<PathBuf>) {
        let work = move || prune(&self.folder, MOST, below.as_deref());
        // Without a thread to do it, the next time will do.
        drop(thread::Builder::new().name("prune".into()).spawn(work));
    }
}

fn prune(folder: &Path, most: u64, below: Option<&Path>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    // What lies beside a snapshot goes with it: by itself, it is of no use.
    let mut groups: HashMap<PathBuf, Group> = HashMap::new();
    for entry in entries.flatten() {
        let Ok(data) = entry.metadata() else { continue };
        let Ok(used) = data.modified() else { continue };
        let path = entry.path();
        let snapshot = if path.extension().is_some_and(|e| e == "pages" || e == "checked") {
            path.with_extension("")
        } else {
            path.clone()
        };
        let group = groups.entry(snapshot).or_insert_with(|| Group { used, size: 0, files: vec![] });
        group.used = group.used.max(used);
        group.size = group.size.saturating_add(data.len());
        group.files.push(path);
    }
    let mut groups: Vec<(PathBuf, Group)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| Reverse(group.used));
    let mut sum = 0_u64;
    for (index, (path, group)) in groups.iter().enumerate() {
        sum = sum.saturating_add(group.size);
        if index > 0 && sum > most && Some(path.as_path()) != below {
            for file in &group.files {
                // Somebody else may have removed it.
                drop(fs::remove_file(file));
            }
        }
    }
}

/// A snapshot and what lies beside it.
struct Group {
    used: SystemTime,
    size: u64,
    files: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_files_go_first_and_the_newest_never() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        // The working set is written later than its snapshot, which is noted to be used later still, or never again.
        for (name, age) in [
            ("new", 0),
            ("middle", 10),
            ("middle.pages", 15),
            ("old", 20),
            ("new.pages", 30),
            ("old.pages", 12),
        ] {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            file.set_len(100).unwrap();
            file.into_parts().0.set_modified(now - Duration::from_secs(age)).unwrap();
        }
        let left = |most, below: Option<&str>| {
            prune(folder.path(), most, below.map(|name| folder.path().join(name)).as_deref());
            let names = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(left(600, None), "middle middle.pages new new.pages old old.pages");
        assert_eq!(left(500, None), "middle middle.pages new new.pages");
        assert_eq!(left(0, Some("middle")), "middle middle.pages new new.pages");
        assert_eq!(left(0, None), "new new.pages");
    }
}
