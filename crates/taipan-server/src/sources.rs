//! A Worker's own files as a volume.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, OnceLock};

use taipan_bindings::{FileStat, Volume};
use taipan_engine::Source;

use crate::packages::MODIFIED_MS;

/// Ten years, in milliseconds.
const SPAN_MS: u64 = 315_576_000_000;

#[derive(Debug)]
struct File {
    content: Arc<[u8]>,
    modified_ms: OnceLock<u64>,
}

impl File {
    /// The same on every machine, as that of packages is, and another one for another content: entity tags are made of it, and of the size.
    fn modified_ms(&self) -> u64 {
        *self.modified_ms.get_or_init(|| {
            let digest = *blake3::hash(&self.content).as_bytes();
            let [a, b, c, d, e, f, ..] = digest;
            MODIFIED_MS + u64::from_le_bytes([a, b, c, d, e, f, 0, 0]) % SPAN_MS
        })
    }
}

/// The files of a Worker, for its isolates to read.
#[derive(Debug, Default)]
pub struct SourceVolume {
    files: BTreeMap<String, File>,
    folders: BTreeMap<String, BTreeSet<String>>,
}

impl SourceVolume {
    /// The files of `sources`; nothing is copied.
    pub fn new<'a>(sources: impl IntoIterator<Item = &'a Source>) -> Self {
        let mut volume = Self::default();
        volume.folders.insert(String::new(), BTreeSet::new());
        for Source { path, content } in sources {
            let file = File { content: content.clone(), modified_ms: OnceLock::new() };
            volume.files.insert(path.clone(), file);
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
        if let Some(file) = self.files.get(path) {
            let size = file.content.len() as u64;
            return Ok(FileStat { is_folder: false, size, modified_ms: file.modified_ms() });
        }
        if !self.folders.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        Ok(FileStat { is_folder: true, size: 0, modified_ms: MODIFIED_MS })
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        Ok(self.folders.get(path).ok_or(ErrorKind::NotFound)?.iter().cloned().collect())
    }

    fn read(&self, path: &str, position: u64, to: &mut [u8]) -> io::Result<usize> {
        let content = &self.files.get(path).ok_or(ErrorKind::NotFound)?.content;
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
        let modified = |path: &str, content: &str| {
            let source = Source { path: path.to_owned(), content: Arc::from(content.as_bytes()) };
            SourceVolume::new(&[source]).stat(path).unwrap().modified_ms
        };
        assert_eq!(modified("a.txt", "one"), modified("b.txt", "one"));
        assert_ne!(modified("a.txt", "one"), modified("a.txt", "two"));
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
