//! 11 bits a weight: sign, 3-bit exponent code, 7 bits of mantissa. There is no zero.

use std::ops::RangeInclusive;

use super::packed::Packing;

/// Pairs 0..11 lie in words of their own; their spare bits hold pairs 11..16.
pub(super) struct P11;

const OWN: u32 = 0x9FF8_9FF8;
/// Where word 10 has the signs of pairs 11..16.
const SIGNS: [u32; 5] = [0, 1, 2, 13, 14];

impl Packing for P11 {
    type Words = [u32; 11];
    const WORDS: usize = 11;
    const CODES: RangeInclusive<u16> = 0..=7;
    const BASES: RangeInclusive<u16> = 1..=247;

    fn field(value: u16, base: u16) -> Option<u16> {
        let (sign, exponent, mantissa) = (value & 0x8000, value >> 7 & 0xFF, value & 0x7F);
        let code = exponent.checked_sub(base).filter(|code| Self::CODES.contains(code))?;
        Some(sign | code << 10 | mantissa << 3)
    }

    fn value(field: u16, base: u16) -> Option<u16> {
        Some(field & 0x8000 | (base + (field >> 10 & 7)) << 7 | field >> 3 & 0x7F)
    }

    fn pack(pairs: &[u32; 16]) -> [u32; 11] {
        let mut words = [0; 11];
        for (word, pair) in words.iter_mut().zip(pairs) {
            *word = *pair;
        }
        for (k, sign) in SIGNS.into_iter().enumerate() {
            let pair = pairs[11 + k];
            words[k] |= pair >> 3 & 0x0007_0007 | (pair & 0x1800_1800) << 2;
            words[5 + k] |= pair >> 6 & 0x0007_0007 | (pair & 0x0600_0600) << 4;
            words[10] |= (pair & 0x8000_8000) >> (15 - sign);
        }
        words
    }

    fn unpack(w: &[u32; 11]) -> [u32; 16] {
        let mut pairs = [0; 16];
        for (pair, word) in pairs.iter_mut().zip(w) {
            *pair = word & OWN;
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
