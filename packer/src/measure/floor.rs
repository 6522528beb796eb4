//! What a code can reach that looks at one weight at a time: its order-0 entropy, field by field.

use symbiote_format::Dtype;

/// What the floor is, in words.
pub(super) const NOTE: &str = "The floor is the order-0 entropy: of the exponent, plus that of the sign and the upper 7 bits of \
the mantissa together, plus that of what is left of the mantissa, byte by byte; of block types, that of each byte by its place in \
the block. Counted tensor by tensor, without the tables that a decoder needs, so that small tensors read low. A code that looks \
at neighbours too can be below it.";

/// How often each value of each field of a tensor's elements, or bytes of its blocks, was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts(Vec<[u64; 256]>);

impl Counts {
    /// Those of the elements in `raw`.
    pub fn of(dtype: Dtype, raw: &[u8]) -> Self {
        let bytes = dtype.block_bytes() as usize;
        let fields = if dtype == Dtype::F16 { 3 } else { bytes };
        let mut counts = vec![[0; 256]; fields];
        let mut add = |values: &[u8]| {
            for (count, value) in counts.iter_mut().zip(values) {
                count[usize::from(*value)] += 1;
            }
        };
        for element in raw.chunks_exact(bytes) {
            match (dtype, element) {
                (Dtype::F32, [low, next, b2, b3]) => add(&[*low, *next, upper_mantissa(*b2, *b3), exponent(*b2, *b3)]),
                (Dtype::Bf16, [b0, b1]) => add(&[upper_mantissa(*b0, *b1), exponent(*b0, *b1)]),
                // sign 1, exponent 5, mantissa 10
                (Dtype::F16, [b0, b1]) => {
                    add(&[b0 & 7, b1 & 0x80 | (b1 & 3) << 5 | b0 >> 3, b1 >> 2 & 31]);
                }
                (_, block) => add(block),
            }
        }
        Self(counts)
    }

    /// Adds what was counted in other rows of the tensor.
    pub fn merge(&mut self, other: &Self) {
        self.0.resize(other.0.len(), [0; 256]);
        for (mine, others) in self.0.iter_mut().zip(&other.0) {
            mine.iter_mut().zip(others).for_each(|(n, more)| *n += more);
        }
    }

    /// The entropy of all that was counted, in bits.
    pub fn bits(&self) -> f64 {
        self.0.iter().map(entropy).sum()
    }
}

/// Of the upper two bytes of an F32, or a BF16: the exponent.
fn exponent(low: u8, high: u8) -> u8 {
    high << 1 | low >> 7
}

/// Of the same: the sign, and the upper 7 bits of the mantissa.
fn upper_mantissa(low: u8, high: u8) -> u8 {
    high & 0x80 | low & 0x7F
}

/// Bits that values take which are seen so often, each coded by its share of all.
fn entropy(counts: &[u64; 256]) -> f64 {
    let all: u64 = counts.iter().sum();
    let bits = |n: u64| n as f64 * (all as f64 / n as f64).log2();
    counts.iter().filter(|n| **n > 0).map(|n| bits(*n)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(dtype: Dtype, raw: &[u8]) -> f64 {
        Counts::of(dtype, raw).bits() / (raw.len() / dtype.block_bytes() as usize) as f64
    }

    #[test]
    fn what_is_always_the_same_costs_nothing_and_what_is_even_costs_its_bits() {
        let every: Vec<u16> = (0..=u16::MAX).collect();
        let bytes: Vec<u8> = every.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        for dtype in [Dtype::Bf16, Dtype::F16] {
            assert!((floor(dtype, &bytes) - 16.0).abs() < 1e-9);
            assert_eq!(floor(dtype, &[1, 2].repeat(100)), 0.0);
        }
        // F32 made from BF16: the lower bytes are always 0
        let wide: Vec<u8> = every.iter().flat_map(|bits| (u32::from(*bits) << 16).to_le_bytes()).collect();
        assert!((floor(Dtype::F32, &wide) - 16.0).abs() < 1e-9);
        // two exponents, one sign and mantissa
        let two: Vec<u8> = [0x3F80u16, 0x4000].repeat(50).iter().flat_map(|bits| bits.to_le_bytes()).collect();
        assert!((floor(Dtype::Bf16, &two) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn blocks_are_counted_byte_by_byte_and_parts_add_up() {
        let raw: Vec<u8> =
            (0..34 * 512).map(|i: u32| if i % 34 == 5 { (i / 34).to_le_bytes()[0] } else { 7 }).collect();
        assert!((floor(Dtype::Q8_0, &raw) - 8.0).abs() < 1e-9);
        let (front, back) = raw.split_at(34 * 100);
        let mut counts = Counts::default();
        counts.merge(&Counts::of(Dtype::Q8_0, front));
        counts.merge(&Counts::of(Dtype::Q8_0, back));
        assert_eq!(counts, Counts::of(Dtype::Q8_0, &raw));
    }
}
