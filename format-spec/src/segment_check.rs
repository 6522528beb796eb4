//! What an index says of one segment, kept apart from the file: a map's pages are gone when the file is cut off.

use std::ops::Range;

use crate::codec::Shape;
use crate::{ArchivedIndex, Codec, Dtype, FormatError, NO_LAYER, PackRole, Result, Sha256};

/// Checks the bytes of one pack's segment, wherever they were read to.
#[derive(Clone, Debug)]
pub struct SegmentCheck {
    pack: usize,
    role: &'static str,
    layer: u32,
    /// In the file, in bytes.
    place: Range<u64>,
    sha256: [u8; 32],
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    number: usize,
    tensor: Box<str>,
    /// In the segment.
    bytes: Range<usize>,
    codec: Codec,
    shape: Shape,
}

impl SegmentCheck {
    /// `index` has been validated.
    pub(crate) fn new(index: &ArchivedIndex, pack: usize) -> Self {
        let p = &index.packs[pack];
        let (first, count) = (p.first_part.to_native() as usize, p.part_count.to_native() as usize);
        let start = p.offset.to_native();
        Self {
            pack,
            role: PackRole::from_code(p.role).map_or("unknown", PackRole::name),
            layer: p.layer.to_native(),
            place: start..start + p.len.to_native(),
            sha256: p.sha256,
            parts: (first..first + count).map(|number| Part::new(index, number)).collect(),
        }
    }

    /// Checks the segment against its hash.
    pub fn verify(&self, bytes: &[u8]) -> Result<()> {
        if Sha256::of(bytes) == self.sha256 {
            return Ok(());
        }
        Err(FormatError::SegmentCorrupt {
            pack: self.pack,
            role: self.role,
            layer: match self.layer {
                NO_LAYER => "no layer".into(),
                layer => format!("layer {layer}"),
            },
            offset: self.place.start,
            end: self.place.end,
        })
    }

    /// Checks that the coded parts are formed as their codecs say, so that a kernel stays inside them: lengths, counts and
    /// places of exceptions. Rows are not decoded. `bytes` is as long as the index says.
    pub fn check(&self, bytes: &[u8]) -> Result<()> {
        for Part { number, tensor, bytes: range, codec, shape } in &self.parts {
            codec.check(*shape, &bytes[range.clone()]).map_err(|source| FormatError::PartCoded {
                part: *number,
                tensor: tensor.clone().into(),
                source,
            })?;
        }
        Ok(())
    }
}

impl Part {
    fn new(index: &ArchivedIndex, number: usize) -> Self {
        let part = &index.parts[number];
        let tensor = &index.tensors[part.tensor.to_native() as usize];
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let start = size(part.offset.to_native());
        // validate() has found codec, type and columns in their tables and ranges
        let dtype = Dtype::from_code(tensor.dtype.to_native()).unwrap_or(Dtype::F32);
        let columns = u32::try_from(tensor.shape.last().map_or(0, |n| n.to_native())).unwrap_or(u32::MAX);
        Self {
            number,
            tensor: tensor.name.as_str().into(),
            bytes: start..start + size(part.coded_len.to_native()),
            codec: Codec::from_code(part.codec).unwrap_or(Codec::Raw),
            shape: Shape { dtype, rows: part.rows.to_native(), columns },
        }
    }
}
