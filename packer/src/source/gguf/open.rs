//! A GGUF model as a checkpoint.

use std::collections::HashSet;
use std::path::Path;

use symbiote_format::{Dtype, Metadata, TensorKind, Tokenizer};

use super::container::Container;
use super::keys::Keys;
use super::{GgufError, split, tokenizer};
use crate::architecture::{self, ArchitectureError, Layout, StoredFactors};
use crate::error::{At, Error};
use crate::limits;
use crate::map::Map;
use crate::source::{Checkpoint, ForeignTensor, SourceFile, StoredTensor, Weights, metadata_value};

/// True if `path` starts like a GGUF file.
pub(crate) fn fits(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0; 4];
    std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut magic)).is_ok() && magic == *b"GGUF"
}

/// Reads a GGUF model from any of its files.
pub(crate) fn open(path: &Path) -> Result<Checkpoint, Error> {
    with_containers(path, |map| Container::parse(map), |parts| checkpoint(parts, path))
}

/// The tensors of a GGUF model, from any of its files, whatever its architecture.
pub(crate) fn weights(path: &Path) -> Result<Weights, Error> {
    with_containers(
        path,
        |map| Container::parse_readable(map),
        |parts| {
            let of_file = |(file, (_, container)): (usize, &Part)| -> Vec<_> {
                container.foreign.iter().map(|t| ForeignTensor { file, ..t.clone() }).collect()
            };
            let foreign = parts.iter().enumerate().flat_map(of_file).collect();
            let tensors = stored(&parts).at(path)?;
            Ok(Weights { files: parts.into_iter().map(|(file, _)| file).collect(), tensors, foreign })
        },
    )
}

/// The tokenizer of a GGUF file, whatever its architecture.
pub(crate) fn read_tokenizer(path: &Path) -> Result<Option<Tokenizer>, Error> {
    let file = SourceFile::open(path)?;
    let map = Map::of(file.file()).at(path)?;
    let container = Container::parse_readable(&map).at(path)?;
    tokenizer::read(Keys(&container.pairs)).at(path)
}

/// A file of a model and what is in it.
type Part<'m, 'a> = (SourceFile, &'m Container<'a>);

/// Opens all the files of the model that `path` is one of, and hands them to `read` in order.
fn with_containers<T>(
    path: &Path,
    parse: impl for<'a> Fn(&'a [u8]) -> Result<Container<'a>, GgufError>,
    read: impl FnOnce(Vec<Part>) -> Result<T, Error>,
) -> Result<T, Error> {
    let first = SourceFile::open(path)?;
    let map = Map::of(first.file()).at(path)?;
    let container = parse(&map).at(path)?;
    let Some(split) = split::of(&container).at(path)? else {
        return read(vec![(first, &container)]);
    };
    let mut files = Vec::new();
    let mut maps = Vec::new();
    for sibling in split::paths(path, split).at(path)? {
        let file = SourceFile::open(&sibling)?;
        maps.push(Map::of(file.file()).at(&sibling)?);
        files.push(file);
    }
    let mut containers = Vec::new();
    for ((file, map), expected) in files.iter().zip(&maps).zip(1..) {
        let container = parse(map).at(file.path())?;
        let (number, found) = split::of(&container).at(file.path())?.map_or((1, 1), |s| (s.number, s.count));
        if (number, found) != (expected, split.count) {
            let count = split.count;
            return Err(GgufError::SplitNumber { expected, count, number, found }).at(file.path());
        }
        containers.push(container);
    }
    let found: u64 = containers.iter().map(|c| (c.tensors.len() + c.foreign.len()) as u64).sum();
    if let Some(expected) = split.tensors.filter(|expected| *expected != found) {
        return Err(GgufError::SplitTensors { found, expected }).at(path);
    }
    read(files.into_iter().zip(&containers).collect())
}

/// The tensors of all files.
fn stored(parts: &[Part]) -> Result<Vec<StoredTensor>, GgufError> {
    let mut tensors = Vec::new();
    let mut names = HashSet::new();
    for (file, (_, container)) in parts.iter().enumerate() {
        for t in &container.tensors {
            if !names.insert(t.name) {
                return Err(GgufError::DuplicateTensor { name: t.name.into() });
            }
            let (name, shape) = (t.name.to_owned(), t.shape.clone());
            let (dtype, offset, len) = (t.dtype, t.offset, t.len);
            tensors.push(StoredTensor { name, dtype, shape, file, offset, len, scales: None });
        }
    }
    Ok(tensors)
}

/// Puts the files of a model together. The first has the keys.
fn checkpoint(parts: Vec<Part>, path: &Path) -> Result<Checkpoint, Error> {
    let tensors = stored(&parts).at(path)?;
    let Some((_, head)) = parts.first() else { return Err(GgufError::NotGguf).at(path) };
    let keys = Keys(&head.pairs);
    let architecture = required_text(keys, "general.architecture").at(path)?;
    let (architecture, rules) = architecture::by_gguf_name(architecture).at(path)?;
    let factors = stored_factors(&parts, &tensors)?;
    let vocabulary = architecture.vocabulary(Layout::Gguf, &tensors).at(path)?;
    let mut model = architecture::from_gguf(architecture, rules, keys, vocabulary, factors).at(path)?;
    let head = architecture.tensor_name(Layout::Gguf, TensorKind::Output);
    model.config.tied_embeddings = !tensors.iter().any(|t| t.name == head);
    let tokenizer = tokenizer::read(keys).at(path)?;
    let metadata = metadata(keys);
    let files = parts.into_iter().map(|(file, _)| file).collect();
    Ok(Checkpoint { layout: Layout::Gguf, files, tensors, architecture, model, tokenizer, metadata })
}

/// The divisors of rotary frequencies that are tensors of the model.
fn stored_factors(parts: &[Part], tensors: &[StoredTensor]) -> Result<StoredFactors, Error> {
    const LONGEST: u64 = 4 * symbiote_format::limits::HEAD_DIM as u64;
    let read = |name: &str| {
        let Some(tensor) = tensors.iter().find(|t| t.name == name) else { return Ok(None) };
        let file = &parts[tensor.file].0;
        if tensor.dtype != Dtype::F32 || tensor.len > LONGEST {
            let (name, dtype) = (name.to_owned(), tensor.dtype.name());
            return Err(ArchitectureError::CodedVector { name, dtype }).at(file.path());
        }
        let mut bytes = vec![0; usize::try_from(tensor.len).unwrap_or(0)];
        file.read_at(&mut bytes, tensor.offset)?;
        Ok(Some(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()))
    };
    let [short, long] = StoredFactors::NAMES;
    Ok(StoredFactors { short: read(short)?, long: read(long)? })
}

fn required_text<'a>(keys: Keys<'_, 'a>, key: &str) -> Result<&'a str, ArchitectureError> {
    Ok(keys.text(key)?.ok_or_else(|| GgufError::MissingKey { key: key.into() })?)
}

/// Everything but the vocabulary's tables, as text.
fn metadata(keys: Keys) -> Vec<Metadata> {
    let kept = |key: &str| tokenizer::KEPT.contains(&key) || key.starts_with("split.") || key == "general.alignment";
    let short = |key: &str| key.len() <= limits::METADATA_BYTES;
    let pairs = keys.0.iter().filter(|(key, _)| !kept(key) && short(key));
    pairs.map(|(key, value)| Metadata { key: (*key).into(), value: metadata_value(value.to_string()) }).collect()
}
