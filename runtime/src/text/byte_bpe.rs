//! BPE, as GGUF stores it: merges in order of rank, tokens spelled in GPT-2's byte alphabet, or (Gemma 4) as SentencePiece
//! spells them.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::merge::{Joined, merge};
use super::piece::{SPACE_MARK, byte_token_value, char_of};
use super::pre_tokenizer::PreTokenizer;
use super::{Result, TextError};

/// Text to ids by merges.
pub(super) struct ByteBpe {
    ids: HashMap<String, u32>,
    /// Two tokens to their merge's rank and what they become.
    merges: HashMap<(u32, u32), (u32, u32)>,
    words: PreTokenizer,
    /// What stands for a byte of a character that no token covers; of use without the byte alphabet only.
    bytes: Box<[Option<u32>; 256]>,
}

impl ByteBpe {
    /// # Errors
    /// A merge that is not two tokens, or whose tokens or result are not in the vocabulary.
    pub fn new<'a>(
        ids: HashMap<String, u32>,
        merges: impl Iterator<Item = &'a str>,
        words: PreTokenizer,
    ) -> Result<Self> {
        let mut ranked = HashMap::new();
        for (index, text) in (0..).zip(merges) {
            // A token may itself begin with a space: the space between is the first after the first byte.
            let (left, right) = text
                .char_indices()
                .skip(1)
                .find(|&(_, c)| c == ' ')
                .map(|(at, _)| (&text[..at], &text[at + 1..]))
                .ok_or_else(|| TextError::MergeSyntax { index, text: text.into() })?;
            let id = |token: &str| {
                ids.get(token).copied().ok_or_else(|| TextError::MergeOfMissingToken { index, token: token.into() })
            };
            let pair = (id(left)?, id(right)?);
            let joined = id(&format!("{left}{right}"))?;
            ranked.entry(pair).or_insert((index, joined));
        }
        let mut bytes = Box::new([None; 256]);
        for (text, &id) in &ids {
            if let Some(byte) = byte_token_value(text) {
                bytes[usize::from(byte)] = Some(id);
            }
        }
        Ok(Self { ids, merges: ranked, words, bytes })
    }

    /// Appends the ids of `text`. A byte that the vocabulary has no token for is left out, as every reader of such a
    /// vocabulary does.
    ///
    /// # Errors
    /// The text cannot be cut into words.
    pub fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        for word in self.words.split(text)? {
            let word: String = match self.words.byte_level {
                true => word.bytes().map(char_of).collect(),
                false => word.replace(' ', SPACE_MARK.encode_utf8(&mut [0; 4])),
            };
            let whole = self.words.whole_words_first || self.words.whole_lines_first && word.starts_with('\n');
            if whole && let Some(&id) = self.ids.get(&word) {
                ids.push(id);
                continue;
            }
            let symbols = merge(
                &word,
                |c| self.ids.get(c).copied(),
                |_, left, right| {
                    let &(rank, id) = self.merges.get(&(left?, right?))?;
                    Some(Joined { priority: Reverse(rank), id })
                },
            );
            for symbol in symbols {
                match symbol.id {
                    Some(id) => ids.push(id),
                    None if self.words.byte_level => {}
                    None => ids.extend(symbol.text.bytes().filter_map(|byte| self.bytes[usize::from(byte)])),
                }
            }
        }
        Ok(())
    }
}
