//! Cutting a model's tensors into packs: pure arithmetic on rows.

use std::collections::HashMap;

use symbiote_format::{ModelConfig, NO_LAYER, PackRole, TensorKind, limits};

/// Packs are cut at multiples of this many rows where their size allows, so that a kernel's tile of rows lies in one pack.
pub(crate) const ROW_GRAIN: u32 = 64;

/// The vectors of a layer, which share a pack; those of experts are as many as there are experts.
const VECTORS: [TensorKind; 26] = [
    TensorKind::AttentionNorm,
    TensorKind::AttentionNormBias,
    TensorKind::QueryKeyValueBias,
    TensorKind::QueryBias,
    TensorKind::KeyBias,
    TensorKind::ValueBias,
    TensorKind::QueryNorm,
    TensorKind::KeyNorm,
    TensorKind::QueryLatentNorm,
    TensorKind::KeyValueLatentNorm,
    TensorKind::AttentionSinks,
    TensorKind::AttentionOutputBias,
    TensorKind::PostAttentionNorm,
    TensorKind::FfnNorm,
    TensorKind::FfnNormBias,
    TensorKind::FfnGateBias,
    TensorKind::FfnUpBias,
    TensorKind::FfnDownBias,
    TensorKind::PostFfnNorm,
    TensorKind::RouterBias,
    TensorKind::ExpertScoreBias,
    TensorKind::ExpertGateBias,
    TensorKind::ExpertUpBias,
    TensorKind::ExpertGateUpBias,
    TensorKind::ExpertDownBias,
    TensorKind::SharedRouter,
];

/// The projections of latent attention, in the order in which they are read.
const LATENTS: [TensorKind; 6] = [
    TensorKind::QueryLatent,
    TensorKind::KeyValueLatent,
    TensorKind::QueryOfLatent,
    TensorKind::KeyOfLatent,
    TensorKind::KeyValueOfLatent,
    TensorKind::ValueOfLatent,
];

/// What an expert has, in the order in which it is in a pack.
const EXPERT: [TensorKind; 4] =
    [TensorKind::ExpertGate, TensorKind::ExpertUp, TensorKind::ExpertGateUp, TensorKind::ExpertDown];

/// True for what is added or multiplied, not summed over: kernels read it as it is stored.
pub(crate) fn is_vector(kind: TensorKind) -> bool {
    let others = [TensorKind::RopeFactors, TensorKind::OutputNorm, TensorKind::OutputNormBias, TensorKind::Scale];
    VECTORS.contains(&kind) || others.contains(&kind)
}

/// What the planner needs to know of a tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlanTensor {
    pub kind: TensorKind,
    /// Its layer, or [`NO_LAYER`].
    pub layer: u32,
    pub rows: u32,
    /// Bytes of a row.
    pub row_bytes: u64,
}

/// A pack to be: what it holds, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlannedPack {
    pub role: PackRole,
    /// Its layer, or [`NO_LAYER`].
    pub layer: u32,
    pub parts: Vec<RowRange>,
}

/// Rows of one tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RowRange {
    /// Its number in the planner's input.
    pub tensor: usize,
    pub row: u32,
    /// At least one.
    pub rows: u32,
}

/// Why a model cannot be cut into packs.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PlanError {
    /// Rows that must stay together and are too long.
    #[error("{role} rows that belong together take {bytes} bytes, and a pack holds at most {limit}")]
    PackTooLong {
        /// What the rows are.
        role: &'static str,
        /// Their length.
        bytes: u64,
        /// The cap.
        limit: u64,
    },
}

/// Cuts `tensors` into packs near `target` bytes, in execution order: rope factors, embedding, positions; of each layer its
/// vectors and scales, attention heads, attention output, router, feed-forward blocks and down projection (of what every token goes
/// through), experts; output norm, head; unused tensors.
///
/// Every row of every tensor is in exactly one pack, and rows ascend over the packs. A pack is larger than `target` only
/// where a single key-value group, row, small tensor or router is; an expert is one pack, whatever its size.
pub(crate) fn plan(tensors: &[PlanTensor], config: &ModelConfig, target: u64) -> Result<Vec<PlannedPack>, PlanError> {
    let mut planner = Planner { tensors, places: places(tensors), target, packs: Vec::new() };
    planner.vectors(NO_LAYER, &[TensorKind::RopeFactors])?;
    planner.rows(PackRole::Embedding, NO_LAYER, &[TensorKind::TokenEmbedding])?;
    planner.rows(PackRole::Embedding, NO_LAYER, &[TensorKind::PositionEmbedding])?;
    for layer in 0..config.layer_count {
        planner.vectors(layer, &VECTORS)?;
        planner.heads(layer, config)?;
        planner.rows(PackRole::AttentionHeads, layer, &[TensorKind::QueryKeyValue])?;
        for kind in LATENTS {
            planner.rows(PackRole::AttentionHeads, layer, &[kind])?;
        }
        planner.rows(PackRole::AttentionOutput, layer, &[TensorKind::AttentionOutput])?;
        planner.whole(PackRole::Router, layer, &[TensorKind::Router])?;
        planner.rows(PackRole::MlpBlock, layer, &[TensorKind::FfnGate, TensorKind::FfnUp])?;
        planner.rows(PackRole::MlpBlock, layer, &[TensorKind::FfnGateUp])?;
        planner.rows(PackRole::MlpDown, layer, &[TensorKind::FfnDown])?;
        planner.rows(PackRole::MlpBlock, layer, &[TensorKind::SharedGate, TensorKind::SharedUp])?;
        planner.rows(PackRole::MlpBlock, layer, &[TensorKind::SharedGateUp])?;
        planner.rows(PackRole::MlpDown, layer, &[TensorKind::SharedDown])?;
        planner.experts(layer, config)?;
    }
    planner.whole(PackRole::Norms, NO_LAYER, &[TensorKind::OutputNorm, TensorKind::OutputNormBias])?;
    planner.rows(PackRole::Head, NO_LAYER, &[TensorKind::Output])?;
    planner.unused()?;
    Ok(planner.packs)
}

/// The tensors of each layer and kind.
type Places = HashMap<(u32, TensorKind), Vec<usize>>;

fn places(tensors: &[PlanTensor]) -> Places {
    let mut places = Places::new();
    for (number, t) in tensors.iter().enumerate() {
        places.entry((t.layer, t.kind)).or_default().push(number);
    }
    places
}

struct Planner<'a> {
    tensors: &'a [PlanTensor],
    places: Places,
    target: u64,
    packs: Vec<PlannedPack>,
}

/// Rows of one tensor that a pack takes for each of its units.
#[derive(Clone, Copy)]
struct UnitRows {
    tensor: usize,
    rows: u32,
}

impl Planner<'_> {
    fn find(&self, layer: u32, kind: TensorKind) -> Option<usize> {
        self.all(layer, kind).first().copied()
    }

    fn all(&self, layer: u32, kind: TensorKind) -> &[usize] {
        self.places.get(&(layer, kind)).map_or(&[], Vec::as_slice)
    }

    /// Small tensors, whole, in one pack.
    fn whole(&mut self, role: PackRole, layer: u32, kinds: &[TensorKind]) -> Result<(), PlanError> {
        let parts = kinds.iter().filter_map(|kind| self.find(layer, *kind)).map(|tensor| self.all_rows(tensor));
        self.push(role, layer, parts.collect())
    }

    /// Vectors, and all the scales of a layer: they are small, and stay.
    fn vectors(&mut self, layer: u32, kinds: &[TensorKind]) -> Result<(), PlanError> {
        let vectors = kinds.iter().filter_map(|kind| self.find(layer, *kind));
        let found = vectors.chain(self.all(layer, TensorKind::Scale).iter().copied());
        self.push(PackRole::Norms, layer, found.map(|tensor| self.all_rows(tensor)).collect())
    }

    fn all_rows(&self, tensor: usize) -> RowRange {
        RowRange { tensor, row: 0, rows: self.tensors[tensor].rows }
    }

    /// Tensors of equally many rows, the same rows of each in a pack.
    fn rows(&mut self, role: PackRole, layer: u32, kinds: &[TensorKind]) -> Result<(), PlanError> {
        let found: Vec<usize> = kinds.iter().filter_map(|kind| self.find(layer, *kind)).collect();
        let units: Vec<_> = found.iter().map(|tensor| UnitRows { tensor: *tensor, rows: 1 }).collect();
        let count = found.first().map_or(0, |tensor| self.tensors[*tensor].rows);
        self.cut(role, layer, &units, count)
    }

    /// Query, key and value rows of whole key-value groups.
    fn heads(&mut self, layer: u32, config: &ModelConfig) -> Result<(), PlanError> {
        let group = config.head_count / config.kv_head_count * config.head_dim;
        let kinds =
            [(TensorKind::Query, group), (TensorKind::Key, config.head_dim), (TensorKind::Value, config.head_dim)];
        let units =
            kinds.into_iter().filter_map(|(kind, rows)| Some(UnitRows { tensor: self.find(layer, kind)?, rows }));
        let units: Vec<_> = units.collect();
        self.cut(PackRole::AttentionHeads, layer, &units, config.kv_head_count)
    }

    /// Each expert in a pack of its own, in order. Of every kind there is one tensor for all experts, or one for each.
    fn experts(&mut self, layer: u32, config: &ModelConfig) -> Result<(), PlanError> {
        let count = config.design.experts.as_ref().map_or(0, |experts| experts.count);
        for expert in 0..count {
            let part = |kind: &TensorKind| match self.all(layer, *kind) {
                [of_all] => {
                    let rows = self.tensors[*of_all].rows / count;
                    Some(RowRange { tensor: *of_all, row: expert * rows, rows })
                }
                of_each => {
                    let tensor = *of_each.get(expert as usize)?;
                    Some(RowRange { tensor, row: 0, rows: self.tensors[tensor].rows })
                }
            };
            let parts = EXPERT.iter().filter_map(part).collect();
            self.push(PackRole::Expert, layer, parts)?;
        }
        Ok(())
    }

    /// Tensors that no computation reads, each in packs of its own.
    fn unused(&mut self) -> Result<(), PlanError> {
        for (tensor, t) in self.tensors.iter().enumerate() {
            if t.kind == TensorKind::Unused {
                self.cut(PackRole::Norms, t.layer, &[UnitRows { tensor, rows: 1 }], t.rows)?;
            }
        }
        Ok(())
    }

    /// Spreads `count` units evenly over as few packs as the target allows.
    fn cut(&mut self, role: PackRole, layer: u32, unit: &[UnitRows], count: u32) -> Result<(), PlanError> {
        if unit.is_empty() || count == 0 {
            return Ok(());
        }
        let bytes = unit.iter().map(|u| u64::from(u.rows) * self.tensors[u.tensor].row_bytes).sum::<u64>().max(1);
        let fit = u32::try_from(self.target / bytes).unwrap_or(u32::MAX).max(1);
        // single rows go in grains; a key-value group is a grain of its own
        let single_rows = unit.iter().all(|u| u.rows == 1);
        let grain = if single_rows && fit >= ROW_GRAIN { ROW_GRAIN } else { 1 };
        let grains = count.div_ceil(grain);
        let packs = grains.div_ceil(fit / grain);
        let boundary = |pack: u32| {
            let grains = u64::from(grains) * u64::from(pack) / u64::from(packs);
            u32::try_from(grains * u64::from(grain)).unwrap_or(u32::MAX).min(count)
        };
        for pack in 0..packs {
            let (start, end) = (boundary(pack), boundary(pack + 1));
            let part = |u: &UnitRows| RowRange { tensor: u.tensor, row: start * u.rows, rows: (end - start) * u.rows };
            self.push(role, layer, unit.iter().map(part).collect())?;
        }
        Ok(())
    }

    fn push(&mut self, role: PackRole, layer: u32, parts: Vec<RowRange>) -> Result<(), PlanError> {
        if parts.is_empty() {
            return Ok(());
        }
        let bytes = |p: &RowRange| u64::from(p.rows).saturating_mul(self.tensors[p.tensor].row_bytes);
        let bytes = parts.iter().map(bytes).fold(0, u64::saturating_add);
        if bytes > limits::PACK_BYTES {
            return Err(PlanError::PackTooLong { role: role.name(), bytes, limit: limits::PACK_BYTES });
        }
        self.packs.push(PlannedPack { role, layer, parts });
        Ok(())
    }
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
