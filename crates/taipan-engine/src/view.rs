//! A file's content as a slice, without copying it.

use std::fs::File;
use std::io;
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

/// A whole file, mapped for reading.
pub(crate) struct View {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping is only ever read, and lives until the value is dropped, on whichever thread.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    /// Maps the file. It must not be changed or truncated afterwards; ours are only ever replaced, by renaming.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        // SAFETY: a new mapping at an address of the system's choice touches no memory of ours.
        let start =
            unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, file, 0)? };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at null"))?;
        Ok(Self { start, length })
    }

    /// Forgets which pages were read: those that are read again come from the page cache again. What is known by the page
    /// table counts as memory of this process.
    pub(crate) fn release(&self) {
        // SAFETY: the range is our mapping. Dropping page table entries of a shared mapping of a file changes no content.
        let _ = unsafe { madvise(self.start.as_ptr().cast(), self.length, Advice::LinuxDontNeed) };
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `length` bytes from `start` on are mapped and readable for as long as `self` lives, and nobody writes to
        // the file (see `of`).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `of` made; slices of it borrow `self`. It cannot fail for a mapping that exists.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
