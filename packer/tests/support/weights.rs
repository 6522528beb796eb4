//! Weights as trained ones are, near enough: normal, with few exponents. What codecs are made for.

use symbiote_format::Dtype;

use super::{gguf::Gguf, noise};

/// What an F32 tensor was made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum From32 {
    F32,
    F16,
    Bf16,
}

/// `count` weights of a plain type, or noise in the blocks of any other.
pub fn trained(seed: u64, dtype: Dtype, from: From32, count: usize) -> Vec<u8> {
    let sum = |bytes: &[u8]| bytes.iter().map(|b| f32::from(*b) - 127.5).sum::<f32>();
    let random = noise(seed, count * 12);
    let normal = random.chunks_exact(12).map(|bytes| sum(bytes) / 10_000.0);
    match (dtype, from) {
        (Dtype::F32, From32::F32) => normal.flat_map(f32::to_le_bytes).collect(),
        (Dtype::F32, From32::F16) => normal.flat_map(|x| f32::from_bits(x.to_bits() & !0x1FFF).to_le_bytes()).collect(),
        (Dtype::F32, From32::Bf16) => normal.flat_map(|x| (x.to_bits() & 0xFFFF_0000).to_le_bytes()).collect(),
        (Dtype::Bf16, _) => normal.flat_map(|x| x.to_le_bytes().into_iter().skip(2)).collect(),
        (Dtype::F16, _) => normal.flat_map(|x| f16(x).to_le_bytes()).collect(),
        _ => noise(seed, count / dtype.block_len() as usize * dtype.block_bytes() as usize),
    }
}

/// `x`, cut off; 0 where it is no normal number there.
fn f16(x: f32) -> u16 {
    let bits = x.to_bits();
    let (sign, exponent, mantissa) = ((bits >> 16) & 0x8000, (bits >> 23) & 0xFF, (bits >> 13) & 0x3FF);
    let half = if (113..143).contains(&exponent) { ((exponent - 112) << 10) | mantissa } else { 0 };
    u16::try_from(sign | half).unwrap()
}

/// The model with such weights; F32 tensors are of each kind in turn.
pub fn with_trained_weights(mut model: Gguf) -> Gguf {
    let kinds = [From32::Bf16, From32::F16, From32::F32];
    let mut singles = 0;
    for (seed, t) in (0..).zip(&mut model.tensors) {
        let dtype = Dtype::from_code(u16::try_from(t.ty).unwrap()).unwrap();
        let count = usize::try_from(t.shape.iter().product::<u64>()).unwrap();
        t.data = trained(seed, dtype, kinds[singles % 3], count);
        singles += usize::from(dtype == Dtype::F32);
    }
    model
}
