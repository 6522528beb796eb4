//! The tokenizer of an archive.

use std::collections::{BTreeSet, HashMap};

use symbiote_format::{ArchivedTokenizer, NO_ID, STRIPS_RIGHT, TokenizerKind};

use super::byte_bpe::ByteBpe;
use super::hugging_face::HuggingFace;
use super::piece::Piece;
use super::pre_tokenizer::PreTokenizer;
use super::sentencepiece::SentencePiece;
use super::special::{Fragment, SpecialToken, SpecialTokens};
use super::{Result, StreamDecoder, TextError};

/// GGUF's token types.
mod token_type {
    pub const NORMAL: u8 = 1;
    pub const UNKNOWN: u8 = 2;
    pub const CONTROL: u8 = 3;
    pub const USER_DEFINED: u8 = 4;
    pub const BYTE: u8 = 6;
}

/// What to do about special tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Put the beginning-of-sequence token before the ids, and the end-of-sequence token after them, if the model wants it.
    pub add_special: bool,
    /// Read control tokens in the text (`<|im_end|>`) as such. Off, they are plain text, as text from a stranger should be.
    pub parse_special: bool,
}

/// Text to token ids and back.
pub struct Tokenizer {
    encoder: Encoder,
    /// By id.
    pieces: Vec<Piece>,
    vocab_size: u32,
    bos: Option<u32>,
    eos: Option<u32>,
    stop: BTreeSet<u32>,
    add_bos: bool,
    add_eos: bool,
    strips_space: bool,
}

enum Encoder {
    ByteBpe { special: SpecialTokens, model: ByteBpe },
    SentencePiece { special: SpecialTokens, model: SentencePiece, add_space_prefix: bool },
    HuggingFace(Box<HuggingFace>),
}

impl Tokenizer {
    /// Builds the tokenizer of an archive whose embedding has `vocab_size` rows.
    ///
    /// # Errors
    /// The tables break a rule of their kind, or name a pre-tokenizer or decoder that this version does not know.
    pub fn from_archive(archived: &ArchivedTokenizer, vocab_size: u32) -> Result<Self> {
        let kind = TokenizerKind::from_code(archived.kind).ok_or(TextError::UnknownKind { code: archived.kind })?;
        let inside = |id: u32| {
            if id < vocab_size { Ok(id) } else { Err(TextError::IdOutsideEmbedding { id, vocab_size }) }
        };
        let optional = |id: u32| if id == NO_ID { Ok(None) } else { inside(id).map(Some) };
        let (bos, eos) = (optional(archived.bos.to_native())?, optional(archived.eos.to_native())?);
        let unknown = optional(archived.unk.to_native())?;
        let mut stop = archived.stop.iter().map(|id| inside(id.to_native())).collect::<Result<BTreeSet<_>>>()?;
        stop.extend(eos);

        let (encoder, pieces, strips_space) = match kind {
            TokenizerKind::HuggingFace => {
                let model = HuggingFace::from_json(&archived.json, vocab_size)?;
                let (pieces, strips_space) = (model.pieces()?, model.strips_space());
                (Encoder::HuggingFace(Box::new(model)), pieces, strips_space)
            }
            TokenizerKind::GgufBpe => {
                let words = PreTokenizer::by_name(&archived.pre)?;
                let spell = if words.byte_level { Piece::byte_level } else { Piece::sentencepiece };
                let table = Table::read(archived, vocab_size, &stop, spell)?;
                let merges = archived.merges.iter().map(|merge| merge.as_str());
                let model = ByteBpe::new(table.ids, merges, words)?;
                (Encoder::ByteBpe { special: table.special, model }, table.pieces, false)
            }
            TokenizerKind::GgufSentencePiece | TokenizerKind::GgufSentencePieceStrip => {
                let table = Table::read(archived, vocab_size, &stop, Piece::sentencepiece)?;
                let scores: Vec<f32> = archived.scores.iter().map(|score| score.to_native()).collect();
                check_length("scores", scores.len(), table.pieces.len())?;
                let model = SentencePiece::new(table.ids, scores, unknown)?;
                let add_space_prefix = archived.add_space_prefix;
                let encoder = Encoder::SentencePiece { special: table.special, model, add_space_prefix };
                (encoder, table.pieces, add_space_prefix)
            }
        };
        let (add_bos, add_eos) = (archived.add_bos, archived.add_eos);
        Ok(Self { encoder, pieces, vocab_size, bos, eos, stop, add_bos, add_eos, strips_space })
    }

    /// The ids of `text`.
    ///
    /// # Errors
    /// The text is beyond the tokenizer, or one of its tokens lies outside the embedding.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        match &self.encoder {
            Encoder::ByteBpe { special, model } => {
                for fragment in special.split(text, options.parse_special) {
                    match fragment {
                        Fragment::Token(id) => ids.push(id),
                        Fragment::Text(text) => model.encode(text, &mut ids)?,
                    }
                }
            }
            Encoder::SentencePiece { special, model, add_space_prefix } => {
                // The text begins like a word inside a sentence does: with a space. So does what follows a special token.
                let mut prefix = *add_space_prefix;
                for fragment in special.split(text, options.parse_special) {
                    match fragment {
                        Fragment::Token(id) => ids.push(id),
                        Fragment::Text(text) if prefix => model.encode(&format!(" {text}"), &mut ids),
                        Fragment::Text(text) => model.encode(text, &mut ids),
                    }
                    prefix = *add_space_prefix && matches!(fragment, Fragment::Token(_));
                }
            }
            Encoder::HuggingFace(model) => ids = model.encode(text, options)?,
        }
        if options.add_special {
            self.add_bos_and_eos(&mut ids);
        }
        match ids.iter().find(|&&id| id >= self.vocab_size) {
            Some(&id) => Err(TextError::IdOutsideEmbedding { id, vocab_size: self.vocab_size }),
            None => Ok(ids),
        }
    }

    /// The ids of a conversation that a chat template wrote: its control tokens count, and the beginning-of-sequence token
    /// comes once, whether the template writes it or not.
    ///
    /// # Errors
    /// As for [`encode`](Self::encode).
    pub fn encode_chat(&self, conversation: &str) -> Result<Vec<u32>> {
        let mut ids = self.encode(conversation, EncodeOptions { add_special: false, parse_special: true })?;
        if let Some(bos) = self.bos.filter(|bos| self.add_bos && ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// The text of `ids`, without control tokens. Bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut decoder = StreamDecoder::at_start(self);
        let mut text: String = ids.iter().map(|&id| decoder.push(self, id)).collect();
        text.push_str(&decoder.finish());
        text
    }

    /// The bytes of one token, its own text for a control token; none for an id without a token.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.piece(id).map(|piece| &*piece.bytes)
    }

    /// The beginning-of-sequence token.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The end-of-sequence token.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// [`EncodeOptions::add_special`] puts [`bos`](Self::bos) before the ids.
    pub fn adds_bos(&self) -> bool {
        self.add_bos
    }

    /// The token ends an answer.
    pub fn is_stop(&self, id: u32) -> bool {
        self.stop.contains(&id)
    }

    /// How many ids have a token. The embedding may have more rows.
    pub fn vocab_len(&self) -> usize {
        self.pieces.len()
    }

    /// What the token adds to a text: nothing for a control token.
    pub(crate) fn visible_bytes(&self, id: u32) -> &[u8] {
        self.piece(id).filter(|piece| !piece.hidden).map_or(&[], |piece| &piece.bytes)
    }

    /// The text of a sequence begins with a space that is not the writer's.
    pub(super) fn strips_space(&self) -> bool {
        self.strips_space
    }

    fn piece(&self, id: u32) -> Option<&Piece> {
        self.pieces.get(usize::try_from(id).ok()?)
    }

    fn add_bos_and_eos(&self, ids: &mut Vec<u32>) {
        // A `tokenizer.json` may already have added them.
        let added = matches!(self.encoder, Encoder::HuggingFace(_));
        if let Some(bos) = self.bos.filter(|bos| self.add_bos && !(added && ids.first() == Some(bos))) {
            ids.insert(0, bos);
        }
        if let Some(eos) = self.eos.filter(|eos| self.add_eos && !(added && ids.last() == Some(eos))) {
            ids.push(eos);
        }
    }
}

/// The token tables of a GGUF file.
struct Table {
    ids: HashMap<String, u32>,
    pieces: Vec<Piece>,
    special: SpecialTokens,
}

impl Table {
    fn read(
        archived: &ArchivedTokenizer,
        vocab_size: u32,
        stop: &BTreeSet<u32>,
        normal: fn(&str) -> Piece,
    ) -> Result<Self> {
        let count = archived.tokens.len();
        if count == 0 {
            return Err(TextError::EmptyVocabulary);
        }
        check_length("token types", archived.types.len(), count)?;
        let (mut ids, mut pieces, mut special) = (HashMap::new(), Vec::new(), Vec::new());
        for (id, (text, &kind)) in (0..).zip(archived.tokens.iter().zip(archived.types.iter())) {
            if id >= vocab_size {
                return Err(TextError::IdOutsideEmbedding { id, vocab_size });
            }
            let text = text.as_str();
            let (kind, strips_right) = (kind & !STRIPS_RIGHT, kind & STRIPS_RIGHT != 0);
            // Some converters leave the type of an end-of-turn token at "normal".
            let kind = if stop.contains(&id) { token_type::CONTROL } else { kind };
            pieces.push(match kind {
                token_type::NORMAL => normal(text),
                token_type::BYTE => Piece::byte(text),
                token_type::USER_DEFINED => Piece::literal(text, false),
                _ => Piece::literal(text, true),
            });
            if matches!(kind, token_type::CONTROL | token_type::UNKNOWN | token_type::USER_DEFINED) {
                let control = kind != token_type::USER_DEFINED;
                special.push(SpecialToken { text: text.into(), id, control, strips_right });
            }
            // Converters fill gaps with empty texts; nothing can be encoded as one.
            if !text.is_empty()
                && let Some(first) = ids.insert(text.to_owned(), id)
            {
                return Err(TextError::DuplicateToken { text: text.into(), first, second: id });
            }
        }
        Ok(Self { ids, pieces, special: SpecialTokens::new(special) })
    }
}

fn check_length(table: &'static str, found: usize, tokens: usize) -> Result<()> {
    if found == tokens { Ok(()) } else { Err(TextError::TableLength { table, found, tokens }) }
}
