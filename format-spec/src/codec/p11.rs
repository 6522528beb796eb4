//! 11 bits a weight: sign, 3-bit exponent code, 7 bits of mantissa. There is no zero.

use std::ops::RangeInclusive;

use super::packed::{EXCEPTION, Packing};

/// Pairs 0..11 lie in words of their own; their spare bits hold pairs 11..16.
pub(super) struct P11;

const OWN: u32 = 0x9FF8_9FF8;
/// Where word 10 has the signs of pairs 11..16.
const SIGNS: [u32; 5] = [0, 1, 2, 13, 14];

impl Packing for P11 {
    const WORDS: usize = 11;
    const CODES: RangeInclusive<u16> = 0..=7;
    const LEAST: u16 = 0;
    const BASES: RangeInclusive<u16> = 1..=247;

    #[inline(always)]
    fn field(value: u16, base: u16) -> u16 {
        let above = (value & 0x7FFF).wrapping_sub(base << 7);
        if above < 8 << 7 { value & 0x8000 | above << 3 } else { EXCEPTION }
    }

    #[inline(always)]
    fn value(field: u16, base: u16) -> u16 {
        // The sign stays where it is.
        let coded = (field.cast_signed() >> 3).cast_unsigned() & 0x83FF;
        coded.wrapping_add(base << 7)
    }

    #[inline(always)]
    fn pack(pairs: &[u32; 16]) -> [u32; 12] {
        let mut words: [u32; 12] = std::array::from_fn(|w| if w < 11 { pairs[w] } else { 0 });
        for (k, sign) in SIGNS.into_iter().enumerate() {
            let pair = pairs[11 + k];
            words[k] |= pair >> 3 & 0x0007_0007 | (pair & 0x1800_1800) << 2;
            words[5 + k] |= pair >> 6 & 0x0007_0007 | (pair & 0x0600_0600) << 4;
            words[10] |= (pair & 0x8000_8000) >> (15 - sign);
        }
        words
    }

    #[inline(always)]
    fn unpack(w: &[u32; 12]) -> [u32; 16] {
        let mut pairs = [0; 16];
        for k in 0..11 {
            pairs[k] = w[k] & OWN;
        }
        for (k, sign) in SIGNS.into_iter().enumerate() {
            pairs[11 + k] = (w[k] & 0x0007_0007) << 3
                | (w[5 + k] & 0x0007_0007) << 6
                | (w[k] & 0x6000_6000) >> 2
                | (w[5 + k] & 0x6000_6000) >> 4
                | (w[10] << (15 - sign)) & 0x8000_8000;
        }
        pairs
    }
}
