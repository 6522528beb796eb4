//! The weights of a folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;
use symbiote_format::{Dtype, limits as archive_limits};

use super::SafetensorsError;
use super::json::{JsonObject, wrong_type};
use crate::error::{At, Error};
use crate::limits;
use crate::map::Map;
use crate::source::{SourceFile, StoredTensor};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const PICKLES: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// All the tensors of a folder and the files that they are in, and what those files say of themselves.
pub(super) struct Weights {
    pub files: Vec<SourceFile>,
    pub tensors: Vec<StoredTensor>,
    pub metadata: Vec<(String, String)>,
}

/// Where the index says a tensor is.
type WeightMap = Vec<(String, String)>;

/// Finds and reads the headers of a folder's weights.
pub(super) fn read(folder: &Path) -> Result<Weights, Error> {
    let (paths, weight_map) = locate(folder)?;
    let mut weights = Weights { files: Vec::new(), tensors: Vec::new(), metadata: Vec::new() };
    let mut file_of = HashMap::new();
    for path in &paths {
        let file = SourceFile::open(path)?;
        let number = weights.files.len();
        for tensor in header(&file, number, &mut weights.metadata)? {
            if file_of.insert(tensor.name.clone(), number).is_some() {
                return Err(SafetensorsError::DuplicateTensor { name: tensor.name }).at(path);
            }
            weights.tensors.push(tensor);
        }
        weights.files.push(file);
    }
    for (name, shard) in weight_map {
        let expected = paths.iter().position(|path| path.ends_with(&shard));
        if file_of.get(&name).copied() != expected {
            return Err(SafetensorsError::NotInShard { name, shard }).at(&folder.join(INDEX));
        }
    }
    Ok(weights)
}

fn locate(folder: &Path) -> Result<(Vec<PathBuf>, WeightMap), Error> {
    let single = folder.join(SINGLE);
    if single.exists() {
        return Ok((vec![single], Vec::new()));
    }
    let path = folder.join(INDEX);
    let Some(index) = JsonObject::read(&path, limits::CONFIG_BYTES)? else {
        let problem = match PICKLES.into_iter().find(|name| folder.join(name).exists()) {
            Some(found) => SafetensorsError::Pickle { found },
            None => SafetensorsError::NoWeights,
        };
        return Err(problem).at(folder);
    };
    let weight_map = weight_map(&index).at(&path)?;
    let shards: BTreeSet<&String> = weight_map.iter().map(|(_, shard)| shard).collect();
    if shards.len() > limits::SHARDS {
        return Err(SafetensorsError::ShardCount { found: shards.len(), limit: limits::SHARDS }).at(&path);
    }
    let paths = shards.into_iter().map(|shard| folder.join(shard)).collect();
    Ok((paths, weight_map))
}

fn weight_map(index: &JsonObject) -> Result<WeightMap, SafetensorsError> {
    let object = index.object("weight_map")?.ok_or_else(|| wrong_type("weight_map", &Value::Null, "an object"))?;
    let entry = |(name, shard): (&str, &Value)| {
        let file = shard.as_str().ok_or_else(|| wrong_type(name, shard, "a file name"))?;
        // a shard is a plain name: nothing outside the folder is read
        if Path::new(file).file_name() != Some(file.as_ref()) {
            return Err(SafetensorsError::ShardName { name: file.into() });
        }
        Ok((name.to_owned(), file.to_owned()))
    };
    object.pairs().map(entry).collect()
}

/// The tensors of one file, in the order of their bytes.
fn header(file: &SourceFile, number: usize, metadata: &mut Vec<(String, String)>) -> Result<Vec<StoredTensor>, Error> {
    let map = Map::of(file.file()).at(file.path())?;
    let refuse = |e: safetensors::SafeTensorError| SafetensorsError::Header { reason: e.to_string() };
    let (header_len, header) = SafeTensors::read_metadata(&map).map_err(refuse).at(file.path())?;
    let data = 8 + header_len as u64;
    if let Some(pairs) = header.metadata() {
        metadata.extend(pairs.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    let tensors = header.offset_keys().into_iter().filter_map(|name| {
        let info = header.info(&name)?;
        Some(tensor(name, info, number, data))
    });
    tensors.collect::<Result<_, _>>().at(file.path())
}

fn tensor(
    name: String,
    info: &safetensors::tensor::TensorInfo,
    file: usize,
    data: u64,
) -> Result<StoredTensor, SafetensorsError> {
    if name.is_empty() || name.len() > archive_limits::NAME_BYTES || name.chars().any(char::is_control) {
        return Err(SafetensorsError::TensorName { name: name.chars().take(80).collect() });
    }
    let dtype = match info.dtype {
        safetensors::Dtype::F32 => Dtype::F32,
        safetensors::Dtype::F16 => Dtype::F16,
        safetensors::Dtype::BF16 => Dtype::Bf16,
        other => return Err(SafetensorsError::UnknownType { name, dtype: other.to_string() }),
    };
    let (start, end) = info.data_offsets;
    let shape = info.shape.iter().map(|d| *d as u64).collect();
    Ok(StoredTensor { name, dtype, shape, file, offset: data + start as u64, len: (end - start) as u64 })
}
