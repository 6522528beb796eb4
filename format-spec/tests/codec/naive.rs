//! p12 and p11 decoded one weight at a time, as SPEC.md says it and as slowly: what the fast decoder is compared with.

use symbiote_format::codec::Shape;
use symbiote_format::{Codec, Dtype};

fn word(bytes: &[u8], i: usize) -> u32 {
    u32::from_le_bytes(*bytes[4 * i..].first_chunk().unwrap())
}

/// Fields 2i and 2i + 1 of a unit.
fn pair(w: &[u32], i: usize) -> u32 {
    match (w.len(), i) {
        (12, 0..12) => w[i] & 0xBFF8_BFF8,
        (12, _) => {
            let (a, b, c) = (w[i - 12], w[i - 8], w[i - 4]);
            (a & 0x0007_0007) << 3
                | (b & 0x0007_0007) << 6
                | (c & 0x0007_0007) << 9
                | (a & 0x4000_4000) << 1
                | (b & 0x4000_4000) >> 1
                | (c & 0x4000_4000) >> 2
        }
        (_, 0..11) => w[i] & 0x9FF8_9FF8,
        _ => {
            let (a, b, sign) = (w[i - 11], w[i - 6], [0, 1, 2, 13, 14][i - 11]);
            (a & 0x0007_0007) << 3
                | (b & 0x0007_0007) << 6
                | (a & 0x6000_6000) >> 2
                | (b & 0x6000_6000) >> 4
                | (w[10] << (15 - sign)) & 0x8000_8000
        }
    }
}

/// The weight of a field, by the arithmetic of a kernel: an f16 times a power of two.
fn weight(codec: Codec, field: u16, base: u32) -> f32 {
    let (bits, scale) = match codec {
        Codec::P12 => (field, i32::try_from(base).unwrap() - 112),
        _ => (field | 0x2000, i32::try_from(base).unwrap() - 120),
    };
    let product = f64::from(half::f16::from_bits(bits).to_f32()) * f64::from(scale).exp2();
    half::bf16::from_f64(product).to_f32()
}

/// Decodes what is known to be good.
pub fn decode(codec: Codec, shape: Shape, coded: &[u8]) -> Vec<u8> {
    let words = if codec == Codec::P12 { 12 } else { 11 };
    let (rows, columns) = (shape.rows as usize, shape.columns as usize);
    let coded_columns = columns - columns % 32;
    let blocks_len = rows.div_ceil(4) * (coded_columns / 32) * words * 16;
    let windows = coded_columns.div_ceil(2048);
    let lists = rows.div_ceil(32) * windows;
    let element = if shape.dtype == Dtype::F32 { 4 } else { 2 };

    let trailer = &coded[blocks_len..];
    let base = if coded_columns == 0 { 0 } else { word(trailer, 0) };
    let first: Vec<usize> = (0..=lists).map(|i| word(trailer, 4 + i) as usize).collect();
    let entries = &trailer[16 + 4 * (lists + 1) + 16 * lists..];
    let tail = &entries[first[lists] * if element == 4 { 8 } else { 4 }..];

    let mut raw = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            if column >= coded_columns {
                let at = (row * (columns - coded_columns) + column - coded_columns) * element;
                raw.extend_from_slice(&tail[at..][..element]);
                continue;
            }
            let (tile, chunk) = (row / 32, column / 128);
            let run = (rows - tile * 32).min(32).div_ceil(4);
            let slots = (coded_columns - chunk * 128).min(128) / 32;
            let (p, t) = (row % 32 % run, row % 32 / run);

            let (list, window_column) = (tile * windows + column / 2048, column % 2048);
            let place = u32::try_from(t << 14 | p << 11 | window_column).unwrap();
            let exception = (first[list]..first[list + 1]).find_map(|i| match element {
                4 => (word(entries, 2 * i) == place).then(|| word(entries, 2 * i + 1)),
                _ => (word(entries, i) & 0xFFFF == place).then(|| word(entries, i) >> 16),
            });
            if let Some(bits) = exception {
                raw.extend_from_slice(&bits.to_le_bytes()[..element]);
                continue;
            }
            let (q, s, j) = (column % 128 / (4 * slots), column % 128 / 4 % slots, column % 4);
            let block = tile * 8 * (coded_columns / 32) * words * 4 + run * chunk * 4 * words * 4;
            let unit: Vec<u32> =
                (0..words).map(|w| word(coded, block + (w * run * slots + p * slots + s) * 4 + t)).collect();
            let [a, b, c, d] = pair(&unit, 2 * q + j / 2).to_le_bytes();
            let field = u16::from_le_bytes(if j % 2 == 0 { [a, b] } else { [c, d] });
            raw.extend(super::weights::bytes(shape.dtype, [weight(codec, field, base)]));
        }
    }
    raw
}
