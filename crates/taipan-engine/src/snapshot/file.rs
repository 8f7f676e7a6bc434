//! A snapshot on disk.
//!
//! ```text
//! offset  size
//!      0     8  magic "taipan\0S"
//!      8     4  version of the format, little-endian as all numbers are
//!     12     4  e: number of extents
//!     16     8  m: length of the description
//!     24     8  length of the whole file
//!     32    32  keyed BLAKE3 digest of everything before and after these 32 bytes
//!     64   12e  extents: first page in memory (4), first page in file (4), pages (4)
//!  64+12e    m  description: `Frozen` in postcard's encoding
//!            …  zeros up to the next multiple of 4096
//!            …  the pages of the extents, one extent after another
//! ```
//! Pages have 4096 bytes; those of the linear memory that no extent mentions are zero. The key belongs to the
//! installation (see [`crate::cache`]), so a file that was damaged, forged or copied from elsewhere is refused before any
//! of it is decoded or mapped.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use fs_err as fs;

use super::{Frozen, Snapshot, SnapshotError};
use crate::runtime::Runtime;
use crate::state::count;

pub(super) const PAGE: usize = 4096;
const MAGIC: &[u8; 8] = b"taipan\0S";
const VERSION: u32 = 1;
const HEAD: usize = 64;
const DIGEST: std::ops::Range<usize> = 32..64;
const EXTENT: usize = 12;

/// A run of pages that are not all zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) memory_page: u32,
    pub(super) file_page: u32,
    pub(super) pages: u32,
}

/// A gap of zero pages up to this long is stored rather than starting another extent: each extent is a mapping, and those
/// run out before disk does.
const BRIDGE: u32 = 16;

fn extents_of(image: &[u8]) -> Vec<Extent> {
    let mut found: Vec<Extent> = vec![];
    for (page, bytes) in (0u32..).zip(image.chunks(PAGE)) {
        if bytes.iter().all(|b| *b == 0) {
            continue;
        }
        match found.last_mut() {
            Some(last) if page <= last.memory_page + last.pages + BRIDGE => {
                last.pages = page + 1 - last.memory_page
            }
            _ => found.push(Extent { memory_page: page, file_page: 0, pages: 1 }),
        }
    }
    found
}

/// Writes the file, atomically, and opens it.
pub(super) fn write(
    runtime: &Runtime,
    path: &Path,
    frozen: Frozen,
    image: &[u8],
) -> Result<Snapshot, SnapshotError> {
    let io_error = |source| SnapshotError::Io { path: path.to_owned(), source };
    let description = postcard::to_stdvec(&frozen).map_err(|e| io_error(io::Error::other(e)))?;
    let mut extents = extents_of(image);
    let start = (HEAD + extents.len() * EXTENT + description.len()).next_multiple_of(PAGE);
    let mut next = count(start / PAGE);
    for extent in &mut extents {
        extent.file_page = next;
        next += extent.pages;
    }
    let mut head = Vec::with_capacity(start);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&count(extents.len()).to_le_bytes());
    head.extend_from_slice(&(description.len() as u64).to_le_bytes());
    head.extend_from_slice(&(u64::from(next) * PAGE as u64).to_le_bytes());
    head.extend_from_slice(&[0; DIGEST.end - DIGEST.start]);
    for extent in &extents {
        for n in [extent.memory_page, extent.file_page, extent.pages] {
            head.extend_from_slice(&n.to_le_bytes());
        }
    }
    head.extend_from_slice(&description);
    head.resize(start, 0);

    let pages = || {
        extents
            .iter()
            .filter_map(|e| image.get(e.memory_page as usize * PAGE..)?.get(..e.pages as usize * PAGE))
    };
    let mut digest = blake3::Hasher::new_keyed(runtime.key());
    if let Some((before, rest)) = head.split_at_checked(DIGEST.start) {
        digest.update(before);
        digest.update(rest.get(DIGEST.end - DIGEST.start..).unwrap_or_default());
    }
    pages().for_each(|p| {
        digest.update(p);
    });
    if let Some(place) = head.get_mut(DIGEST) {
        place.copy_from_slice(digest.finalize().as_bytes());
    }

    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(io_error)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io_error)?;
    file.write_all(&head).map_err(io_error)?;
    for p in pages() {
        file.write_all(p).map_err(io_error)?;
    }
    let image = file.persist(path).map_err(|e| io_error(e.error))?;
    Ok(Snapshot { frozen: Arc::new(frozen), image, extents })
}

/// Checks the whole file, then decodes it.
pub(super) fn open(runtime: &Runtime, path: &Path) -> Result<Snapshot, SnapshotError> {
    let io_error = |source| SnapshotError::Io { path: path.to_owned(), source };
    let refused = |reason| SnapshotError::Refused { path: path.to_owned(), reason };
    let mut file = File::open(path).map_err(io_error)?;
    let length = file.metadata().map_err(io_error)?.len();
    let mut head = [0; HEAD];
    file.read_exact(&mut head).map_err(|_| refused("it is too short"))?;
    let number = |at: usize| {
        head.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes) as usize
    };
    if !head.starts_with(MAGIC) {
        return Err(refused("it is not a snapshot"));
    }
    if number(8) != VERSION as usize {
        return Err(refused("it has another version of the format"));
    }
    // Lengths are little-endian 64-bit numbers whose upper halves are zero in any file that we could have written.
    if number(24) as u64 != length || number(28) != 0 || number(20) != 0 {
        return Err(refused("its length is wrong"));
    }
    let mut digest = blake3::Hasher::new_keyed(runtime.key());
    digest.update(head.get(..DIGEST.start).unwrap_or_default());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(io_error)? {
            0 => break,
            n => digest.update(buffer.get(..n).unwrap_or_default()),
        };
    }
    let expected = head.get(DIGEST).and_then(|d| blake3::Hash::from_slice(d).ok());
    if expected != Some(digest.finalize()) {
        return Err(refused("its digest does not fit"));
    }

    let (extent_count, description_length) = (number(12), number(16));
    file.seek(SeekFrom::Start(HEAD as u64)).map_err(io_error)?;
    let mut rest = vec![0; extent_count * EXTENT + description_length];
    file.read_exact(&mut rest).map_err(|_| refused("it is too short"))?;
    let (table, description) = rest.split_at(extent_count * EXTENT);
    let extents = table
        .as_chunks::<EXTENT>()
        .0
        .iter()
        .map(|[a, b, c, d, e, f, g, h, i, j, k, l]| Extent {
            memory_page: u32::from_le_bytes([*a, *b, *c, *d]),
            file_page: u32::from_le_bytes([*e, *f, *g, *h]),
            pages: u32::from_le_bytes([*i, *j, *k, *l]),
        })
        .collect();
    let frozen: Frozen =
        postcard::from_bytes(description).map_err(|_| refused("its description does not decode"))?;
    if frozen.main != runtime.main().name || frozen.engine != runtime.engine_module().name {
        return Err(refused("it was made by another version of the runtime"));
    }
    Ok(Snapshot { frozen: Arc::new(frozen), image: file, extents })
}
