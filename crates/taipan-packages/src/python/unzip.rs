//! Reading zip archives: which files they have, and those of one whose digest is known, as the shared libraries that Pyodide publishes are.

use std::io::Read as _;

use flate2::Crc;
use flate2::read::DeflateDecoder;

/// The largest list of files, in bytes.
const LONGEST_LIST: u64 = 64 << 20;

/// How much of an archive's end says where its list of files is, comment and all.
pub(super) const END: usize = LOCATOR + TRAILER + u16::MAX as usize;

/// Without the comment, which may have 65,535 bytes.
const TRAILER: usize = 22;

/// What comes before it in an archive whose numbers have 64 bits.
const LOCATOR: usize = 20;

/// What an archive's list of files says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List {
    /// The sum of the sizes of its files, in bytes.
    pub(super) size: u64,
    /// Whether parts of the archive belong to several files, so that few bytes can be many files.
    pub(super) overlaps: bool,
}

/// What the list of files says of an archive of `length` bytes, which `read` gives by place and size; `None` when it is broken or cannot
/// be read.
pub(super) fn list(length: u64, read: &mut dyn FnMut(u64, usize) -> Option<Vec<u8>>) -> Option<List> {
    let size = usize::try_from(length).unwrap_or(usize::MAX).min(END);
    let end = read(length - size as u64, size)?;
    let at = trailer(&end)?;
    let (count, size, from) = match wide(end.get(..at)?, read) {
        Some(wide) => wide,
        None => (u16_at(&end, at + 10)?.into(), u32_at(&end, at + 12)?.into(), u32_at(&end, at + 16)?.into()),
    };
    if size > LONGEST_LIST {
        return None;
    }
    let directory = read(from, usize::try_from(size).ok()?)?;
    let mut entries = vec![];
    let mut at = 0;
    for _ in 0..count {
        let (entry, next) = Entry::read(&directory, at)?;
        at = next;
        entries.push(entry);
    }
    let size = entries.iter().fold(0, |sum: u64, entry| sum.saturating_add(entry.size));
    let mut parts: Vec<_> = entries.iter().map(|e| (e.header, e.header.saturating_add(e.packed))).collect();
    parts.sort_unstable();
    let overlaps = parts.windows(2).any(|two| matches!(two, [(_, end), (next, _)] if next < end))
        || parts.windows(2).any(|two| matches!(two, [(one, _), (other, _)] if one == other));
    Some(List { size, overlaps })
}

/// How many files there are, how long the list of them is and where it begins, if the numbers have 64 bits. `before` ends where the
/// trailer begins.
fn wide(before: &[u8], read: &mut dyn FnMut(u64, usize) -> Option<Vec<u8>>) -> Option<(u64, u64, u64)> {
    let locator = before.get(before.len().checked_sub(LOCATOR)?..)?;
    if !locator.starts_with(b"PK\x06\x07") {
        return None;
    }
    let record = read(u64_at(locator, 8)?, 56)?;
    if !record.starts_with(b"PK\x06\x06") {
        return None;
    }
    Some((u64_at(&record, 32)?, u64_at(&record, 40)?, u64_at(&record, 48)?))
}

/// The files of an archive, by name. Together they may have `most` bytes.
pub(super) fn files(archive: &[u8], most: u64) -> Result<Vec<(String, Vec<u8>)>, String> {
    let broken = || "the archive is broken".to_owned();
    let mut read = |at: u64, size: usize| {
        let at = usize::try_from(at).ok()?;
        archive.get(at..at.checked_add(size)?).map(<[u8]>::to_vec)
    };
    let said = list(archive.len() as u64, &mut read).ok_or_else(broken)?;
    if said.size > most {
        return Err(format!("unpacked it is larger than {} MiB", most >> 20));
    }
    if said.overlaps {
        return Err("files lie within others in its archive".to_owned());
    }
    let (count, mut at) = directory(archive).ok_or_else(broken)?;
    let mut found = vec![];
    for _ in 0..count {
        let (entry, next) = Entry::read(archive, at).ok_or_else(broken)?;
        at = next;
        if entry.name.ends_with('/') {
            continue;
        }
        let content =
            entry.content(archive).ok_or_else(|| format!("a file cannot be unpacked: {}", entry.name))?;
        found.push((entry.name, content));
    }
    Ok(found)
}

/// How many files there are, and where the list of them begins.
fn directory(archive: &[u8]) -> Option<(u16, usize)> {
    let end = trailer(archive)?;
    Some((u16_at(archive, end + 10)?, usize_at(archive, end + 16)?))
}

/// Where the end of an archive says where its list of files is.
fn trailer(archive: &[u8]) -> Option<usize> {
    let last = archive.len().checked_sub(TRAILER)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    (first..=last).rev().find(|at| archive.get(*at..).is_some_and(|rest| rest.starts_with(b"PK\x05\x06")))
}

/// A file, as the list of files has it.
struct Entry {
    name: String,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    header: u64,
}

impl Entry {
    /// The entry at a place, and the place of the next one.
    fn read(archive: &[u8], at: usize) -> Option<(Self, usize)> {
        if !archive.get(at..)?.starts_with(b"PK\x01\x02") {
            return None;
        }
        let number = |offset: usize| u16_at(archive, at + offset);
        let [name, extra, comment] = [28, 30, 32].map(|offset| number(offset).map(usize::from));
        let (name, extra, names) = (name?, extra?, at + 46);
        let more = archive.get(names + name..names + name + extra)?;
        // Numbers that do not fit are among the extra fields, in this order.
        let mut wide = wide_numbers(more);
        let mut number_at = |at: usize| {
            let narrow = u32_at(archive, at)?;
            Some(if narrow == u32::MAX { wide.next() } else { None }.unwrap_or_else(|| narrow.into()))
        };
        let (size, packed, header) = (number_at(at + 24)?, number_at(at + 20)?, number_at(at + 42)?);
        let entry = Self {
            name: String::from_utf8_lossy(archive.get(names..names + name)?).into_owned(),
            method: number(10)?,
            crc: u32_at(archive, at + 16)?,
            packed,
            size,
            header,
        };
        Some((entry, names + name + extra + comment?))
    }

    fn content(&self, archive: &[u8]) -> Option<Vec<u8>> {
        let (header, packed) = (usize::try_from(self.header).ok()?, usize::try_from(self.packed).ok()?);
        let [name, extra] =
            [26, 28].map(|offset| u16_at(archive, header.saturating_add(offset)).map(usize::from));
        let start = header + 30 + name? + extra?;
        let packed = archive.get(start..start.checked_add(packed)?)?;
        let content = match self.method {
            0 => packed.to_vec(),
            8 => {
                let mut content = vec![];
                DeflateDecoder::new(packed).take(self.size + 1).read_to_end(&mut content).ok()?;
                content
            }
            _ => return None,
        };
        let mut crc = Crc::new();
        crc.update(&content);
        (content.len() as u64 == self.size && crc.sum() == self.crc).then_some(content)
    }
}

/// The numbers of 64 bits among the extra fields of an entry.
fn wide_numbers(mut fields: &[u8]) -> impl Iterator<Item = u64> {
    const WIDE: u16 = 1;
    let mut found: &[u8] = &[];
    while let (Some(kind), Some(size)) = (u16_at(fields, 0), u16_at(fields, 2)) {
        let end = 4 + usize::from(size);
        if kind == WIDE {
            found = fields.get(4..end).unwrap_or_default();
        }
        fields = fields.get(end..).unwrap_or_default();
    }
    found.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

fn u64_at(archive: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(archive.get(at..at.checked_add(8)?)?.try_into().ok()?))
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

    fn listed(archive: &[u8]) -> Option<List> {
        list(archive.len() as u64, &mut |at, size| {
            archive.get(usize::try_from(at).ok()?..)?.get(..size).map(<[u8]>::to_vec)
        })
    }

    #[test]
    fn lists_say_how_large_files_are_and_where() {
        let archive = archive();
        assert_eq!(listed(&archive), Some(List { size: 5003, overlaps: false }));
        // The second file begins where the first does.
        let at = archive.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
        let mut overlapping = archive.clone();
        overlapping[at + 42..at + 46].fill(0);
        assert!(listed(&overlapping).unwrap().overlaps);
        let error = files(&overlapping, 1 << 20).unwrap_err();
        assert_eq!(error, "files lie within others in its archive");
        // A number of 64 bits, as archives of larger files have them.
        let mut wide = archive;
        let end = wide.len() - TRAILER;
        wide[at + 24..at + 28].fill(0xFF);
        wide[at + 30..at + 32].copy_from_slice(&12_u16.to_le_bytes());
        let extra = [&[1, 0, 8, 0][..], &(5_u64 << 32).to_le_bytes()].concat();
        wide.splice(end..end, extra);
        let trailer = wide.len() - TRAILER;
        let size = u32_at(&wide, trailer + 12).unwrap() + 12;
        wide[trailer + 12..trailer + 16].copy_from_slice(&size.to_le_bytes());
        assert_eq!(listed(&wide).unwrap().size, (5 << 32) + 3);
        assert!(files(&wide, 1 << 30).is_err());
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
