//! Why packages could not be had.

use std::io;
use std::path::PathBuf;

/// Why packages could not be had. What to do is in [`PackageError::hint`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// There is no uv.
    #[error("packages cannot be resolved without uv, and there is none")]
    UvMissing,
    /// uv cannot be started.
    #[error("uv cannot be started: {}", program.display())]
    UvUnusable {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The requirements cannot be met.
    #[error("the requirements cannot be met: {reason}")]
    Unsatisfiable {
        /// uv's own words.
        reason: String,
    },
    /// Packages have no wheel that fits.
    #[error("no build for Python {python} on {platform}: {}", packages.join(", "))]
    NoBuild {
        /// Their names and versions.
        packages: Vec<String>,
        /// The version of Python.
        python: String,
        /// The platform's tag.
        platform: String,
        /// What else is known: which Python or version has one, and why other ways did not help.
        notes: Vec<String>,
    },
    /// No wheel could be built of a package's source.
    #[error("no wheel can be built of the source of {package}: {reason}")]
    Unbuildable {
        /// The package.
        package: String,
        /// uv's own words.
        reason: String,
    },
    /// uv could not obtain a wheel.
    #[error("packages cannot be obtained: {reason}")]
    Download {
        /// uv's own words.
        reason: String,
    },
    /// A shared library that a package needs could not be obtained.
    #[error("cannot obtain the library {library}, which {package} needs: {reason}")]
    Library {
        /// Its name and version.
        library: String,
        /// The package.
        package: String,
        /// Where it was looked for, and what happened.
        reason: String,
    },
    /// It cannot be said which shared libraries packages need.
    #[error("cannot read Pyodide's list of libraries: {reason}")]
    Libraries {
        /// Why.
        reason: String,
    },
    /// The manifest cannot be understood.
    #[error("cannot read the requirements: {}: {reason}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What was asked for is no requirement.
    #[error("not a requirement: {text}")]
    NotARequirement {
        /// The text.
        text: String,
    },
    /// A package to remove is not there.
    #[error("not a direct dependency in {}: {name}", path.display())]
    NotDeclared {
        /// The manifest.
        path: PathBuf,
        /// The package.
        name: String,
    },
    /// The lock file cannot be understood.
    #[error("cannot use the lock file: {}: {reason}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What a wheel holds is not to be unpacked.
    #[error("the wheel of {package} is refused: {reason}")]
    Refused {
        /// The package.
        package: String,
        /// Why.
        reason: String,
    },
    /// What uv was to unpack is larger than it may be.
    #[error("{} larger than {} MiB: {said}", if *is_file { "a file in a package is" } else { "unpacked, packages are" }, most >> 20)]
    Expands {
        /// uv's own words.
        said: String,
        /// The bound, in bytes.
        most: u64,
        /// Whether it is that of a single file.
        is_file: bool,
    },
    /// A file or folder cannot be used.
    #[error("cannot use: {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PackageError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UvMissing => "install it, for example with: python3 -m pip install uv".into(),
            Self::UvUnusable { .. } => {
                "make it runnable, or install it anew: python3 -m pip install --upgrade uv".into()
            }
            Self::Unsatisfiable { .. } => "relax a requirement, or remove one".into(),
            Self::NoBuild { notes, .. } => {
                let why = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
                format!(
                    "require a version that has one, or name an index or a folder of wheels that has it with \
                     --package-index{why}"
                )
            }
            Self::Unbuildable { .. } => {
                "name a folder of wheels that has it with --package-index; sources with native code cannot be built".into()
            }
            Self::Download { .. } => {
                "check the network and uv's settings, then try again: what has arrived is kept".into()
            }
            Self::Manifest { .. } => "correct the file".into(),
            Self::Library { .. } => {
                "check the network, or name a folder that has the file, and the wheels, with --package-index".into()
            }
            Self::Libraries { .. } => "make Pyodide's files available: --pyodide names a folder or a mirror".into(),
            Self::NotARequirement { .. } => "write a name, or a name with versions: httpx>=0.28".into(),
            Self::NotDeclared { .. } => "`taipan tree` shows what is there, `taipan why` who needs it".into(),
            Self::Lock { .. } => "make it anew: taipan lock --upgrade".into(),
            Self::Expands { .. } => "find out which of the requirements it is, and use another version".into(),
            Self::Refused { .. } => "use another version, and tell those who publish it".into(),
            Self::Io { .. } => "make it writable and make sure that the disk has space".into(),
        })
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }
}
