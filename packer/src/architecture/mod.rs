//! Architectures: one description each, of its tensors in every source and of how its hyperparameters are read.

mod config_json;
mod description;
mod error;
mod expert_rules;
mod experts;
mod gemma2;
mod gemma3;
mod gguf_keys;
mod gpt2;
mod granite;
mod granitemoe;
mod layers;
mod llama;
mod mistral;
mod mixtral;
mod olmo2;
mod olmoe;
mod phi3;
mod qwen2;
mod qwen2moe;
mod qwen3;
mod qwen3moe;
mod rope_gguf;
mod rope_json;
mod scales;
mod smollm3;
mod starcoder2;
mod tensor_rules;
mod tensors;

pub(crate) use config_json::from_config_json;
pub(crate) use description::{Architecture, Hyperparameters, Layout, by_config_json, by_gguf_name};
pub use error::ArchitectureError;
pub(crate) use gguf_keys::from_gguf;
pub(crate) use layers::LayerFlags;
pub(crate) use rope_gguf::StoredFactors;
pub(crate) use tensors::{ModelTensor, assign, required};
