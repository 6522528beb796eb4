//! A Hugging Face folder as a checkpoint.

use std::path::Path;

use serde_json::Value;
use symbiote_format::{Metadata, Tokenizer};

use super::json::JsonObject;
use super::shards::Shards;
use super::{SafetensorsError, shards, tokenizer};
use crate::architecture::{self, Layout};
use crate::error::{At, Error};
use crate::limits;
use crate::source::{Checkpoint, Weights, metadata_value};

/// Reads the model in `folder`.
pub(crate) fn open(folder: &Path) -> Result<Checkpoint, Error> {
    let config_path = folder.join("config.json");
    let config = JsonObject::read(&config_path, limits::CONFIG_BYTES)?;
    let Some(json) = config else { return Err(SafetensorsError::NoConfig).at(folder) };
    let (architecture, rules) = architecture::by_config_json(&json).at(&config_path)?;
    let Shards { weights, metadata: of_weights, .. } = shards::read(folder)?;
    let vocabulary = architecture.vocabulary(Layout::HuggingFace, &weights.tensors).at(folder)?;
    let model = architecture::from_config_json(architecture, rules, &json, &weights.tensors, vocabulary);
    let model = model.at(&config_path)?;
    let tokenizer = tokenizer::read(folder, &json, vocabulary)?;
    let metadata = metadata(&json, of_weights);
    let (files, tensors) = (weights.files, weights.tensors);
    Ok(Checkpoint { layout: Layout::HuggingFace, files, tensors, architecture, model, tokenizer, metadata })
}

/// The tokenizer of a folder, whatever its architecture.
pub(crate) fn read_tokenizer(folder: &Path) -> Result<Option<Tokenizer>, Error> {
    let config = JsonObject::read(&folder.join("config.json"), limits::CONFIG_BYTES)?.unwrap_or_default();
    tokenizer::read(folder, &config, u32::MAX)
}

/// The tensors of a folder or of one file, whatever its architecture.
pub(crate) fn weights(path: &Path) -> Result<Weights, Error> {
    match path.is_dir() {
        true => Ok(shards::read_readable(path)?.weights),
        false => shards::read_file(path),
    }
}

/// `config.json` and the headers' own pairs, as text.
fn metadata(config: &JsonObject, mut of_weights: Vec<(String, String)>) -> Vec<Metadata> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), String::from);
    let mut pairs: Vec<_> = config.pairs().map(|(key, value)| (format!("config.{key}"), text(value))).collect();
    // a header's pairs come in no order, and the shards of a model repeat them
    of_weights.sort();
    of_weights.dedup();
    pairs.extend(of_weights.into_iter().map(|(key, value)| (format!("safetensors.{key}"), value)));
    pairs.retain(|(key, _)| key.len() <= limits::METADATA_BYTES);
    pairs.into_iter().map(|(key, value)| Metadata { key, value: metadata_value(value) }).collect()
}
