//! The index: everything about the model but the weights' bytes. One rkyv archive, used in place from the memory map.
//!
//! Numbers that stand for something (a role, a type, a codec) are plain integers here, with their tables in
//! `role.rs` and `dtype.rs`: a new code does not change the layout.

use rkyv::{Archive, Deserialize, Serialize};

/// Stands for "in no layer" in [`Tensor::layer`] and [`WeightPack::layer`].
pub const NO_LAYER: u32 = u32::MAX;
/// Stands for "none" in the token ids of [`Tokenizer`].
pub const NO_ID: u32 = u32::MAX;

/// Added to a type in [`Tokenizer::types`]: white space that follows the token in a text is dropped.
pub const STRIPS_RIGHT: u8 = 16;

/// The root of the index.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Index {
    /// Architecture, as GGUF names it: `llama`.
    pub architecture: String,
    /// What the architecture needs to know, by key; see [`ModelConfig`](crate::ModelConfig).
    pub params: Vec<Param>,
    /// The vocabulary; without one the archive runs on token ids only.
    pub tokenizer: Option<Tokenizer>,
    /// Every tensor of the source, in the order of its first part.
    pub tensors: Vec<Tensor>,
    /// Packs in execution order, which is also their order in the file.
    pub packs: Vec<WeightPack>,
    /// The parts of all packs, pack after pack.
    pub parts: Vec<Part>,
    /// The source's other metadata, for people: no reader computes with it.
    pub metadata: Vec<Metadata>,
    /// Where the archive came from.
    pub provenance: Provenance,
    /// Named extras that a reader may skip; [`Coaccess`](crate::Coaccess) is in `coaccess` and `oracle`.
    pub annotations: Vec<Annotation>,
}

/// A hyperparameter: a key with numbers or a text.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Param {
    /// The key, as in [`ModelConfig::to_params`](crate::ModelConfig::to_params).
    pub key: String,
    /// Its numbers; empty where the value is a text. Integers are exact below 2^53.
    pub numbers: Vec<f64>,
    /// Its text; empty where the value is numbers.
    pub text: String,
}

/// The vocabulary and what surrounds it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Tokenizer {
    /// A [`TokenizerKind`](crate::TokenizerKind) code.
    pub kind: u8,
    /// The pre-tokenizer's name (`tokenizer.ggml.pre`), for byte-level BPE.
    pub pre: String,
    /// Token texts, by id. Empty for a Hugging Face tokenizer.
    pub tokens: Vec<String>,
    /// Token scores, by id (SentencePiece only).
    pub scores: Vec<f32>,
    /// Token types, by id: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte; [`STRIPS_RIGHT`] may be added.
    pub types: Vec<u8>,
    /// BPE merges, best first: two tokens with a space between.
    pub merges: Vec<String>,
    /// `tokenizer.json`, whole (Hugging Face only).
    pub json: String,
    /// Beginning of sequence, or [`NO_ID`].
    pub bos: u32,
    /// End of sequence, or [`NO_ID`].
    pub eos: u32,
    /// Unknown token, or [`NO_ID`].
    pub unk: u32,
    /// Padding, or [`NO_ID`].
    pub pad: u32,
    /// Ids that end an answer, `eos` among them.
    pub stop: Vec<u32>,
    /// A sequence starts with `bos`.
    pub add_bos: bool,
    /// A sequence ends with `eos`.
    pub add_eos: bool,
    /// SentencePiece puts a space before the text.
    pub add_space_prefix: bool,
    /// The chat template (Jinja), or empty.
    pub chat_template: String,
}

/// One tensor of the source.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    /// Its name in the source.
    pub name: String,
    /// A [`TensorKind`](crate::TensorKind) code.
    pub kind: u16,
    /// A [`Dtype`](crate::Dtype) code: how the source stored it.
    pub dtype: u16,
    /// Its layer, or [`NO_LAYER`].
    pub layer: u32,
    /// Its shape, outermost dimension first. The last is a row's columns; the product of the others is the row count.
    pub shape: Vec<u64>,
}

/// The unit of residency: whole rows of one role of one layer, contiguous in the file as one segment.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct WeightPack {
    /// A [`PackRole`](crate::PackRole) code.
    pub role: u8,
    /// Its layer, or [`NO_LAYER`].
    pub layer: u32,
    /// Its first part, in [`Index::parts`].
    pub first_part: u32,
    /// How many parts it has; at least one.
    pub part_count: u32,
    /// Where its segment starts in the file: a multiple of [`SEGMENT_ALIGN`](crate::SEGMENT_ALIGN).
    pub offset: u64,
    /// Length of the segment in bytes, the padding after it not counted.
    pub len: u64,
    /// SHA-256 of the segment.
    pub sha256: [u8; 32],
}

/// Rows of one tensor inside a pack.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct Part {
    /// The tensor, in [`Index::tensors`].
    pub tensor: u32,
    /// The first row of the tensor that this part holds.
    pub row: u32,
    /// How many rows it holds; at least one.
    pub rows: u32,
    /// A [`Codec`](crate::Codec) code.
    pub codec: u8,
    /// Where the part starts in its segment: a multiple of [`PART_ALIGN`](crate::PART_ALIGN).
    pub offset: u64,
    /// Its bytes as coded.
    pub coded_len: u64,
    /// Its bytes in the source.
    pub raw_len: u64,
}

/// A line of the source's metadata, as text.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Key.
    pub key: String,
    /// Value, printed.
    pub value: String,
}

/// Where an archive came from.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// Name and version of the program that wrote it.
    pub writer: String,
    /// `gguf` or `safetensors`.
    pub source_format: String,
    /// The files read, in order.
    pub sources: Vec<Source>,
}

/// One source file.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// File name, without folders.
    pub name: String,
    /// Length in bytes.
    pub len: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
}

/// A named extra.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Annotation {
    /// Its name.
    pub name: String,
    /// Its bytes, whose meaning the name gives.
    pub bytes: Vec<u8>,
}

/// The archived twins of the types above, made by rkyv.
pub mod archived {
    pub use crate::coaccess::{
        ArchivedCacheHits, ArchivedCoaccess, ArchivedDomain, ArchivedMixture, ArchivedSuccessor,
    };

    pub use super::{
        ArchivedAnnotation, ArchivedIndex, ArchivedMetadata, ArchivedParam, ArchivedPart, ArchivedProvenance,
        ArchivedSource, ArchivedTensor, ArchivedTokenizer, ArchivedWeightPack,
    };
}

impl Index {
    /// The index as bytes, ready to be written after the last segment.
    pub fn to_bytes(&self) -> crate::Result<Vec<u8>> {
        self.encode().map(|bytes| bytes.to_vec())
    }

    /// The index as bytes, aligned to be read back in place.
    pub(crate) fn encode(&self) -> crate::Result<rkyv::util::AlignedVec> {
        rkyv::to_bytes::<rkyv::rancor::Error>(self)
            .map_err(|e| crate::FormatError::IndexEncode { reason: e.to_string() })
    }
}
