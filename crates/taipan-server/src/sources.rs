//! A Worker's own files as a volume.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use taipan_bindings::{FileStat, Volume};
use taipan_engine::Source;

use crate::packages::MODIFIED_MS;

/// The files of a Worker, for its isolates to read.
#[derive(Debug, Default)]
pub struct SourceVolume {
    files: BTreeMap<String, Arc<[u8]>>,
    folders: BTreeMap<String, BTreeSet<String>>,
}

impl SourceVolume {
    /// The files of `sources`; nothing is copied.
    pub fn new<'a>(sources: impl IntoIterator<Item = &'a Source>) -> Self {
        let mut volume = Self::default();
        volume.folders.insert(String::new(), BTreeSet::new());
        for Source { path, content } in sources {
            volume.files.insert(path.clone(), content.clone());
            let mut below = path.as_str();
            loop {
                let (folder, name) = below.rsplit_once('/').unwrap_or(("", below));
                volume.folders.entry(folder.to_owned()).or_default().insert(name.to_owned());
                if folder.is_empty() {
                    break;
                }
                below = folder;
            }
        }
        volume
    }
}

impl Volume for SourceVolume {
    fn stat(&self, path: &str) -> io::Result<FileStat> {
        let content = self.files.get(path);
        if content.is_none() && !self.folders.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        let size = content.map_or(0, |content| content.len() as u64);
        Ok(FileStat { is_folder: content.is_none(), size, modified_ms: MODIFIED_MS })
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        Ok(self.folders.get(path).ok_or(ErrorKind::NotFound)?.iter().cloned().collect())
    }

    fn read(&self, path: &str, position: u64, to: &mut [u8]) -> io::Result<usize> {
        let content = self.files.get(path).ok_or(ErrorKind::NotFound)?;
        let rest = usize::try_from(position).ok().and_then(|at| content.get(at..)).unwrap_or_default();
        let count = rest.len().min(to.len());
        to.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_of_the_files() {
        let source = |path: &str| Source { path: path.to_owned(), content: Arc::from(path.as_bytes()) };
        let volume = SourceVolume::new(&[source("a.py"), source("data/deep/b.txt"), source("data/c.txt")]);
        assert_eq!(volume.list("").unwrap(), ["a.py", "data"]);
        assert_eq!(volume.list("data").unwrap(), ["c.txt", "deep"]);
        assert!(volume.stat("data/deep").unwrap().is_folder && volume.stat("").unwrap().is_folder);
        assert_eq!(volume.stat("data/c.txt").unwrap().size, 10);
        let read = |path: &str, position| {
            let mut to = [0; 8];
            volume.read(path, position, &mut to).map(|count| to[..count].to_vec())
        };
        assert_eq!(read("data/deep/b.txt", 0).unwrap(), b"data/dee");
        assert_eq!(read("data/deep/b.txt", 8).unwrap(), b"p/b.txt");
        assert_eq!(read("data/deep/b.txt", 1000).unwrap(), b"");
        for path in ["data", "b.txt", "../a.py", "/a.py", "data/"] {
            assert!(read(path, 0).is_err(), "{path}");
        }
        assert!(SourceVolume::new(&[]).list("").unwrap().is_empty());
    }
}
