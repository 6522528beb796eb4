//! Compiles a model, a GGUF file or a Hugging Face folder, into a `.pak` archive, and takes archives apart again.
//!
//! [`convert`] reads a source into a checkpoint (`source`), gives its tensors their places (`architecture`), cuts them
//! into packs (`planner`), drafts the index (`draft`) and copies the weights (`segments`) into a file that appears whole
//! or not at all (`output`).
#![deny(missing_docs)]

mod architecture;
mod archive_file;
mod convert;
mod draft;
mod error;
mod extract;
mod inspect;
pub mod limits;
mod map;
mod monitor;
mod output;
mod planner;
mod segments;
mod source;
mod source_hash;
mod verify;

pub use architecture::ArchitectureError;
pub use convert::{ConvertOptions, ConvertReport, convert, default_output};
pub use error::{Error, Problem};
pub use extract::{ExtractReport, extract};
pub use inspect::{inspect_json, inspect_text};
pub use monitor::Monitor;
pub use planner::PlanError;
pub use source::gguf::{GgufError, check_gguf};
pub use source::safetensors::SafetensorsError;
pub use verify::{VerifyReport, verify};
