//! A file that is written once, from its beginning to its end.
//!
//! What comes behind the first bytes goes past the cache of the operating system (`O_DIRECT`), where the file system can do that: it has to
//! be on disk before anybody is told that it is there, the copy would cost as much time as all the rest but the MD5, and it would push out
//! what others need. The first bytes do not: small objects are read soon after, or gone.

use std::io::{ErrorKind, Result, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fs_err as fs;

use crate::Aligned;
use crate::io::on_io_thread;

/// So many bytes of a file go through the cache.
const CACHED: u64 = 8 << 20;

/// What is written at once past the cache, if it did not come aligned.
const PIECE: usize = 1 << 20;

/// Whenever so many bytes have been written through the cache, the disk is given what it has not got yet: the end has the less to wait for.
const SYNC_EVERY: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    /// Through the cache; what comes next goes where it stands, unless there is a way past the cache.
    file: fs::File,
    way: Way,
    written: u64,
    /// What is not written yet, if it goes past the cache: aligned pieces only do.
    rest: Option<Rest>,
    /// So many were given to the disk.
    synced: u64,
    is_syncing: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Way {
    /// The first bytes.
    Beginning,
    /// Past the cache.
    Direct(fs::File),
    /// The file system has no way past it.
    Cached,
}

#[derive(Debug)]
struct Rest {
    piece: Aligned,
    used: usize,
}

impl Output {
    /// A new file.
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
        let (way, is_syncing) = (Way::Beginning, Arc::default());
        Ok(Self { path, file, way, written: 0, rest: None, synced: 0, is_syncing })
    }

    /// Appends bytes. Those that lie as [`Aligned`] ones do are written as they are.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        if matches!(self.way, Way::Beginning) {
            let room = usize::try_from(CACHED - self.written).unwrap_or(usize::MAX);
            let (head, tail) = bytes.split_at(bytes.len().min(room));
            self.write_cached(head)?;
            bytes = tail;
            if self.written == CACHED {
                self.way = past_the_cache(&self.path, CACHED).map_or(Way::Cached, Way::Direct);
            }
        }
        while !bytes.is_empty() {
            if !matches!(self.way, Way::Direct(_)) {
                return self.write_cached(bytes);
            }
            if self.rest.as_ref().is_none_or(|rest| rest.used == 0) {
                let (whole, tail) = bytes.split_at(Aligned::whole(bytes));
                self.write_direct(whole)?;
                bytes = tail;
            }
            bytes = self.keep(bytes)?;
        }
        Ok(())
    }

    /// Brings everything to disk.
    pub(super) fn sync(&mut self) -> Result<()> {
        if let Some(Rest { piece, used }) = self.rest.take() {
            self.write_cached_at_end(piece.get(..used).unwrap_or_default())?;
        }
        self.file.sync_all()
    }

    /// Keeps bytes until there is a whole piece. Gives what is left of them.
    fn keep<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8]> {
        let mut rest = self.rest.take().unwrap_or_else(|| Rest { piece: Aligned::new(PIECE), used: 0 });
        let room = rest.piece.get_mut(rest.used..).unwrap_or_default();
        let (head, tail) = bytes.split_at(bytes.len().min(room.len()));
        if let Some(room) = room.get_mut(..head.len()) {
            room.copy_from_slice(head);
        }
        rest.used += head.len();
        if rest.used == PIECE {
            self.write_direct(&rest.piece)?;
            rest.used = 0;
        }
        self.rest = Some(rest);
        Ok(tail)
    }

    fn write_direct(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Way::Direct(file) = &mut self.way
            && !bytes.is_empty()
        {
            match file.write(bytes) {
                Ok(written) => {
                    self.written += written as u64;
                    bytes = bytes.get(written..).unwrap_or_default();
                    if written == 0 || written % Aligned::TO != 0 {
                        self.way = Way::Cached;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Other alignments than ours, say.
                Err(error) if error.kind() == ErrorKind::InvalidInput => self.way = Way::Cached,
                Err(error) => return Err(error),
            }
        }
        self.write_cached_at_end(bytes)
    }

    /// After what went past the cache.
    fn write_cached_at_end(&mut self, bytes: &[u8]) -> Result<()> {
        if !bytes.is_empty() {
            self.file.seek(SeekFrom::Start(self.written))?;
            self.write_cached(bytes)?;
        }
        Ok(())
    }

    fn write_cached(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        if self.written - self.synced >= SYNC_EVERY && !self.is_syncing.swap(true, Ordering::Relaxed) {
            self.synced = self.written;
            let (path, is_syncing) = (self.path.clone(), self.is_syncing.clone());
            on_io_thread(move || {
                // Through a handle of its own: what goes wrong is still said to ours.
                drop(fs::File::open(path).and_then(|file| file.sync_data()));
                is_syncing.store(false, Ordering::Relaxed);
            });
        }
        Ok(())
    }
}

/// Opens a file for aligned writes from an offset on; none if that cannot be.
#[cfg(target_os = "linux")]
fn past_the_cache(path: &std::path::Path, offset: u64) -> Option<fs::File> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;

    let mut file = fs::OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path).ok()?;
    file.seek(SeekFrom::Start(offset)).ok()?;
    Some(file)
}

#[cfg(not(target_os = "linux"))]
fn past_the_cache(_: &std::path::Path, _: u64) -> Option<fs::File> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_pieces_the_file_has_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let whole: Vec<u8> = (0..12_345_678u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let mut aligned = Aligned::new(1 << 20);
        for (i, sizes) in
            [&[1 << 20][..], &[99_999], &[1 << 20, 4096, 5000, 77], &[12_345_678]].into_iter().enumerate()
        {
            let path = folder.path().join(i.to_string());
            let mut output = Output::create(path.clone()).unwrap();
            let (mut rest, mut sizes) = (&whole[..], sizes.iter().cycle());
            while !rest.is_empty() {
                let (piece, tail) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                rest = tail;
                match aligned.get_mut(..piece.len()) {
                    Some(bytes) => {
                        bytes.copy_from_slice(piece);
                        output.write(bytes).unwrap();
                    }
                    None => output.write(piece).unwrap(),
                }
            }
            output.sync().unwrap();
            assert!(fs::read(path).unwrap() == whole, "case {i}");
        }
    }

    #[test]
    fn where_there_is_no_way_past_the_cache_all_goes_through_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut output = Output::create(path.clone()).unwrap();
        output.write(&[1; CACHED as usize]).unwrap();
        // Refused, as all would be on a disk that wants other alignments.
        if let Way::Direct(file) = &mut output.way {
            file.seek(SeekFrom::Start(CACHED + 1)).unwrap();
        }
        let mut aligned = Aligned::new(1 << 20);
        aligned.fill(2);
        output.write(&aligned).unwrap();
        assert!(matches!(output.way, Way::Cached));
        output.write(&[3; 100]).unwrap();
        output.sync().unwrap();
        let read = fs::read(path).unwrap();
        let count = |n| read.iter().filter(|byte| **byte == n).count();
        assert_eq!((count(1), count(2), count(3)), (CACHED as usize, 1 << 20, 100));
        assert!(read.is_sorted());
    }
}
