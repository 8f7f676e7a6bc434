//! Where obtained files are kept.

use std::env;
use std::path::{Path, PathBuf, absolute};

use super::{ObtainError, Release};

/// The folder for everything that can be obtained or made again.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// A cache in `folder`, or else in `taipan` of the user's cache folder: `$XDG_CACHE_HOME`, or `~/.cache`. Nothing is created yet.
    ///
    /// # Errors
    /// When no folder is given and the user has none.
    pub fn new(folder: Option<PathBuf>) -> Result<Self, ObtainError> {
        let folder = match folder {
            Some(folder) => absolute(&folder).unwrap_or(folder),
            None => {
                // The XDG specification: a relative path is to be ignored.
                let xdg = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
                let home =
                    || env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".cache"));
                xdg.or_else(home).ok_or(ObtainError::NoCacheFolder)?.join("taipan")
            }
        };
        Ok(Self { folder })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a release's files are when it was obtained.
    pub fn release_folder(&self, release: &Release) -> PathBuf {
        self.pyodide().join(release.content_name())
    }

    /// The file that is locked while a release is obtained.
    pub(super) fn lock_file(&self, release: &Release) -> PathBuf {
        self.pyodide().join(format!("{}.lock", release.content_name()))
    }

    /// Where a release is put together; it belongs to the holder of the lock.
    pub(super) fn partial_folder(&self, release: &Release) -> PathBuf {
        self.pyodide().join(format!("{}.partial", release.content_name()))
    }

    fn pyodide(&self) -> PathBuf {
        self.folder.join("pyodide")
    }
}
