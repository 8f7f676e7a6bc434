//! The folder with all of it, which one process has at a time.

use std::fs::TryLockError;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;

use crate::StorageError;
use crate::clock::Clock;
use crate::hex::random_name;

/// The version of the layout, as a name that wrangler's own state does not have.
const LAYOUT: &str = "taipan-v1";

/// The file with an address and a token.
const SERVER: &str = "server";

/// Longest name of a file without its extension; what file systems take is 255.
const LONGEST_NAME: usize = 200;

/// The folder, held by this process. Clones are the same; the last one lets go of it.
#[derive(Clone, Debug)]
pub struct StateFolder(Arc<Held>);

#[derive(Debug)]
struct Held {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    /// The operating system lets go of the lock however the process ends.
    _lock: fs::File,
}

impl StateFolder {
    /// Takes the folder, which is made if need be. `command` is what other processes are told about this one.
    ///
    /// # Errors
    /// [`StorageError::InUse`] when another process has it; or it cannot be made or written.
    pub fn take(folder: &Path, command: &str, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        let path = folder.join(LAYOUT);
        let at = |error| StorageError::io(&path, error);
        fs::create_dir_all(&path).map_err(at)?;
        let mut lock = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(at)?;
        match lock.file().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Whoever holds it may be writing its name.
                drop(lock.read_to_string(&mut holder));
                let holder = holder.trim();
                let holder = if holder.is_empty() { "it did not say which" } else { holder };
                return Err(StorageError::InUse { folder: folder.to_owned(), holder: holder.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(at(error)),
        }
        let name = format!("process {}: {command}\n", std::process::id());
        let written =
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(name.as_bytes()));
        written.map_err(at)?;
        // What the one before said, if it could not take it back.
        drop(fs::remove_file(path.join(SERVER)));
        Ok(Self(Arc::new(Held { path, clock, _lock: lock })))
    }

    /// A secret of the folder's, the same each time: random hexadecimal digits in a file that only this user reads.
    ///
    /// # Errors
    /// When the file cannot be written or read.
    pub fn secret(&self, name: &str) -> Result<String, StorageError> {
        let path = self.0.path.join(name);
        let at = |error| StorageError::io(&path, error);
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(at(error)),
            _ => {}
        }
        let secret = random_name()?;
        write_private(&path, &secret).map_err(at)?;
        Ok(secret)
    }

    /// Says to other commands of this user how to ask the holder of the folder. Gives the token that they will have.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn announce(&self, address: &str) -> Result<String, StorageError> {
        let path = self.0.path.join(SERVER);
        let token = random_name()?;
        let written = write_private(&path, &format!("{address}\n{token}\n"));
        written.map_err(|error| StorageError::io(&path, error))?;
        Ok(token)
    }

    /// The address and the token that the holder of a folder has announced.
    pub fn announced(folder: &Path) -> Option<(String, String)> {
        let text = fs::read_to_string(folder.join(LAYOUT).join(SERVER)).ok()?;
        let (address, token) = text.trim().split_once('\n')?;
        Some((address.to_owned(), token.to_owned()))
    }

    /// What the holder keeps in it beside its stores goes to a folder of its own in here.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Where that of a state folder is or would be, for those who do not hold it.
    pub fn path_in(folder: &Path) -> PathBuf {
        folder.join(LAYOUT)
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.0.clock.clone()
    }

    /// The file of the store `id`, in a folder that is there.
    pub(crate) fn file(&self, kind: &str, id: &str) -> Result<PathBuf, StorageError> {
        let name = file_name(id)?;
        let folder = self.0.path.join(kind);
        fs::create_dir_all(&folder).map_err(|error| StorageError::io(&folder, error))?;
        Ok(folder.join(format!("{name}.sqlite")))
    }
}

/// Writes a file that nobody else may read.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)?.write_all(text.as_bytes())
}

fn file_name(id: &str) -> Result<String, StorageError> {
    let mut name = String::new();
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    match name.len() {
        0 => Err(StorageError::refused("an id is empty".to_owned())),
        n if n > LONGEST_NAME => Err(StorageError::refused(format!("the id is too long: {id}"))),
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;

    #[test]
    fn a_folder_has_one_holder_who_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let take = || StateFolder::take(folder.path(), "taipan dev shop", Arc::new(SystemClock));
        let held = take().unwrap();
        let error = take().unwrap_err();
        let says = format!("process {}: taipan dev shop", std::process::id());
        assert!(error.to_string().ends_with(&says), "{error}");
        assert!(error.hint().unwrap().contains("--persist-to"));
        drop(held);
        take().unwrap();
    }

    #[test]
    fn a_secret_stays_and_an_announcement_goes_with_the_holder() {
        let folder = tempfile::tempdir().unwrap();
        let take = || StateFolder::take(folder.path(), "", Arc::new(SystemClock)).unwrap();
        let held = take();
        let secret = held.secret("key").unwrap();
        assert_eq!(secret.len(), 32);
        let token = held.announce("http://localhost:1").unwrap();
        assert_eq!(StateFolder::announced(folder.path()), Some(("http://localhost:1".to_owned(), token)));
        drop(held);
        assert_eq!(take().secret("key").unwrap(), secret);
        assert_eq!(StateFolder::announced(folder.path()), None);
    }

    #[test]
    fn no_id_leaves_the_folder() {
        assert_eq!(file_name("a-B_9").unwrap(), "a-B_9");
        assert_eq!(file_name("../x").unwrap(), "%2e%2e%2fx");
        assert!(file_name("").is_err() && file_name(&"é".repeat(100)).is_err());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = StateFolder::take(&file, "", Arc::new(SystemClock)).unwrap_err();
        assert!(error.to_string().contains("file/taipan-v1"), "{error}");
    }
}
