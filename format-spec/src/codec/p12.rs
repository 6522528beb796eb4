//! 12 bits a weight: sign, 4-bit exponent code, 7 bits of mantissa. Code 0 is zero.

use std::ops::RangeInclusive;

use super::packed::Packing;

/// Pairs 0..12 lie in words of their own; their spare bits hold pairs 12..16.
pub(super) struct P12;

const OWN: u32 = 0xBFF8_BFF8;

impl Packing for P12 {
    type Words = [u32; 12];
    const WORDS: usize = 12;
    const CODES: RangeInclusive<u16> = 1..=15;
    const BASES: RangeInclusive<u16> = 0..=239;

    fn field(value: u16, base: u16) -> Option<u16> {
        let (sign, exponent, mantissa) = (value & 0x8000, value >> 7 & 0xFF, value & 0x7F);
        if exponent == 0 && mantissa == 0 {
            return Some(sign);
        }
        let code = exponent.checked_sub(base).filter(|code| Self::CODES.contains(code))?;
        (exponent != 0).then_some(sign | code << 10 | mantissa << 3)
    }

    fn value(field: u16, base: u16) -> Option<u16> {
        let (sign, code, mantissa) = (field & 0x8000, field >> 10 & 15, field >> 3 & 0x7F);
        match (code, mantissa) {
            (0, 0) => Some(sign),
            (0, _) => None,
            _ => Some(sign | (base + code) << 7 | mantissa),
        }
    }

    fn pack(pairs: &[u32; 16]) -> [u32; 12] {
        let mut words = [0; 12];
        for (word, pair) in words.iter_mut().zip(pairs) {
            *word = *pair;
        }
        for k in 0..4 {
            let pair = pairs[12 + k];
            words[k] |= pair >> 3 & 0x0007_0007 | (pair & 0x8000_8000) >> 1;
            words[4 + k] |= pair >> 6 & 0x0007_0007 | (pair & 0x2000_2000) << 1;
            words[8 + k] |= pair >> 9 & 0x0007_0007 | (pair & 0x1000_1000) << 2;
        }
        words
    }

    fn unpack(w: &[u32; 12]) -> [u32; 16] {
        let mut pairs = [0; 16];
        for (pair, word) in pairs.iter_mut().zip(w) {
            *pair = word & OWN;
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
