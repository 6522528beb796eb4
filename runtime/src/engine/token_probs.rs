//! How probable the model found a token.

use std::cmp::Ordering;

/// A token, how probable it was, and what would have been more so.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenProbs {
    /// The token.
    pub id: u32,
    /// ln of its probability by the model's logits, before anything that the sampler does.
    pub logprob: f32,
    /// The most probable tokens, the best first, and theirs.
    pub best: Vec<(u32, f32)>,
}

impl TokenProbs {
    /// Of token `id`, with the `n` best.
    pub fn new(logits: &[f32], id: u32, n: usize) -> Self {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().filter(|l| !l.is_nan()).map(|l| f64::from(l - most).exp()).sum();
        #[allow(clippy::cast_possible_truncation)] // as precise as logits are
        let logprob = |logit: f32| (f64::from(logit - most) - sum.ln()) as f32;
        let mut all: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).filter(|(_, l)| !l.is_nan()).collect();
        let order = |a: &(u32, f32), b: &(u32, f32)| -> Ordering { b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)) };
        if n > 0 && n < all.len() {
            all.select_nth_unstable_by(n - 1, order);
        }
        all.truncate(n);
        all.sort_unstable_by(order);
        let own = logits.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY);
        Self { id, logprob: logprob(own), best: all.into_iter().map(|(id, l)| (id, logprob(l))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_softmax() {
        let logits = [0.0, 2f32.ln(), f32::NAN, 5f32.ln(), f32::NEG_INFINITY]; // 1 : 2 : 5
        let probs = TokenProbs::new(&logits, 1, 2);
        assert!((probs.logprob - 0.25f32.ln()).abs() < 1e-6);
        assert_eq!(probs.best.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [3, 1]);
        assert!((probs.best[0].1 - 0.625f32.ln()).abs() < 1e-6);
        assert_eq!(TokenProbs::new(&logits, 4, 9).best.len(), 4);
        assert_eq!(TokenProbs::new(&logits, 4, 0), TokenProbs { id: 4, logprob: f32::NEG_INFINITY, best: vec![] });
    }
}
