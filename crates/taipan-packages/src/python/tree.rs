//! The files of a set of packages, as a Worker sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoredWheel;

/// The files of several wheels as one read-only tree. Nothing is copied: it knows where the store has them.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct PackageTree {
    name: String,
    files: BTreeMap<String, File>,
    folders: BTreeMap<String, BTreeSet<String>>,
    /// Names, and the sizes of what is used of them in bytes.
    packages: Vec<(String, u64)>,
}

#[derive(Debug, Deserialize, Serialize)]
struct File {
    place: PathBuf,
    size: u64,
    /// Which of the packages has it.
    package: usize,
}

impl PackageTree {
    /// The files of `wheels`; where two have a file at the same path, the first wins.
    pub fn new(wheels: &[StoredWheel]) -> Self {
        Self::without(wheels, |_| false)
    }

    /// The same without the files whose paths are excluded.
    pub fn without(wheels: &[StoredWheel], is_excluded: impl Fn(&str) -> bool) -> Self {
        let mut tree = Self::default();
        tree.folders.insert(String::new(), BTreeSet::new());
        for wheel in wheels {
            tree.name.push_str(wheel.sha256());
            let mut sum = 0;
            for (path, size) in wheel.files() {
                if is_excluded(path) {
                    // Others may be excluded the next time.
                    tree.name.push('-');
                    tree.name.push_str(path);
                } else if !tree.files.contains_key(path) {
                    let package = tree.packages.len();
                    tree.insert(path, File { place: wheel.place(path), size, package });
                    sum += size;
                }
            }
            tree.packages.push((wheel.name().to_owned(), sum));
        }
        tree
    }

    /// Files of packages that lie somewhere else than in a store: the names of the packages, and the paths, places and sizes of their
    /// files. `name` must be another one for other files; where two packages have a file at the same path, the first wins.
    pub fn placed<'a, F>(name: String, packages: impl IntoIterator<Item = (&'a str, F)>) -> Self
    where
        F: IntoIterator<Item = (&'a str, PathBuf, u64)>,
    {
        let mut tree = Self { name, ..Self::default() };
        tree.folders.insert(String::new(), BTreeSet::new());
        for (package, files) in packages {
            let mut sum = 0;
            for (path, place, size) in files {
                if !tree.files.contains_key(path) {
                    tree.insert(path, File { place, size, package: tree.packages.len() });
                    sum += size;
                }
            }
            tree.packages.push((package.to_owned(), sum));
        }
        tree
    }

    /// All files: the names of their packages, their paths, where they lie, and their sizes in bytes.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str, &Path, u64)> {
        self.files.iter().map(|(path, file)| {
            let package = self.packages.get(file.package).map_or("", |(name, _)| name);
            (package, path.as_str(), file.place.as_path(), file.size)
        })
    }

    fn insert(&mut self, path: &str, file: File) {
        self.files.insert(path.to_owned(), file);
        self.enter(path);
    }

    /// The names of the packages, and the sizes of what is used of them in bytes.
    pub fn packages(&self) -> impl Iterator<Item = (&str, u64)> {
        self.packages.iter().map(|(name, size)| (name.as_str(), *size))
    }

    /// Makes the folders above a path, and the path known to them.
    fn enter(&mut self, path: &str) {
        let mut below = path;
        loop {
            let (folder, name) = below.rsplit_once('/').unwrap_or(("", below));
            let known = self.folders.contains_key(folder);
            self.folders.entry(folder.to_owned()).or_default().insert(name.to_owned());
            if known || folder.is_empty() {
                return;
            }
            below = folder;
        }
    }

    /// Says what is in it: trees with different files have different names.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether there is a file at the path, which is relative and has `/`.
    pub fn has_file(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Whether there is a folder at the path.
    pub fn has_folder(&self, path: &str) -> bool {
        self.folders.contains_key(path)
    }

    /// The size in bytes of the file at the path.
    pub fn size(&self, path: &str) -> Option<u64> {
        self.files.get(path).map(|file| file.size)
    }

    /// The files with native code for the sandbox, and their sizes in bytes.
    pub fn native(&self) -> impl Iterator<Item = (&Path, u64)> {
        let native = self.files.iter().filter(|(path, _)| path.ends_with(".so"));
        native.map(|(_, file)| (file.place.as_path(), file.size))
    }

    /// The names in a folder.
    pub fn list(&self, path: &str) -> Option<impl Iterator<Item = &str>> {
        self.folders.get(path).map(|names| names.iter().map(String::as_str))
    }

    /// Where the store has the file at the path, and its size in bytes.
    pub fn place(&self, path: &str) -> Option<(&Path, u64)> {
        self.files.get(path).map(|file| (file.place.as_path(), file.size))
    }
}
