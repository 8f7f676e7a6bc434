//! Bytes that lie as disks want them.

use std::ops::{Deref, DerefMut};

/// Bytes from which a file can be written without the cache of the operating system.
#[derive(Debug, Default)]
pub struct Aligned {
    bytes: Vec<u8>,
    begin: usize,
}

impl Aligned {
    /// Addresses and lengths are multiples of this: what any disk has as a sector.
    pub const TO: usize = 4096;

    /// So many zeros.
    pub fn new(size: usize) -> Self {
        let mut bytes = vec![0; size + Self::TO - 1];
        let begin = bytes.as_ptr().align_offset(Self::TO).min(Self::TO - 1);
        bytes.truncate(begin + size);
        Self { bytes, begin }
    }

    /// How many of these bytes can be written so: none if they do not lie so.
    pub(crate) fn whole(bytes: &[u8]) -> usize {
        match bytes.as_ptr().align_offset(Self::TO) {
            0 => bytes.len() - bytes.len() % Self::TO,
            _ => 0,
        }
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.begin..).unwrap_or_default()
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.begin..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_lie_so_that_all_of_them_can_be_written() {
        for size in [0, 4096, 1 << 20] {
            let aligned = Aligned::new(size);
            assert_eq!((aligned.len(), Aligned::whole(&aligned)), (size, size));
        }
        let aligned = Aligned::new(8192);
        assert_eq!((Aligned::whole(&aligned[1..]), Aligned::whole(&aligned[..8191])), (0, 4096));
    }
}
