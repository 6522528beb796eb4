//! DRY, "don't repeat yourself", by p-e-w: a token that would go on with a repetition is made less likely, the more so the longer
//! the repetition is already (github.com/oobabooga/text-generation-webui/pull/5677).

use super::candidates::Candidates;

/// How repetitions are held back.
#[derive(Clone, Debug, PartialEq)]
pub struct Dry {
    /// Times `base` to the power of the repetition's length beyond `allowed_length` is taken off the logit; 0 takes nothing.
    pub multiplier: f32,
    /// How fast that grows, at least 1.
    pub base: f32,
    /// Repetitions shorter than this cost nothing.
    pub allowed_length: usize,
    /// How many recent tokens are looked at; 0 takes nothing.
    pub penalty_last_n: usize,
    /// Texts that no repetition goes across.
    pub sequence_breakers: Vec<String>,
}

impl Default for Dry {
    fn default() -> Self {
        let sequence_breakers = ["\n", ":", "\"", "*"].map(String::from).to_vec();
        Self { multiplier: 0.0, base: 1.75, allowed_length: 2, penalty_last_n: 64, sequence_breakers }
    }
}

/// Makes tokens less likely that would go on with a repetition in `recent`; `bytes` are a token's.
pub fn dry<'a>(candidates: &mut Candidates, recent: &[u32], by: &Dry, bytes: &dyn Fn(u32) -> &'a [u8]) {
    let recent = &recent[recent.len().saturating_sub(by.penalty_last_n)..];
    if by.multiplier == 0.0 || recent.len() <= by.allowed_length {
        return;
    }
    let breakers: Vec<&[u8]> = by.sequence_breakers.iter().map(String::as_bytes).filter(|b| !b.is_empty()).collect();
    let longest = since_break(recent, &breakers, bytes);
    // (a token, how long the repetition is that it would go on with)
    let mut continued: Vec<(u32, usize)> = (recent.windows(2).zip(suffix_lengths(recent)))
        .map(|(pair, length)| (pair[1], length.min(longest)))
        .filter(|(_, length)| *length >= by.allowed_length)
        .collect();
    continued.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    continued.dedup_by_key(|(token, _)| *token);
    for (token, length) in continued {
        if breakers.iter().any(|breaker| contains(bytes(token), breaker)) {
            continue;
        }
        let beyond = i32::try_from(length - by.allowed_length).unwrap_or(i32::MAX);
        let penalty = (by.multiplier * by.base.powi(beyond)).min(f32::MAX);
        candidates.change(token, |logit| logit - penalty);
    }
}

/// How many of the last tokens come after the last breaker; all if there is none.
fn since_break<'a>(recent: &[u32], breakers: &[&[u8]], bytes: &dyn Fn(u32) -> &'a [u8]) -> usize {
    let (mut text, mut starts) = (Vec::new(), Vec::new());
    for &token in recent {
        starts.push(text.len());
        text.extend_from_slice(bytes(token));
    }
    let ends = breakers.iter().filter_map(|b| Some(text.windows(b.len()).rposition(|w| w == *b)? + b.len()));
    let end = ends.max().unwrap_or(0);
    // a token without text, such as one that is padding, is no break
    starts.iter().filter(|start| **start >= end).count()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// For every place but the last, how many tokens up to and with it are also the last ones: the Z-function of the reverse, in
/// linear time (Gusfield, Algorithms on Strings, 1.4).
fn suffix_lengths(tokens: &[u32]) -> Vec<usize> {
    let n = tokens.len();
    let back = |i: usize| tokens[n - 1 - i];
    let mut z = vec![0; n];
    // the match that reaches farthest back begins at `start` and ends before `end`
    let (mut start, mut end) = (0, 0);
    for i in 1..n {
        let mut length = if i < end { z[i - start].min(end - i) } else { 0 };
        while i + length < n && back(length) == back(i + length) {
            length += 1;
        }
        z[i] = length;
        if i + length > end {
            (start, end) = (i, i + length);
        }
    }
    z.drain(..1.min(n));
    z.reverse();
    z
}
