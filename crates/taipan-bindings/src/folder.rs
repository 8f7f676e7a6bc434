//! A folder of this machine as a volume.

use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use fs_err as fs;

use crate::{FileStat, Volume, read_at};

/// A folder as it is now. Links are followed as long as they stay in it.
#[derive(Debug)]
pub struct Folder {
    /// Without links.
    root: PathBuf,
}

impl Folder {
    /// The folder at `path`.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(path: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(path)?;
        if root.is_dir() { Ok(Self { root }) } else { Err(ErrorKind::NotADirectory.into()) }
    }

    fn find(&self, path: &str) -> io::Result<PathBuf> {
        let path = Path::new(path);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(ErrorKind::NotFound.into());
        }
        let found = fs::canonicalize(self.root.join(path))?;
        if found.starts_with(&self.root) { Ok(found) } else { Err(ErrorKind::NotFound.into()) }
    }
}

impl Volume for Folder {
    fn stat(&self, path: &str) -> io::Result<FileStat> {
        let data = fs::metadata(self.find(path)?)?;
        if !data.is_dir() && !data.is_file() {
            return Err(ErrorKind::NotFound.into());
        }
        let modified = data.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(FileStat {
            is_folder: data.is_dir(),
            size: if data.is_dir() { 0 } else { data.len() },
            modified_ms: u64::try_from(modified.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.find(path)?)?;
        // Python could not ask for a name that is no text.
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }

    fn read(&self, path: &str, position: u64, to: &mut [u8]) -> io::Result<usize> {
        let found = self.find(path)?;
        if !found.is_file() {
            return Err(ErrorKind::NotFound.into());
        }
        read_at(fs::File::open(found)?.file(), position, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_can_be_seen() {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("root");
        fs::create_dir_all(root.join("in")).unwrap();
        fs::write(around.path().join("secret"), "s").unwrap();
        fs::write(root.join("in/a.txt"), "abc").unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
            std::os::unix::fs::symlink("..", root.join("up")).unwrap();
            std::os::unix::fs::symlink("in/a.txt", root.join("b.txt")).unwrap();
        }
        let folder = Folder::new(&root).unwrap();
        assert!(folder.stat("").unwrap().is_folder);
        assert_eq!(folder.stat("in/a.txt").unwrap().size, 3);
        assert_eq!(folder.list("in").unwrap(), ["a.txt"]);
        let read = |path: &str, position| {
            let mut to = [0; 4];
            folder.read(path, position, &mut to).map(|count| to[..count].to_vec())
        };
        assert_eq!(read("in/a.txt", 0).unwrap(), b"abc");
        assert_eq!(read("in/a.txt", 2).unwrap(), b"c");
        assert_eq!(read("in/a.txt", u64::MAX).unwrap_or_default(), b"");
        let secret = around.path().join("secret");
        for path in
            ["../secret", "in/../../secret", "out", "up/secret", "./in", secret.to_str().unwrap(), "nothing"]
        {
            assert!(read(path, 0).is_err() && folder.stat(path).is_err(), "{path}");
        }
        #[cfg(unix)]
        assert_eq!(read("b.txt", 0).unwrap(), b"abc");
        assert!(read("in", 0).is_err() && folder.list("in/a.txt").is_err());
        assert!(Folder::new(&secret).is_err());
    }
}
