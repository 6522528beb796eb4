//! Giving every stored tensor its place in the architecture.

use std::collections::{HashMap, HashSet};

use symbiote_format::{Dtype, ModelConfig, NO_LAYER, TensorKind};

use super::description::{Architecture, Hyperparameters, Layers, Layout, Presence, TensorRule};
use super::{ArchitectureError, scales};
use crate::planner::is_vector;
use crate::source::StoredTensor;

type Result<T> = std::result::Result<T, ArchitectureError>;

/// A stored tensor in its place.
#[derive(Clone, Debug)]
pub(crate) struct ModelTensor {
    pub stored: StoredTensor,
    pub kind: TensorKind,
    /// Its layer, or [`NO_LAYER`].
    pub layer: u32,
}

/// Names of tensors that GGUF files before 2024 have, one for each expert.
const OLD_EXPERTS: [&str; 3] = ["blk.{}.ffn_gate.{}.weight", "blk.{}.ffn_up.{}.weight", "blk.{}.ffn_down.{}.weight"];

/// Every stored tensor with its kind and layer, in the order of the architecture's table, layer by layer and expert by expert,
/// scales behind what they are of; unused tensors last, in the order of the source. Fails if one is missing, left over, or of another shape than `model` asks for.
///
/// A head that is stored although the model ties it to the embedding is unused: the caller has seen that it is the same.
pub(crate) fn assign(
    architecture: &Architecture,
    layout: Layout,
    model: &Hyperparameters,
    stored: Vec<StoredTensor>,
) -> Result<Vec<ModelTensor>> {
    let old = |t: &&StoredTensor| OLD_EXPERTS.iter().any(|pattern| fits(pattern, &t.name));
    if let Some(tensor) = stored.iter().find(old).filter(|_| layout == Layout::Gguf) {
        return Err(ArchitectureError::OldExperts { name: tensor.name.clone() });
    }
    let tied = model.config.tied_embeddings;
    let mut assigned = Vec::with_capacity(stored.len());
    let mut left: HashMap<String, (usize, StoredTensor)> =
        stored.into_iter().enumerate().map(|(i, t)| (t.name.clone(), (i, t))).collect();
    let mut found = HashSet::new();
    // transformers writes gate and up transposed where it has them interleaved, and down with them
    let interleaved = model.config.design.experts.as_ref().is_some_and(|experts| experts.interleaved);
    let transposed = layout == Layout::HuggingFace && interleaved;

    for (rule, pattern) in rules(architecture, layout, tied) {
        let shape = shape(rule, &pattern, &model.config);
        if shape.contains(&0) {
            continue;
        }
        for Place { layer, name } in places(rule, &pattern, model) {
            let there = |kind| found.contains(&(kind, layer));
            match rule.presence {
                Presence::With(kind) if !there(kind) => continue,
                Presence::Without(kind) if there(kind) => continue,
                _ => {}
            }
            match left.remove(&name) {
                Some((_, stored)) => {
                    if transposed && rule.kind == TensorKind::ExpertGateUp && stored.dtype.block_len() == 1 {
                        return Err(ArchitectureError::TransposedExperts { name });
                    }
                    check(&stored, rule, &shape)?;
                    found.insert((rule.kind, layer));
                    let scale = scales::take(&stored, model.config.design.scale_block, &mut left)?;
                    assigned.push(ModelTensor { stored, kind: rule.kind, layer });
                    assigned.extend(scale.map(|stored| ModelTensor { stored, kind: TensorKind::Scale, layer }));
                }
                None if matches!(rule.presence, Presence::Optional | Presence::When(_)) => {}
                None => return Err(ArchitectureError::MissingTensor { name }),
            }
        }
    }

    let mut rest: Vec<_> = left.into_values().collect();
    rest.sort_by_key(|(i, _)| *i);
    let head = architecture.tensor_name(layout, TensorKind::Output);
    for (_, stored) in rest {
        let tied_head = tied && stored.name == head;
        let unused = |pattern: &&str| is_unused(pattern, &stored.name, model.config.layer_count);
        if !tied_head && !architecture.unused.iter().any(unused) && !scales::is_of_activations(&stored.name) {
            let architecture = architecture.name;
            return Err(ArchitectureError::UnexpectedTensor { name: stored.name, architecture });
        }
        assigned.push(ModelTensor { stored, kind: TensorKind::Unused, layer: NO_LAYER });
    }
    Ok(assigned)
}

/// Every tensor that a model of this shape must have, its weights of type `dtype`, as if stored nowhere.
pub(crate) fn required(
    architecture: &Architecture,
    layout: Layout,
    model: &Hyperparameters,
    dtype: Dtype,
) -> Vec<ModelTensor> {
    let mut tensors = Vec::new();
    for (rule, pattern) in rules(architecture, layout, model.config.tied_embeddings) {
        let shape = shape(rule, &pattern, &model.config);
        if shape.contains(&0) || matches!(rule.presence, Presence::Optional | Presence::When(_) | Presence::With(_)) {
            continue;
        }
        for Place { layer, name } in places(rule, &pattern, model) {
            let stored = StoredTensor { name, dtype, shape: shape.clone(), file: 0, offset: 0, len: 0, scales: None };
            tensors.push(ModelTensor { stored, kind: rule.kind, layer });
        }
    }
    tensors
}

/// The rules of an architecture with their name patterns, but for a head that is the embedding.
fn rules(
    architecture: &Architecture,
    layout: Layout,
    tied: bool,
) -> impl Iterator<Item = (&'static TensorRule, String)> {
    let rules = architecture.tensors.iter().filter(move |rule| !tied || rule.presence != Presence::UnlessTied);
    rules.filter_map(move |rule| Some((rule, architecture.pattern(rule, layout)?)))
}

/// One of the tensors that a rule stands for.
pub(super) struct Place {
    /// Its layer, or [`NO_LAYER`].
    pub layer: u32,
    pub name: String,
}

/// The tensors that a rule stands for, layer by layer and expert by expert. `pattern` is their name's.
pub(super) fn places<'a>(
    rule: &'a TensorRule,
    pattern: &'a str,
    model: &'a Hyperparameters,
) -> impl Iterator<Item = Place> {
    // config has been checked: there is at least one layer
    let layers = if pattern.contains(NUMBER) { 0..=model.config.layer_count - 1 } else { NO_LAYER..=NO_LAYER };
    let experts = if of_one_expert(pattern) { model.config.design.experts.as_ref().map_or(0, |e| e.count) } else { 1 };
    let in_layer = |layer: &u32| match rule.layers {
        Layers::All => true,
        Layers::Dense => !model.mixtures.has(*layer),
        Layers::Mixtures => model.mixtures.has(*layer),
    };
    layers.filter(in_layer).flat_map(move |layer| {
        let name = pattern.replacen(NUMBER, &layer.to_string(), 1);
        (0..experts).map(move |expert| Place { layer, name: name.replacen(NUMBER, &expert.to_string(), 1) })
    })
}

/// Stands for a number in the pattern of a name.
const NUMBER: &str = "{}";

fn of_one_expert(pattern: &str) -> bool {
    pattern.matches(NUMBER).count() == 2
}

/// The shape of a rule's tensors, each one expert's where its name is.
fn shape(rule: &TensorRule, pattern: &str, config: &ModelConfig) -> Vec<u64> {
    let of_all = usize::from(of_one_expert(pattern));
    rule.shape.iter().skip(of_all).map(|dim| dim.size(config)).collect()
}

/// The shape is what the hyperparameters ask for, whatever ones stand before it; vectors are stored as plain numbers, which
/// kernels read as they are.
fn check(stored: &StoredTensor, rule: &TensorRule, expected: &[u64]) -> Result<()> {
    let outer = stored.shape.len().saturating_sub(expected.len());
    if stored.shape[..outer].iter().any(|n| *n != 1) || stored.shape[outer..] != *expected {
        let (name, found) = (stored.name.clone(), stored.shape.clone());
        return Err(ArchitectureError::Shape { name, found, expected: expected.to_vec() });
    }
    if stored.dtype.is_kept_only() {
        return Err(ArchitectureError::UnreadType { name: stored.name.clone(), dtype: stored.dtype.name() });
    }
    if is_vector(rule.kind) && !stored.dtype.is_plain() {
        return Err(ArchitectureError::CodedVector { name: stored.name.clone(), dtype: stored.dtype.name() });
    }
    Ok(())
}

/// True if nothing reads what `pattern`, of an architecture's unused tensors, says of a model with so many layers.
fn is_unused(pattern: &str, name: &str, layers: u32) -> bool {
    let Some(front) = pattern.strip_suffix("{}.*") else { return fits(pattern, name) };
    let number =
        name.strip_prefix(front).and_then(|rest| rest.split_once('.')).and_then(|(n, _)| n.parse::<u32>().ok());
    number.is_some_and(|layer| layer >= layers)
}

/// True if `name` is `pattern` with a number for each `{}`, or anything for the `*` at its end.
fn fits(pattern: &str, name: &str) -> bool {
    if let Some(front) = pattern.strip_suffix('*') {
        return name.starts_with(front);
    }
    let Some((front, pattern)) = pattern.split_once(NUMBER) else { return pattern == name };
    let Some(rest) = name.strip_prefix(front) else { return false };
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    after.len() < rest.len() && fits(pattern, after)
}
