//! Comparing files with the table.
//!
//! All files are read and hashed at every start: about 14 ms for the 13.5 MB of a release, on a processor with SHA instructions
//! (`tests/npm.rs` prints it). Sizes and a marker file would be quicker and would not notice a flipped bit, which in these
//! files means a Python that is wrong somewhere.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Artifact, Release};

/// What is wrong with a file.
#[derive(Debug)]
pub enum Damage {
    /// It is not there.
    Missing,
    /// It has this many bytes instead of the expected number.
    Size {
        /// The size it has.
        found: u64,
        /// The size it should have.
        expected: u64,
    },
    /// It has another content; the digests are SHA-256.
    Digest {
        /// The digest it has.
        found: String,
        /// The digest it should have.
        expected: &'static str,
    },
    /// It cannot be read.
    Unreadable(io::Error),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is missing"),
            Self::Size { found, expected } => write!(f, "it has {found} bytes instead of {expected}"),
            Self::Digest { found, expected } => {
                write!(f, "its SHA-256 digest is {found} instead of {expected}")
            }
            Self::Unreadable(error) => write!(f, "it cannot be read: {error}"),
        }
    }
}

/// The first file of `release` in `folder` that is not as it should be.
pub(super) fn damaged_file(release: &Release, folder: &Path) -> Option<(PathBuf, Damage)> {
    release.files.iter().find_map(|artifact| {
        let file = folder.join(artifact.name);
        check(artifact, &file).err().map(|damage| (file, damage))
    })
}

/// Compares a file with what it must be.
pub(super) fn check(artifact: &Artifact, file: &Path) -> Result<(), Damage> {
    let unreadable = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => Damage::Missing,
        _ => Damage::Unreadable(error),
    };
    // The size first: a truncated file needs no digest, and a huge one is not read.
    let found = fs_err::metadata(file).map_err(unreadable)?.len();
    if found != artifact.size {
        return Err(Damage::Size { found, expected: artifact.size });
    }
    let mut reader = fs_err::File::open(file).map_err(unreadable)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = reader.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        digest.update(buffer.get(..read).unwrap_or_default());
    }
    let found = format!("{:x}", digest.finalize());
    if found == artifact.sha256 { Ok(()) } else { Err(Damage::Digest { found, expected: artifact.sha256 }) }
}
