//! Which files were checked already.
//!
//! Nothing is mapped whose keyed digest does not fit. To compute that of a hundred megabytes takes longer than everything else
//! that happens between the start of a process and its first response, and the files stay the same for weeks. A stamp beside a
//! file therefore says that its content was checked, and which state of the file it was: its identity, size, and times of
//! change. The system sets the time of a file's last change of any kind, and lets nobody choose it; so whatever has been
//! written to since, or was copied from elsewhere, is checked again in full. The stamp is keyed like the digest.
//!
//! ```text
//!      0    32  keyed BLAKE3 digest of "checked 1" and, 8 bytes each: device, inode, size, seconds and nanoseconds of the
//!               modification, seconds and nanoseconds of the change
//! ```

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fs_err as fs;

use crate::cache::replace;

/// A file that was changed so recently might be changed again without getting another time.
const SETTLED: Duration = Duration::from_secs(1);

/// Whether this very file was checked before.
pub(crate) fn is_checked(file: &File, path: &Path, key: &[u8; 32]) -> bool {
    let Ok(stamp) = fs::read(beside(path)) else { return false };
    let Ok(now) = state_of(file, key) else { return false };
    // `blake3::Hash` compares in constant time.
    blake3::Hash::from_slice(&stamp).is_ok_and(|stamp| stamp == now)
}

/// Notes that the file was checked. Without the note it is checked again next time.
pub(crate) fn note_check(file: &File, path: &Path, key: &[u8; 32]) {
    let note = || -> io::Result<()> {
        if is_settled(&file.metadata()?) {
            replace(&beside(path), state_of(file, key)?.as_bytes())?;
        }
        Ok(())
    };
    if let Err(error) = note() {
        tracing::debug!("{}: will be checked again: {error}", path.display());
    }
}

fn is_settled(metadata: &std::fs::Metadata) -> bool {
    let (Ok(seconds), Ok(nanoseconds)) =
        (u64::try_from(metadata.ctime()), u32::try_from(metadata.ctime_nsec()))
    else {
        return false;
    };
    let changed = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    SystemTime::now().duration_since(changed).is_ok_and(|age| age >= SETTLED)
}

fn state_of(file: &File, key: &[u8; 32]) -> io::Result<blake3::Hash> {
    let m = file.metadata()?;
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"checked 1");
    for number in [m.dev(), m.ino(), m.size()] {
        hasher.update(&number.to_le_bytes());
    }
    for number in [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()] {
        hasher.update(&number.to_le_bytes());
    }
    Ok(hasher.finalize())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".checked");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn settle() {
        thread::sleep(SETTLED + Duration::from_millis(50));
    }

    #[test]
    fn a_stamp_is_for_one_state_of_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("code");
        fs::write(&path, "original").unwrap();
        let open = || File::open(&path).unwrap();

        note_check(&open(), &path, &KEY);
        assert!(!is_checked(&open(), &path, &KEY), "it has only just been written");
        settle();
        note_check(&open(), &path, &KEY);
        assert!(is_checked(&open(), &path, &KEY));
        assert!(!is_checked(&open(), &path, &[8; 32]), "another installation's key");

        let before = fs::metadata(&path).unwrap().modified().unwrap();
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all(b"forgery!").unwrap();
        file.set_modified(before).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        assert!(!is_checked(&open(), &path, &KEY), "same size and date, but changed");

        settle();
        note_check(&open(), &path, &KEY);
        let copy = folder.path().join("copy");
        fs::copy(&path, &copy).unwrap();
        fs::copy(beside(&path), beside(&copy)).unwrap();
        assert!(!is_checked(&File::open(&copy).unwrap(), &copy, &KEY), "another file");

        fs::write(beside(&path), "nonsense").unwrap();
        assert!(!is_checked(&open(), &path, &KEY));
    }
}
