//! Weights to code: like a model's, and unlike any.

use symbiote_format::codec::Shape;
use symbiote_format::{Codec, Dtype};

/// The types that weights are computed in; the others are blocks of bytes to a codec.
pub const PLAIN: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::Bf16];

/// A generator of random numbers that is the same everywhere.
pub struct Random(pub u64);

impl Random {
    /// Knuth's; the upper half is random enough.
    pub fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::from_be_bytes(*self.0.to_be_bytes().first_chunk().unwrap())
    }

    pub fn below(&mut self, n: u32) -> u32 {
        self.next() % n
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[3]).collect()
    }

    /// Close to gaussian, of a standard deviation of 0.02, and exact in bf16; one in `odd` is something else.
    pub fn weight(&mut self, odd: u32) -> f32 {
        if self.below(odd) == 0 {
            return f32::from_bits(self.next());
        }
        let uniform = |random: u32| f32::from(u16::try_from(random >> 16).unwrap()) / 65536.0;
        let sum: f32 = (0..12).map(|_| uniform(self.next())).sum();
        half::bf16::from_f32((sum - 6.0) * 0.02).to_f32()
    }
}

/// The bytes of `values` in a plain type, rounded where they must be.
pub fn bytes(dtype: Dtype, values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    let element = |value: f32| match dtype {
        Dtype::F32 => value.to_le_bytes().to_vec(),
        Dtype::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
        Dtype::Bf16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
        _ => panic!("{dtype} is not plain"),
    };
    values.into_iter().flat_map(element).collect()
}

/// Rows of a model, as good as.
pub fn gaussian(shape: Shape, odd: u32) -> Vec<u8> {
    let mut random = Random(u64::from(shape.rows) << 32 | u64::from(shape.columns));
    bytes(shape.dtype, (0..shape.rows * shape.columns).map(|_| random.weight(odd)))
}

/// Codes, checks and decodes `raw`, and returns it as coded.
pub fn round_trip(codec: Codec, shape: Shape, raw: &[u8]) -> Vec<u8> {
    let mut coded = vec![7; 3];
    codec.encode(shape, raw, &mut coded).unwrap();
    let coded = coded.split_off(3);
    codec.check(shape, &coded).unwrap();
    let mut back = vec![9; raw.len()];
    codec.decode(shape, &coded, &mut back).unwrap();
    assert!(back == raw, "{codec} changes {shape:?}");
    coded
}
