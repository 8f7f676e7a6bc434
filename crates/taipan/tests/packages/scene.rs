//! Projects that know no index but one of ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use taipan_testkit::index::Index;

use crate::project::{Ended, Project, cache_without_packages, wait};

/// A project, and an index of ours to which uv is led as its users lead it.
pub(crate) struct Scene {
    pub(crate) project: Project,
    pub(crate) cache: tempfile::TempDir,
    /// uv's cache, and an empty folder of wheels, so that no index of this machine's is asked.
    pub(crate) own: tempfile::TempDir,
    pub(crate) index: Arc<Index>,
}

impl Scene {
    pub(crate) fn new(requirements: &str) -> Self {
        Self::with(requirements, Arc::new(Index::start().unwrap()))
    }

    /// Another machine, as far as that goes, with the same index.
    pub(crate) fn with(requirements: &str, index: Arc<Index>) -> Self {
        let scene = Self {
            project: Project::new(),
            cache: cache_without_packages(),
            own: tempfile::tempdir().unwrap(),
            index,
        };
        fs_err::write(scene.project.path("requirements.txt"), requirements).unwrap();
        scene
    }

    /// A command without settings of its own for where packages come from.
    pub(crate) fn bare(&self, program: &Path) -> Command {
        let mut command = self.project.command(program, self.cache.path());
        for name in ["UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "PIP_FIND_LINKS"] {
            command.env_remove(name);
        }
        command
            .env("UV_CACHE_DIR", self.own.path().join("uv"))
            .env("UV_HTTP_RETRIES", "0")
            .env("TAIPAN_PACKAGE_INDEX", self.own.path());
        command
    }

    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = self.bare(program);
        command.env("UV_DEFAULT_INDEX", self.index.url());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        wait(self.command(Path::new(env!("CARGO_BIN_EXE_taipan"))).args(arguments).spawn().unwrap())
    }

    /// Runs it successfully.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended
    }

    /// Runs it in vain: what it says.
    pub(crate) fn fail(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("\nhint: "), "{}", ended.stderr);
        ended.stderr
    }

    /// Folders in the store, each of which must be whole.
    pub(crate) fn stored(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs_err::read_dir(self.cache.path().join("packages")) else { return vec![] };
        let folders = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        let folders: Vec<_> = folders.filter(|path| !path.ends_with(".builds")).collect();
        for folder in &folders {
            assert!(folder.join("index.json").is_file(), "not whole: {}", folder.display());
        }
        folders
    }
}

/// All that is in a folder, but folders.
pub(crate) fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if fs_err::symlink_metadata(&path).unwrap().is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}
