//! Notices that the Worker's files have changed.
//!
//! Folders are watched one by one, because a recursive watch would take in `node_modules` and the like, which have more
//! folders than the system has watches. That something *happened* is all that is passed on: whoever is told reads the
//! files again and compares.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::project::sources::is_ignored;

/// Editors save in several steps: a change is passed on when nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(40);

/// The same after a step that is usually the last: a file that was written is closed, or renamed to its final name. Long
/// enough for the next of several files.
const QUIET_AT_END: Duration = Duration::from_millis(3);

/// One step of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A file may be half-written, or gone for a moment.
    Middle,
    /// The file is as it is meant to be.
    End,
}

impl Step {
    fn of(kind: EventKind) -> Option<Self> {
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => Some(Self::End),
            // Reading is no change.
            EventKind::Access(_) => None,
            _ => Some(Self::Middle),
        }
    }
}

/// Watches folders for changes.
pub(crate) struct Watcher {
    watcher: RecommendedWatcher,
    events: mpsc::UnboundedReceiver<Step>,
    watched: HashSet<PathBuf>,
}

impl Watcher {
    /// A watcher that watches nothing yet.
    pub(crate) fn new() -> notify::Result<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may hide a change.
            if let Some(step) = event.map_or(Some(Step::Middle), |e| Step::of(e.kind)) {
                // Nobody listens any more when the program ends.
                let _ended = sender.send(step);
            }
        })?;
        Ok(Self { watcher, events, watched: HashSet::new() })
    }

    /// Watches `trees` with the folders in them, and the folder `alone` without its own; call it again when folders may
    /// have come or gone.
    pub(crate) fn watch(&mut self, trees: &[PathBuf], alone: &Path) {
        let mut wanted: HashSet<PathBuf> = HashSet::from([alone.to_owned()]);
        trees.iter().for_each(|tree| add_folders(tree, &mut wanted));
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
        let Some(mut last) = self.events.recv().await else {
            return std::future::pending().await;
        };
        let quiet = |step| if step == Step::End { QUIET_AT_END } else { QUIET };
        while let Ok(Some(step)) = timeout(quiet(last), self.events.recv()).await {
            last = step;
        }
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
    use std::io::Write as _;

    use super::*;

    async fn notices(watcher: &mut Watcher) -> bool {
        timeout(Duration::from_secs(10), watcher.changed()).await.is_ok()
    }

    /// Half of a file must not be read: the change is over when the file is closed.
    #[tokio::test]
    async fn a_file_that_is_being_written_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut watcher = Watcher::new().unwrap();
        watcher.watch(&[folder.path().to_owned()], folder.path());
        let path = folder.path().join("a.py");
        let writer = tokio::task::spawn_blocking(move || {
            let mut file = fs::File::create(path).unwrap();
            for _ in 0..10 {
                file.write_all(b"x = 1\n").unwrap();
                // Longer than the wait after an end, shorter than the wait in the middle.
                std::thread::sleep(QUIET_AT_END * 3);
            }
        });
        assert!(notices(&mut watcher).await);
        assert_eq!(fs::read_to_string(folder.path().join("a.py")).unwrap().lines().count(), 10);
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn changes_in_old_and_new_folders_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("node_modules/x")).unwrap();
        fs::write(root.join("a.py"), "1").unwrap();
        let mut watcher = Watcher::new().unwrap();
        watcher.watch(&[root.to_owned()], root);
        assert_eq!(watcher.watched.len(), 1);

        fs::write(root.join("a.py"), "2").unwrap();
        assert!(notices(&mut watcher).await);
        fs::create_dir_all(root.join("lib")).unwrap();
        assert!(notices(&mut watcher).await);
        watcher.watch(&[root.to_owned()], root);
        fs::write(root.join("lib/b.py"), "3").unwrap();
        assert!(notices(&mut watcher).await);

        fs::write(root.join("node_modules/x/c.py"), "4").unwrap();
        assert!(timeout(QUIET * 5, watcher.changed()).await.is_err(), "ignored folders make no noise");
    }
}
