//! Folders as Hugging Face stores models: safetensors weights, `config.json`, `tokenizer.json` and their company.

mod error;
mod json;
mod open;
mod shards;
mod tokenizer;

pub use error::SafetensorsError;
pub(crate) use json::JsonObject;
pub(crate) use open::{open, read_tokenizer, weights};
