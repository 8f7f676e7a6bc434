//! MD5, which an object's ETag is: as fast as it can be, because large objects come no faster than that.
//!
//! Each of its steps waits for the one before, so what counts is how much of a step can be done ahead. Compilers like to add a step's
//! constant last, behind what was waited for, which takes a fifth more time; they cannot where they do not see that it is one.
//! Processors with AVX-512 need fewer instructions for a step, see [`wide`].

#[cfg(target_arch = "x86_64")]
mod wide;

use std::hint::black_box;

const BLOCK: usize = 64;

/// `⌊2³² · |sin(i + 1)|⌋`
const CONSTANTS: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

const ROTATIONS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// A digest of what has come so far.
#[derive(Clone, Debug)]
pub(super) struct Md5 {
    state: [u32; 4],
    /// What does not fill a block.
    rest: Vec<u8>,
    length: u64,
}

impl Md5 {
    pub(super) fn new() -> Self {
        let state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        Self { state, rest: Vec::with_capacity(BLOCK), length: 0 }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if !self.rest.is_empty() {
            let (head, tail) = bytes.split_at(bytes.len().min(BLOCK - self.rest.len()));
            self.rest.extend_from_slice(head);
            bytes = tail;
            if let Ok(block) = self.rest.as_slice().try_into() {
                compress(&mut self.state, std::slice::from_ref(block));
                self.rest.clear();
            }
        }
        let (blocks, rest) = bytes.as_chunks();
        compress(&mut self.state, blocks);
        self.rest.extend_from_slice(rest);
    }

    pub(super) fn finish(mut self) -> [u8; 16] {
        let bits = self.length.wrapping_mul(8);
        let mut end = vec![0x80];
        // Up to eight bytes below a block's end.
        end.resize(1 + (2 * BLOCK - 9 - self.rest.len()) % BLOCK, 0);
        end.extend_from_slice(&bits.to_le_bytes());
        self.update(&end);
        let mut digest = [0; 16];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(self.state) {
            *bytes = word.to_le_bytes();
        }
        digest
    }
}

/// Which of the block's words a step takes.
const fn word(step: usize) -> usize {
    match step / 16 {
        0 => step,
        1 => (5 * step + 1) % 16,
        2 => (3 * step + 5) % 16,
        _ => (7 * step) % 16,
    }
}

fn words(block: &[u8; BLOCK]) -> [u32; 16] {
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// What a step adds that no step before gives.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "by constants that are within")]
fn ahead<const I: usize>(words: &[u32; 16], constants: &[u32; 64]) -> u32 {
    words[word(I)].wrapping_add(constants[I])
}

#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "by constants that are within")]
fn step<const I: usize>([a, b, c, d]: [u32; 4], words: &[u32; 16], constants: &[u32; 64]) -> [u32; 4] {
    let ahead = ahead::<I>(words, constants).wrapping_add(a);
    let sum = match I / 16 {
        0 => ahead.wrapping_add(d ^ (b & (c ^ d))),
        // Of these only the second waits for the step before.
        1 => ahead.wrapping_add(c & !d).wrapping_add(b & d),
        2 => ahead.wrapping_add(b ^ (c ^ d)),
        _ => ahead.wrapping_add(c ^ (b | !d)),
    };
    [d, sum.rotate_left(ROTATIONS[I / 16][I % 4]).wrapping_add(b), b, c]
}

macro_rules! steps {
    ($state:ident, $words:ident, $constants:ident: $($i:literal)*) => {
        $($state = step::<$i>($state, &$words, $constants);)*
    };
}

fn compress(state: &mut [u32; 4], blocks: &[[u8; BLOCK]]) {
    // In a build without optimisation each of its instructions is a call.
    #[cfg(target_arch = "x86_64")]
    if cfg!(not(debug_assertions))
        && let Some(avx512) = fearless_simd::Level::new().as_avx512()
    {
        return wide::compress(avx512, state, blocks);
    }
    compress_anywhere(state, blocks);
}

fn compress_anywhere(state: &mut [u32; 4], blocks: &[[u8; BLOCK]]) {
    let constants = black_box(&CONSTANTS);
    for block in blocks {
        let words = words(block);
        let mut next = *state;
        steps!(next, words, constants: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        steps!(next, words, constants: 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
        steps!(next, words, constants: 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47);
        steps!(next, words, constants: 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
        for (sum, word) in state.iter_mut().zip(next) {
            *sum = sum.wrapping_add(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use md5::Digest as _;

    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn all_processors_compute_the_same() {
        let Some(avx512) = fearless_simd::Level::new().as_avx512() else { return };
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
        let blocks = bytes.as_chunks().0;
        let (mut wide, mut anywhere) = ([1, 2, 3, 4], [1, 2, 3, 4]);
        wide::compress(avx512, &mut wide, blocks);
        compress_anywhere(&mut anywhere, blocks);
        assert_eq!(wide, anywhere);
    }

    #[test]
    fn whatever_the_length_and_the_pieces_the_digest_is_that_of_the_library() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * i % 251) as u8).collect();
        for length in 0..300 {
            let bytes = &bytes[..length];
            for piece in [1, 7, 63, 64, 65, 1000] {
                let mut md5 = Md5::new();
                bytes.chunks(piece).for_each(|piece| md5.update(piece));
                assert_eq!(md5.finish()[..], md5::Md5::digest(bytes)[..], "{length} bytes by {piece}");
            }
        }
    }
}
