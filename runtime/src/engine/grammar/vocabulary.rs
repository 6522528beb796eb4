//! The tokens of a model, as llguidance wants them.

use std::sync::Arc;

use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

use crate::engine::EngineError;
use crate::text::Tokenizer;

/// Longer tokens are never drawn where there is a grammar; the trie has an end.
const LONGEST: usize = 512;

/// As many ids as the trie has room for.
const MOST: u32 = 0x00FF_FFFF;

/// The bytes of every token, and which ones end an answer.
pub fn environment(tokenizer: &Tokenizer, vocab_size: u32) -> Result<TokEnv, EngineError> {
    let wrong = |sentence: &str| Err(EngineError::Grammar(sentence.into()));
    if vocab_size > MOST {
        return wrong("the vocabulary is too large to hold an answer to a grammar");
    }
    let stop: Vec<u32> = (0..vocab_size).filter(|id| tokenizer.is_stop(*id)).collect();
    let Some(&first) = stop.first() else {
        return wrong("the model has no token that ends an answer, so that none can be held to a grammar");
    };
    let words: Vec<Vec<u8>> = (0..vocab_size).map(|id| word(tokenizer, id)).collect();
    let trie = TokTrie::from(&TokRxInfo::new(vocab_size, first), &words).with_eos_tokens(&stop);
    Ok(Arc::new(ApproximateTokEnv::new(trie)))
}

/// What a token adds to the text; a control token is its name behind a byte that no text has.
fn word(tokenizer: &Tokenizer, id: u32) -> Vec<u8> {
    let all = tokenizer.token_bytes(id).unwrap_or_default();
    if all.is_empty() || all.len() > LONGEST {
        return Vec::new();
    }
    match tokenizer.visible_bytes(id) {
        [] => [&[TokTrie::SPECIAL_TOKEN_MARKER][..], all].concat(),
        // the marker alone is no token of a text
        visible if visible.contains(&TokTrie::SPECIAL_TOKEN_MARKER) => Vec::new(),
        visible => visible.to_vec(),
    }
}
