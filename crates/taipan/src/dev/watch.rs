//! Notices that the Worker's files have changed.
//!
//! Folders are watched one by one, because a recursive watch would take in `node_modules` and the like, which have more
//! folders than the system has watches. That something *happened* is all that is passed on: whoever is told reads the
//! files again and compares.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::sources::is_ignored;

/// Editors save in several steps; a change is passed on when nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(40);

/// Watches folders for changes.
pub(crate) struct Watcher {
    watcher: RecommendedWatcher,
    events: mpsc::UnboundedReceiver<()>,
    watched: HashSet<PathBuf>,
}

impl Watcher {
    /// A watcher that watches nothing yet.
    pub(crate) fn new() -> notify::Result<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Reading is no change; an error may hide one.
            if event.map_or(true, |e| !matches!(e.kind, EventKind::Access(_))) {
                // Nobody listens any more when the program ends.
                let _ended = sender.send(());
            }
        })?;
        Ok(Self { watcher, events, watched: HashSet::new() })
    }

    /// Watches `tree` with the folders in it, and the folder `alone` without its own; call it again when folders may
    /// have come or gone.
    pub(crate) fn watch(&mut self, tree: &Path, alone: &Path) {
        let mut wanted: HashSet<PathBuf> = HashSet::from([alone.to_owned()]);
        add_folders(tree, &mut wanted);
        for gone in self.watched.difference(&wanted) {
            // The system has dropped it already when the folder was removed.
            drop(self.watcher.unwatch(gone));
        }
        self.watched.retain(|folder| wanted.contains(folder));
        for folder in wanted {
            // A folder that was removed in the meantime is not worth a word, and will be tried again.
            if !self.watched.contains(&folder)
                && self.watcher.watch(&folder, RecursiveMode::NonRecursive).is_ok()
            {
                self.watched.insert(folder);
            }
        }
    }

    /// Waits until something has changed and calm has returned.
    pub(crate) async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            return std::future::pending().await;
        }
        while let Ok(Some(())) = timeout(QUIET, self.events.recv()).await {}
    }
}

fn add_folders(folder: &Path, to: &mut HashSet<PathBuf>) {
    to.insert(folder.to_owned());
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && !entry.file_name().to_str().is_none_or(is_ignored) {
            add_folders(&entry.path(), to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn notices(watcher: &mut Watcher) -> bool {
        timeout(Duration::from_secs(10), watcher.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn changes_in_old_and_new_folders_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("node_modules/x")).unwrap();
        fs::write(root.join("a.py"), "1").unwrap();
        let mut watcher = Watcher::new().unwrap();
        watcher.watch(root, root);
        assert_eq!(watcher.watched.len(), 1);

        fs::write(root.join("a.py"), "2").unwrap();
        assert!(notices(&mut watcher).await);
        fs::create_dir_all(root.join("lib")).unwrap();
        assert!(notices(&mut watcher).await);
        watcher.watch(root, root);
        fs::write(root.join("lib/b.py"), "3").unwrap();
        assert!(notices(&mut watcher).await);

        fs::write(root.join("node_modules/x/c.py"), "4").unwrap();
        assert!(timeout(QUIET * 5, watcher.changed()).await.is_err(), "ignored folders make no noise");
    }
}
