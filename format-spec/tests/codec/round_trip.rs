//! What is coded comes back, bit for bit.

use symbiote_format::codec::Shape;
use symbiote_format::{Codec, Dtype};

fn round_trip(codec: Codec, shape: Shape, raw: &[u8]) -> usize {
    let mut coded = vec![7; 3];
    codec.encode(shape, raw, &mut coded).unwrap();
    let coded = coded.split_off(3);
    codec.check(shape, &coded).unwrap();
    let mut back = vec![9; raw.len()];
    codec.decode(shape, &coded, &mut back).unwrap();
    assert!(back == raw, "{codec} changes {shape:?}");
    coded.len()
}

#[test]
fn every_pattern_of_two_bytes() {
    let raw: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    for dtype in [Dtype::Bf16, Dtype::F16] {
        for (rows, columns) in [(512, 128), (1, 65536), (64, 1024), (65536, 1), (2048, 32)] {
            let shape = Shape { dtype, rows, columns };
            round_trip(Codec::P12, shape, &raw);
            round_trip(Codec::P11, shape, &raw);
        }
    }
}

#[test]
fn every_shape_around_a_tile_and_a_chunk() {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Exponents 118 to 127, now and then any.
        let [a, b, c, .., d] = state.to_be_bytes();
        let upper = if b == 0 {
            u16::from_be_bytes([c, d])
        } else {
            u16::from(a & 1) << 15 | (118 + u16::from(b) % 10) << 7 | u16::from(c)
        };
        if a < 250 { u32::from(upper) << 16 } else { u32::from(upper) << 16 | u32::from(d) }
    };
    for rows in [1, 2, 3, 4, 5, 31, 32, 33, 36, 37, 63, 64, 65] {
        for columns in [1, 31, 32, 33, 64, 95, 96, 127, 128, 129, 161, 255, 288, 2080, 4097] {
            let weights: Vec<u32> = (0..rows * columns).map(|_| next()).collect();
            let wide: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
            let narrow: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()[2..].to_vec()).collect();
            for codec in [Codec::P12, Codec::P11] {
                round_trip(codec, Shape { dtype: Dtype::F32, rows, columns }, &wide);
                round_trip(codec, Shape { dtype: Dtype::F16, rows, columns }, &narrow);
                round_trip(codec, Shape { dtype: Dtype::Bf16, rows, columns }, &narrow);
            }
        }
    }
}
