//! What a program of `taipan python` can import beside its own files: the packages of the project in its folder, and the modules of the
//! standard library that the release has beside it. Which of these it needs is known when it imports them, so they come then.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use taipan_bindings::{FileStat, Volume};
use taipan_packages::python::{Lock, PackageTree, StoredWheel};
use taipan_server::PackageVolume;

use crate::packages::{Packages, with_advice};
use crate::release;
use crate::settings::PythonSettings;

/// Packages that become more.
pub(crate) struct Importable {
    settings: PythonSettings,
    folder: PathBuf,
    state: Mutex<State>,
}

struct State {
    wheels: Vec<StoredWheel>,
    tree: Arc<PackageTree>,
}

impl State {
    fn new(wheels: Vec<StoredWheel>) -> Self {
        let tree = Arc::new(PackageTree::new(&wheels));
        Self { wheels, tree }
    }
}

impl Importable {
    /// Nothing of the project in `folder`.
    pub(crate) fn nothing(settings: PythonSettings, folder: PathBuf) -> Self {
        Self { settings, folder, state: Mutex::new(State::new(vec![])) }
    }

    /// The packages of the project in `folder`, obtained if that is a Worker's, or if they are locked. Those for another Python are none.
    pub(crate) fn of_project(settings: PythonSettings, folder: PathBuf) -> Result<Self> {
        let mut found = Self::nothing(settings, folder);
        let is_managed = release::has_worker(&found.folder) || Lock::is_in(&found.folder);
        if is_managed && release::of_folder(&found.folder)?.version == found.settings.release.version {
            let wheels = found.packages().wheels(&|line| eprintln!("note: {line}"))?;
            found.state = Mutex::new(State::new(wheels));
        }
        Ok(found)
    }

    fn packages(&self) -> Packages<'_> {
        let PythonSettings { packages, release, releases, .. } = &self.settings;
        Packages { folder: &self.folder, settings: packages, release, releases }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that there is now.
    pub(crate) fn tree(&self) -> Arc<PackageTree> {
        self.state().tree.clone()
    }

    fn volume(&self) -> PackageVolume {
        PackageVolume(self.tree())
    }

    /// Has a module of the standard library come to the others.
    pub(crate) fn obtain(&self, module: &str) -> io::Result<()> {
        let mut state = self.state();
        let mut wheels = std::mem::take(&mut state.wheels);
        let added = self.packages().add_standard(&mut wheels, module, "the program");
        *state = State::new(wheels);
        added.map_err(|error| io::Error::other(with_advice(&error)))
    }
}

impl Volume for Importable {
    fn stat(&self, path: &str) -> io::Result<FileStat> {
        self.volume().stat(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.volume().list(path)
    }

    fn read(&self, path: &str, position: u64, to: &mut [u8]) -> io::Result<usize> {
        self.volume().read(path, position, to)
    }

    fn fixed(&self, path: &str) -> Option<(Arc<File>, u64)> {
        self.volume().fixed(path)
    }
}
