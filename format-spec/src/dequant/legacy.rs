//! Blocks of 32 with one scale.

use super::{centred, half_at};

// Q4_0: d f16 | 16 bytes, low nibbles are elements 0..16, high nibbles 16..32 | w = (q - 8) d
pub(super) fn q4_0(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (j, q) in b[2..18].iter().enumerate() {
        y[j] = centred(q & 15, 8) * d;
        y[j + 16] = centred(q >> 4, 8) * d;
    }
}

// Q4_1: d f16 | m f16 | 16 bytes as Q4_0 | w = q d + m
pub(super) fn q4_1(b: &[u8], y: &mut [f32]) {
    let (d, m) = (half_at(b, 0), half_at(b, 2));
    for (j, q) in b[4..20].iter().enumerate() {
        y[j] = f32::from(q & 15) * d + m;
        y[j + 16] = f32::from(q >> 4) * d + m;
    }
}

/// The fifth bits of a Q5_0 or Q5_1 block, moved to bit 4.
fn fifth_bits(b: &[u8], j: usize) -> (u8, u8) {
    (b[j / 8] >> (j % 8) << 4 & 16, b[2 + j / 8] >> (j % 8) << 4 & 16)
}

// Q5_0: d f16 | 32 fifth bits | 16 bytes as Q4_0 | w = (q - 16) d
pub(super) fn q5_0(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (j, q) in b[6..22].iter().enumerate() {
        let (low, high) = fifth_bits(&b[2..6], j);
        y[j] = centred(q & 15 | low, 16) * d;
        y[j + 16] = centred(q >> 4 | high, 16) * d;
    }
}

// Q5_1: d f16 | m f16 | 32 fifth bits | 16 bytes as Q4_0 | w = q d + m
pub(super) fn q5_1(b: &[u8], y: &mut [f32]) {
    let (d, m) = (half_at(b, 0), half_at(b, 2));
    for (j, q) in b[8..24].iter().enumerate() {
        let (low, high) = fifth_bits(&b[4..8], j);
        y[j] = f32::from(q & 15 | low) * d + m;
        y[j + 16] = f32::from(q >> 4 | high) * d + m;
    }
}

// Q8_0: d f16 | 32 signed bytes | w = q d
pub(super) fn q8_0(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (q, y) in b[2..34].iter().zip(y) {
        *y = f32::from(q.cast_signed()) * d;
    }
}
