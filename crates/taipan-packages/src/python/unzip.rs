//! Reading a zip archive whose digest is known: the shared libraries that Pyodide publishes are such archives.

use std::io::Read as _;

use flate2::Crc;
use flate2::read::DeflateDecoder;

/// The files of an archive, by name. Together they may have `most` bytes.
pub(super) fn files(archive: &[u8], most: u64) -> Result<Vec<(String, Vec<u8>)>, String> {
    let broken = || "the archive is broken".to_owned();
    let (count, mut at) = directory(archive).ok_or_else(broken)?;
    let mut left = most;
    let mut found = vec![];
    for _ in 0..count {
        let (entry, next) = Entry::read(archive, at).ok_or_else(broken)?;
        at = next;
        if entry.name.ends_with('/') {
            continue;
        }
        left = left
            .checked_sub(entry.size)
            .ok_or_else(|| format!("unpacked it is larger than {} MiB", most >> 20))?;
        let content =
            entry.content(archive).ok_or_else(|| format!("a file cannot be unpacked: {}", entry.name))?;
        found.push((entry.name, content));
    }
    Ok(found)
}

/// How many files there are, and where the list of them begins.
fn directory(archive: &[u8]) -> Option<(u16, usize)> {
    const END: &[u8] = b"PK\x05\x06";
    /// Without the comment, which may have 65,535 bytes.
    const LENGTH: usize = 22;
    let last = archive.len().checked_sub(LENGTH)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let end = (first..=last).rev().find(|at| archive.get(*at..).is_some_and(|rest| rest.starts_with(END)))?;
    Some((u16_at(archive, end + 10)?, usize_at(archive, end + 16)?))
}

/// A file, as the list of files has it.
struct Entry {
    name: String,
    is_compressed: bool,
    crc: u32,
    packed: usize,
    size: u64,
    header: usize,
}

impl Entry {
    /// The entry at a place, and the place of the next one.
    fn read(archive: &[u8], at: usize) -> Option<(Self, usize)> {
        if !archive.get(at..)?.starts_with(b"PK\x01\x02") {
            return None;
        }
        let number = |offset: usize| u16_at(archive, at + offset);
        let [name, extra, comment] = [28, 30, 32].map(|offset| number(offset).map(usize::from));
        let (name, names) = (name?, at + 46);
        let entry = Self {
            name: str::from_utf8(archive.get(names..names + name)?).ok()?.to_owned(),
            is_compressed: match number(10)? {
                0 => false,
                8 => true,
                _ => return None,
            },
            crc: u32_at(archive, at + 16)?,
            packed: usize_at(archive, at + 20)?,
            size: u32_at(archive, at + 24)?.into(),
            header: usize_at(archive, at + 42)?,
        };
        Some((entry, names + name + extra? + comment?))
    }

    fn content(&self, archive: &[u8]) -> Option<Vec<u8>> {
        let [name, extra] = [26, 28].map(|offset| u16_at(archive, self.header + offset).map(usize::from));
        let start = self.header + 30 + name? + extra?;
        let packed = archive.get(start..start.checked_add(self.packed)?)?;
        let content = if self.is_compressed {
            let mut content = vec![];
            DeflateDecoder::new(packed).take(self.size + 1).read_to_end(&mut content).ok()?;
            content
        } else {
            packed.to_vec()
        };
        let mut crc = Crc::new();
        crc.update(&content);
        (content.len() as u64 == self.size && crc.sum() == self.crc).then_some(content)
    }
}

fn u16_at(archive: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(archive.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(archive: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(archive.get(at..at + 4)?.try_into().ok()?))
}

fn usize_at(archive: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(archive, at)?).ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// An archive of Python's `zipfile`: `a.so` is stored, `lib/b.so` compressed, and there is a folder.
    fn archive() -> Vec<u8> {
        let program = "import sys, zipfile\n\
                       with zipfile.ZipFile(sys.argv[1], 'w') as archive:\n    \
                       archive.writestr('a.so', 'abc')\n    archive.writestr('lib/', '')\n    \
                       archive.writestr('lib/b.so', 'b' * 5000, zipfile.ZIP_DEFLATED)\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive.zip");
        let ended = Command::new("python3").args(["-c", program]).arg(&path).status().unwrap();
        assert!(ended.success());
        fs_err::read(path).unwrap()
    }

    #[test]
    fn files_are_found_and_bounded() {
        let archive = archive();
        let expected = [("a.so".to_owned(), b"abc".to_vec()), ("lib/b.so".to_owned(), vec![b'b'; 5000])];
        assert_eq!(files(&archive, 5003).unwrap(), expected);
        assert_eq!(files(&archive, 5002).unwrap_err(), "unpacked it is larger than 0 MiB");
    }

    #[test]
    fn a_broken_archive_is_an_error() {
        let archive = archive();
        for length in 0..archive.len() {
            assert!(files(&archive[..length], 1 << 20).is_err(), "{length}");
        }
        for at in 0..archive.len() {
            for bit in 0..8 {
                let mut damaged = archive.clone();
                damaged[at] ^= 1 << bit;
                // Dates and the like may be anything.
                drop(files(&damaged, 1 << 20));
            }
        }
    }
}
