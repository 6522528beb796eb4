//! Where models come from: each source reads its files into a [`Checkpoint`].

mod checkpoint;
pub(crate) mod end_of_answer;
mod file;
pub(crate) mod gguf;
pub(crate) mod mxfp4;
pub(crate) mod safetensors;
mod weights;

pub(crate) use checkpoint::{Checkpoint, Place, StoredTensor, metadata_value, open};
pub(crate) use file::SourceFile;
pub(crate) use weights::{ForeignTensor, Weights};
