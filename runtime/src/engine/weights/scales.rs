//! The factors of numbers of 8 bits: where products find those of their rows.

use symbiote_format::{ArchivedPart, ArchivedTensor, Codec, Dtype, NO_LAYER, ScaleBlocks, TensorKind};
use symbiote_shaders::ScaleArgs;

use super::mixture::Rows;
use super::{Finder, Form, Vector};
use crate::engine::EngineError;

/// Which weights of a tile share factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// A row has one.
    Rows,
    /// They are of blocks, and the rows of a tile have the same.
    Tile,
    /// They are of blocks.
    Blocks,
}

/// The factors of a product: those of each tensor, in the order of its rows; of experts, one expert after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScaleTable {
    /// Records of an expert, or all; 0 where there are no factors.
    pub each: u32,
    /// A record a tensor.
    pub records: Vec<ScaleArgs>,
}

impl ScaleTable {
    /// Puts in the record of tensor number `at` of an expert, of `count` that have `tensors`.
    pub(super) fn set(&mut self, expert: usize, at: usize, (count, tensors): (u32, &[Rows]), record: ScaleArgs) {
        if self.records.is_empty() {
            // a kernel looks records through by their first rows, those of other products too
            let first_rows = tensors.iter().scan(0, |end, (_, rows)| Some(std::mem::replace(end, *end + rows)));
            let of_one: Vec<_> = first_rows.map(|first_row| ScaleArgs { first_row, ..ScaleArgs::default() }).collect();
            self.records = of_one.repeat(count as usize);
            self.each = u32::try_from(tensors.len()).unwrap_or(u32::MAX);
        }
        self.records[expert * tensors.len() + at] = record;
    }
}

impl Finder<'_> {
    /// The form of a part with factors: tiles of it start at its first row.
    pub(super) fn scaled(&self, part: &ArchivedPart, dtype: Dtype) -> Result<Form, EngineError> {
        let (blocks, _) = self.scale_blocks(part.tensor.to_native() as usize)?;
        let form = |spread| Form::Scaled { dtype, spread };
        let tile = self.kernels.tile_rows(form(Spread::Tile));
        let alike = blocks.rows.is_multiple_of(tile) && part.row.to_native().is_multiple_of(tile);
        Ok(form(match (blocks.is_of_rows(), alike) {
            (true, _) => Spread::Rows,
            (false, true) => Spread::Tile,
            (false, false) => Spread::Blocks,
        }))
    }

    /// How the factors of a tensor are spread, and which tensor they are.
    fn scale_blocks(&self, tensor: usize) -> Result<(ScaleBlocks, usize), EngineError> {
        let matrix = |t: &ArchivedTensor| {
            let (columns, outer) = t.shape.split_last()?;
            let rows = outer.iter().map(|d| d.to_native()).product::<u64>();
            Some([u32::try_from(rows).ok()?, u32::try_from(columns.to_native()).ok()?])
        };
        // validation: factors follow what they are of, and fit it
        let at = tensor + 1;
        let found =
            self.index.tensors.get(at).and_then(|scale| {
                ScaleBlocks::new(matrix(&self.index.tensors[tensor])?, matrix(scale)?, self.scale_block)
            });
        Ok((found.ok_or(EngineError::MissingTensor { kind: TensorKind::Scale.name(), layer: NO_LAYER })?, at))
    }

    /// The factors of a tensor from its row `row` on, which is row `first_row` of a product.
    pub(super) fn scale(&self, tensor: usize, row: u32, first_row: u32) -> Result<(ScaleArgs, Vector), EngineError> {
        let (blocks, at) = self.scale_blocks(tensor)?;
        let layer = self.index.tensors[at].layer.to_native();
        let dtype = Dtype::from_code(self.index.tensors[at].dtype.to_native()).unwrap_or(Dtype::F32);
        let place = self.places[at][0]; // validation: every tensor has a part
        let whole = self.places[at].len() == 1 && place.part.codec == Codec::Raw.code();
        let skipped = blocks.first_factor(row) * u64::from(dtype.block_bytes());
        let offset = u64::from(place.offset) + skipped;
        let offset = u32::try_from(offset).ok().filter(|_| whole);
        let kind = TensorKind::Scale.name();
        let vector =
            Vector { pack: place.pack, offset: offset.ok_or(EngineError::VectorCodec { kind, layer })?, dtype };
        let ScaleBlocks { rows, columns_log2, across } = blocks;
        Ok((ScaleArgs { factors: vector.args(), first_row, rows, columns_log2, across }, vector))
    }
}

/// Leaves of every pack one vector.
pub(super) fn one_a_pack(vectors: &mut Vec<Vector>) {
    vectors.sort_unstable_by_key(|v| v.pack);
    vectors.dedup_by_key(|v| v.pack);
}
