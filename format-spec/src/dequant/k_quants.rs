//! Blocks of 256, whose sub-blocks have scales of a few bits.

use super::{centred, half_at};

/// Scale and minimum of sub-block `j` (0..8) out of the 12 bytes of six-bit numbers of Q4_K and Q5_K.
fn scale_min(j: usize, s: &[u8]) -> (f32, f32) {
    let (scale, min) = if j < 4 {
        (s[j] & 63, s[j + 4] & 63)
    } else {
        (s[j + 4] & 15 | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4)
    };
    (f32::from(scale), f32::from(min))
}

// Q4_K: d f16 | dmin f16 | 12 bytes of scales | 128 bytes | 8 sub-blocks of 32, w = q (d scale) - dmin min
pub(super) fn q4_k(b: &[u8], y: &mut [f32]) {
    let (d, dmin) = (half_at(b, 0), half_at(b, 2));
    for j in 0..8 {
        let (scale, min) = scale_min(j, &b[4..16]);
        let (scale, min) = (d * scale, dmin * min);
        for l in 0..32 {
            let q = b[16 + j / 2 * 32 + l] >> (j % 2 * 4) & 15;
            y[j * 32 + l] = scale * f32::from(q) - min;
        }
    }
}

// Q5_K: d f16 | dmin f16 | 12 bytes of scales | 32 bytes of fifth bits | 128 bytes | as Q4_K
pub(super) fn q5_k(b: &[u8], y: &mut [f32]) {
    let (d, dmin) = (half_at(b, 0), half_at(b, 2));
    for j in 0..8 {
        let (scale, min) = scale_min(j, &b[4..16]);
        let (scale, min) = (d * scale, dmin * min);
        for l in 0..32 {
            let low = b[48 + j / 2 * 32 + l] >> (j % 2 * 4) & 15;
            let high = b[16 + l] >> j & 1;
            y[j * 32 + l] = scale * f32::from(low | high << 4) - min;
        }
    }
}

// Q6_K: 128 bytes of low nibbles | 64 bytes of high bit pairs | 16 signed scales | d f16 | w = (q - 32) (d scale)
pub(super) fn q6_k(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 208);
    for (i, y) in y.iter_mut().enumerate() {
        let (half, i_in, group) = (i / 128, i % 128, i / 16);
        let (quarter, l) = (i_in / 32, i_in % 32);
        let low = b[half * 64 + quarter % 2 * 32 + l] >> (quarter / 2 * 4) & 15;
        let high = b[128 + half * 32 + l] >> (quarter * 2) & 3;
        let scale = f32::from(b[192 + group].cast_signed());
        *y = d * scale * centred(low | high << 4, 32);
    }
}

/// Two bits of element `i` of Q2_K, Q3_K and TQ2_0: a half of the block is four runs of 32 in the same 32 bytes.
pub(super) fn bit_pair(q: &[u8], i: usize) -> u8 {
    q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3
}

// Q2_K: 16 bytes, low nibble scale and high nibble minimum | 64 bytes of bit pairs | d f16 | dmin f16 | 16 sub-blocks of 16,
// w = (d scale) q - dmin min
pub(super) fn q2_k(b: &[u8], y: &mut [f32]) {
    let (d, dmin) = (half_at(b, 80), half_at(b, 82));
    for (i, y) in y.iter_mut().enumerate() {
        let s = b[i / 16];
        let (scale, min) = (d * f32::from(s & 15), dmin * f32::from(s >> 4));
        *y = scale * f32::from(bit_pair(&b[16..80], i)) - min;
    }
}

// Q3_K: 32 bytes of third bits | 64 bytes of bit pairs | 12 bytes of six-bit scales | d f16 | 16 sub-blocks of 16,
// w = (d (scale - 32)) (q - 4)
pub(super) fn q3_k(b: &[u8], y: &mut [f32]) {
    let (s, d) = (&b[96..108], half_at(b, 108));
    for (i, y) in y.iter_mut().enumerate() {
        let j = i / 16;
        let scale = s[j % 8] >> (j / 8 * 4) & 15 | (s[8 + j % 4] >> (j / 4 * 2) & 3) << 4;
        let third = b[i % 32] >> (i / 32) & 1;
        *y = d * centred(scale, 32) * centred(bit_pair(&b[32..96], i) | third << 2, 4);
    }
}
