//! The vocabulary in a GGUF file, with the defaults that llama.cpp applies where a key is absent.

use symbiote_format::{NO_ID, STRIPS_RIGHT, Tokenizer, TokenizerKind};

use super::GgufError;
use super::keys::Keys;
use super::value::Array;
use crate::source::end_of_answer;

type Result<T> = std::result::Result<T, GgufError>;

const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const TEMPLATE: &str = "tokenizer.chat_template";

/// Keys that the [`Tokenizer`] keeps whole, so that they are not metadata too.
pub(super) const KEPT: [&str; 5] = [TOKENS, SCORES, TYPES, MERGES, TEMPLATE];

const NORMAL: u8 = 1;
const UNKNOWN: u8 = 2;
const CONTROL: u8 = 3;
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

/// Pre-tokenizers whose vocabularies have no `bos` unless the file says which it is.
const PRE_WITHOUT_BOS: [&str; 3] = ["chatglm-bpe", "glm4", "glm5"];

/// A tokenizer's model, and the name of the rules that go with it.
const GEMMA4: &str = "gemma4";

/// What ends an answer, beside `eos`.
const STOP_KEYS: [&str; 5] = [
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
    "tokenizer.ggml.fim_pad_token_id",
    "tokenizer.ggml.fim_rep_token_id",
    "tokenizer.ggml.fim_sep_token_id",
];

/// Tokens around the gap that a model fills in. They are control tokens whatever type a file gives them, unless it names
/// the token by key, as in llama.cpp.
const GAP: [(&str, [&str; 8]); 3] = [
    (
        "tokenizer.ggml.fim_pre_token_id",
        [
            "<|fim_prefix|>",
            "<fim-prefix>",
            "<fim_prefix>",
            "<\u{ff5c}fim\u{2581}begin\u{ff5c}>",
            "<PRE>",
            "\u{2581}<PRE>",
            "<|code_prefix|>",
            "<|prefix|>",
        ],
    ),
    (
        "tokenizer.ggml.fim_suf_token_id",
        [
            "<|fim_suffix|>",
            "<fim-suffix>",
            "<fim_suffix>",
            "<\u{ff5c}fim\u{2581}hole\u{ff5c}>",
            "<SUF>",
            "\u{2581}<SUF>",
            "<|code_suffix|>",
            "<|suffix|>",
        ],
    ),
    (
        "tokenizer.ggml.fim_mid_token_id",
        [
            "<|fim_middle|>",
            "<fim-middle>",
            "<fim_middle>",
            "<\u{ff5c}fim\u{2581}end\u{ff5c}>",
            "<MID>",
            "\u{2581}<MID>",
            "<|code_middle|>",
            "<|middle|>",
        ],
    ),
];

/// The tokenizer of a file; `None` for one without a vocabulary.
pub(super) fn read(keys: Keys) -> Result<Option<Tokenizer>> {
    let model = match keys.text("tokenizer.ggml.model")? {
        None | Some("none" | "no_vocab") => return Ok(None),
        Some(model @ ("gpt2" | "gemma4" | "llama")) => model,
        Some(model) => return Err(GgufError::UnknownTokenizer { model: model.into() }),
    };
    let bpe = model != "llama";
    let tokens = texts(keys, TOKENS)?;
    let mut types = types(keys, tokens.len())?;
    let pre = match keys.text("tokenizer.ggml.pre")? {
        _ if !bpe => "",
        _ if model == GEMMA4 => GEMMA4,
        None | Some("") => "default",
        Some(pre) => pre,
    };
    let ids = Ids { keys, tokens: tokens.len() };
    let (bos, eos, unk) = match model {
        "gpt2" if PRE_WITHOUT_BOS.contains(&pre) => (None, Some(11), None),
        "gpt2" => (Some(11), Some(11), None),
        GEMMA4 => (None, None, None),
        _ => (Some(1), Some(2), Some(0)),
    };
    let bos = ids.sequence_mark("tokenizer.ggml.bos_token_id", bos)?;
    let eos = ids.sequence_mark("tokenizer.ggml.eos_token_id", eos)?;
    let add_bos = keys.bool("tokenizer.ggml.add_bos_token")?.unwrap_or(!bpe || PRE_WITH_BOS.contains(&pre));
    let stop = stop(ids, &tokens, eos)?;
    for (_, texts) in GAP.iter().filter(|(key, _)| !keys.has(key)) {
        let gap = tokens.iter().position(|token| texts.contains(&token.as_str()));
        if let Some(kind) = gap.and_then(|id| types.get_mut(id)) {
            *kind = CONTROL;
        }
    }
    let kind = match bpe {
        true => TokenizerKind::GgufBpe,
        false if is_phi3(keys)? => TokenizerKind::GgufSentencePieceStrip,
        false => TokenizerKind::GgufSentencePiece,
    };
    if kind == TokenizerKind::GgufSentencePieceStrip {
        strip_after_special(&tokens, &mut types, &stop);
    }
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
        stop,
        // a default is no reason to refuse a vocabulary that has no such token; files of Gemma 4 say false by mistake
        add_bos: (add_bos || pre == GEMMA4) && bos != NO_ID,
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

/// What ends an answer: `eos`, the end of a turn or message by key, and tokens known by their text. A key that says what
/// stands between files in a fill-in-the-middle prompt goes before the texts that say so.
fn stop(ids: Ids, tokens: &[String], eos: u32) -> Result<Vec<u32>> {
    let mut given = vec![eos];
    for key in STOP_KEYS {
        given.push(ids.sequence_mark(key, None)?);
    }
    let given = given.into_iter().filter(|id| *id != NO_ID);
    Ok(end_of_answer::ids(given, (0..).zip(tokens.iter().map(String::as_str))))
}

/// The special tokens of Phi-3 take the white space after them; no key says so. Its tokenizer gives that to all but three,
/// as llama.cpp does, which goes by the model's name.
fn strip_after_special(tokens: &[String], types: &mut [u8], stop: &[u32]) {
    for ((text, kind), id) in tokens.iter().zip(types).zip(0u32..) {
        let special = matches!(*kind, UNKNOWN | CONTROL | USER_DEFINED) || stop.contains(&id);
        if special && !matches!(text.as_str(), "<unk>" | "<s>" | "<|endoftext|>") {
            *kind += STRIPS_RIGHT;
        }
    }
}

fn is_phi3(keys: Keys) -> Result<bool> {
    let name = keys.text("general.name")?.unwrap_or_default().to_lowercase();
    Ok(keys.text("general.architecture")? == Some("phi3") || name.contains("phi-3") || name.contains("phi3"))
}
