//! 12 bits a weight: sign, 4-bit exponent code, 7 bits of mantissa. Code 0 is zero.

use std::ops::RangeInclusive;

use super::packed::{EXCEPTION, Packing};

/// Pairs 0..12 lie in words of their own; their spare bits hold pairs 12..16.
pub(super) struct P12;

const OWN: u32 = 0xBFF8_BFF8;

impl Packing for P12 {
    const WORDS: usize = 12;
    const CODES: RangeInclusive<u16> = 1..=15;
    const LEAST: u16 = 1 << 10;
    const BASES: RangeInclusive<u16> = 0..=239;

    #[inline(always)]
    fn field(value: u16, base: u16) -> u16 {
        let (sign, magnitude) = (value & 0x8000, value & 0x7FFF);
        let above = magnitude.wrapping_sub(base << 7);
        let coded = if above.wrapping_sub(1 << 7) < 15 << 7 { sign | above << 3 } else { EXCEPTION };
        if magnitude == 0 { sign } else { coded }
    }

    #[inline(always)]
    fn value(field: u16, base: u16) -> u16 {
        // The sign stays where it is.
        let coded = (field.cast_signed() >> 3).cast_unsigned() & 0x87FF;
        coded.wrapping_add(if field << 1 == 0 { 0 } else { base << 7 })
    }

    #[inline(always)]
    fn pack(pairs: &[u32; 16]) -> [u32; 12] {
        let mut words: [u32; 12] = std::array::from_fn(|w| pairs[w]);
        for k in 0..4 {
            let pair = pairs[12 + k];
            words[k] |= pair >> 3 & 0x0007_0007 | (pair & 0x8000_8000) >> 1;
            words[4 + k] |= pair >> 6 & 0x0007_0007 | (pair & 0x2000_2000) << 1;
            words[8 + k] |= pair >> 9 & 0x0007_0007 | (pair & 0x1000_1000) << 2;
        }
        words
    }

    #[inline(always)]
    fn unpack(w: &[u32; 12]) -> [u32; 16] {
        let mut pairs = [0; 16];
        for k in 0..12 {
            pairs[k] = w[k] & OWN;
        }
        for k in 0..4 {
            pairs[12 + k] = (w[k] & 0x0007_0007) << 3
                | (w[4 + k] & 0x0007_0007) << 6
                | (w[8 + k] & 0x0007_0007) << 9
                | (w[k] & 0x4000_4000) << 1
                | (w[4 + k] & 0x4000_4000) >> 1
                | (w[8 + k] & 0x4000_4000) >> 2;
        }
        pairs
    }
}
