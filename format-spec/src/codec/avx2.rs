//! Rows of units with AVX2.

use std::arch::x86_64::__m256i;

use pulp::cast;
use pulp::x86::V3;

use super::pairs::{Pair, Pairs, Row, Transpose};

impl Transpose for V3 {
    #[inline(always)]
    fn strip(self, pairs: &Pairs, p: usize, rows: [&mut Row; 4]) {
        // Two pairs of eight units, then the quads of slots 0 and 1 (2 and 3), and of them those of rows 0 and 1 (2 and 3).
        let quads = |even: &[Pair; 8], odd: &[Pair; 8]| -> [__m256i; 2] {
            let (even, odd) = (cast(*even), cast(*odd));
            [self.avx2._mm256_unpacklo_epi32(even, odd), self.avx2._mm256_unpackhi_epi32(even, odd)]
        };
        // From slots 0, 2, 1, 3.
        let in_order = |row| -> [u8; 32] { cast(self.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(row)) };
        let units = |pairs: &[Pair]| [pairs.as_chunks().0[2 * p], pairs.as_chunks().0[2 * p + 1]];
        for (q, [even, odd]) in pairs.0.as_chunks().0.iter().enumerate() {
            let (even, odd) = (units(even), units(odd));
            let (left, right) = (quads(&even[0], &odd[0]), quads(&even[1], &odd[1]));
            for t in 0..4 {
                let (left, right) = (left[t / 2], right[t / 2]);
                let row = match t % 2 {
                    0 => self.avx2._mm256_unpacklo_epi64(left, right),
                    _ => self.avx2._mm256_unpackhi_epi64(left, right),
                };
                rows[t][q] = in_order(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::pairs::Portable;

    #[test]
    fn strips_are_the_portable_ones() {
        let Some(simd) = V3::try_new() else { return };
        let mut pairs = Pairs::new();
        for (number, field) in (0..).zip(pairs.fields_mut()) {
            *field = u16::to_le_bytes(number);
        }
        for p in 0..8 {
            let strip = |transpose: &dyn Fn([&mut Row; 4])| {
                let mut rows = [[[0; 32]; 8]; 4];
                transpose(rows.each_mut());
                rows
            };
            assert_eq!(strip(&|rows| simd.strip(&pairs, p, rows)), strip(&|rows| Portable.strip(&pairs, p, rows)));
        }
    }
}
