//! Why a release could not be had.

use std::io;
use std::path::PathBuf;

use super::Damage;

/// Why a release could not be had. What to do is in [`ObtainError::hint`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObtainError {
    /// The version is not in the table of releases.
    #[error("unknown release of Pyodide: {version}")]
    UnknownRelease {
        /// The version.
        version: String,
    },
    /// There is no npm client.
    #[error("{package} cannot be obtained without the npm client, and there is none")]
    NpmMissing {
        /// The package.
        package: String,
    },
    /// The npm client cannot be started.
    #[error("{package} cannot be obtained: the npm client cannot be started")]
    NpmUnusable {
        /// The package.
        package: String,
        /// Why.
        source: io::Error,
    },
    /// The npm client gave up.
    #[error("npm could not obtain {package}: {reason}")]
    NpmFailed {
        /// The package.
        package: String,
        /// npm's own words.
        reason: String,
    },
    /// The mirror's address is not one.
    #[error("not the address of a mirror: {url}")]
    InvalidUrl {
        /// The address.
        url: String,
    },
    /// The mirror did not deliver the file.
    #[error("the download failed: {url}")]
    Download {
        /// The file's address, without credentials.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What came is not the published archive.
    #[error("{origin} delivered something else than {name}: {damage}")]
    WrongArchive {
        /// Where it came from.
        origin: String,
        /// The archive's name.
        name: &'static str,
        /// The difference.
        damage: Damage,
    },
    /// The archive cannot be read.
    #[error("the archive cannot be read: {}", file.display())]
    Archive {
        /// The archive.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file in the folder that was named is not the release's.
    #[error("not the file of Pyodide {version}: {}: {damage}", file.display())]
    WrongFile {
        /// The release.
        version: &'static str,
        /// The file.
        file: PathBuf,
        /// The difference.
        damage: Damage,
    },
    /// The folder that was named holds another release.
    #[error("Pyodide {expected} is needed, and this folder holds {found}: {}", folder.display())]
    WrongRelease {
        /// The folder.
        folder: PathBuf,
        /// The release in it.
        found: String,
        /// The release that is needed.
        expected: &'static str,
    },
    /// The folder that was named is not there.
    #[error("there is no such folder: {}", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// A file in the cache is damaged, and the release could not be obtained again.
    #[error("a file in the cache is corrupted and cannot be replaced: {}: {damage}", file.display())]
    Corrupted {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        damage: Damage,
        /// Why it cannot be replaced.
        source: Box<ObtainError>,
    },
    /// The user has no cache folder.
    #[error("there is no folder for the cache")]
    NoCacheFolder,
    /// The cache cannot be written.
    #[error("the cache cannot be used: {}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ObtainError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownRelease { .. } => "update taipan",
            Self::NpmMissing { .. } => {
                "install Node.js with npm, or unpack the package elsewhere and name its folder with `--pyodide FOLDER`"
            }
            Self::NpmUnusable { .. } => "make npm runnable, or name a folder with `--pyodide FOLDER`",
            Self::NpmFailed { .. } => {
                "check the network and npm's settings (`npm config list`), or name a folder that holds the unpacked package with `--pyodide FOLDER`"
            }
            Self::InvalidUrl { .. } => "give an address that begins with http:// or https://",
            Self::Download { .. } => {
                "check the network and the address, then try again: what has arrived is kept; or name a folder with `--pyodide FOLDER`"
            }
            Self::WrongArchive { .. } => "try again; if it stays so, the source is wrong: use another one",
            Self::Archive { .. } => "try again",
            Self::WrongFile { .. } => "unpack the npm package again, or name another folder",
            Self::WrongRelease { expected, .. } => {
                return Some(format!("name a folder that holds the unpacked npm package pyodide@{expected}"));
            }
            Self::NoFolder { .. } => "name a folder that holds the unpacked npm package",
            Self::Corrupted { source, .. } => return source.hint(),
            Self::NoCacheFolder => "set TAIPAN_CACHE_DIR to a folder",
            Self::Cache { .. } => {
                "make it writable and make sure that the disk has space, or set TAIPAN_CACHE_DIR to another folder"
            }
        };
        Some(hint.to_owned())
    }
}
