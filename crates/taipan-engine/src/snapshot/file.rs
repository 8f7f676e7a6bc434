//! A snapshot on disk: one layer of it.
//!
//! ```text
//! offset  size
//!      0     8  magic "taipan\0S"
//!      8     4  version of the format, little-endian as all numbers are
//!     12     4  e: number of extents
//!     16     8  m: length of the description
//!     24     8  length of the whole file
//!     32    32  keyed BLAKE3 digest of everything before and after these 32 bytes
//!     64    32  the digest (as at 32) of the layer below; zeros when there is none
//!     96   12e  extents: first page in memory (4), first page in file (4), pages (4)
//!  96+12e    m  description: `Frozen` in postcard's encoding
//!            …  zeros up to the next multiple of 4096
//!            …  the pages of the extents, one extent after another
//! ```
//! Pages have 4096 bytes; those of the linear memory that no extent mentions are as in the layer below, and zero where no
//! layer mentions them. The key belongs to the installation (see [`crate::cache`]), so a file that was damaged, forged or
//! copied from elsewhere is refused before any of it is decoded or mapped into an isolate.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use fs_err as fs;

use super::image::{self, Digest, Extent, Image, Layer, PAGE};
use super::working_set::WorkingSet;
use super::{Frozen, Snapshot, SnapshotError};
use crate::cache::note_use;
use crate::runtime::Runtime;
use crate::stamp;
use crate::state::count;
use crate::view::View;

const MAGIC: &[u8; 8] = b"taipan\0S";
pub(super) const VERSION: u32 = 3;
const HEAD: usize = 96;
const DIGEST: std::ops::Range<usize> = 32..64;
const BELOW: std::ops::Range<usize> = 64..96;
const EXTENT: usize = 12;

/// Smaller files are hashed before another thread has woken up.
const PARALLEL: usize = 4 << 20;

/// An installation's key (see [`crate::cache`]).
pub(super) type Key = [u8; 32];

/// Writes the layer, atomically, and opens it.
pub(super) fn write(
    runtime: &Runtime,
    path: &Path,
    below: Option<&Arc<Image>>,
    frozen: Frozen,
    memory: &[u8],
) -> Result<Snapshot, SnapshotError> {
    let io_error = |source| SnapshotError::Io { path: path.to_owned(), source };
    let description = postcard::to_stdvec(&frozen).map_err(|e| io_error(io::Error::other(e)))?;
    let runs = Image::changes(below.map(AsRef::as_ref), memory);
    let start = (HEAD + runs.len() * EXTENT + description.len()).next_multiple_of(PAGE);
    let extents = image::place(&runs, count(start / PAGE));
    let pages = || {
        extents
            .iter()
            .filter_map(|e| memory.get(e.memory_page as usize * PAGE..)?.get(..e.pages as usize * PAGE))
    };
    let mut head = head_of(&extents, &description, &below.map_or([0; 32], |b| b.digest), start);
    let digest = seal(&mut head, pages(), runtime.key());

    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(io_error)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io_error)?;
    file.write_all(&head).map_err(io_error)?;
    let mut gathered = Gathered::default();
    for p in pages() {
        gathered.add(p, |bytes| file.write_all(bytes)).map_err(io_error)?;
    }
    gathered.end(|bytes| file.write_all(bytes)).map_err(io_error)?;
    let file = file.persist(path).map_err(|e| io_error(e.error))?;
    let view = View::of(&file).map_err(io_error)?;
    let image = Image::new(below.cloned(), Layer { file, view, extents }, digest, frozen);
    Ok(Snapshot { image: runtime.know(image), path: path.into() })
}

/// Opens a file to be read as a whole.
pub(super) fn map(path: &Path) -> Result<(File, View), SnapshotError> {
    let io_error = |source| SnapshotError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io_error)?;
    // Nothing can be mapped of an empty file.
    if file.metadata().map_err(io_error)?.len() < HEAD as u64 {
        return Err(SnapshotError::Refused { path: path.to_owned(), reason: "it is too short" });
    }
    let view = View::of(&file).map_err(io_error)?;
    Ok((file, view))
}

/// Checks the whole file, then decodes it. `layer` finds an open one by its digest.
pub(super) fn open(
    runtime: &Runtime,
    path: &Path,
    layer: impl FnOnce(&Digest) -> Option<Arc<Image>>,
) -> Result<Snapshot, SnapshotError> {
    let refused = |reason| SnapshotError::Refused { path: path.to_owned(), reason };
    let (file, view) = map(path)?;
    let key = runtime.key();
    let parts = if stamp::is_checked(&file, path, key) {
        take_apart(view.bytes()).map_err(refused)?
    } else {
        let parts = read(view.bytes(), key).map_err(refused)?;
        stamp::note_check(&file, path, key);
        parts
    };
    let Parts { digest, below, extents, description } = parts;
    if let Some(image) = runtime.known(&digest) {
        note_use(&file);
        return Ok(Snapshot { image, path: path.into() });
    }
    let frozen: Frozen =
        postcard::from_bytes(description).map_err(|_| refused("its description cannot be read"))?;
    if frozen.version != runtime.version()
        || frozen.main != runtime.main().name
        || frozen.engine != runtime.engine_module().name
    {
        return Err(refused("it was made with another version of the runtime"));
    }
    let below = match below {
        none if none == [0; 32] => None,
        digest => Some(
            layer(&digest).ok_or_else(|| refused("the layer below it is not the one that it was made on"))?,
        ),
    };
    let frozen = frozen
        .upon(below.as_ref().map(|b| &*b.frozen))
        .ok_or_else(|| refused("its description does not continue that of the layer below"))?;
    // The check has read all of it.
    view.release();
    note_use(&file);
    let image = Image::new(below, Layer { file, view, extents }, digest, frozen);
    if let Some(working_set) = WorkingSet::load(key, path, &digest) {
        image.learn(&working_set);
    }
    Ok(Snapshot { image: runtime.know(image), path: path.into() })
}

/// What comes before the pages, `length` bytes long, with zeros in place of the digest.
fn head_of(extents: &[Extent], description: &[u8], below: &Digest, length: usize) -> Vec<u8> {
    let whole = length + extents.iter().map(|e| e.pages as usize * PAGE).sum::<usize>();
    let mut head = Vec::with_capacity(length);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&count(extents.len()).to_le_bytes());
    head.extend_from_slice(&(description.len() as u64).to_le_bytes());
    head.extend_from_slice(&(whole as u64).to_le_bytes());
    head.extend_from_slice(&[0; DIGEST.end - DIGEST.start]);
    head.extend_from_slice(below);
    for extent in extents {
        for n in [extent.memory_page, extent.file_page, extent.pages] {
            head.extend_from_slice(&n.to_le_bytes());
        }
    }
    head.extend_from_slice(description);
    head.resize(length, 0);
    head
}

/// Computes the digest of the file and writes it into the head.
fn seal<'a>(head: &mut [u8], pages: impl Iterator<Item = &'a [u8]>, key: &Key) -> Digest {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(head.get(..DIGEST.start).unwrap_or_default());
    hasher.update(head.get(DIGEST.end..).unwrap_or_default());
    let mut update = |bytes: &[u8]| {
        hasher.update(bytes);
        Ok(())
    };
    let mut gathered = Gathered::default();
    let added = pages.into_iter().try_for_each(|page| gathered.add(page, &mut update));
    // Hashing does not fail.
    let _ = added.and_then(|()| gathered.end(&mut update));
    let digest: Digest = *hasher.finalize().as_bytes();
    if let Some(place) = head.get_mut(DIGEST) {
        place.copy_from_slice(&digest);
    }
    digest
}

/// Short pieces, put together: many pieces are hashed at once, and written by one call.
#[derive(Default)]
struct Gathered(Vec<u8>);

impl Gathered {
    /// A piece of this size goes by itself.
    const LONG: usize = 64 << 10;

    fn add(&mut self, piece: &[u8], mut pass: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if self.0.len() + piece.len() > 2 * Self::LONG || piece.len() >= Self::LONG {
            pass(&self.0)?;
            self.0.clear();
        }
        if piece.len() >= Self::LONG {
            return pass(piece);
        }
        self.0.extend_from_slice(piece);
        Ok(())
    }

    fn end(self, mut pass: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        pass(&self.0)
    }
}

/// A file, taken apart.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) digest: Digest,
    /// Of the layer below; zeros when there is none.
    pub(super) below: Digest,
    pub(super) extents: Vec<Extent>,
    pub(super) description: &'a [u8],
}

/// Takes a file apart if it is what `seal` has sealed with this key; says what is wrong with it otherwise.
pub(super) fn read<'a>(bytes: &'a [u8], key: &Key) -> Result<Parts<'a>, &'static str> {
    let (digest, _) = head(bytes)?;
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(bytes.get(..DIGEST.start).unwrap_or_default());
    let rest = bytes.get(DIGEST.end..).unwrap_or_default();
    if rest.len() < PARALLEL {
        hasher.update(rest);
    } else {
        hasher.update_rayon(rest);
    }
    // The comparison takes the same time wherever the first difference is.
    if hasher.finalize() != blake3::Hash::from_bytes(digest) {
        return Err("its digest does not fit");
    }
    take_apart(bytes)
}

fn number(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes) as usize
}

/// The digests of the file and of the layer below it, if this looks like a snapshot.
fn head(bytes: &[u8]) -> Result<(Digest, Digest), &'static str> {
    let field = |range| bytes.get::<std::ops::Range<usize>>(range).and_then(|b| Digest::try_from(b).ok());
    let (Some(digest), Some(below)) = (field(DIGEST), field(BELOW)) else { return Err("it is too short") };
    if !bytes.starts_with(MAGIC) {
        return Err("it is not a snapshot");
    }
    if number(bytes, 8) != VERSION as usize {
        return Err("it has another version of the format");
    }
    // Lengths are little-endian 64-bit numbers whose upper halves are zero in any file that we could have written.
    if number(bytes, 24) != bytes.len() || number(bytes, 28) != 0 || number(bytes, 20) != 0 {
        return Err("its length is wrong");
    }
    Ok((digest, below))
}

/// Takes a file apart that was checked.
fn take_apart(bytes: &[u8]) -> Result<Parts<'_>, &'static str> {
    let (digest, below) = head(bytes)?;
    let table = bytes.get(HEAD..).and_then(|b| b.get(..number(bytes, 12).checked_mul(EXTENT)?));
    let table = table.ok_or("it is too short")?;
    let extent = |[a, b, c, d, e, f, g, h, i, j, k, l]: &[u8; EXTENT]| Extent {
        memory_page: u32::from_le_bytes([*a, *b, *c, *d]),
        file_page: u32::from_le_bytes([*e, *f, *g, *h]),
        pages: u32::from_le_bytes([*i, *j, *k, *l]),
    };
    let extents = table.as_chunks::<EXTENT>().0.iter().map(extent).collect();
    let description = bytes.get(HEAD + table.len()..).and_then(|b| b.get(..number(bytes, 16)));
    Ok(Parts { digest, below, extents, description: description.ok_or("it is too short")? })
}

/// The digest that a file claims to have.
pub(super) fn digest_of(path: &Path) -> Option<Digest> {
    let mut head = [0; HEAD];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    Digest::try_from(head.get(DIGEST)?).ok()
}

#[cfg(test)]
mod tests;
