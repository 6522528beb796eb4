//! The index of an archive that is still to be written: all but the hashes.

use std::path::Path;

use symbiote_format::{
    Codec, HEADER_LEN, Index, Part, Provenance, SEGMENT_ALIGN, Tensor, WeightPack, align_up, check_index, lay_out_parts,
};

use crate::architecture::ModelTensor;
use crate::error::{At, Error, Problem};
use crate::planner::{PlanTensor, PlannedPack, plan};
use crate::source::{Checkpoint, StoredTensor};

/// An archive to be.
pub(crate) struct Draft {
    /// Complete but for the hashes of segments and sources.
    pub index: Index,
    /// Where the index goes.
    pub index_offset: u64,
    /// Where each tensor of the index is read from.
    pub stored: Vec<StoredTensor>,
}

/// Plans the archive of `checkpoint`, whose tensors have been placed as `tensors`, and checks its index. `input` names
/// the source in errors.
pub(crate) fn draft(
    checkpoint: &Checkpoint,
    tensors: Vec<ModelTensor>,
    target: u64,
    input: &Path,
) -> Result<Draft, Error> {
    let shapes = tensors.iter().map(plan_tensor).collect::<Result<Vec<_>, _>>().at(input)?;
    let planned = plan(&shapes, &checkpoint.config, target).at(input)?;
    let order = order_of_first_part(&planned, tensors.len());
    let mut number = vec![0; tensors.len()];
    for (new, old) in (0u32..).zip(&order) {
        number[*old] = new;
    }
    let (packs, parts, index_offset) = segments(&planned, &shapes, &number).at(input)?;
    let mut tensors: Vec<Option<ModelTensor>> = tensors.into_iter().map(Some).collect();
    let tensors: Vec<ModelTensor> = order.into_iter().filter_map(|old| tensors[old].take()).collect();
    let index = Index {
        architecture: checkpoint.architecture.name.into(),
        params: checkpoint.config.to_params(),
        tokenizer: checkpoint.tokenizer.clone(),
        tensors: tensors.iter().map(index_tensor).collect(),
        packs,
        parts,
        metadata: checkpoint.metadata.clone(),
        provenance: Provenance {
            writer: concat!("symbiote-pack ", env!("CARGO_PKG_VERSION")).into(),
            source_format: checkpoint.layout.name().into(),
            sources: Vec::new(),
        },
        annotations: Vec::new(),
    };
    check_index(&index, index_offset).at(input)?;
    Ok(Draft { index, index_offset, stored: tensors.into_iter().map(|t| t.stored).collect() })
}

fn plan_tensor(t: &ModelTensor) -> Result<PlanTensor, Problem> {
    let refuse = || {
        let (name, shape, dtype) = (t.stored.name.clone(), t.stored.shape.clone(), t.stored.dtype.name());
        symbiote_format::FormatError::TensorShape { name, shape, dtype }
    };
    let (columns, outer) = t.stored.shape.split_last().ok_or_else(refuse)?;
    let rows = outer.iter().try_fold(1u64, |n, d| n.checked_mul(*d)).ok_or_else(refuse)?;
    let row_bytes = t.stored.dtype.row_bytes(*columns).ok_or_else(refuse)?;
    let rows = u32::try_from(rows).ok().filter(|rows| *rows > 0).ok_or_else(refuse)?;
    Ok(PlanTensor { kind: t.kind, layer: t.layer, rows, row_bytes })
}

/// Numbers of the tensors in the order in which packs first name them.
fn order_of_first_part(packs: &[PlannedPack], tensors: usize) -> Vec<usize> {
    let mut seen = vec![false; tensors];
    let named = packs.iter().flat_map(|pack| &pack.parts).map(|part| part.tensor);
    named.filter(|t| !std::mem::replace(&mut seen[*t], true)).collect()
}

/// Packs and parts with their places, and the place of the index behind them.
fn segments(
    planned: &[PlannedPack],
    shapes: &[PlanTensor],
    number: &[u32],
) -> Result<(Vec<WeightPack>, Vec<Part>, u64), Problem> {
    let overflow = || symbiote_format::FormatError::Overflow { what: "segment end" };
    let (mut packs, mut parts) = (Vec::with_capacity(planned.len()), Vec::new());
    let mut offset = HEADER_LEN;
    for pack in planned {
        let first_part = u32::try_from(parts.len()).map_err(|_| overflow())?;
        for range in &pack.parts {
            let raw_len = u64::from(range.rows).checked_mul(shapes[range.tensor].row_bytes).ok_or_else(overflow)?;
            let (tensor, codec) = (number[range.tensor], Codec::Raw.code());
            parts.push(Part {
                tensor,
                row: range.row,
                rows: range.rows,
                codec,
                offset: 0,
                coded_len: raw_len,
                raw_len,
            });
        }
        let len = lay_out_parts(&mut parts[first_part as usize..])?;
        let part_count = u32::try_from(pack.parts.len()).map_err(|_| overflow())?;
        let (role, layer) = (pack.role.code(), pack.layer);
        packs.push(WeightPack { role, layer, first_part, part_count, offset, len, sha256: [0; 32] });
        offset = offset.checked_add(len).and_then(|end| align_up(end, SEGMENT_ALIGN)).ok_or_else(overflow)?;
    }
    Ok((packs, parts, offset))
}

fn index_tensor(t: &ModelTensor) -> Tensor {
    let (name, shape) = (t.stored.name.clone(), t.stored.shape.clone());
    Tensor { name, kind: t.kind.code(), dtype: t.stored.dtype.code(), layer: t.layer, shape }
}
