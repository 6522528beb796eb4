//! The `.pak` archive: what its bytes mean, how they are laid out and when they are refused.
//!
//! `SPEC.md` beside this crate is normative; this is its implementation. No I/O here, and no `unsafe` but to call zfp: callers bring the
//! bytes (a memory map, a test's vector) and [`Archive::parse`] checks them once, after which the index is used in place.
#![deny(unsafe_code)]
#![deny(missing_docs)]

mod archive;
mod byte_size;
mod coaccess;
mod coaccess_bytes;
mod coaccess_error;
pub mod codec;
pub mod dequant;
mod design;
mod dtype;
mod error;
mod experts;
mod hash;
mod header;
mod index;
mod latent;
mod layout;
pub mod limits;
mod mixture;
mod model;
mod params;
mod role;
mod rope;
mod scales;
mod segment_check;
mod validate;

pub use archive::Archive;
pub use byte_size::{ByteSize, ByteSizeError};
pub use coaccess::{CacheHits, Coaccess, Domain, Mixture, Successor, WARM_START};
pub use coaccess_bytes::COACCESS_MAGIC;
pub use coaccess_error::CoaccessError;
pub use design::{Activation, Design, Norm, Turn};
pub use dtype::Dtype;
pub use error::FormatError;
pub use experts::{Experts, GroupScore, Scoring};
pub use hash::{Sha256, hex};
pub use header::{Header, MAGIC, VERSION};
pub use index::{
    Annotation, ArchivedIndex, ArchivedPart, ArchivedTensor, ArchivedTokenizer, ArchivedWeightPack, Index, Metadata,
    NO_ID, NO_LAYER, Param, Part, Provenance, STRIPS_RIGHT, Source, Tensor, Tokenizer, WeightPack, archived,
};
pub use latent::Latent;
pub use layout::{HEADER_LEN, PART_ALIGN, SEGMENT_ALIGN, align_up, lay_out_parts};
pub use model::ModelConfig;
pub use params::ParamError;
pub use role::{Codec, PackRole, TensorKind, TokenizerKind};
pub use rope::{RopeLayout, RopeScaling};
pub use scales::ScaleBlocks;
pub use segment_check::SegmentCheck;
pub use validate::check_index;

/// Every fallible function of this crate fails with a [`FormatError`].
pub type Result<T> = std::result::Result<T, FormatError>;
