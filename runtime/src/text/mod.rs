//! Text to token ids and back, and the chat template that turns a conversation into text.
//!
//! | file | what |
//! |---|---|
//! | `tokenizer.rs` | [`Tokenizer`]: built from the archive, encodes and decodes |
//! | `special.rs` | finds special tokens in text before anything else looks at it |
//! | `byte_bpe.rs` | BPE of GGUF files |
//! | `pre_tokenizer.rs` | the rules, known by name, that cut text into words for it |
//! | `sentencepiece.rs` | SentencePiece of GGUF files |
//! | `merge.rs` | joins the best pair until none is left, for both |
//! | `hugging_face.rs` | `tokenizer.json`, through the `tokenizers` crate |
//! | `piece.rs` | the bytes that a token stands for |
//! | `stream.rs` | [`StreamDecoder`]: ids one by one to whole characters |
//! | `chat_template.rs` | [`ChatTemplate`]: Jinja, as Hugging Face runs it |
//! | `named_template.rs` | templates by name, for models without one |
//! | `python_json.rs`, `clock.rs` | what templates expect of Python: `json.dumps`, `strftime` |
//!
//! The two GGUF kinds give the ids that llama.cpp gives, the third those of Hugging Face's fast tokenizers.

mod byte_bpe;
mod chat_template;
mod clock;
mod error;
mod hugging_face;
mod merge;
mod named_template;
mod piece;
mod pre_tokenizer;
mod python_json;
mod sentencepiece;
mod special;
mod stream;
mod tokenizer;

pub use chat_template::{ChatTemplate, Message};
pub use error::TextError;
pub use named_template::{NAMES as TEMPLATE_NAMES, named_template};
pub use stream::StreamDecoder;
pub use tokenizer::{EncodeOptions, Tokenizer};

/// Every fallible function of this module fails with a [`TextError`].
pub type Result<T> = std::result::Result<T, TextError>;

#[cfg(test)]
mod tests;
