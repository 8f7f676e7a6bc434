//! A Worker's packages as a volume.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use taipan_bindings::{FileStat, Volume};
use taipan_packages::python::PackageTree;

/// The packages of a Worker, for its isolates to read.
pub struct PackageVolume(pub Arc<PackageTree>);

/// The same on every machine, as what comes of it is kept in snapshots: the first time that archives of wheels can hold.
pub(crate) const MODIFIED_MS: u64 = 315_532_800_000;

impl Volume for PackageVolume {
    fn stat(&self, path: &str) -> io::Result<FileStat> {
        let size = self.0.size(path);
        if size.is_none() && !self.0.has_folder(path) {
            return Err(ErrorKind::NotFound.into());
        }
        Ok(FileStat { is_folder: size.is_none(), size: size.unwrap_or(0), modified_ms: MODIFIED_MS })
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let names = self.0.list(path).ok_or(ErrorKind::NotFound)?;
        Ok(names.map(str::to_owned).collect())
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.read(path).inspect_err(|error| {
            if self.0.has_file(path) {
                tracing::error!(
                    "cannot read a package's file: {path}: {error}; `taipan sync` brings it back"
                );
            }
        })
    }
}
