//! SentencePiece BPE, as GGUF stores it: no merges, but the pair whose joined token scores best is joined first.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::merge::{Joined, merge};
use super::piece::{SPACE_MARK, byte_token_value};
use super::{Result, TextError};

/// Text to ids by scores.
pub(super) struct SentencePiece {
    ids: HashMap<String, u32>,
    scores: Vec<f32>,
    /// What stands for a byte of a character that no token covers.
    bytes: Box<[Option<u32>; 256]>,
}

/// A score that can be ordered: never NaN.
#[derive(PartialEq)]
struct Score(f32);

impl Eq for Score {}
impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal)
    }
}

impl SentencePiece {
    /// `unknown` stands for bytes that have no token.
    ///
    /// # Errors
    /// A score is not a number.
    pub fn new(ids: HashMap<String, u32>, scores: Vec<f32>, unknown: Option<u32>) -> Result<Self> {
        if let Some((id, _)) = (0..).zip(&scores).find(|(_, score)| score.is_nan()) {
            return Err(TextError::ScoreNotANumber { id });
        }
        let mut bytes = Box::new([unknown; 256]);
        for (text, &id) in &ids {
            if let Some(byte) = byte_token_value(text) {
                bytes[usize::from(byte)] = Some(id);
            }
        }
        Ok(Self { ids, scores, bytes })
    }

    /// Appends the ids of `text`, whose spaces are plain spaces.
    pub fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let text = text.replace(' ', SPACE_MARK.encode_utf8(&mut [0; 4]));
        let id_of = |text: &str| self.ids.get(text).copied();
        let symbols = merge(&text, id_of, |both, _, _| {
            let id = id_of(both)?;
            let score = self.scores.get(usize::try_from(id).ok()?)?;
            Some(Joined { priority: Score(*score), id })
        });
        for symbol in symbols {
            match symbol.id {
                Some(id) => ids.push(id),
                None => ids.extend(symbol.text.bytes().filter_map(|byte| self.bytes[usize::from(byte)])),
            }
        }
    }
}
