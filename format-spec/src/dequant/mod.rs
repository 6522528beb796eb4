//! Stored blocks to `f32`: the plain reference that every kernel is compared with. Block layouts are ggml's but for F8.

mod float8;
mod four_bit;
mod grid;
mod i_quants;
mod k_quants;
mod legacy;
mod ternary;

pub use grid::grid;

use half::{bf16, f16};

use crate::Dtype;

/// Decodes whole blocks of `dtype` from `bytes` into `out`, one `f32` an element, with exactly ggml's arithmetic. Numbers of 8 bits
/// are decoded without their factors.
///
/// # Panics
/// If `bytes` is no whole number of blocks, or `out` has another length than they have elements, or the type is kept only.
pub fn dequantize(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    let (len, size) = (dtype.block_len() as usize, dtype.block_bytes() as usize);
    assert_eq!(bytes.len() % size, 0, "whole blocks of {dtype}");
    assert_eq!(bytes.len() / size * len, out.len(), "elements of {dtype}");
    let decode: fn(&[u8], &mut [f32]) = match dtype {
        Dtype::F32 => |b, y| y[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        Dtype::F16 => |b, y| y[0] = half_at(b, 0),
        Dtype::Bf16 => |b, y| y[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32(),
        Dtype::Q4_0 => legacy::q4_0,
        Dtype::Q4_1 => legacy::q4_1,
        Dtype::Q5_0 => legacy::q5_0,
        Dtype::Q5_1 => legacy::q5_1,
        Dtype::Q8_0 => legacy::q8_0,
        Dtype::Q2K => k_quants::q2_k,
        Dtype::Q3K => k_quants::q3_k,
        Dtype::Q4K => k_quants::q4_k,
        Dtype::Q5K => k_quants::q5_k,
        Dtype::Q6K => k_quants::q6_k,
        Dtype::Iq4Nl => four_bit::iq4_nl,
        Dtype::Iq4Xs => four_bit::iq4_xs,
        Dtype::Mxfp4 => four_bit::mxfp4,
        Dtype::Iq1S => i_quants::iq1_s,
        Dtype::Iq1M => i_quants::iq1_m,
        Dtype::Iq2Xxs => i_quants::iq2_xxs,
        Dtype::Iq2Xs => i_quants::iq2_xs,
        Dtype::Iq2S => i_quants::iq2_s,
        Dtype::Iq3Xxs => i_quants::iq3_xxs,
        Dtype::Iq3S => i_quants::iq3_s,
        Dtype::Tq1_0 => ternary::tq1_0,
        Dtype::Tq2_0 => ternary::tq2_0,
        Dtype::F8E4M3 => |b, y| y[0] = float8::e4m3(b[0]),
        Dtype::F8E5M2 => |b, y| y[0] = float8::e5m2(b[0]),
        kept => panic!("{kept} is no type of weights"),
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
