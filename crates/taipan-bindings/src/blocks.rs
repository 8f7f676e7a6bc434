//! Buffers that are used again and again while a body is on its way: what is allocated anew for each piece is paid for page by
//! page.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use taipan_storage::Aligned;

/// Buffers of one size, from which files can be written past the cache. A cheap handle; clones have the same.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    size: usize,
    /// Those that nobody uses.
    idle: Arc<Mutex<Vec<Aligned>>>,
}

/// A buffer and how much of it is used. It is there for others again once it is dropped.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Aligned,
    used: usize,
    home: Blocks,
}

impl Blocks {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, idle: Arc::default() }
    }

    pub(crate) fn take(&self) -> Block {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Block { bytes: idle.unwrap_or_else(|| Aligned::new(self.size)), used: 0, home: self.clone() }
    }
}

impl Block {
    /// Appends as much as there is room for. Gives what is left.
    pub(crate) fn append<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = self.bytes.get_mut(self.used..).unwrap_or_default();
        let (head, tail) = bytes.split_at(bytes.len().min(room.len()));
        if let Some(room) = room.get_mut(..head.len()) {
            room.copy_from_slice(head);
        }
        self.used += head.len();
        tail
    }

    pub(crate) fn is_full(&self) -> bool {
        self.used == self.bytes.len()
    }

    /// Has it filled. `fill` is given all of it, and gives how much it used.
    pub(crate) fn fill<E>(&mut self, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        self.used = fill(&mut self.bytes)?;
        Ok(())
    }

    /// What was written to it.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.home.idle.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_when_nobody_reads_them() {
        let blocks = Blocks::new(4);
        let mut first = blocks.take();
        assert_eq!(first.append(b"abcdef"), b"ef");
        assert!(first.is_full());
        let bytes = first.freeze();
        let mut second = blocks.take();
        second
            .fill(|buffer| buffer.get_mut(..1).map(|to| to.copy_from_slice(b"x")).map_or(Err(()), |()| Ok(1)))
            .unwrap();
        assert_eq!((&bytes[..], second.as_ref()), (&b"abcd"[..], &b"x"[..]));
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!(blocks.idle.lock().unwrap().len(), 0);
        drop(part);
        drop(second);
        assert_eq!(blocks.idle.lock().unwrap().len(), 2);
        assert_eq!(blocks.take().as_ref(), b"");
    }
}
