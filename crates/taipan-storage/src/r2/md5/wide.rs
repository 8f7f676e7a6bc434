//! MD5's steps in registers of AVX-512, of which one lane is used: any function of three words is one instruction there, as is a
//! rotation, so that a step takes four of what it takes five of elsewhere, on average 4.5.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_cvtsi32_si128, _mm_cvtsi128_si32, _mm_rol_epi32, _mm_ternarylogic_epi32,
};
use std::hint::black_box;

use super::{BLOCK, CONSTANTS, ROTATIONS, ahead, words};

/// What each function of three bits gives for 0 to 7, as a bit each.
const FUNCTIONS: [i32; 4] = [0xca, 0xe4, 0x96, 0x39];

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn step<const FUNCTION: i32, const ROTATION: i32>([a, b, c, d]: [__m128i; 4], ahead: u32) -> [__m128i; 4] {
    let ahead = _mm_add_epi32(a, _mm_cvtsi32_si128(ahead.cast_signed()));
    let sum = _mm_add_epi32(ahead, _mm_ternarylogic_epi32::<FUNCTION>(b, c, d));
    [d, _mm_add_epi32(_mm_rol_epi32::<ROTATION>(sum), b), b, c]
}

macro_rules! steps {
    ($state:ident, $words:ident, $constants:ident: $($i:literal)*) => {
        $($state = step::<{ FUNCTIONS[$i / 16] }, { ROTATIONS[$i / 16][$i % 4].cast_signed() }>(
            $state,
            ahead::<$i>(&$words, $constants),
        );)*
    };
}

fearless_simd::kernel!(
    pub(super) fn compress(_avx512: Avx512, state: &mut [u32; 4], blocks: &[[u8; BLOCK]]) {
        let constants = black_box(&CONSTANTS);
        let mut all = state.map(|word| _mm_cvtsi32_si128(word.cast_signed()));
        for block in blocks {
            let words = words(block);
            let mut next = all;
            steps!(next, words, constants: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            steps!(next, words, constants: 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
            steps!(next, words, constants: 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47);
            steps!(next, words, constants: 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
            for (sum, word) in all.iter_mut().zip(next) {
                *sum = _mm_add_epi32(*sum, word);
            }
        }
        *state = all.map(|word| _mm_cvtsi128_si32(word).cast_unsigned());
    }
);
