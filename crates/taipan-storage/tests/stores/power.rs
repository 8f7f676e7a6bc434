//! The power fails: of what a process has written, only what it has synced is there.
//!
//! A library in the process (`durable.c`) notes what each sync makes certain; when the process has been killed, a folder is made of
//! that and of nothing else. Names count as well: a file whose folder was not synced is not there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use tempfile::TempDir;

/// A disk of which only certain bytes remain.
pub(crate) struct Disk {
    temp: TempDir,
    library: PathBuf,
    round: usize,
}

/// Files of a folder: their inodes.
type Names = BTreeMap<OsString, u64>;

impl Disk {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let library = temp.path().join("durable.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/durable.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status()
            .unwrap();
        assert!(built.success());
        fs::create_dir_all(temp.path().join("0")).unwrap();
        Self { temp, library, round: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(format!("{}{name}", self.round))
    }

    /// Lets `run` have a process write, with these variables set, until it is killed. Gives a copy of what is left.
    pub(crate) fn fail_under<T>(&mut self, run: impl FnOnce(&Path, &[(&str, &Path)]) -> T) -> (T, PathBuf) {
        let (disk, before, notes) = (self.path(""), self.path("-before"), self.path("-notes"));
        copy(&disk, &before);
        fs::create_dir_all(&notes).unwrap();
        let known: BTreeMap<PathBuf, Names> =
            folders(&disk).into_iter().map(|folder| (below(&folder, &disk), names(&folder))).collect();
        let done = run(&disk, &[("LD_PRELOAD", &self.library), ("DURABLE_NOTES", &notes)]);
        self.round += 1;
        let (left, seen) = (self.path(""), self.path("-seen"));
        for folder in folders(&disk) {
            let inside = below(&folder, &disk);
            fs::create_dir_all(left.join(&inside)).unwrap();
            let was = known.get(&inside).cloned().unwrap_or_default();
            let inode = fs::metadata(&folder).unwrap().ino();
            let listed = match fs::read_to_string(notes.join(format!("d{inode}"))) {
                Ok(text) => text.lines().map(entry).collect(),
                Err(_) => was.clone(),
            };
            for (name, inode) in listed {
                let to = left.join(&inside).join(&name);
                let note = notes.join(format!("f{inode}"));
                if note.exists() {
                    fs::copy(note, to).unwrap();
                } else if was.get(&name) == Some(&inode) {
                    fs::copy(before.join(&inside).join(&name), to).unwrap();
                } else {
                    fs::write(to, "").unwrap();
                }
            }
        }
        copy(&left, &seen);
        fs::remove_dir_all(disk).unwrap();
        fs::remove_dir_all(before).unwrap();
        fs::remove_dir_all(notes).unwrap();
        (done, seen)
    }
}

fn entry(line: &str) -> (OsString, u64) {
    let (inode, name) = line.split_once(' ').unwrap();
    (name.into(), inode.parse().unwrap())
}

fn below(folder: &Path, root: &Path) -> PathBuf {
    folder.strip_prefix(root).unwrap().to_owned()
}

/// The folder and those in it.
fn folders(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(folders(&entry.path()));
        }
    }
    found
}

fn names(folder: &Path) -> Names {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|entry| (entry.file_name(), entry.metadata().unwrap().ino())).collect()
}

fn copy(from: &Path, to: &Path) {
    for folder in folders(from) {
        let target = to.join(below(&folder, from));
        fs::create_dir_all(&target).unwrap();
        for name in names(&folder).keys() {
            fs::copy(folder.join(name), target.join(name)).unwrap();
        }
    }
}
