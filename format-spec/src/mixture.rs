//! The rules on tensors and packs of mixtures of experts, which [`validate`](crate::validate) checks behind the others.

use std::collections::HashMap;

use crate::validate::Rows;
use crate::{ArchivedIndex, Experts, FormatError, ModelConfig, NO_LAYER, PackRole, Result, TensorKind};

/// Where the experts of a tensor are.
#[derive(Clone, Copy)]
struct OfExperts {
    /// The expert that its first row is of.
    first: u64,
    /// Rows of one expert.
    rows: u64,
}

/// Checks every tensor of a mixture, and that each expert is one pack.
pub(crate) fn check(index: &ArchivedIndex, config: &ModelConfig, tensors: &[Rows]) -> Result<()> {
    let kinds: Vec<_> = index.tensors.iter().map(|t| TensorKind::from_code(t.kind.to_native())).collect();
    let mut counts: HashMap<(u32, TensorKind), u64> = HashMap::new();
    for (t, kind) in index.tensors.iter().zip(&kinds) {
        if let Some(kind) = kind.filter(|kind| is_of_experts(*kind)) {
            *counts.entry((t.layer.to_native(), kind)).or_default() += 1;
        }
    }
    let mut seen: HashMap<(u32, TensorKind), u64> = HashMap::new();
    let mut places = Vec::with_capacity(tensors.len());
    for ((t, kind), found) in index.tensors.iter().zip(kinds).zip(tensors) {
        let Some(kind) = kind.filter(|kind| is_of_mixture(*kind)) else {
            places.push(None);
            continue;
        };
        let name = || t.name.as_str().to_owned();
        let layer = t.layer.to_native();
        let experts = config.design.experts.as_ref().filter(|_| layer != NO_LAYER);
        let experts = experts.ok_or_else(|| FormatError::MixtureUnsaid { name: name() })?;
        let count = u64::from(experts.count);
        // of an expert, or of what is there once
        let [rows, columns] = shape(kind, experts, config).map(u64::from);
        let mut expected = [rows, columns];
        if is_of_experts(kind) {
            let tensors = counts[&(layer, kind)];
            if tensors != 1 && tensors != count {
                return Err(FormatError::ExpertCount { kind: kind.name(), layer, found: tensors, count });
            }
            let before = seen.entry((layer, kind)).or_default();
            places.push(Some(OfExperts { first: *before, rows }));
            *before += 1;
            if tensors == 1 {
                expected[0] *= count;
            }
        } else {
            places.push(None);
        }
        let found = [found.rows, found.columns.into()];
        if found != expected {
            return Err(FormatError::MixtureShape { name: name(), found, expected });
        }
    }
    packs(index, &places)
}

/// Each pack of role expert holds the next expert of its layer, whole, and no other pack holds rows of experts.
fn packs(index: &ArchivedIndex, places: &[Option<OfExperts>]) -> Result<()> {
    let mut next: HashMap<u32, u64> = HashMap::new();
    let mut before = NO_LAYER;
    for (i, pack) in index.packs.iter().enumerate() {
        let first = pack.first_part.to_native() as usize;
        let parts = &index.parts[first..][..pack.part_count.to_native() as usize];
        let layer = pack.layer.to_native();
        if pack.role != PackRole::Expert.code() {
            before = NO_LAYER;
            let stray = parts.iter().position(|part| places[part.tensor.to_native() as usize].is_some());
            if let Some(n) = stray {
                let tensor = index.tensors[parts[n].tensor.to_native() as usize].name.as_str().into();
                return Err(FormatError::ExpertPart { part: first + n, tensor });
            }
            continue;
        }
        let next = next.entry(layer).or_default();
        let expert = *next;
        let whole = |part: &crate::archived::ArchivedPart| {
            let tensor = part.tensor.to_native() as usize;
            places[tensor].is_some_and(|place| {
                let row = (expert - place.first.min(expert)) * place.rows;
                index.tensors[tensor].layer == layer
                    && place.first <= expert
                    && u64::from(part.row.to_native()) == row
                    && u64::from(part.rows.to_native()) == place.rows
            })
        };
        if expert > 0 && before != layer || !parts.iter().all(whole) {
            return Err(FormatError::ExpertPack { pack: i, expert });
        }
        *next += 1;
        before = layer;
    }
    Ok(())
}

/// True for what only mixtures have.
fn is_of_mixture(kind: TensorKind) -> bool {
    (TensorKind::Router..=TensorKind::ExpertGateUpBias).contains(&kind)
}

/// True for what each expert has rows of.
fn is_of_experts(kind: TensorKind) -> bool {
    (TensorKind::ExpertGate..=TensorKind::ExpertGateUp).contains(&kind)
}

/// Rows and columns of a kind: of one expert, where experts have rows of it.
fn shape(kind: TensorKind, experts: &Experts, config: &ModelConfig) -> [u32; 2] {
    use TensorKind as K;
    let (hidden, ffn, shared, count) = (config.hidden_size, experts.ffn_size, experts.shared_ffn_size, experts.count);
    match kind {
        K::ExpertGate | K::ExpertUp => [ffn, hidden],
        K::ExpertGateUp => [2 * ffn, hidden],
        K::ExpertDown => [hidden, ffn],
        K::RouterBias | K::ExpertScoreBias => [1, count],
        K::ExpertGateBias | K::ExpertUpBias => [count, ffn],
        K::ExpertGateUpBias => [count, 2 * ffn],
        K::ExpertDownBias => [count, hidden],
        K::SharedGate | K::SharedUp => [shared, hidden],
        K::SharedGateUp => [2 * shared, hidden],
        K::SharedDown => [hidden, shared],
        K::SharedRouter => [1, hidden],
        _ => [count, hidden],
    }
}
