//! The weights of a model alone, whatever its architecture.

use std::path::Path;

use super::{SourceFile, StoredTensor, gguf, safetensors};
use crate::error::{At, Error, Problem};

/// Tensors and the files that they are in.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    /// The files, in order.
    pub files: Vec<SourceFile>,
    /// The tensors of types that this program reads, in the order of the files.
    pub tensors: Vec<StoredTensor>,
    /// The other tensors.
    pub foreign: Vec<ForeignTensor>,
}

/// A tensor of a type that this program does not read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ForeignTensor {
    pub name: String,
    /// The type's name.
    pub dtype: String,
    /// Number of its file.
    pub file: usize,
}

impl Weights {
    /// Reads the headers of whatever `path` is: a GGUF or safetensors file, or a folder with safetensors.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let metadata = std::fs::metadata(path).at(path)?;
        if metadata.is_dir() {
            safetensors::weights(path)
        } else if gguf::fits(path) {
            gguf::weights(path)
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors")) {
            safetensors::weights(path)
        } else if metadata.is_file() {
            Err(Problem::NoWeights).at(path)
        } else {
            Err(Problem::NotAFile).at(path)
        }
    }
}
