//! Giving every stored tensor its place in the architecture.

use std::collections::HashMap;

use symbiote_format::{Dtype, ModelConfig, NO_LAYER, TensorKind};

use super::ArchitectureError;
use super::description::{Architecture, Layout, Presence, TensorRule};
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

/// Every stored tensor with its kind and layer, in the order of the architecture's table, layer by layer; unused tensors
/// last, in the order of the source. Fails if one is missing, left over, or of another shape than `config` asks for.
///
/// A head that is stored although `config` ties it to the embedding is unused: the caller has seen that it is the same.
pub(crate) fn assign(
    architecture: &Architecture,
    layout: Layout,
    config: &ModelConfig,
    stored: Vec<StoredTensor>,
) -> Result<Vec<ModelTensor>> {
    let mut assigned = Vec::with_capacity(stored.len());
    let mut left: HashMap<String, (usize, StoredTensor)> =
        stored.into_iter().enumerate().map(|(i, t)| (t.name.clone(), (i, t))).collect();

    for rule in architecture.tensors {
        let Some(pattern) = architecture.pattern(rule, layout) else { continue };
        if config.tied_embeddings && rule.presence == Presence::UnlessTied {
            continue;
        }
        for layer in layers(&pattern, config) {
            let name = pattern.replace("{}", &layer.to_string());
            match left.remove(&name) {
                Some((_, stored)) => {
                    check(&stored, rule, config)?;
                    assigned.push(ModelTensor { stored, kind: rule.kind, layer });
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
        let tied_head = config.tied_embeddings && stored.name == head;
        if !tied_head && !architecture.unused.iter().any(|pattern| fits(pattern, &stored.name)) {
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
    config: &ModelConfig,
    dtype: Dtype,
) -> Vec<ModelTensor> {
    let mut tensors = Vec::new();
    for rule in architecture.tensors {
        let there = match rule.presence {
            Presence::Required => true,
            Presence::Optional | Presence::When(_) => false,
            Presence::UnlessTied => !config.tied_embeddings,
        };
        let Some(pattern) = architecture.pattern(rule, layout).filter(|_| there) else { continue };
        let shape: Vec<u64> = rule.shape.iter().map(|dim| dim.size(config)).collect();
        for layer in layers(&pattern, config) {
            let name = pattern.replace("{}", &layer.to_string());
            let stored = StoredTensor { name, dtype, shape: shape.clone(), file: 0, offset: 0, len: 0 };
            tensors.push(ModelTensor { stored, kind: rule.kind, layer });
        }
    }
    tensors
}

/// The layers that a name pattern stands for.
pub(super) fn layers(pattern: &str, config: &ModelConfig) -> std::ops::RangeInclusive<u32> {
    // config has been checked: there is at least one layer
    if pattern.contains("{}") { 0..=config.layer_count - 1 } else { NO_LAYER..=NO_LAYER }
}

/// The shape is what the hyperparameters ask for; a vector is stored as plain numbers, which kernels read as they are.
fn check(stored: &StoredTensor, rule: &TensorRule, config: &ModelConfig) -> Result<()> {
    let expected: Vec<u64> = rule.shape.iter().map(|dim| dim.size(config)).collect();
    if stored.shape != expected {
        return Err(ArchitectureError::Shape { name: stored.name.clone(), found: stored.shape.clone(), expected });
    }
    if expected.len() == 1 && stored.dtype.block_len() != 1 {
        return Err(ArchitectureError::CodedVector { name: stored.name.clone(), dtype: stored.dtype.name() });
    }
    Ok(())
}

/// True if `name` is `pattern` with a number for its `{}`, or anything for the `*` at its end.
fn fits(pattern: &str, name: &str) -> bool {
    if let Some(front) = pattern.strip_suffix('*') {
        return name.starts_with(front);
    }
    let Some((front, back)) = pattern.split_once("{}") else { return pattern == name };
    let number = name.strip_prefix(front).and_then(|rest| rest.strip_suffix(back));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}
