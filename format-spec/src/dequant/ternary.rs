//! Blocks of 256 elements that are -1, 0 or 1 times one scale.

use super::k_quants::bit_pair;
use super::{centred, half_at};

/// Digit `n` of a byte that is a fraction in base three, in 256ths.
fn digit(byte: u8, n: u32) -> f32 {
    let rest = byte.wrapping_mul(3u8.pow(n));
    centred(u8::try_from((u16::from(rest) * 3) >> 8).unwrap_or(0), 1)
}

// TQ1_0: 48 bytes of five digits | 4 bytes of four digits | d f16 | w = d (digit - 1). Digits n of the first 32 bytes come one
// after another, then those of the next 16 bytes, then of the last 4.
pub(super) fn tq1_0(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 52);
    for (bytes, digits, first) in [(0..32, 5, 0), (32..48, 5, 160), (48..52, 4, 240)] {
        let values = y[first..].chunks_exact_mut(bytes.len());
        for (n, values) in (0..digits).zip(values) {
            for (byte, y) in b[bytes.clone()].iter().zip(values) {
                *y = d * digit(*byte, n);
            }
        }
    }
}

// TQ2_0: 64 bytes of bit pairs | d f16 | w = d (q - 1)
pub(super) fn tq2_0(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 64);
    for (i, y) in y.iter_mut().enumerate() {
        *y = d * centred(bit_pair(b, i), 1);
    }
}
