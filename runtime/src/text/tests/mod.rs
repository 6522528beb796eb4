//! Whole tokenizers and templates: hand-made vocabularies, hostile tables, published templates' shapes.

mod chat_template;
mod golden;
mod hostile;
mod stream;
mod templates;
mod vocabularies;

use symbiote_format::{ArchivedTokenizer, NO_ID, Tokenizer as Tables, TokenizerKind};

use super::{Result, Tokenizer};

/// GGUF's token types.
const NORMAL: u8 = 1;
const UNKNOWN: u8 = 2;
const CONTROL: u8 = 3;
const USER_DEFINED: u8 = 4;
const BYTE: u8 = 6;

/// The tokenizer of an archive that holds these tables.
fn tokenizer(tables: &Tables, vocab_size: u32) -> Result<Tokenizer> {
    let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(tables).unwrap();
    let archived = rkyv::access::<ArchivedTokenizer, rkyv::rancor::Error>(&bytes).unwrap();
    Tokenizer::from_archive(archived, vocab_size)
}

/// A vocabulary of nothing but its kind.
fn empty(kind: TokenizerKind) -> Tables {
    Tables { kind: kind.code(), bos: NO_ID, eos: NO_ID, unk: NO_ID, pad: NO_ID, ..Tables::default() }
}

/// The id of a token.
fn id_of(tables: &Tables, text: &str) -> u32 {
    (0..).zip(&tables.tokens).find(|(_, token)| *token == text).unwrap().0
}

/// Byte-level BPE: a token for every byte, then some words.
fn byte_bpe() -> Tables {
    let mut tables = empty(TokenizerKind::GgufBpe);
    tables.pre = "gpt-2".into();
    tables.tokens = (0..=255).map(|byte| super::piece::char_of(byte).to_string()).collect();
    tables.tokens.extend(["he", "ll", "hell", "hello", "Ġw", "âĺ"].map(String::from));
    tables.types = vec![NORMAL; 262];
    tables.merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "â ĺ"].map(String::from).to_vec();
    for (text, kind) in [("<s>", CONTROL), ("</s>", CONTROL), ("<|end|>", CONTROL), ("  ", USER_DEFINED)] {
        tables.tokens.push(text.into());
        tables.types.push(kind);
    }
    (tables.bos, tables.eos, tables.stop) = (262, 263, vec![263, 264]);
    tables
}

/// SentencePiece: unknown, control and byte tokens, then some words with scores.
fn sentencepiece() -> Tables {
    let mut tables = empty(TokenizerKind::GgufSentencePiece);
    let mut add = |text: &str, score: f32, kind: u8| {
        tables.tokens.push(text.into());
        tables.scores.push(score);
        tables.types.push(kind);
    };
    add("<unk>", 0.0, UNKNOWN);
    add("<s>", 0.0, CONTROL);
    add("</s>", 0.0, CONTROL);
    for byte in 0..=255 {
        add(&format!("<0x{byte:02X}>"), 0.0, BYTE);
    }
    for (i, text) in (0u8..).zip(["▁t", "he", "▁the", "in", "▁", "t", "h", "e", "i", "n", "a"]) {
        add(text, -f32::from(i), NORMAL);
    }
    (tables.unk, tables.bos, tables.eos) = (0, 1, 2);
    (tables.add_bos, tables.add_space_prefix) = (true, true);
    tables
}
