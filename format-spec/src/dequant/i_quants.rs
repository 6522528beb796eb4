//! Blocks of 256 whose elements are points of a grid, eight or four elements a point.

use half::f16;

use super::{grid, half_at};

/// Magnitudes of IQ2; no point has the last.
const IQ2: [f32; 4] = [8.0, 25.0, 43.0, 0.0];
const IQ3_XXS: [f32; 8] = [4.0, 12.0, 20.0, 28.0, 36.0, 44.0, 52.0, 62.0];
const IQ3_S: [f32; 8] = [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0];

fn u16_at(b: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([b[at], b[at + 1]])
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// Nibble `i` of `b`, the low one of a byte first.
fn nibble(b: &[u8], i: usize) -> u8 {
    b[i / 2] >> (i % 2 * 4) & 15
}

/// Number `i` of four sign sets of seven bits in the low end of `word`; the eighth sign makes the number of minuses even.
fn even_signs(word: u32, i: usize) -> u8 {
    let [seven, ..] = (word >> (7 * i) & 127).to_le_bytes();
    seven | u8::from(seven.count_ones() % 2 == 1) << 7
}

/// Up to eight elements: magnitudes, of which the point has numbers of `bits` bits, with signs.
fn put(y: &mut [f32], scale: f32, magnitudes: &[f32], (point, bits): (u16, usize), signs: u8) {
    for (i, y) in y.iter_mut().enumerate() {
        let number = usize::from(point >> (bits * i)) & (magnitudes.len() - 1);
        let w = scale * magnitudes[number];
        *y = if signs >> i & 1 == 1 { -w } else { w };
    }
}

// IQ2_XXS: d f16 | 8 sub-blocks of 32: 4 bytes of points of eight | u32 of four sevens of signs and a scale in the upper 4 bits |
// w = d (0.5 + scale) 0.25 magnitude
pub(super) fn iq2_xxs(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (s, y) in b[2..].chunks_exact(8).zip(y.chunks_exact_mut(32)) {
        let word = u32_at(s, 4);
        let scale = d * (0.5 + (word >> 28) as f32) * 0.25;
        for (p, y) in y.chunks_exact_mut(8).enumerate() {
            put(y, scale, &IQ2, (grid::IQ2_XXS[usize::from(s[p])], 2), even_signs(word, p));
        }
    }
}

// IQ2_XS: d f16 | 32 points of eight as u16: 9 bits of number and 7 of signs | 16 nibbles of scales | w as IQ2_XXS
pub(super) fn iq2_xs(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (p, y) in y.chunks_exact_mut(8).enumerate() {
        let q = u16_at(b, 2 + 2 * p);
        let scale = d * (0.5 + f32::from(nibble(&b[66..], p / 2))) * 0.25;
        put(y, scale, &IQ2, (grid::IQ2_XS[usize::from(q & 511)], 2), even_signs(u32::from(q >> 9), 0));
    }
}

// IQ2_S: d f16 | 32 lower bytes of points of eight | 32 bytes of signs | 32 upper bit pairs | 16 nibbles of scales | w as IQ2_XXS
pub(super) fn iq2_s(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (p, y) in y.chunks_exact_mut(8).enumerate() {
        let upper = b[66 + p / 4] >> (p % 4 * 2) & 3;
        let number = usize::from(b[2 + p]) | usize::from(upper) << 8;
        let scale = d * (0.5 + f32::from(nibble(&b[74..], p / 2))) * 0.25;
        put(y, scale, &IQ2, (grid::IQ2_S[number], 2), b[34 + p]);
    }
}

// IQ3_XXS: d f16 | 64 bytes of points of four | 8 u32 as of IQ2_XXS | w = d (0.5 + scale) 0.5 magnitude
pub(super) fn iq3_xxs(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (p, y) in y.chunks_exact_mut(4).enumerate() {
        let word = u32_at(b, 66 + p / 8 * 4);
        let scale = d * (0.5 + (word >> 28) as f32) * 0.5;
        let signs = even_signs(word, p % 8 / 2) >> (p % 2 * 4);
        put(y, scale, &IQ3_XXS, (grid::IQ3_XXS[usize::from(b[2 + p])], 4), signs);
    }
}

// IQ3_S: d f16 | 64 lower bytes of points of four | 64 upper bits | 32 bytes of signs | 8 nibbles of scales |
// w = d (1 + 2 scale) magnitude
pub(super) fn iq3_s(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (p, y) in y.chunks_exact_mut(4).enumerate() {
        let upper = b[66 + p / 8] >> (p % 8) & 1;
        let number = usize::from(b[2 + p]) | usize::from(upper) << 8;
        let scale = d * f32::from(1 + 2 * nibble(&b[106..], p / 8));
        put(y, scale, &IQ3_S, (grid::IQ3_S[number], 4), nibble(&b[74..], p));
    }
}

/// Eight elements of IQ1: -1, 0 or 1, all moved by an eighth, down where `down` is set.
fn put_iq1(y: &mut [f32], scale: f32, number: usize, down: bool) {
    let delta = if down { -0.125 } else { 0.125 };
    for (i, y) in y.iter_mut().enumerate() {
        let q = grid::IQ1[number] >> (2 * i) & 3;
        *y = scale * (f32::from(q) - 1.0 + delta);
    }
}

// IQ1_S: d f16 | 32 lower bytes of points of eight | 8 u16: four upper threes of bits, scale in bits 12 to 14, down in bit 15 |
// w = d (2 scale + 1) (q - 1 + delta)
pub(super) fn iq1_s(b: &[u8], y: &mut [f32]) {
    let d = half_at(b, 0);
    for (p, y) in y.chunks_exact_mut(8).enumerate() {
        let word = u16_at(b, 34 + p / 4 * 2);
        let number = usize::from(b[2 + p]) | usize::from(word >> (p % 4 * 3) & 7) << 8;
        put_iq1(y, d * f32::from(2 * (word >> 12 & 7) + 1), number, word >> 15 == 1);
    }
}

// IQ1_M: 32 lower bytes of points of eight | 32 nibbles: three upper bits and down | 4 u16: four threes of scales, of 16 elements
// each, and a nibble of d f16 | w as IQ1_S
pub(super) fn iq1_m(b: &[u8], y: &mut [f32]) {
    let words = [48, 50, 52, 54].map(|at| u16_at(b, at));
    let d = f16::from_bits(words.iter().rev().fold(0, |d, word| d << 4 | word >> 12)).to_f32();
    for (p, y) in y.chunks_exact_mut(8).enumerate() {
        let upper = nibble(&b[32..], p);
        let number = usize::from(b[p]) | usize::from(upper & 7) << 8;
        let scale = words[p / 8] >> (p % 8 / 2 * 3) & 7;
        put_iq1(y, d * f32::from(2 * scale + 1), number, upper & 8 != 0);
    }
}
