//! Stored blocks to `f32`: the plain reference that every kernel is compared with. Block layouts are ggml's.

use half::{bf16, f16};

use crate::Dtype;

/// Decodes whole blocks of `dtype` from `bytes` into `out`, one `f32` an element, with exactly ggml's arithmetic.
///
/// # Panics
/// If `bytes` is no whole number of blocks, or `out` has another length than they have elements.
pub fn dequantize(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    let (len, size) = (dtype.block_len() as usize, dtype.block_bytes() as usize);
    assert_eq!(bytes.len() % size, 0, "whole blocks of {dtype}");
    assert_eq!(bytes.len() / size * len, out.len(), "elements of {dtype}");
    let decode: fn(&[u8], &mut [f32]) = match dtype {
        Dtype::F32 => |b, y| y[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        Dtype::F16 => |b, y| y[0] = half_at(b, 0),
        Dtype::Bf16 => |b, y| y[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32(),
        Dtype::Q4_0 => q4_0,
        Dtype::Q4_1 => q4_1,
        Dtype::Q5_0 => q5_0,
        Dtype::Q5_1 => q5_1,
        Dtype::Q8_0 => q8_0,
        Dtype::Q4K => q4_k,
        Dtype::Q5K => q5_k,
        Dtype::Q6K => q6_k,
    };
    for (block, values) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(len)) {
        decode(block, values);
    }
}

fn half_at(b: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([b[at], b[at + 1]]).to_f32()
}

/// A byte as an offset from the middle of its range.
fn centred(q: u8, middle: i16) -> f32 {
    f32::from(i16::from(q) - middle)
}

// Q4_0: d f16 | 16 bytes, low nibbles are elements 0..16, high nibbles 16..32 | w = (q - 8) d
fn q4_0(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (j, q) in b[2..18].iter().enumerate() {
        y[j] = centred(q & 15, 8) * d;
        y[j + 16] = centred(q >> 4, 8) * d;
    }
}

// Q4_1: d f16 | m f16 | 16 bytes as Q4_0 | w = q d + m
fn q4_1(b: &[u8], y: &mut [f32]) {
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
fn q5_0(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (j, q) in b[6..22].iter().enumerate() {
        let (low, high) = fifth_bits(&b[2..6], j);
        y[j] = centred(q & 15 | low, 16) * d;
        y[j + 16] = centred(q >> 4 | high, 16) * d;
    }
}

// Q5_1: d f16 | m f16 | 32 fifth bits | 16 bytes as Q4_0 | w = q d + m
fn q5_1(b: &[u8], y: &mut [f32]) {
    let (d, m) = (half_at(b, 0), half_at(b, 2));
    for (j, q) in b[8..24].iter().enumerate() {
        let (low, high) = fifth_bits(&b[4..8], j);
        y[j] = f32::from(q & 15 | low) * d + m;
        y[j + 16] = f32::from(q >> 4 | high) * d + m;
    }
}

// Q8_0: d f16 | 32 signed bytes | w = q d
fn q8_0(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (q, y) in b[2..34].iter().zip(y) {
        *y = f32::from(q.cast_signed()) * d;
    }
}

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
fn q4_k(b: &[u8], y: &mut [f32]) {
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
fn q5_k(b: &[u8], y: &mut [f32]) {
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
fn q6_k(b: &[u8], y: &mut [f32]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_types_are_themselves() {
        let mut y = [0.0];
        dequantize(Dtype::F32, &1.5f32.to_le_bytes(), &mut y);
        assert_eq!(y, [1.5]);
        dequantize(Dtype::F16, &f16::from_f32(-0.25).to_le_bytes(), &mut y);
        assert_eq!(y, [-0.25]);
        dequantize(Dtype::Bf16, &bf16::from_f32(3.0).to_le_bytes(), &mut y);
        assert_eq!(y, [3.0]);
    }

    #[test]
    fn a_q4_1_block_by_hand() {
        let mut b = [0u8; 20];
        b[0..2].copy_from_slice(&f16::from_f32(0.5).to_le_bytes());
        b[2..4].copy_from_slice(&f16::from_f32(-1.0).to_le_bytes());
        b[4] = 0xF3;
        let mut y = [9.0; 32];
        dequantize(Dtype::Q4_1, &b, &mut y);
        assert_eq!((y[0], y[16], y[1]), (0.5, 6.5, -1.0));
    }
}
