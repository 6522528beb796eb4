//! Weights of 8 bits in safetensors: what `config.json` says of them, and the factors that stand beside each.

use std::collections::HashMap;

use serde_json::Value;
use symbiote_format::ScaleBlocks;

use super::ArchitectureError;
use super::config_json::{shown, unsupported};
use crate::source::StoredTensor;
use crate::source::safetensors::JsonObject;

type Result<T> = std::result::Result<T, ArchitectureError>;

/// Keys under which a model says how it was quantised; the second is an earlier name of compressed-tensors'.
pub(super) const KEYS: [&str; 2] = ["quantization_config", "compression_config"];
/// What the names of factors have behind those of weights: DeepSeek's and Qwen's, compressed-tensors' and FBGEMM's.
const SUFFIXES: [&str; 2] = ["_scale_inv", "_scale"];
/// Factors of activations and of keys and values, which are not rounded here.
const OF_ACTIVATIONS: [&str; 6] =
    [".input_scale", ".input_scale_ub", ".activation_scale", ".output_scale", ".k_scale", ".v_scale"];

/// Rows and columns that share a factor, of a model whose factors are those of blocks. Fails for weights that are quantised in a
/// way that is not computed with: the tensors themselves say whether they are of 8 bits.
pub(super) fn block(json: &JsonObject) -> Result<Option<[u32; 2]>> {
    for key in KEYS {
        let Some(config) = json.object(key)? else { continue };
        let method = config.text("quant_method")?.unwrap_or(if key == KEYS[1] { "compressed-tensors" } else { "" });
        return match method {
            "fp8" => pair(&config, "weight_block_size"),
            "fbgemm_fp8" => Ok(None),
            "compressed-tensors" => compressed_tensors(&config),
            "" => Err(unsupported(key, "an object without quant_method", known())),
            other => Err(unsupported(&format!("{key}.quant_method"), format!("{other:?}"), known())),
        };
    }
    Ok(None)
}

fn known() -> &'static str {
    "fp8, fbgemm_fp8, or compressed-tensors with float-quantized weights of 8 bits"
}

/// Two numbers under `key`, if they are there.
fn pair(config: &JsonObject, key: &str) -> Result<Option<[u32; 2]>> {
    let Some(value) = config.get(key) else { return Ok(None) };
    let numbers = value.as_array().map(|list| list.iter().map(number).collect::<Option<Vec<u32>>>());
    match numbers.flatten().as_deref() {
        Some(&[rows, columns]) => Ok(Some([rows, columns])),
        _ => Err(unsupported(key, shown(value), "two numbers, rows and columns")),
    }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok())
}

/// Each group of modules has a scheme; their blocks, where there are any, are the same.
fn compressed_tensors(config: &JsonObject) -> Result<Option<[u32; 2]>> {
    let must = |object: &JsonObject, key: &str, values: &[&str]| match object.text(key)? {
        Some(found) if !values.contains(&found) => Err(unsupported(key, format!("{found:?}"), values[0])),
        _ => Ok(()),
    };
    const FORMATS: [&str; 2] = ["float-quantized", "naive-quantized"];
    must(config, "format", &FORMATS)?;
    if let Some(sparsity) = config.object("sparsity_config")? {
        must(&sparsity, "format", &["dense"])?;
    }
    let groups = config.object("config_groups")?.unwrap_or_default();
    let mut blocks = Vec::new();
    for (name, _) in groups.pairs() {
        let Some(group) = groups.object(name)? else { continue };
        must(&group, "format", &FORMATS)?;
        let Some(weights) = group.object("weights")? else { continue };
        must(&weights, "type", &["float"])?;
        must(&weights, "strategy", &["tensor", "channel", "block", "group"])?;
        if let Some(bits) = weights.u32("num_bits")?.filter(|bits| *bits != 8) {
            return Err(unsupported("num_bits", bits, "8"));
        }
        let of_group = weights.u32("group_size")?.filter(|_| weights.get("strategy").is_some_and(|s| s == "group"));
        blocks.extend(pair(&weights, "block_structure")?.or(of_group.map(|columns| [1, columns])));
    }
    blocks.dedup();
    match blocks[..] {
        [] => Ok(None),
        [block] => Ok(Some(block)),
        _ => Err(unsupported("block_structure", format!("{blocks:?}"), "the same in all groups")),
    }
}

/// Takes the factors of `tensor` out of what is `left`, where its type needs them.
pub(super) fn take(
    tensor: &StoredTensor,
    block: Option<[u32; 2]>,
    left: &mut HashMap<String, (usize, StoredTensor)>,
) -> Result<Option<StoredTensor>> {
    if !tensor.dtype.is_scaled() {
        return Ok(None);
    }
    let found = SUFFIXES.iter().find_map(|suffix| left.remove(&format!("{}{suffix}", tensor.name)));
    let (name, dtype) = (tensor.name.clone(), tensor.dtype.name());
    let (_, scale) = found.ok_or(ArchitectureError::NoScale { name, dtype })?;
    if !scale.dtype.is_plain() {
        return Err(ArchitectureError::ScaleType { name: scale.name, dtype: scale.dtype.name() });
    }
    let fits = || {
        let blocks = ScaleBlocks::new(matrix(&tensor.shape)?, matrix(&scale.shape)?, block)?;
        // of matrices in one tensor, each has blocks of its own
        let rows = tensor.shape.iter().rev().nth(1)?;
        let whole = blocks.is_of_rows() || rows.is_multiple_of(blocks.rows.into());
        (whole || tensor.shape.len() == 2).then_some(())
    };
    if fits().is_none() {
        let blocks = block.map_or_else(String::new, |[rows, columns]| format!(", or one for {rows} x {columns}"));
        let (name, found, of) = (scale.name, scale.shape, tensor.shape.clone());
        return Err(ArchitectureError::ScaleShape { name, found, of, blocks });
    }
    Ok(Some(scale))
}

/// Rows and columns.
fn matrix(shape: &[u64]) -> Option<[u32; 2]> {
    let (columns, outer) = shape.split_last()?;
    let rows = outer.iter().try_fold(1u64, |n, d| n.checked_mul(*d))?;
    Some([u32::try_from(rows).ok()?, u32::try_from(*columns).ok()?])
}

/// True for what is of activations: nothing reads it.
pub(super) fn is_of_activations(name: &str) -> bool {
    OF_ACTIVATIONS.iter().any(|suffix| name.ends_with(suffix))
}
