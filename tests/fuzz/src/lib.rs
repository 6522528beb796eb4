//! What the targets of the codecs share.

use symbiote_format::codec::Shape;
use symbiote_format::{Codec, Dtype};

/// A part to spoil.
#[derive(Debug, arbitrary::Arbitrary)]
pub struct Part<'a> {
    /// Type, rows, columns.
    shape: (u8, u8, u16),
    /// Repeated as often as needed.
    weights: &'a [u8],
    /// Where, and to what.
    changes: Vec<(u16, u8)>,
    /// How many bytes are missing.
    cut: u8,
}

impl Part<'_> {
    /// Decodes the weights as they are, and what `codec` makes of them after some changes.
    pub fn read(&self, codec: Codec) {
        let (dtype, rows, columns) = self.shape;
        let types: Vec<Dtype> = Dtype::ALL.into_iter().filter(|dtype| codec.takes(*dtype)).collect();
        let dtype = types[usize::from(dtype) % types.len()];
        // Small, because that is fast; now and then more than one window.
        let columns = if columns < 65_000 { 1 + columns % 200 } else { 2000 + columns % 200 };
        let columns = u32::from(columns).next_multiple_of(dtype.block_len());
        let shape = Shape { dtype, rows: 1 + u32::from(rows) % 40, columns };
        let mut back = vec![0; shape.raw_len()];
        let _ = codec.decode(shape, self.weights, &mut back);

        let raw: Vec<u8> = self.weights.iter().copied().chain([0]).cycle().take(shape.raw_len()).collect();
        let mut coded = Vec::new();
        codec.encode(shape, &raw, &mut coded).expect("it takes this type");
        codec.decode(shape, &coded, &mut back).expect("it decodes what it has encoded");
        assert!(back == raw, "{codec} changes {shape:?}");

        coded.truncate(coded.len().saturating_sub(self.cut.into()));
        let len = coded.len().max(1);
        for (at, byte) in &self.changes {
            // From the end, where most of the structure is.
            if let Some(old) = coded.iter_mut().rev().nth(usize::from(*at) % len) {
                *old = *byte;
            }
        }
        if codec.decode(shape, &coded, &mut back).is_ok() {
            codec.check(shape, &coded).expect("what is decoded passes the check");
        }
    }
}
