//! How many weights a code keeps apart, told from its length.

use std::collections::HashMap;
use std::sync::Mutex;

use symbiote_format::codec::Shape;
use symbiote_format::{Codec, Dtype};

/// Lengths of parts without exceptions, which depend on their shape only.
#[derive(Default)]
pub(super) struct PlainLengths(Mutex<HashMap<(Codec, Dtype, u32, u32), usize>>);

impl PlainLengths {
    /// The exceptions in a part that `codec` makes `len` bytes of; `None` for codecs that have none.
    pub fn exceptions(&self, codec: Codec, shape: Shape, len: usize) -> Option<u64> {
        if !matches!(codec, Codec::P12 | Codec::P11) {
            return None;
        }
        let entry = if shape.dtype == Dtype::F32 { 8 } else { 4 };
        Some((len.saturating_sub(self.plain(codec, shape)?) / entry) as u64)
    }

    /// The length of a part that is all ones.
    fn plain(&self, codec: Codec, shape: Shape) -> Option<usize> {
        let key = (codec, shape.dtype, shape.rows, shape.columns);
        if let Some(len) = self.0.lock().ok()?.get(&key) {
            return Some(*len);
        }
        let one: &[u8] = match shape.dtype {
            Dtype::F32 => &[0, 0, 0x80, 0x3F],
            Dtype::F16 => &[0, 0x3C],
            Dtype::Bf16 => &[0x80, 0x3F],
            _ => return None,
        };
        let mut coded = Vec::new();
        codec.encode(shape, &one.repeat(shape.raw_len() / one.len()), &mut coded).ok()?;
        self.0.lock().ok()?.insert(key, coded.len());
        Some(coded.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_counted() {
        let lengths = PlainLengths::default();
        for (dtype, one) in [(Dtype::Bf16, 0x3F80u32), (Dtype::F16, 0x3C00), (Dtype::F32, 0x3F80_0000)] {
            let shape = Shape { dtype, rows: 40, columns: 100 };
            let width = dtype.block_bytes() as usize;
            let mut raw: Vec<u8> = one.to_le_bytes()[..width].repeat(4000);
            for exceptions in [0, 3, 70] {
                // the smallest positive number is far from one
                (0..exceptions)
                    .for_each(|i| raw[i * 50 * width..][..width].copy_from_slice(&1u32.to_le_bytes()[..width]));
                for codec in [Codec::P12, Codec::P11] {
                    let mut coded = Vec::new();
                    codec.encode(shape, &raw, &mut coded).unwrap();
                    assert_eq!(
                        lengths.exceptions(codec, shape, coded.len()),
                        Some(exceptions as u64),
                        "{codec} {dtype}"
                    );
                }
            }
        }
        let q = Shape { dtype: Dtype::Q4_0, rows: 1, columns: 32 };
        assert_eq!(lengths.exceptions(Codec::Raw, q, 18), None);
    }
}
