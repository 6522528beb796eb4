//! `tokenizer.json`, through the `tokenizers` crate.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::decoders::DecoderWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::tokenizer::pre_tokenizer::OffsetType;
use tokenizers::{AddedVocabulary, Model, PostProcessor, PreTokenizer};

use super::piece::Piece;
use super::{EncodeOptions, Result, TextError};

/// A fast tokenizer of Hugging Face.
pub(super) struct HuggingFace {
    tokenizer: tokenizers::Tokenizer,
    /// The added tokens, where control tokens are plain text.
    plain: AddedVocabulary,
    spelling: Spelling,
    vocab_size: u32,
}

/// How tokens are written, and so which bytes they stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    ByteLevel,
    SentencePiece { strips_space: bool },
}

impl HuggingFace {
    /// # Errors
    /// The crate refuses the file, or its decoder is not known here.
    pub fn from_json(json: &str, vocab_size: u32) -> Result<Self> {
        let tokenizer =
            guarded(|| tokenizers::Tokenizer::from_bytes(json)).map_err(|reason| TextError::HuggingFace { reason })?;
        // Added tokens may lie beyond, and are refused when they come up: models for text share the tokenizer of those that
        // see.
        if let Some(id) = tokenizer.get_vocab(false).into_values().max().filter(|&id| id >= vocab_size) {
            return Err(TextError::IdOutsideEmbedding { id, vocab_size });
        }
        let spelling = spelling(tokenizer.get_decoder())?;
        let mut plain = tokenizer.get_added_vocabulary().clone();
        plain.set_encode_special_tokens(true);
        Ok(Self { tokenizer, plain, spelling, vocab_size })
    }

    /// The ids of `text`. The file's truncation and padding are for training and not applied.
    ///
    /// # Errors
    /// The tokenizer fails on the text.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>> {
        let tokenizer = &self.tokenizer;
        let added = if options.parse_special { tokenizer.get_added_vocabulary() } else { &self.plain };
        guarded(|| {
            let mut words = added.extract_and_normalize(tokenizer.get_normalizer(), text);
            if let Some(cut) = tokenizer.get_pre_tokenizer() {
                cut.pre_tokenize(&mut words)?;
            }
            words.tokenize(|word| tokenizer.get_model().tokenize(word.get()))?;
            let mut encoding = words.into_encoding(None, 0, OffsetType::None)?;
            if let Some(processor) = tokenizer.get_post_processor() {
                encoding = processor.process(encoding, None, options.add_special)?;
            }
            Ok(encoding.get_ids().to_vec())
        })
        .map_err(|reason| TextError::Encode { reason })
    }

    /// What every token stands for, by id; ids outside the embedding are left out.
    pub fn pieces(&self) -> Result<Vec<Piece>> {
        let spell = match self.spelling {
            Spelling::ByteLevel => Piece::byte_level,
            Spelling::SentencePiece { .. } => |text: &str| match Piece::byte(text) {
                byte if byte.bytes.len() == 1 => byte,
                _ => Piece::sentencepiece(text),
            },
        };
        let model = self.tokenizer.get_model().get_vocab();
        let normal = model.into_iter().map(|(text, id)| (id, spell(&text)));
        let added = self.tokenizer.get_added_tokens_decoder();
        let added = added.into_iter().map(|(id, token)| (id, Piece::literal(&token.content, token.special)));
        let mut pieces = Vec::new();
        for (id, piece) in normal.chain(added).filter(|&(id, _)| id < self.vocab_size) {
            let at = usize::try_from(id).map_err(|e| TextError::HuggingFace { reason: e.to_string() })?;
            if at >= pieces.len() {
                pieces.resize(at + 1, Piece::default());
            }
            pieces[at] = piece;
        }
        if pieces.is_empty() { Err(TextError::EmptyVocabulary) } else { Ok(pieces) }
    }

    /// Decoding takes a space from the start of the text.
    pub fn strips_space(&self) -> bool {
        self.spelling == Spelling::SentencePiece { strips_space: true }
    }
}

fn spelling(decoder: Option<&DecoderWrapper>) -> Result<Spelling> {
    let unknown = |name: &str| Err(TextError::UnknownDecoder { name: name.into() });
    match decoder {
        None => unknown("none"),
        Some(DecoderWrapper::ByteLevel(_)) => Ok(Spelling::ByteLevel),
        Some(DecoderWrapper::Metaspace(metaspace)) => {
            let strips_space = metaspace.get_prepend_scheme() != PrependScheme::Never;
            Ok(Spelling::SentencePiece { strips_space })
        }
        // What Llama 2, Mistral and Gemma have: `▁` replaced, bytes put together, perhaps one space stripped.
        Some(DecoderWrapper::Sequence(steps)) => {
            let steps = steps.get_decoders();
            if steps.iter().any(|step| matches!(step, DecoderWrapper::ByteLevel(_))) {
                return Ok(Spelling::ByteLevel);
            }
            if !steps.iter().any(|step| matches!(step, DecoderWrapper::ByteFallback(_))) {
                return unknown("Sequence");
            }
            let strips_space = steps.iter().any(|step| matches!(step, DecoderWrapper::Strip(s) if s.start > 0));
            Ok(Spelling::SentencePiece { strips_space })
        }
        Some(DecoderWrapper::BPE(_)) => unknown("BPEDecoder"),
        Some(DecoderWrapper::WordPiece(_)) => unknown("WordPiece"),
        Some(DecoderWrapper::CTC(_)) => unknown("CTC"),
        Some(_) => unknown("of one step"),
    }
}

/// Runs the crate's code. It panics on some broken files (a merge longer than every token, for one), and a file that
/// came from elsewhere must not end the process.
fn guarded<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> std::result::Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the tokenizers crate panicked on it".into()),
    }
}
