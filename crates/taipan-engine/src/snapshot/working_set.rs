//! What isolates of a snapshot need of it by the time they have answered their first request.
//!
//! Pages that were written to are made private beforehand, and pages that were read are entered in the page table, rather
//! than by as many page faults. It is measured once for a snapshot, by an isolate that has answered its first request, and
//! lies beside the snapshot's file from then on, under the same name with `.pages` appended:
//! ```text
//!      0    32  keyed BLAKE3 digest of "pages 2", the snapshot's digest and everything after these 32 bytes
//!     32     4  w: number of runs that were written to
//!     36    8w  runs that were written to: first page in memory (4), pages (4)
//!      …     …  runs that were read, in the same way
//! ```
//! A missing or wrong one costs time and nothing else.

use std::ffi::OsString;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::file::Key;
use super::image::{Digest, PAGE, Run};
use crate::state::count;

const FORMAT: &[u8] = b"pages 2";
const RUN: usize = 8;

/// Pages of memory, by what was done to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WorkingSet {
    pub(super) written: Vec<Run>,
    /// And not written to. The kernel enters pages in the page table by the dozen, so not all of them were needed.
    pub(super) read: Vec<Run>,
}

// Flags of an entry, documented in the kernel's `admin-guide/mm/pagemap`.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_A_FILE: u64 = 1 << 61;

/// The kernel's entries for a memory of `length` bytes at `start`.
fn entries(start: *const u8, length: usize) -> io::Result<Vec<u64>> {
    let mut pagemap = fs::File::open("/proc/self/pagemap")?;
    pagemap.seek(SeekFrom::Start((start.addr() / PAGE * 8) as u64))?;
    let mut bytes = vec![0; length / PAGE * 8];
    pagemap.read_exact(&mut bytes)?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|e| u64::from_le_bytes(*e)).collect())
}

/// Pages that may have been written to since the memory was mapped: all others are as they were.
pub(super) fn touched(memory: &[u8]) -> Vec<u32> {
    match entries(memory.as_ptr(), memory.len()) {
        Ok(entries) => {
            let own = |e: u64| e & SWAPPED != 0 || e & (PRESENT | OF_A_FILE) == PRESENT;
            (0..).zip(entries).filter(|(_, e)| own(*e)).map(|(page, _)| page).collect()
        }
        // The kernel does not tell.
        Err(_) => (0..count(memory.len().div_ceil(PAGE))).collect(),
    }
}

impl WorkingSet {
    /// Of a memory of `length` bytes at `start`, since it was mapped.
    pub(super) fn measure(start: *const u8, length: usize) -> io::Result<Self> {
        let entries = entries(start, length)?;
        let pages = |flags: u64| {
            let found = (0..).zip(&entries).filter(|(_, e)| **e & (PRESENT | OF_A_FILE) == flags);
            Run::collect(found.map(|(page, _)| page))
        };
        Ok(Self { written: pages(PRESENT), read: pages(PRESENT | OF_A_FILE) })
    }

    /// The size of what was written to, in bytes.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written.iter().map(|run| u64::from(run.pages) * PAGE as u64).sum()
    }

    pub(super) fn load(key: &Key, snapshot: &Path, digest: &Digest) -> Option<Self> {
        let bytes = fs::read(path(snapshot)).ok()?;
        let (seal, content) = bytes.split_first_chunk::<32>()?;
        if hash(key, digest, content) != blake3::Hash::from_bytes(*seal) {
            return None;
        }
        let (written_runs, runs) = content.split_first_chunk::<4>()?;
        let runs = runs.as_chunks::<RUN>().0.iter().map(|[a, b, c, d, e, f, g, h]| Run {
            first: u32::from_le_bytes([*a, *b, *c, *d]),
            pages: u32::from_le_bytes([*e, *f, *g, *h]),
        });
        let mut written: Vec<_> = runs.collect();
        let read = written.split_off((u32::from_le_bytes(*written_runs) as usize).min(written.len()));
        Some(Self { written, read })
    }

    pub(super) fn save(&self, key: &Key, snapshot: &Path, digest: &Digest) -> io::Result<()> {
        let mut content = count(self.written.len()).to_le_bytes().to_vec();
        let runs = self.written.iter().chain(&self.read).flat_map(|run| [run.first, run.pages]);
        content.extend(runs.flat_map(u32::to_le_bytes));
        let mut file = tempfile::NamedTempFile::new_in(snapshot.parent().unwrap_or(Path::new(".")))?;
        file.write_all(hash(key, digest, &content).as_bytes())?;
        file.write_all(&content)?;
        file.persist(path(snapshot)).map_err(|e| e.error)?;
        Ok(())
    }
}

fn hash(key: &Key, digest: &Digest, content: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(FORMAT).update(digest).update(content).finalize()
}

fn path(snapshot: &Path) -> PathBuf {
    let mut name = OsString::from(snapshot);
    name.push(".pages");
    name.into()
}
