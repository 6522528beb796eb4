//! What is coded comes back, bit for bit.

use proptest::prelude::*;
use symbiote_format::codec::Shape;
use symbiote_format::{Codec, Dtype};

use crate::naive;
use crate::weights::{PLAIN, Random, bytes, gaussian, round_trip};

/// Every codec that takes the type, and for p12 and p11 the naive decoder as well.
fn every_codec(shape: Shape, raw: &[u8]) {
    for codec in Codec::ALL.iter().copied().filter(|codec| codec.takes(shape.dtype)) {
        let coded = round_trip(codec, shape, raw);
        if matches!(codec, Codec::P12 | Codec::P11) {
            assert!(naive::decode(codec, shape, &coded) == raw, "{codec} is not as specified: {shape:?}");
        }
    }
}

#[test]
fn every_pattern_of_two_bytes() {
    let raw: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    for dtype in [Dtype::Bf16, Dtype::F16] {
        for (rows, columns) in [(512, 128), (1, 65536), (64, 1024), (65536, 1), (2048, 32)] {
            every_codec(Shape { dtype, rows, columns }, &raw);
        }
    }
}

#[test]
fn every_f32_that_a_half_has() {
    let wide = |singles: Vec<u32>| singles.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    let shape = Shape { dtype: Dtype::F32, rows: 256, columns: 256 };
    every_codec(shape, &wide((0..=u16::MAX).map(|bits| u32::from(bits) << 16).collect()));
    every_codec(shape, &wide((0..=u16::MAX).map(|bits| half::f16::from_bits(bits).to_f32().to_bits()).collect()));
    // No exceptions but for NaN, which this conversion makes quiet and no other.
    let halves = (0..=u16::MAX).map(half::f16::from_bits).filter(|half| !half.is_nan());
    let mut raw = wide(halves.map(|half| half.to_f32().to_bits()).collect());
    raw.resize(raw.len().next_multiple_of(1024), 0);
    let shape = Shape { rows: u32::try_from(raw.len() / 1024).unwrap(), ..shape };
    let trailer = 16 + 4 + 20 * shape.rows.div_ceil(32) as usize;
    assert_eq!(round_trip(Codec::F16, shape, &raw).len(), raw.len() / 2 + trailer);
}

#[test]
fn singles_at_the_edges() {
    // Zeros, subnormals, what lies next to the range of a half, infinities, quiet and signalling NaN with payloads.
    let edges = [
        0x0000_0000u32,
        1,
        0x007F_FFFF,
        0x0080_0000,
        0x3280_0000,
        0x3300_0000,
        0x3380_0000,
        0x387F_E000,
        0x3880_0000,
        0x3F80_0000,
        0x3F80_0001,
        0x3F80_2000,
        0x477F_E000,
        0x477F_F000,
        0x4780_0000,
        0x7F7F_FFFF,
        0x7F7F_0000,
        0x7F80_0000,
        0x7F80_0001,
        0x7F80_2000,
        0x7F81_0000,
        0x7FBF_FFFF,
        0x7FC0_0000,
        0x7FC1_2345,
        0x7FFF_E000,
        0x7FFF_FFFF,
    ];
    let raw: Vec<u8> = edges.iter().flat_map(|e| [*e, e | 0x8000_0000]).flat_map(u32::to_le_bytes).collect();
    for (rows, columns) in [(1, 52), (52, 1), (4, 13)] {
        every_codec(Shape { dtype: Dtype::F32, rows, columns }, &raw);
    }
    let many = raw.repeat(16);
    every_codec(Shape { dtype: Dtype::F32, rows: 13, columns: 64 }, &many);
}

#[test]
fn every_shape_around_a_tile_and_a_chunk() {
    for rows in [1, 2, 3, 4, 5, 31, 32, 33, 36, 37, 65] {
        for columns in [1, 31, 32, 33, 64, 96, 127, 128, 129, 161, 255, 2080] {
            for dtype in PLAIN {
                let shape = Shape { dtype, rows, columns };
                every_codec(shape, &gaussian(shape, 50));
            }
        }
    }
}

#[test]
fn rows_of_several_windows() {
    // Of p12 and p11, whole rows are decoded together up to 8192 columns.
    for columns in [4096, 4097, 8192, 8192 + 2048 + 161] {
        for dtype in PLAIN {
            let shape = Shape { dtype, rows: 37, columns };
            every_codec(shape, &gaussian(shape, 50));
        }
    }
}

#[test]
fn blocks_of_every_type() {
    for dtype in Dtype::all() {
        let shape = Shape { dtype, rows: 5, columns: 512 };
        every_codec(shape, &Random(9).bytes(shape.raw_len()));
    }
}

#[test]
fn weights_like_no_model_has() {
    let shape = |dtype| Shape { dtype, rows: 70, columns: 300 };
    let count = 70 * 300;
    for dtype in PLAIN {
        let size = dtype.block_bytes() as usize;
        every_codec(shape(dtype), &vec![0; count * size]);
        every_codec(shape(dtype), &vec![0xFF; count * size]);
        every_codec(shape(dtype), &Random(3).bytes(count * size));
        // Only exceptions to p12, p11 and the halves: infinities and numbers just above 1.
        every_codec(shape(dtype), &bytes(dtype, (0..count).map(|_| f32::INFINITY)));
        every_codec(shape(dtype), &bytes(dtype, (0..count).map(|_| f32::from_bits(0x3F80_0001))));
        // One odd row.
        every_codec(shape(dtype), &bytes(dtype, (0..count).map(|i| if i / 300 == 41 { 1e30 } else { 0.01 })));
        // As many weights of each exponent, so that only the tie is left to choose by.
        let ascending = (0..count).map(|i| f32::from_bits(u32::try_from(i % 255).unwrap() << 23));
        every_codec(shape(dtype), &bytes(dtype, ascending));
    }
}

#[test]
fn exceptions_are_counted() {
    let shape = |dtype| Shape { dtype, rows: 40, columns: 100 };
    for (dtype, count) in PLAIN.into_iter().flat_map(|dtype| [0, 3, 70].map(|count| (dtype, count))) {
        let mut raw = bytes(dtype, [1.0; 4000]);
        let size = dtype.block_bytes() as usize;
        // the smallest positive number is far from one, and an f32 that no half has
        (0..count).for_each(|i| raw[i * 50 * size..][..size].copy_from_slice(&1u32.to_le_bytes()[..size]));
        for codec in Codec::ALL.iter().copied().filter(|codec| codec.takes(dtype)) {
            let coded = round_trip(codec, shape(dtype), &raw).len() as u64;
            let keeps_apart = !matches!(codec, Codec::Raw | Codec::Zstd | Codec::Zfp);
            let expected = keeps_apart.then_some(count as u64);
            assert_eq!(codec.exceptions(shape(dtype), coded), expected, "{codec} of {dtype}");
        }
    }
}

#[test]
fn the_base_covers_most_weights_and_the_lowest_wins() {
    let shape = Shape { dtype: Dtype::Bf16, rows: 1, columns: 64 };
    let base = |codec, exponents: &[u32]| {
        let values = (0..64).map(|i| f32::from_bits(exponents[i % exponents.len()] << 23));
        let coded = round_trip(codec, shape, &bytes(Dtype::Bf16, values));
        let words = if codec == Codec::P12 { 12 } else { 11 };
        coded[2 * words * 16]
    };
    assert_eq!(base(Codec::P12, &[0]), 0);
    assert_eq!(base(Codec::P11, &[0]), 1);
    assert_eq!(base(Codec::P12, &[120]), 105);
    assert_eq!(base(Codec::P11, &[120]), 113);
    assert_eq!(base(Codec::P12, &[100, 120, 120]), 105);
    assert_eq!(base(Codec::P12, &[100, 114]), 99);
    assert_eq!(base(Codec::P12, &[254]), 239);
    assert_eq!(base(Codec::P11, &[254]), 247);
}

/// A table of angles, and weights.
#[test]
fn zfp_is_for_what_is_smooth() {
    let shape = Shape { dtype: Dtype::F32, rows: 512, columns: 64 };
    let angle = |i: u16| f32::from(i / 64) * (-f32::from(i % 64) / 64.0).exp2() / 256.0;
    let smooth = bytes(Dtype::F32, (0..512 * 64).map(|i| angle(i).cos()));
    let (zfp, zstd) = (round_trip(Codec::Zfp, shape, &smooth), round_trip(Codec::Zstd, shape, &smooth));
    assert!(zfp.len() * 10 < smooth.len() * 6 && zfp.len() < zstd.len(), "{} {}", zfp.len(), zstd.len());
    let mut random = Random(5);
    let weights = bytes(Dtype::F32, (0..512 * 64).map(|_| random.weight(u32::MAX) * 1.2345));
    let (zfp, zstd) = (round_trip(Codec::Zfp, shape, &weights), round_trip(Codec::Zstd, shape, &weights));
    assert!(zfp.len() * 10 > weights.len() * 9 && zfp.len() > zstd.len(), "{} {}", zfp.len(), zstd.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_shape(rows in 1u32..100, columns in 1u32..400, which in 0usize..3, odd in 2u32..1000) {
        let shape = Shape { dtype: PLAIN[which], rows, columns };
        every_codec(shape, &gaussian(shape, odd));
    }
}
