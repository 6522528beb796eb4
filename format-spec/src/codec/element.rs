//! Elements of the plain types and their exact forms in 16 bits, a unit at a time, so that compilers make vectors of it.

use super::packed::{Packing, UNIT};
use crate::Dtype;

/// A bf16 that is no weight: it stands for a value that bf16 does not have.
pub(super) const NONE: u16 = 0x7FFF;

/// The bits of an element of the source; its length says which type.
pub(super) fn bits(element: &[u8]) -> u32 {
    match *element {
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
        [a, b] => u16::from_le_bytes([a, b]).into(),
        _ => 0,
    }
}

/// The elements of `raw` in bf16, [`NONE`] for those that are not exact in it.
#[inline(always)]
pub(super) fn narrow(dtype: Dtype, raw: &[u8], values: &mut [u16; UNIT]) {
    match dtype {
        Dtype::F32 => {
            for (value, raw) in values.iter_mut().zip(&raw.as_chunks().0[..UNIT]) {
                *value = upper(u32::from_le_bytes(*raw));
            }
        }
        Dtype::F16 => {
            for (value, raw) in values.iter_mut().zip(&raw.as_chunks().0[..UNIT]) {
                *value = upper(half_to_single(u16::from_le_bytes(*raw)));
            }
        }
        _ => {
            for (value, raw) in values.iter_mut().zip(&raw.as_chunks().0[..UNIT]) {
                *value = u16::from_le_bytes(*raw);
            }
        }
    }
}

/// Fields to what the type keeps in two bytes: the value, of f32 its upper half. Whether the type [`has`] all of them.
#[inline(always)]
pub(super) fn in_place<P: Packing>(dtype: Dtype, base: u16, fields: &mut [[u8; 2]]) -> bool {
    // Twice the least magnitude but 0, minus one.
    let mut least = u16::MAX;
    for field in fields.iter_mut() {
        let bits = u16::from_le_bytes(*field);
        least = least.min((bits << 1).wrapping_sub(1));
        *field = P::value(bits, base).to_le_bytes();
    }
    let mut changed = 0;
    if dtype == Dtype::F16 {
        for field in fields {
            let single = u32::from(u16::from_le_bytes(*field)) << 16;
            let half = single_to_half(single);
            *field = half.to_le_bytes();
            changed |= half_to_single(half) ^ single;
        }
    }
    least / 2 + 1 >= P::LEAST && changed == 0
}

/// What [`in_place`] makes of a field of 0.
pub(super) fn zero<P: Packing>(dtype: Dtype, base: u16) -> [u8; 2] {
    let mut zero = [[0; 2]];
    in_place::<P>(dtype, base, &mut zero);
    zero[0]
}

/// Upper halves to f32.
#[inline(always)]
pub(super) fn widen(values: &[[u8; 2]], raw: &mut [[u8; 4]]) {
    for (raw, [low, high]) in raw.iter_mut().zip(values) {
        *raw = [0, 0, *low, *high];
    }
}

/// Whether a bf16 is finite and of a value that the type has.
pub(super) fn has(dtype: Dtype, value: u16) -> bool {
    let single = u32::from(value) << 16;
    is_finite(value) && (dtype != Dtype::F16 || half_to_single(single_to_half(single)) == single)
}

/// Whether a bf16 is neither infinite nor NaN.
fn is_finite(value: u16) -> bool {
    value & 0x7F80 != 0x7F80
}

/// The bf16 of an f32's bits, or [`NONE`].
fn upper(single: u32) -> u16 {
    let [low0, low1, high0, high1] = single.to_le_bytes();
    if low0 | low1 == 0 { u16::from_le_bytes([high0, high1]) } else { NONE }
}

/// Bits of an f16 to those of the f32 of the same value; infinities and NaN keep their mantissa.
#[inline(always)]
pub(super) fn half_to_single(half: u16) -> u32 {
    let magnitude = u32::from(half & 0x7FFF) << 13;
    // Exponents are biased by 127 there and by 15 here.
    let normal = magnitude + (112 << 23);
    let subnormal = (f32::from_bits(magnitude + (113 << 23)) - f32::from_bits(113 << 23)).to_bits();
    let finite = if magnitude < 1 << 23 { subnormal } else { normal };
    let value = if magnitude < 31 << 23 { finite } else { normal + (112 << 23) };
    u32::from(half & 0x8000) << 16 | value
}

/// The inverse, for what is exact in f16; something else for what is not, as going back shows.
#[inline(always)]
pub(super) fn single_to_half(single: u32) -> u16 {
    let magnitude = single & 0x7FFF_FFFF;
    let normal = magnitude.wrapping_sub(112 << 23) >> 13;
    // In this sum, the unit in the last place is that of f16's subnormals.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let finite = if magnitude < 113 << 23 { subnormal } else { normal };
    let value = if magnitude < 255 << 23 { finite } else { magnitude.wrapping_sub(224 << 23) >> 13 };
    let [low, high, ..] = (value & 0x7FFF | single >> 16 & 0x8000).to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    #[test]
    fn every_half_and_back() {
        for bits in 0..=u16::MAX {
            let single = half_to_single(bits);
            assert_eq!(single_to_half(single), bits);
            if !f16::from_bits(bits).is_nan() {
                assert_eq!(single, f16::from_bits(bits).to_f32().to_bits());
            }
        }
    }

    #[test]
    fn what_is_exact_in_no_half_does_not_come_back() {
        let halves: std::collections::HashSet<u32> = (0..=u16::MAX).map(half_to_single).collect();
        for upper in 0..=u16::MAX {
            for lower in [0, 1, 0x1000, 0x2000, 0x8000, 0xFFFF] {
                let single = u32::from(upper) << 16 | lower;
                assert_eq!(half_to_single(single_to_half(single)) == single, halves.contains(&single), "{single:#x}");
            }
        }
    }
}
