//! GGUF files, versions 2 and 3, in one file or several.

mod container;
mod cursor;
mod error;
mod ggml_type;
mod keys;
mod open;
mod split;
mod tokenizer;
mod value;

pub use error::GgufError;
pub(crate) use keys::Keys;
pub(crate) use open::{fits, open, read_tokenizer, weights};
pub(crate) use split::stem;

/// Checks a GGUF file in memory as [`convert`](crate::convert) would, its weights and split siblings apart: for tests and
/// fuzzing. `Ok` is how many tensors it has.
pub fn check_gguf(file: &[u8]) -> Result<usize, GgufError> {
    let container = container::Container::parse(file)?;
    tokenizer::read(Keys(&container.pairs))?;
    split::of(&container)?;
    container.pairs.iter().for_each(|(_, value)| drop(value.to_string()));
    Ok(container.tensors.len())
}
