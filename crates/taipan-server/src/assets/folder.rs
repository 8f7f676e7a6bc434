//! The folder of the assets: which files there are, and nothing outside of it.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use fs_err as fs;
use globset::{GlobBuilder, GlobMatcher};

/// Files that say something about the others.
pub(super) const HEADERS: &str = "_headers";
pub(super) const REDIRECTS: &str = "_redirects";
const IGNORE: &str = ".assetsignore";

/// How many files' tags are remembered.
const MOST_TAGS: usize = 8192;

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { length: metadata.len(), modified: metadata.modified().ok(), inode }
    }
}

/// A file that is open.
pub(super) struct Open {
    pub(super) file: fs::File,
    pub(super) length: u64,
    /// A strong entity tag, with quotation marks.
    pub(super) tag: String,
}

/// A text of the folder that is read again when it has changed.
pub(super) struct Known<T> {
    stamp: Option<Stamp>,
    pub(super) value: T,
}

impl<T: Default> Default for Known<T> {
    fn default() -> Self {
        Self { stamp: None, value: T::default() }
    }
}

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    tags: Mutex<HashMap<PathBuf, (Stamp, String)>>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, tags: Mutex::default() }
    }

    /// The file at a path that begins with `/`, if there is one in the folder, wherever links lead.
    pub(super) fn file(&self, path: &str, ignored: &Ignored) -> Option<PathBuf> {
        let below = path.strip_prefix('/')?;
        let is_plain =
            |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0', ':']);
        if !below.split('/').all(is_plain) || ignored.is_ignored(below) {
            return None;
        }
        let found = fs::canonicalize(self.path.join(below)).ok()?;
        // Anew each time: the folder may be a link that somebody sets.
        let within = found.starts_with(fs::canonicalize(&self.path).ok()?);
        (within && found.is_file()).then_some(found)
    }

    /// Opens a file that was found.
    pub(super) fn open(&self, path: &Path) -> io::Result<Open> {
        let mut file = fs::File::open(path)?;
        let metadata = file.metadata()?;
        let stamp = Stamp::of(&metadata);
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, tag)) = tags.get(path).filter(|(known, _)| *known == stamp) {
            return Ok(Open { file, length: metadata.len(), tag: tag.clone() });
        }
        drop(tags);
        let mut digest = blake3::Hasher::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = file.read(&mut buffer)?;
            match buffer.get(..count) {
                Some([]) | None => break,
                Some(read) => digest.update(read),
            };
        }
        io::Seek::rewind(&mut file)?;
        let hex = digest.finalize().to_hex();
        let tag = format!("\"{}\"", hex.get(..32).unwrap_or_default());
        tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        if tags.len() >= MOST_TAGS {
            tags.clear();
        }
        tags.insert(path.to_owned(), (stamp, tag.clone()));
        Ok(Open { file, length: metadata.len(), tag })
    }

    /// Reads a file of rules again if it has changed. Gives true then.
    pub(super) fn read<T: Default>(
        &self,
        name: &str,
        known: &mut Known<T>,
        parse: impl FnOnce(&str) -> T,
    ) -> bool {
        let path = self.path.join(name);
        let stamp = fs::metadata(&path).ok().filter(Metadata::is_file).map(|metadata| Stamp::of(&metadata));
        if known.stamp == stamp {
            return false;
        }
        known.value = match stamp.and_then(|_| fs::read(&path).ok()) {
            Some(text) => parse(&String::from_utf8_lossy(&text)),
            None => T::default(),
        };
        known.stamp = stamp;
        true
    }

    /// Reads what is not an asset although it is in the folder.
    pub(super) fn read_ignored(&self, known: &mut Known<Ignored>) -> bool {
        self.read(IGNORE, known, Ignored::parse)
    }
}

/// What `.assetsignore` says, in the words of `.gitignore`.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    rules: Vec<(GlobMatcher, bool)>,
    pub(super) warnings: Vec<(usize, String)>,
}

impl Ignored {
    fn parse(text: &str) -> Self {
        let mut ignored = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (is_ignored, pattern) = line.strip_prefix('!').map_or((true, line), |rest| (false, rest));
            // Whether it names a folder makes no difference: what is in it is what counts.
            let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
            let glob = match pattern.strip_prefix('/') {
                Some(anchored) => anchored.to_owned(),
                None if pattern.contains('/') => pattern.to_owned(),
                None => format!("**/{pattern}"),
            };
            match GlobBuilder::new(&glob).literal_separator(true).build() {
                Ok(glob) => ignored.rules.push((glob.compile_matcher(), is_ignored)),
                Err(error) => {
                    ignored.warnings.push((index + 1, format!("not a pattern: {line}: {}", error.kind())))
                }
            }
        }
        ignored
    }

    /// Whether the file or a folder around it is.
    fn is_ignored(&self, path: &str) -> bool {
        if [HEADERS, REDIRECTS, IGNORE].contains(&path) {
            return true;
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.filter_map(|end| path.get(..end)).any(|part| {
            let last = self.rules.iter().rfind(|(matcher, _)| matcher.is_match(part));
            last.is_some_and(|(_, is_ignored)| *is_ignored)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_of_the_folder_is_found() {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("public");
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(around.path().join("secret"), "x").unwrap();
        fs::write(root.join("a/b.txt"), "x").unwrap();
        fs::write(root.join("_headers"), "x").unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
            std::os::unix::fs::symlink("..", root.join("up")).unwrap();
            std::os::unix::fs::symlink("a/b.txt", root.join("in")).unwrap();
        }
        let folder = Folder::new(root);
        let is_there = |path: &str| folder.file(path, &Ignored::default()).is_some();
        assert!(is_there("/a/b.txt"));
        #[cfg(unix)]
        assert!(is_there("/in"));
        for path in [
            "/../secret",
            "/a/../../secret",
            "/out",
            "/up/secret",
            "/a",
            "/a/",
            "//a/b.txt",
            "/a//b.txt",
            "/./a/b.txt",
            "/_headers",
            "a/b.txt",
            "/a/b.txt\0",
            "/..\\secret",
            "",
            "/",
        ] {
            assert!(!is_there(path), "{path}");
        }
    }

    #[test]
    fn what_is_ignored_is_not_there() {
        let ignored = Ignored::parse("# none\n*.map\n!keep.map\n/top\nsub/x.txt\nnode_modules/\n[\n");
        assert_eq!(ignored.warnings.len(), 1);
        for path in ["a.map", "d/a.map", "top", "top/a", "sub/x.txt", "a/node_modules/b"] {
            assert!(ignored.is_ignored(path), "{path}");
        }
        for path in ["keep.map", "d/top", "a/sub/x.txt", "a.mapx"] {
            assert!(!ignored.is_ignored(path), "{path}");
        }
    }

    #[test]
    fn a_changed_file_has_another_tag() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let assets = Folder::new(folder.path().to_owned());
        fs::write(&path, "one").unwrap();
        let first = assets.open(&path).unwrap().tag;
        assert_eq!(assets.open(&path).unwrap().tag, first);
        fs::write(&path, "three").unwrap();
        assert_ne!(assets.open(&path).unwrap().tag, first);
    }
}
