//! The one validation pass over an index. Everything that a reader relies on is checked here, and only here.

use std::collections::HashSet;

use crate::codec::Shape;
use crate::index::{ArchivedPart, ArchivedTensor, ArchivedTokenizer, ArchivedWeightPack};
use crate::{
    ArchivedIndex, Coaccess, Codec, Dtype, FormatError, HEADER_LEN, Index, ModelConfig, NO_ID, NO_LAYER, PART_ALIGN,
    PackRole, Param, Result, SEGMENT_ALIGN, TensorKind, TokenizerKind, align_up, limits, mixture, scales,
};

/// What is needed of a tensor to check its parts.
pub(crate) struct Rows {
    pub rows: u64,
    pub columns: u32,
    pub dtype: Dtype,
    row_bytes: u64,
    /// Rows that parts have covered so far.
    covered: u64,
}

/// Checks an index that is still to be written, so that a writer finds out before it has copied any weights.
pub fn check_index(index: &Index, index_offset: u64) -> Result<()> {
    let bytes = index.encode()?;
    let malformed = |e: rkyv::rancor::Error| FormatError::IndexMalformed { reason: e.to_string() };
    validate(rkyv::access(&bytes).map_err(malformed)?, index_offset).map(drop)
}

/// Checks `index`, which the header puts at `index_offset`, and returns the model's hyperparameters and what is known of its
/// experts.
pub(crate) fn validate(index: &ArchivedIndex, index_offset: u64) -> Result<(ModelConfig, Option<Coaccess>)> {
    at_most("tensors", index.tensors.len(), limits::TENSORS)?;
    at_most("packs", index.packs.len(), limits::PACKS)?;
    at_most("parts", index.parts.len(), limits::PARTS)?;
    at_most("hyperparameters", index.params.len(), limits::PARAMS)?;
    let config = ModelConfig::from_params(params(index))?;
    let mut tensors = tensors(index, &config)?;
    segments(index, &config, &mut tensors, index_offset)?;
    for (t, tensor) in index.tensors.iter().zip(&tensors) {
        if tensor.covered != tensor.rows {
            let (found, rows) = (tensor.covered, tensor.rows);
            return Err(FormatError::TensorIncomplete { name: t.name.as_str().into(), found, rows });
        }
    }
    mixture::check(index, &config, &tensors)?;
    scales::check(index, &config, &tensors)?;
    if let Some(t) = index.tokenizer.as_ref() {
        tokenizer(t, &config)?;
    }
    let coaccess = Coaccess::of_index(index, &config)?;
    Ok((config, coaccess))
}

/// The hyperparameter list, out of the archive.
fn params(index: &ArchivedIndex) -> Vec<Param> {
    let numbers = |p: &crate::index::ArchivedParam| p.numbers.iter().map(|n| n.to_native()).collect();
    let copy = |p: &crate::index::ArchivedParam| Param {
        key: p.key.as_str().into(),
        numbers: numbers(p),
        text: p.text.as_str().into(),
    };
    index.params.iter().map(copy).collect()
}

fn at_most(what: &'static str, found: usize, limit: usize) -> Result<()> {
    if found > limit {
        return Err(FormatError::AboveLimit { what, found: found as u64, limit: limit as u64 });
    }
    Ok(())
}

fn unknown(what: impl FnOnce() -> String, table: &'static str, code: impl Into<u64>) -> FormatError {
    FormatError::UnknownCode { what: what(), table, code: code.into() }
}

fn layer_in_range(layer: u32, config: &ModelConfig, what: impl FnOnce() -> String) -> Result<()> {
    if layer == NO_LAYER || layer < config.layer_count {
        return Ok(());
    }
    Err(FormatError::LayerOutOfRange { what: what(), layer, layers: config.layer_count })
}

fn tensors(index: &ArchivedIndex, config: &ModelConfig) -> Result<Vec<Rows>> {
    let mut names = HashSet::with_capacity(index.tensors.len());
    index
        .tensors
        .iter()
        .enumerate()
        .map(|(i, t)| {
            let name = t.name.as_str();
            if name.is_empty() || name.len() > limits::NAME_BYTES || name.chars().any(char::is_control) {
                return Err(FormatError::TensorName { tensor: i });
            }
            if !names.insert(name) {
                return Err(FormatError::DuplicateTensor { name: name.into() });
            }
            tensor(t, config)
        })
        .collect()
}

fn tensor(t: &ArchivedTensor, config: &ModelConfig) -> Result<Rows> {
    let what = || format!("tensor {}", t.name);
    let kind = t.kind.to_native();
    TensorKind::from_code(kind).ok_or_else(|| unknown(what, "tensor kind", kind))?;
    let code = t.dtype.to_native();
    let dtype = Dtype::from_code(code).ok_or_else(|| unknown(what, "dtype", code))?;
    layer_in_range(t.layer.to_native(), config, what)?;

    at_most("dimensions", t.shape.len(), limits::DIMS)?;
    let shape: Vec<u64> = t.shape.iter().map(|d| d.to_native()).collect();
    let refuse =
        || FormatError::TensorShape { name: t.name.as_str().into(), shape: shape.clone(), dtype: dtype.name() };
    let (columns, outer) = shape.split_last().ok_or_else(refuse)?;
    let rows = outer.iter().try_fold(1u64, |n, d| n.checked_mul(*d)).ok_or_else(refuse)?;
    let sane = |n: u64| (1..=limits::ROWS).contains(&n);
    let elements = rows.checked_mul(*columns).ok_or_else(refuse)?;
    if !sane(rows) || !sane(*columns) || elements > limits::TENSOR_ELEMENTS {
        return Err(refuse());
    }
    let row_bytes = dtype.row_bytes(*columns).ok_or_else(refuse)?;
    // The limit on columns is below 2^32.
    let columns = u32::try_from(*columns).map_err(|_| refuse())?;
    Ok(Rows { rows, columns, dtype, row_bytes, covered: 0 })
}

/// Packs must follow each other without gap or overlap, those of a layer's experts in any order, and so must the parts of each.
fn segments(index: &ArchivedIndex, config: &ModelConfig, tensors: &mut [Rows], index_offset: u64) -> Result<()> {
    let is_expert = |pack: &ArchivedWeightPack| pack.role == PackRole::Expert.code();
    let (mut next_part, mut first, mut expected) = (0usize, 0usize, HEADER_LEN);
    for run in index.packs.chunk_by(|a, b| is_expert(a) && is_expert(b) && a.layer == b.layer) {
        for (i, pack) in (first..).zip(run) {
            let parts = pack_parts(index, i, pack, next_part)?;
            let len = pack_len(index, parts, next_part, tensors)?;
            if pack.len != len {
                return Err(FormatError::SegmentLength { pack: i, found: pack.len.to_native(), expected: len });
            }
            if len > limits::PACK_BYTES {
                return Err(FormatError::AboveLimit { what: "pack bytes", found: len, limit: limits::PACK_BYTES });
            }
            let what = || format!("pack {i}");
            PackRole::from_code(pack.role).ok_or_else(|| unknown(what, "pack role", pack.role))?;
            layer_in_range(pack.layer.to_native(), config, what)?;
            next_part += parts.len();
        }
        expected = places(run, first, expected)?;
        first += run.len();
    }
    if next_part != index.parts.len() {
        return Err(FormatError::StrayParts { count: index.parts.len() - next_part });
    }
    if index_offset != expected {
        return Err(FormatError::IndexGap { found: index_offset, expected });
    }
    Ok(())
}

/// Where the segments of `run`, the first of which is of pack `first`, end that start at `expected`, in any order.
fn places(run: &[ArchivedWeightPack], first: usize, mut expected: u64) -> Result<u64> {
    let mut places: Vec<_> = (first..).zip(run).map(|(i, p)| (p.offset.to_native(), i, p.len.to_native())).collect();
    places.sort_unstable();
    for (found, pack, len) in places {
        if found != expected {
            return Err(FormatError::SegmentPlace { pack, found, expected });
        }
        let overflow = FormatError::Overflow { what: "segment end" };
        expected = found.checked_add(len).and_then(|end| align_up(end, SEGMENT_ALIGN)).ok_or(overflow)?;
    }
    Ok(expected)
}

fn pack_parts<'a>(
    index: &'a ArchivedIndex,
    i: usize,
    pack: &ArchivedWeightPack,
    expected: usize,
) -> Result<&'a [ArchivedPart]> {
    let (found, count) = (pack.first_part.to_native(), pack.part_count.to_native());
    let total = index.parts.len();
    let refuse = FormatError::PackParts { pack: i, found, count, expected, total };
    if found as usize != expected || count == 0 {
        return Err(refuse);
    }
    index.parts.get(expected..).and_then(|rest| rest.get(..count as usize)).ok_or(refuse)
}

/// Length of a segment by its parts, each checked.
fn pack_len(index: &ArchivedIndex, parts: &[ArchivedPart], first: usize, tensors: &mut [Rows]) -> Result<u64> {
    let mut end = 0u64;
    for (i, part) in parts.iter().enumerate() {
        let i = first + i;
        let overflow = || FormatError::Overflow { what: "part end" };
        let tensor = part.tensor.to_native();
        let count = tensors.len();
        let rows =
            tensors.get_mut(tensor as usize).ok_or(FormatError::PartTensor { part: i, tensor, tensors: count })?;
        let name = || index.tensors[tensor as usize].name.as_str().to_owned();
        check_part(i, part, rows, name)?;

        let expected = align_up(end, PART_ALIGN).ok_or_else(overflow)?;
        let found = part.offset.to_native();
        if found != expected {
            return Err(FormatError::PartPlace { part: i, found, expected });
        }
        end = found.checked_add(part.coded_len.to_native()).ok_or_else(overflow)?;
    }
    Ok(end)
}

fn check_part(i: usize, part: &ArchivedPart, tensor: &mut Rows, name: impl Fn() -> String) -> Result<()> {
    let (row, rows) = (u64::from(part.row.to_native()), part.rows.to_native());
    let end = row + u64::from(rows);
    if row != tensor.covered || rows == 0 || end > tensor.rows {
        let (expected, rows) = (tensor.covered, tensor.rows);
        return Err(FormatError::PartRows { part: i, tensor: name(), row, end, expected, rows });
    }
    tensor.covered = end;

    let overflow = FormatError::Overflow { what: "part length" };
    let expected = u64::from(rows).checked_mul(tensor.row_bytes).ok_or(overflow)?;
    let found = part.raw_len.to_native();
    if found != expected {
        return Err(FormatError::PartLength { part: i, tensor: name(), rows, found, expected });
    }
    let codec = Codec::from_code(part.codec).ok_or_else(|| unknown(|| format!("part {i}"), "codec", part.codec))?;
    let shape = Shape { dtype: tensor.dtype, rows, columns: tensor.columns };
    let refuse = |source| FormatError::PartCoded { part: i, tensor: name(), source };
    codec.check_len(shape, part.coded_len.to_native()).map_err(refuse)
}

fn tokenizer(t: &ArchivedTokenizer, config: &ModelConfig) -> Result<()> {
    let refuse = |reason: String| Err(FormatError::Tokenizer { reason });
    let kind =
        TokenizerKind::from_code(t.kind).ok_or_else(|| unknown(|| "the tokenizer".into(), "tokenizer", t.kind))?;
    let vocab = config.vocab_size;
    let fits = |n: usize| n <= vocab as usize;
    match kind {
        TokenizerKind::HuggingFace if t.json.is_empty() => return refuse("its tokenizer.json is empty".into()),
        TokenizerKind::HuggingFace => {}
        TokenizerKind::GgufBpe | TokenizerKind::GgufSentencePiece | TokenizerKind::GgufSentencePieceStrip => {
            let n = t.tokens.len();
            if n == 0 || !fits(n) {
                return refuse(format!("it has {n} tokens and the embedding has {vocab} rows"));
            }
            if t.types.len() != n {
                return refuse(format!("it has {n} tokens and {} token types", t.types.len()));
            }
            if kind != TokenizerKind::GgufBpe && t.scores.len() != n {
                return refuse(format!("it has {n} tokens and {} scores", t.scores.len()));
            }
        }
    }
    let ids = [("bos", &t.bos), ("eos", &t.eos), ("unk", &t.unk), ("pad", &t.pad)];
    for (name, id) in ids.into_iter().chain(t.stop.iter().map(|id| ("stop", id))) {
        let id = id.to_native();
        if id != NO_ID && id >= vocab {
            return refuse(format!("its {name} token is {id} and the embedding has {vocab} rows"));
        }
    }
    if t.add_bos && t.bos == NO_ID || t.add_eos && t.eos == NO_ID {
        return refuse("it adds a bos or eos token that it does not name".into());
    }
    Ok(())
}
