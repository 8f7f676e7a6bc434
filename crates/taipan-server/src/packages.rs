//! A Worker's packages as a volume.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use taipan_bindings::{FileStat, Volume, read_at};
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

    fn read(&self, path: &str, position: u64, to: &mut [u8]) -> io::Result<usize> {
        let (place, size) = self.0.place(path).ok_or(ErrorKind::NotFound)?;
        // The end is looked for after each file.
        if position >= size {
            return Ok(0);
        }
        let is_whole = position == 0 && to.len() as u64 >= size;
        let file = if is_whole { open(place, size).map(Arc::new) } else { OPEN.get(place, size) };
        file.and_then(|file| read_at(&file, position, to)).inspect_err(|error| lost(path, error))
    }

    fn fixed(&self, path: &str) -> Option<(Arc<File>, u64)> {
        let (place, size) = self.0.place(path)?;
        let file = OPEN.get(place, size).inspect_err(|error| lost(path, error)).ok()?;
        Some((file, size))
    }
}

fn lost(path: &str, error: &io::Error) {
    tracing::error!("cannot read a package's file: {path}: {error}; `taipan sync` brings it back");
}

/// A file of the store, which never changes one.
fn open(place: &Path, size: u64) -> io::Result<File> {
    let file = fs_err::File::open(place)?;
    let is_whole = file.metadata()?.len() == size;
    if is_whole { Ok(file.into_parts().0) } else { Err(ErrorKind::InvalidData.into()) }
}

/// Files of which a part was read, the one that was read last at the end. Whichever Worker reads it: their places say what is in them.
struct OpenFiles(Mutex<Vec<(PathBuf, Arc<File>)>>);

/// So many stay open.
const MOST_OPEN: usize = 32;

static OPEN: OpenFiles = OpenFiles(Mutex::new(vec![]));

impl OpenFiles {
    fn get(&self, place: &Path, size: u64) -> io::Result<Arc<File>> {
        let mut known = self.0.lock();
        let found = known.iter().rposition(|(other, _)| other == place).map(|at| known.remove(at));
        let entry = match found {
            Some(entry) => entry,
            None => (place.to_owned(), Arc::new(open(place, size)?)),
        };
        let file = entry.1.clone();
        if known.len() >= MOST_OPEN {
            known.remove(0);
        }
        known.push(entry);
        Ok(file)
    }
}
