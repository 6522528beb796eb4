//! One GGUF file: key-value pairs and tensor descriptions, checked against the file's length. Nothing is copied.

use std::collections::HashSet;

use symbiote_format::{Dtype, align_up, limits as archive_limits};

use super::cursor::Cursor;
use super::value::Value;
use super::{GgufError, ggml_type};
use crate::limits;
use crate::source::ForeignTensor;

type Result<T> = std::result::Result<T, GgufError>;

/// A GGUF file's contents, borrowed from its bytes.
pub(crate) struct Container<'a> {
    /// Key-value pairs in the order of the file.
    pub pairs: Vec<(&'a str, Value<'a>)>,
    /// Tensors in the order of the file.
    pub tensors: Vec<TensorInfo<'a>>,
    /// Tensors of types that this program does not read, which are checked no further.
    pub foreign: Vec<ForeignTensor>,
}

/// One tensor: where its bytes are, and what they mean.
pub(crate) struct TensorInfo<'a> {
    pub name: &'a str,
    pub dtype: Dtype,
    /// Outermost dimension first: GGUF's own order reversed.
    pub shape: Vec<u64>,
    /// From the start of the file.
    pub offset: u64,
    pub len: u64,
}

impl<'a> Container<'a> {
    /// Reads and checks all but the tensors' values. A tensor of a type that this program does not read is an error.
    pub fn parse(file: &'a [u8]) -> Result<Self> {
        let container = Self::parse_readable(file)?;
        match container.foreign.into_iter().next() {
            Some(ForeignTensor { name, dtype, .. }) => Err(GgufError::UnknownType { name, found: dtype }),
            None => Ok(Self { foreign: Vec::new(), ..container }),
        }
    }

    /// As [`parse`](Self::parse), with tensors of other types put aside.
    pub fn parse_readable(file: &'a [u8]) -> Result<Self> {
        let mut cursor = Cursor::new(file);
        if file.get(..4) != Some(b"GGUF") {
            return Err(GgufError::NotGguf);
        }
        cursor.take(4, "the magic")?;
        match cursor.u32("the version")? {
            2 | 3 => {}
            found if found.swap_bytes() < 0x1_0000 => return Err(GgufError::BigEndian),
            found => return Err(GgufError::UnknownVersion { found }),
        }
        let tensor_count = cursor.count("tensors", archive_limits::TENSORS as u64)?;
        let pair_count = cursor.count("keys", limits::GGUF_KEYS)?;
        let pairs = pairs(&mut cursor, pair_count)?;
        let alignment = alignment(&pairs)?;
        let (mut tensors, foreign) = tensors(&mut cursor, tensor_count)?;
        place(&mut tensors, cursor.position(), alignment, file.len() as u64)?;
        Ok(Self { pairs, tensors, foreign })
    }
}

fn pairs<'a>(cursor: &mut Cursor<'a>, count: u64) -> Result<Vec<(&'a str, Value<'a>)>> {
    let mut seen = HashSet::new();
    let mut pairs = Vec::new();
    for _ in 0..count {
        let key = cursor.text("a key")?;
        let (what, limit) = ("bytes in one key", limits::GGUF_KEY_BYTES);
        if key.len() as u64 > limit {
            return Err(GgufError::AboveLimit { what, found: key.len() as u64, limit });
        }
        if !seen.insert(key) {
            return Err(GgufError::DuplicateKey { key: key.into() });
        }
        pairs.push((key, Value::read(cursor, key)?));
    }
    Ok(pairs)
}

fn alignment(pairs: &[(&str, Value)]) -> Result<u64> {
    match pairs.iter().find(|(key, _)| *key == "general.alignment") {
        None => Ok(32),
        Some((_, Value::Unsigned(n))) if n.is_power_of_two() && *n <= limits::GGUF_ALIGNMENT => Ok(*n),
        Some((_, Value::Unsigned(found))) => Err(GgufError::Alignment { found: *found }),
        Some((key, other)) => Err(super::keys::wrong_type(key, other, "a power of two")),
    }
}

/// Descriptions only: offsets are still relative to the data.
fn tensors<'a>(cursor: &mut Cursor<'a>, count: u64) -> Result<(Vec<TensorInfo<'a>>, Vec<ForeignTensor>)> {
    let mut seen = HashSet::new();
    let (mut tensors, mut foreign) = (Vec::new(), Vec::new());
    for number in 0..count {
        let name = cursor.text("a tensor's name")?;
        if name.is_empty() || name.len() > archive_limits::NAME_BYTES || name.chars().any(char::is_control) {
            return Err(GgufError::TensorName { number });
        }
        if !seen.insert(name) {
            return Err(GgufError::DuplicateTensor { name: name.into() });
        }
        match tensor(cursor, name)? {
            Ok(tensor) => tensors.push(tensor),
            Err(dtype) => foreign.push(ForeignTensor { name: name.into(), dtype, file: 0 }),
        }
    }
    Ok((tensors, foreign))
}

/// One description; the type's name where it is one that this program does not read.
fn tensor<'a>(cursor: &mut Cursor<'a>, name: &'a str) -> Result<std::result::Result<TensorInfo<'a>, String>> {
    const WHAT: &str = "a tensor's description";
    let dims = cursor.u32(WHAT)?;
    if dims == 0 || dims > limits::GGUF_DIMS {
        return Err(GgufError::Dimensions { name: name.into(), found: dims });
    }
    let mut shape = (0..dims).map(|_| cursor.u64(WHAT)).collect::<Result<Vec<_>>>()?;
    shape.reverse();
    let (dtype, offset) = (ggml_type::dtype(cursor.u32(WHAT)?), cursor.u64(WHAT)?);
    match dtype {
        Ok(dtype) => {
            let len = stored_len(name, &shape, dtype)?;
            Ok(Ok(TensorInfo { name, dtype, shape, offset, len }))
        }
        Err(found) => Ok(Err(found)),
    }
}

fn stored_len(name: &str, shape: &[u64], dtype: Dtype) -> Result<u64> {
    let refuse = || GgufError::Shape { name: name.into(), shape: shape.to_vec() };
    let elements = shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d)).ok_or_else(refuse)?;
    if elements == 0 || elements > archive_limits::TENSOR_ELEMENTS {
        return Err(refuse());
    }
    let columns = shape.last().copied().unwrap_or(1);
    if !columns.is_multiple_of(dtype.block_len().into()) {
        let (dtype, block) = (dtype.name(), dtype.block_len());
        return Err(GgufError::PartialBlock { name: name.into(), columns, dtype, block });
    }
    dtype.row_bytes(columns).and_then(|row| row.checked_mul(elements / columns)).ok_or_else(refuse)
}

/// Makes offsets absolute; checks that every tensor is aligned, in the file, and apart from the others.
fn place(tensors: &mut [TensorInfo], descriptions_end: u64, alignment: u64, file_len: u64) -> Result<()> {
    let truncated = GgufError::Truncated { what: "the header", at: 0, len: file_len };
    let data = align_up(descriptions_end, alignment).ok_or(truncated)?;
    let available = file_len.saturating_sub(data);
    for t in &mut *tensors {
        let (name, offset, len) = (|| t.name.to_owned(), t.offset, t.len);
        if !offset.is_multiple_of(alignment) {
            return Err(GgufError::Misaligned { name: name(), offset, alignment });
        }
        if offset.checked_add(len).is_none_or(|end| end > available) {
            return Err(GgufError::OutOfBounds { name: name(), offset, len, available });
        }
        t.offset += data;
    }
    let mut order: Vec<&TensorInfo> = tensors.iter().collect();
    order.sort_by_key(|t| t.offset);
    for pair in order.windows(2) {
        if pair[0].offset + pair[0].len > pair[1].offset {
            return Err(GgufError::Overlap { first: pair[0].name.into(), second: pair[1].name.into() });
        }
    }
    Ok(())
}
