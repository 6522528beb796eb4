//! The vocabulary in a GGUF file, with the defaults that llama.cpp applies where a key is absent.

use symbiote_format::{NO_ID, Tokenizer, TokenizerKind};

use super::GgufError;
use super::keys::Keys;
use super::value::Array;

type Result<T> = std::result::Result<T, GgufError>;

const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const TEMPLATE: &str = "tokenizer.chat_template";

/// Keys that the [`Tokenizer`] keeps whole, so that they are not metadata too.
pub(super) const KEPT: [&str; 5] = [TOKENS, SCORES, TYPES, MERGES, TEMPLATE];

const NORMAL: u8 = 1;
const USER_DEFINED: u8 = 4;

/// Pre-tokenizers whose vocabularies start a text with `bos` unless the file says otherwise.
const PRE_WITH_BOS: [&str; 11] = [
    "llama3",
    "llama-v3",
    "llama-bpe",
    "falcon3",
    "falcon-h1",
    "pixtral",
    "midm-2.0",
    "lfm2",
    "jina-v5-nano",
    "tekken",
    "chameleon",
];

/// Tokens that end an answer whatever id they have.
const STOP_TEXTS: [&str; 13] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
];

/// The tokenizer of a file; `None` for one without a vocabulary.
pub(super) fn read(keys: Keys) -> Result<Option<Tokenizer>> {
    let kind = match keys.text("tokenizer.ggml.model")? {
        None | Some("none" | "no_vocab") => return Ok(None),
        Some("gpt2") => TokenizerKind::GgufBpe,
        Some("llama") => TokenizerKind::GgufSentencePiece,
        Some(model) => return Err(GgufError::UnknownTokenizer { model: model.into() }),
    };
    let bpe = kind == TokenizerKind::GgufBpe;
    let tokens = texts(keys, TOKENS)?;
    let types = types(keys, tokens.len())?;
    let pre = match keys.text("tokenizer.ggml.pre")? {
        _ if !bpe => "",
        None | Some("") => "default",
        Some(pre) => pre,
    };
    let ids = Ids { keys, tokens: tokens.len() };
    let (bos, eos, unk) = if bpe { (Some(11), Some(11), None) } else { (Some(1), Some(2), Some(0)) };
    let bos = ids.sequence_mark("tokenizer.ggml.bos_token_id", bos)?;
    let eos = ids.sequence_mark("tokenizer.ggml.eos_token_id", eos)?;
    let add_bos = keys.bool("tokenizer.ggml.add_bos_token")?.unwrap_or(!bpe || PRE_WITH_BOS.contains(&pre));
    Ok(Some(Tokenizer {
        kind: kind.code(),
        pre: pre.into(),
        scores: if bpe { Vec::new() } else { table(keys, SCORES, "an array of numbers", tokens.len(), Array::floats)? },
        merges: if bpe { texts(keys, MERGES)? } else { Vec::new() },
        json: String::new(),
        bos,
        eos,
        unk: ids.optional("tokenizer.ggml.unknown_token_id", unk)?,
        pad: ids.optional("tokenizer.ggml.padding_token_id", None)?,
        stop: stop(ids, &tokens, &types, eos)?,
        // a default is no reason to refuse a vocabulary that has no such token
        add_bos: add_bos && bos != NO_ID,
        add_eos: keys.bool("tokenizer.ggml.add_eos_token")?.unwrap_or(false) && eos != NO_ID,
        add_space_prefix: keys.bool("tokenizer.ggml.add_space_prefix")?.unwrap_or(!bpe),
        chat_template: keys.text(TEMPLATE)?.unwrap_or_default().into(),
        tokens,
        types,
    }))
}

fn missing(key: &str) -> GgufError {
    GgufError::MissingKey { key: key.into() }
}

fn texts(keys: Keys, key: &str) -> Result<Vec<String>> {
    let texts = keys.array(key, "an array of texts", Array::texts)?.ok_or_else(|| missing(key))?;
    Ok(texts.into_iter().map(String::from).collect())
}

/// A table with an entry a token; entries beyond the vocabulary are dropped.
fn table<'a, T>(
    keys: Keys<'_, 'a>,
    key: &'static str,
    expected: &'static str,
    tokens: usize,
    read: impl Fn(&Array<'a>) -> Option<Vec<T>>,
) -> Result<Vec<T>> {
    let mut table = keys.array(key, expected, read)?.ok_or_else(|| missing(key))?;
    if table.len() < tokens {
        return Err(GgufError::TokenizerTable { key, found: table.len(), tokens });
    }
    table.truncate(tokens);
    Ok(table)
}

fn types(keys: Keys, tokens: usize) -> Result<Vec<u8>> {
    if keys.array(TYPES, "an array of whole numbers", Array::integers)?.is_none() {
        return Ok(vec![NORMAL; tokens]);
    }
    let types = table(keys, TYPES, "an array of whole numbers", tokens, Array::integers)?;
    let code = |(id, found): (usize, i32)| match u8::try_from(found) {
        Ok(0) => Ok(NORMAL),
        Ok(code @ 1..=6) => Ok(code),
        _ => Err(GgufError::TokenType { id, found }),
    };
    types.into_iter().enumerate().map(code).collect()
}

/// Special tokens by key.
#[derive(Clone, Copy)]
struct Ids<'k, 'a> {
    keys: Keys<'k, 'a>,
    tokens: usize,
}

impl Ids<'_, '_> {
    fn in_vocabulary(self, id: u64) -> Option<u32> {
        usize::try_from(id).ok().filter(|id| *id < self.tokens).and_then(|id| u32::try_from(id).ok())
    }

    /// The id under `key`, which must be in the vocabulary; else the default, if that is.
    fn sequence_mark(self, key: &'static str, default: Option<u64>) -> Result<u32> {
        match self.keys.unsigned(key)? {
            None => Ok(default.and_then(|id| self.in_vocabulary(id)).unwrap_or(NO_ID)),
            Some(id) => self.in_vocabulary(id).ok_or(GgufError::TokenId { key, id, tokens: self.tokens }),
        }
    }

    /// The id under `key`, else the default; none if that is beyond the vocabulary, since nothing needs it.
    fn optional(self, key: &'static str, default: Option<u64>) -> Result<u32> {
        let id = self.keys.unsigned(key)?.or(default);
        Ok(id.and_then(|id| self.in_vocabulary(id)).unwrap_or(NO_ID))
    }
}

/// What ends an answer: `eos`, the end of a turn or message by key, and special tokens known by their text.
fn stop(ids: Ids, tokens: &[String], types: &[u8], eos: u32) -> Result<Vec<u32>> {
    let turn = ids.sequence_mark("tokenizer.ggml.eot_token_id", None)?;
    let message = ids.sequence_mark("tokenizer.ggml.eom_token_id", None)?;
    let special = |kind: u8| kind != NORMAL && kind <= USER_DEFINED;
    let by_text = tokens.iter().zip(types).zip(0u32..);
    let by_text = by_text.filter(|((text, kind), _)| special(**kind) && STOP_TEXTS.contains(&text.as_str()));
    let mut stop: Vec<u32> = [eos, turn, message].into_iter().filter(|id| *id != NO_ID).collect();
    stop.extend(by_text.map(|(_, id)| id));
    stop.sort_unstable();
    stop.dedup();
    // where a format has both, <|end|> ends a part of an answer only
    let id_of = |text: &str| stop.iter().copied().find(|id| tokens.get(*id as usize).is_some_and(|t| t == text));
    if let (Some(_), Some(_), Some(end)) = (id_of("<|return|>"), id_of("<|call|>"), id_of("<|end|>")) {
        stop.retain(|id| *id != end);
    }
    Ok(stop)
}
