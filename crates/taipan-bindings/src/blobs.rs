//! Bytes that stay with the host while the guest moves them piece by piece: a value of 25 MiB need not be in its memory twice, or
//! at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use taipan_storage::r2::{Body, Upload};

/// A piece as the guest gets it.
const PIECE: usize = 64 << 10;

/// What an isolate may have lying here, in bytes and in number.
const MOST_BYTES: usize = 128 << 20;
const MOST_BLOBS: usize = 256;

/// The blobs of one isolate, by number. A cheap handle; clones are the same table.
#[derive(Clone, Default)]
pub(crate) struct Blobs(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    last: u32,
    bytes: usize,
    blobs: HashMap<u32, Blob>,
}

enum Blob {
    /// The guest writes it.
    Growing(BytesMut),
    /// The guest reads it.
    Shrinking(Bytes),
    /// The guest writes it, into a file.
    Upload(Shared<Upload>),
    /// The guest reads it, from a file.
    Body(Shared<Body>),
}

/// What is in a file, which one thread uses at a time; none once it has gone wrong or elsewhere.
pub(crate) type Shared<T> = Arc<Mutex<Option<T>>>;

impl Blob {
    fn len(&self) -> usize {
        match self {
            Self::Growing(bytes) => bytes.len(),
            Self::Shrinking(bytes) => bytes.len(),
            Self::Upload(_) | Self::Body(_) => 0,
        }
    }
}

/// Bytes on their way out.
pub(crate) enum Readable {
    Bytes(Bytes),
    File(Body),
}

impl Blobs {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new one for the guest to write.
    pub(crate) fn grow(&self) -> Result<u32, String> {
        self.lock().add(Blob::Growing(BytesMut::new()))
    }

    /// One for the guest to read.
    pub(crate) fn hold(&self, bytes: Bytes) -> Result<u32, String> {
        self.lock().add(Blob::Shrinking(bytes))
    }

    /// A file for the guest to write.
    pub(crate) fn upload(&self, upload: Upload) -> Result<u32, String> {
        self.lock().add(Blob::Upload(Arc::new(Mutex::new(Some(upload)))))
    }

    /// A file for the guest to read.
    pub(crate) fn body(&self, body: Body) -> Result<u32, String> {
        self.lock().add(Blob::Body(Arc::new(Mutex::new(Some(body)))))
    }

    /// The file that the guest writes under this number, if it is one.
    pub(crate) fn writes(&self, blob: u32) -> Option<Shared<Upload>> {
        match self.lock().blobs.get(&blob) {
            Some(Blob::Upload(upload)) => Some(upload.clone()),
            _ => None,
        }
    }

    /// The file that the guest reads under this number, if it is one.
    pub(crate) fn reads(&self, blob: u32) -> Option<Shared<Body>> {
        match self.lock().blobs.get(&blob) {
            Some(Blob::Body(body)) => Some(body.clone()),
            _ => None,
        }
    }

    /// Appends to a blob, which may not get larger than `most`.
    pub(crate) fn write(&self, blob: u32, bytes: &[u8], most: usize) -> Result<(), String> {
        let mut table = self.lock();
        table.room(bytes.len())?;
        match table.blobs.get_mut(&blob) {
            Some(Blob::Growing(grown)) if grown.len() + bytes.len() > most => {
                Err(format!("the value is too large: more than {most} bytes"))
            }
            Some(Blob::Growing(grown)) => {
                grown.extend_from_slice(bytes);
                table.bytes += bytes.len();
                Ok(())
            }
            _ => Err(gone(blob)),
        }
    }

    /// The next piece; `None` at the end, after which there is no such blob.
    pub(crate) fn read(&self, blob: u32) -> Result<Option<Vec<u8>>, String> {
        let mut table = self.lock();
        match table.blobs.get_mut(&blob) {
            Some(Blob::Shrinking(left)) if left.has_remaining() => {
                let piece = left.split_to(left.len().min(PIECE)).to_vec();
                table.bytes -= piece.len();
                Ok(Some(piece))
            }
            Some(Blob::Shrinking(_)) => {
                table.blobs.remove(&blob);
                Ok(None)
            }
            _ => Err(gone(blob)),
        }
    }

    /// All that was written.
    pub(crate) fn take(&self, blob: u32) -> Result<Bytes, String> {
        let mut table = self.lock();
        match table.remove(blob) {
            Some(Blob::Growing(bytes)) => Ok(bytes.freeze()),
            _ => Err(gone(blob)),
        }
    }

    /// Takes a blob that the guest could read.
    pub(crate) fn pass(&self, blob: u32) -> Result<Readable, String> {
        let mut table = self.lock();
        match table.remove(blob) {
            Some(Blob::Shrinking(bytes)) => Ok(Readable::Bytes(bytes)),
            Some(Blob::Body(body)) => {
                let body = body.lock().unwrap_or_else(PoisonError::into_inner).take();
                body.map(Readable::File).ok_or_else(|| gone(blob))
            }
            _ => Err(gone(blob)),
        }
    }

    pub(crate) fn forget(&self, blob: u32) {
        self.lock().remove(blob);
    }

    /// Bytes of the guest's that wait for a disk: whoever does not wait for them is stopped in the end.
    pub(crate) fn waiting(&self, bytes: Vec<u8>) -> Result<Waiting, String> {
        let mut table = self.lock();
        // A lone value may be as large as the guest's memory.
        if table.bytes > 0 {
            table.room(bytes.len())?;
        }
        table.bytes += bytes.len();
        drop(table);
        Ok(Waiting { blobs: self.clone(), bytes: bytes.into() })
    }
}

/// Bytes that wait; dropped, they do not count any more.
pub(crate) struct Waiting {
    blobs: Blobs,
    pub(crate) bytes: Bytes,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.blobs.lock().bytes -= self.bytes.len();
    }
}

impl Table {
    fn room(&self, bytes: usize) -> Result<(), String> {
        match self.bytes + bytes > MOST_BYTES || self.blobs.len() > MOST_BLOBS {
            true => {
                Err("too many values are being streamed at once: read them, or cancel their streams"
                    .to_owned())
            }
            false => Ok(()),
        }
    }

    fn add(&mut self, blob: Blob) -> Result<u32, String> {
        self.room(blob.len())?;
        self.last = self.last.wrapping_add(1);
        self.bytes += blob.len();
        self.blobs.insert(self.last, blob);
        Ok(self.last)
    }

    fn remove(&mut self, blob: u32) -> Option<Blob> {
        let removed = self.blobs.remove(&blob)?;
        self.bytes -= removed.len();
        Some(removed)
    }
}

fn gone(blob: u32) -> String {
    format!("there is no such blob: {blob}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_taken_and_what_is_held_is_read() {
        let blobs = Blobs::default();
        let blob = blobs.grow().unwrap();
        blobs.write(blob, b"ab", 3).unwrap();
        assert!(blobs.write(blob, b"cd", 3).unwrap_err().contains("too large"));
        blobs.write(blob, b"c", 3).unwrap();
        assert!(blobs.read(blob).is_err());
        assert_eq!(blobs.take(blob).unwrap(), "abc");
        assert!(blobs.take(blob).is_err());
        let blob = blobs.hold(vec![7; PIECE + 1].into()).unwrap();
        assert_eq!(blobs.read(blob).unwrap().map(|piece| piece.len()), Some(PIECE));
        assert_eq!(blobs.read(blob).unwrap(), Some(vec![7]));
        assert_eq!(blobs.read(blob).unwrap(), None);
        assert!(blobs.read(blob).is_err());
    }

    #[test]
    fn what_waits_counts_until_it_is_dropped() {
        let blobs = Blobs::default();
        let waits = blobs.waiting(vec![0; MOST_BYTES + 1]).unwrap();
        assert!(blobs.waiting(vec![0]).is_err());
        drop(waits);
        blobs.waiting(vec![0]).unwrap();
    }

    #[test]
    fn a_guest_holds_a_bounded_amount() {
        let blobs = Blobs::default();
        let held: Vec<u32> = (0..4).map(|_| blobs.hold(vec![0; 32 << 20].into()).unwrap()).collect();
        assert!(blobs.hold(vec![0].into()).is_err());
        blobs.forget(held[0]);
        blobs.hold(vec![0].into()).unwrap();
        let many = Blobs::default();
        assert!((0..1000).filter(|_| many.grow().is_ok()).count() < 300);
    }
}
