//! Blocks whose nibbles are numbers of values that are not evenly spaced.

use super::{centred, half_at};

/// Values of the nibbles of IQ4_NL and IQ4_XS.
const NON_LINEAR: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// Twice the values of E2M1, a float of four bits.
const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// 16 bytes: low nibbles are the first elements, high nibbles the last.
fn nibbles(values: &[i8; 16], scale: f32, q: &[u8], y: &mut [f32]) {
    for (j, q) in q.iter().enumerate() {
        y[j] = scale * f32::from(values[usize::from(q & 15)]);
        y[j + 16] = scale * f32::from(values[usize::from(q >> 4)]);
    }
}

// IQ4_NL: d f16 | 16 bytes as Q4_0 | w = d value(q)
pub(super) fn iq4_nl(b: &[u8], y: &mut [f32]) {
    nibbles(&NON_LINEAR, half_at(b, 0), &b[2..18], y);
}

// IQ4_XS: d f16 | 8 upper bit pairs of scales | 8 lower nibbles | 128 bytes | 8 sub-blocks of 32 as Q4_0,
// w = (d (scale - 32)) value(q)
pub(super) fn iq4_xs(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (j, y) in y.chunks_exact_mut(32).enumerate() {
        let scale = b[4 + j / 2] >> (j % 2 * 4) & 15 | (b[2 + j / 4] >> (j % 4 * 2) & 3) << 4;
        nibbles(&NON_LINEAR, d * centred(scale, 32), &b[8 + 16 * j..][..16], y);
    }
}

// MXFP4: e u8 | 16 bytes as Q4_0 | w = 2^(e - 128) value(q), the values being doubled
pub(super) fn mxfp4(b: &[u8], y: &mut [f32]) {
    let e = u32::from(b[0]);
    let bits = if e < 2 { 0x0020_0000 << e } else { (e - 1) << 23 };
    nibbles(&E2M1, f32::from_bits(bits), &b[1..17], y);
}
