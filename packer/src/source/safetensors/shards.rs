//! The weights of a folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::TensorInfo;
use serde_json::Value;
use symbiote_format::{Dtype, limits as archive_limits};

use super::SafetensorsError;
use super::json::{JsonObject, wrong_type};
use crate::error::{At, Error};
use crate::limits;
use crate::map::Map;
use crate::source::mxfp4::{self, Bytes};
use crate::source::{ForeignTensor, Place, SourceFile, StoredTensor, Weights};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const PICKLES: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// All the tensors of a folder and the files that they are in, and what those files say of themselves.
pub(super) struct Shards {
    pub weights: Weights,
    pub metadata: Vec<(String, String)>,
    /// Tensors of bytes by their names halves of MXFP4, and foreign if they are not.
    bytes: Vec<Bytes>,
}

impl Shards {
    fn new() -> Self {
        Self { weights: Weights::default(), metadata: Vec::new(), bytes: Vec::new() }
    }

    /// Joins halves of MXFP4.
    fn joined(mut self) -> Self {
        let (tensors, alone) = mxfp4::pair(std::mem::take(&mut self.bytes));
        self.weights.tensors.extend(tensors);
        let foreign = |b: Bytes| ForeignTensor { name: b.name, dtype: "U8".into(), file: b.place.file };
        self.weights.foreign.extend(alone.into_iter().map(foreign));
        self
    }
}

/// Where the index says a tensor is.
type WeightMap = Vec<(String, String)>;

/// Finds and reads the headers of a folder's weights. A tensor of a type that this program does not read is an error.
pub(super) fn read(folder: &Path) -> Result<Shards, Error> {
    let shards = read_readable(folder)?;
    match shards.weights.foreign.into_iter().next() {
        Some(ForeignTensor { name, dtype, file }) => {
            Err(SafetensorsError::UnknownType { name, dtype }).at(shards.weights.files[file].path())
        }
        None => Ok(Shards { weights: Weights { foreign: Vec::new(), ..shards.weights }, ..shards }),
    }
}

/// As [`read`], with tensors of other types put aside.
pub(super) fn read_readable(folder: &Path) -> Result<Shards, Error> {
    let (paths, weight_map) = locate(folder)?;
    let mut shards = Shards::new();
    let mut file_of = HashMap::new();
    for path in &paths {
        for name in add(&mut shards, SourceFile::open(path)?)? {
            if file_of.insert(name.clone(), shards.weights.files.len() - 1).is_some() {
                return Err(SafetensorsError::DuplicateTensor { name }).at(path);
            }
        }
    }
    for (name, shard) in weight_map {
        let expected = paths.iter().position(|path| path.ends_with(&shard));
        if file_of.get(&name).copied() != expected {
            return Err(SafetensorsError::NotInShard { name, shard }).at(&folder.join(INDEX));
        }
    }
    Ok(shards.joined())
}

/// The readable tensors of one file, by itself.
pub(super) fn read_file(path: &Path) -> Result<Weights, Error> {
    let mut shards = Shards::new();
    add(&mut shards, SourceFile::open(path)?)?;
    Ok(shards.joined().weights)
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

/// Adds one file with its tensors, in the order of their bytes; returns their names.
fn add(shards: &mut Shards, file: SourceFile) -> Result<Vec<String>, Error> {
    let map = Map::of(file.file()).at(file.path())?;
    let refuse = |e: safetensors::SafeTensorError| SafetensorsError::Header { reason: e.to_string() };
    let (header_len, header) = SafeTensors::read_metadata(&map).map_err(refuse).at(file.path())?;
    let data = 8 + header_len as u64;
    if let Some(pairs) = header.metadata() {
        shards.metadata.extend(pairs.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    let (weights, names) = (&mut shards.weights, header.offset_keys());
    let number = weights.files.len();
    for name in &names {
        let Some(info) = header.info(name) else { continue };
        check_name(name).at(file.path())?;
        match dtype(info.dtype) {
            Some(Dtype::U8) if mxfp4::SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) => {
                let StoredTensor { name, shape, file, offset, .. } = tensor(name, Dtype::Mxfp4, info, number, data);
                shards.bytes.push(Bytes { name, shape, place: Place { file, offset } });
            }
            Some(dtype) => weights.tensors.push(tensor(name, dtype, info, number, data)),
            None => {
                weights.foreign.push(ForeignTensor { name: name.clone(), dtype: info.dtype.to_string(), file: number })
            }
        }
    }
    weights.files.push(file);
    Ok(names)
}

fn check_name(name: &str) -> Result<(), SafetensorsError> {
    if name.is_empty() || name.len() > archive_limits::NAME_BYTES || name.chars().any(char::is_control) {
        return Err(SafetensorsError::TensorName { name: name.chars().take(80).collect() });
    }
    Ok(())
}

/// The type, where this program reads it: whole bytes of it have the same name here.
fn dtype(stored: safetensors::Dtype) -> Option<Dtype> {
    let name = stored.to_string();
    Dtype::all().find(|dtype| dtype.block_len() == 1 && dtype.name() == name)
}

fn tensor(name: &str, dtype: Dtype, info: &TensorInfo, file: usize, data: u64) -> StoredTensor {
    let (start, end) = info.data_offsets;
    // a number alone is a list of one
    let shape = if info.shape.is_empty() { vec![1] } else { info.shape.iter().map(|d| *d as u64).collect() };
    let (offset, len) = (data + start as u64, (end - start) as u64);
    StoredTensor { name: name.into(), dtype, shape, file, offset, len, scales: None }
}
