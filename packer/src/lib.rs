//! Compiles a model, a GGUF file or a Hugging Face folder, into a `.pak` archive, and takes archives apart again.
//!
//! [`convert`] reads a source into a checkpoint (`source`), gives its tensors their places (`architecture`), cuts them
//! into packs (`planner`), drafts the index (`draft`) and writes the weights (`segments`), each part by the codec that a
//! [`Policy`] allows and that makes it smallest (`coding`), into a file that appears whole or not at all (`output`).
//! [`repack`] does the last of it again, from an archive; [`annotate`] puts into one what is known of its experts (`coaccess`);
//! [`synthesize`] makes one of a model that nobody trained; [`measure`](measure()) says what each codec would make of a model.
#![deny(missing_docs)]

mod annotate;
mod architecture;
mod archive_file;
mod archive_writer;
mod coaccess;
mod coding;
mod convert;
mod draft;
mod error;
mod extract;
mod inspect;
pub mod limits;
mod map;
mod measure;
mod monitor;
mod origin;
mod outline;
mod output;
mod pipeline;
mod planner;
mod policy;
mod read_tokenizer;
mod repack;
mod report;
mod segments;
mod source;
mod source_hash;
mod svg;
mod synthetic;
mod verify;

pub use annotate::annotate;
pub use architecture::ArchitectureError;
pub use coaccess::{ExpertOrder, Profile};
pub use convert::{ConvertOptions, convert, default_output};
pub use error::{Error, Problem};
pub use extract::{ExtractReport, extract};
pub use inspect::{CoaccessView, inspect_coaccess, inspect_json, inspect_text};
pub use measure::{Measurement, PartsOf, TensorMeasure, Total, measure};
pub use monitor::Monitor;
pub use planner::PlanError;
pub use policy::{Choice, Policy, PolicyError, Target};
pub use read_tokenizer::read_tokenizer;
pub use repack::{RepackOptions, repack};
pub use report::{ArchiveReport, CodecUse};
pub use source::gguf::{GgufError, check_gguf};
pub use source::safetensors::SafetensorsError;
pub use synthetic::{Recipe, synthesize};
pub use verify::{VerifyReport, verify};
