//! Architectures: one description each, of its tensors in every source and of how its hyperparameters are read.

mod config_json;
mod description;
mod error;
mod gguf_keys;
mod llama;
mod rope_gguf;
mod rope_json;
mod tensors;

pub(crate) use description::{Architecture, Layout, by_config_json, by_gguf_name};
pub use error::ArchitectureError;
pub(crate) use tensors::{ModelTensor, assign, required};
