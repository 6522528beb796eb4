//! What every source reads its files into.

use std::path::Path;

use symbiote_format::{Dtype, Metadata, Tokenizer};

use super::{SourceFile, gguf, mxfp4, safetensors};
use crate::architecture::{Architecture, Hyperparameters, Layout};
use crate::error::{At, Error, Problem};
use crate::limits;

/// A model as its source describes it. Weights stay in the files.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// Whose names and orders the tensors have.
    pub layout: Layout,
    /// The files with tensors, in order.
    pub files: Vec<SourceFile>,
    /// The tensors in the order of the files.
    pub tensors: Vec<StoredTensor>,
    pub architecture: &'static Architecture,
    pub model: Hyperparameters,
    pub tokenizer: Option<Tokenizer>,
    /// Whatever else the source says, for people.
    pub metadata: Vec<Metadata>,
}

/// A tensor and where it lies. The source has checked that it lies inside its file.
#[derive(Clone, Debug)]
pub(crate) struct StoredTensor {
    pub name: String,
    pub dtype: Dtype,
    /// Outermost dimension first.
    pub shape: Vec<u64>,
    /// Number of its file.
    pub file: usize,
    /// Where it starts in its file, in bytes.
    pub offset: u64,
    /// Bytes it takes.
    pub len: u64,
    /// Where the exponents of MXFP4 are that are not in its blocks; then only nibbles are at `offset`.
    pub scales: Option<Place>,
}

/// Where bytes are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Number of the file.
    pub file: usize,
    /// Where they start in it.
    pub offset: u64,
}

impl StoredTensor {
    /// Reads rows of `row_bytes` bytes from `row` on into `raw`.
    pub fn read_rows(&self, files: &[SourceFile], row: u32, row_bytes: u64, raw: &mut [u8]) -> Result<(), Error> {
        let before = u64::from(row) * row_bytes;
        let Some(scales) = self.scales else {
            return files[self.file].read_at(raw, self.offset + before);
        };
        let block = u64::from(self.dtype.block_bytes());
        let (first, count) = (before / block, raw.len() / self.dtype.block_bytes() as usize);
        let (mut nibbles, mut exponents) = (vec![0; count * mxfp4::NIBBLES], vec![0; count]);
        files[self.file].read_at(&mut nibbles, self.offset + first * mxfp4::NIBBLES as u64)?;
        files[scales.file].read_at(&mut exponents, scales.offset + first)?;
        mxfp4::join(&nibbles, &exponents, raw);
        Ok(())
    }
}

/// Reads whatever `path` is: a GGUF file, or a folder as Hugging Face stores models.
pub(crate) fn open(path: &Path) -> Result<Checkpoint, Error> {
    let metadata = std::fs::metadata(path).at(path)?;
    if metadata.is_dir() {
        return safetensors::open(path);
    }
    let named = |name: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(name));
    match named("safetensors") && !gguf::fits(path) {
        true => Err(Problem::FolderExpected).at(path),
        false => gguf::open(path),
    }
}

/// A metadata value, cut to what people read.
pub(crate) fn metadata_value(mut text: String) -> String {
    let len = text.len();
    if len > limits::METADATA_BYTES {
        let end = (0..=limits::METADATA_BYTES).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(end);
        text.push_str(&format!("... ({len} bytes)"));
    }
    text
}
