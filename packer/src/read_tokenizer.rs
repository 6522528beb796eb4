//! A source's tokenizer alone, as [`convert`](crate::convert()) would put it into an archive.

use std::path::Path;

use symbiote_format::Tokenizer;

use crate::error::Error;
use crate::source::{gguf, safetensors};

/// Reads the tokenizer of a GGUF file, which may have nothing else in it, or of a Hugging Face folder; `None` where there is
/// none.
///
/// # Errors
/// The source cannot be read, or its tokenizer is of a kind that archives do not hold.
pub fn read_tokenizer(path: &Path) -> Result<Option<Tokenizer>, Error> {
    match path.is_dir() {
        true => safetensors::read_tokenizer(path),
        false => gguf::read_tokenizer(path),
    }
}
