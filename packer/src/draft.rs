//! The index of an archive that is still to be written, as if every part stayed raw: the longest that it can get.

use std::path::Path;

use symbiote_format::{Codec, FormatError, Index, Part, Provenance, Tensor, TensorKind, WeightPack, check_index};

use crate::architecture::ModelTensor;
use crate::archive_writer::lay_out;
use crate::error::{At, Error, Problem};
use crate::limits;
use crate::outline::Matrix;
use crate::planner::{PlanTensor, PlannedPack, RowRange, plan};
use crate::source::{Checkpoint, StoredTensor};

/// An archive to be.
pub(crate) struct Draft {
    /// Complete but for hashes, and for what codecs take off.
    pub index: Index,
    /// Where the index goes at the latest.
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
    if !limits::PACK_TARGET.contains(&target) {
        return Err(Problem::PackSize { found: target }).at(input);
    }
    let shapes = tensors.iter().map(plan_tensor).collect::<Result<Vec<_>, _>>().at(input)?;
    let planned = plan(&shapes, &checkpoint.model.config, target).at(input)?;
    let order = order_of_first_part(&planned, &tensors);
    let mut number = vec![0; tensors.len()];
    for (new, old) in (0u32..).zip(&order) {
        number[*old] = new;
    }
    let (packs, parts) = packs_and_parts(&planned, &shapes, &number).at(input)?;
    let mut tensors: Vec<Option<ModelTensor>> = tensors.into_iter().map(Some).collect();
    let tensors: Vec<ModelTensor> = order.into_iter().filter_map(|old| tensors[old].take()).collect();
    let mut index = Index {
        architecture: checkpoint.architecture.name.into(),
        params: checkpoint.model.config.to_params(),
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
    let index_offset = lay_out(&mut index).at(input)?;
    check_index(&index, index_offset).at(input)?;
    Ok(Draft { index, index_offset, stored: tensors.into_iter().map(|t| t.stored).collect() })
}

fn plan_tensor(t: &ModelTensor) -> Result<PlanTensor, FormatError> {
    let matrix = Matrix::new(&t.stored.name, t.stored.dtype, &t.stored.shape)?;
    Ok(PlanTensor { kind: t.kind, layer: t.layer, rows: matrix.rows, row_bytes: matrix.row_bytes })
}

/// Numbers of the tensors in the order in which packs first name them, but for scales, which follow what they are of.
fn order_of_first_part(packs: &[PlannedPack], tensors: &[ModelTensor]) -> Vec<usize> {
    let is_scale = |t: usize| tensors.get(t).is_some_and(|t| t.kind == TensorKind::Scale);
    let mut seen = vec![false; tensors.len()];
    let named = packs.iter().flat_map(|pack| &pack.parts).map(|part| part.tensor);
    let first = named.filter(|t| !is_scale(*t) && !std::mem::replace(&mut seen[*t], true));
    first.flat_map(|t| [Some(t), Some(t + 1).filter(|next| is_scale(*next))]).flatten().collect()
}

/// Packs and parts as they are in the source, still without places.
fn packs_and_parts(
    planned: &[PlannedPack],
    shapes: &[PlanTensor],
    number: &[u32],
) -> Result<(Vec<WeightPack>, Vec<Part>), FormatError> {
    let overflow = || FormatError::Overflow { what: "pack length" };
    let (mut packs, mut parts) = (Vec::with_capacity(planned.len()), Vec::new());
    for pack in planned {
        let first_part = u32::try_from(parts.len()).map_err(|_| overflow())?;
        for range in &pack.parts {
            let raw_len = u64::from(range.rows).checked_mul(shapes[range.tensor].row_bytes).ok_or_else(overflow)?;
            let (tensor, codec) = (number[range.tensor], Codec::Raw.code());
            let RowRange { row, rows, .. } = *range;
            parts.push(Part { tensor, row, rows, codec, offset: 0, coded_len: raw_len, raw_len });
        }
        let part_count = u32::try_from(pack.parts.len()).map_err(|_| overflow())?;
        let (role, layer) = (pack.role.code(), pack.layer);
        packs.push(WeightPack { role, layer, first_part, part_count, ..WeightPack::default() });
    }
    Ok((packs, parts))
}

fn index_tensor(t: &ModelTensor) -> Tensor {
    let (name, shape) = (t.stored.name.clone(), t.stored.shape.clone());
    Tensor { name, kind: t.kind.code(), dtype: t.stored.dtype.code(), layer: t.layer, shape }
}
