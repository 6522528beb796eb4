//! What makes recent tokens less likely, and what a user adds to a token.

use super::candidates::Candidates;

/// Adds each bias to its token's logit.
pub fn bias(candidates: &mut Candidates, biases: &[(u32, f32)]) {
    for &(id, bias) in biases {
        candidates.change(id, |logit| logit + bias);
    }
}

/// How recent tokens are made less likely.
#[derive(Clone, Copy)]
pub struct Penalties {
    /// Divides positive and multiplies other logits; 1 changes nothing (arXiv 1909.05858).
    pub repeat: f32,
    /// Taken off the logit for each time that the token came.
    pub frequency: f32,
    /// Taken off the logit of a token that came.
    pub presence: f32,
}

/// Makes the tokens of `recent` less likely.
pub fn penalties(candidates: &mut Candidates, recent: &[u32], by: Penalties) {
    if by.repeat == 1.0 && by.frequency == 0.0 && by.presence == 0.0 {
        return;
    }
    let mut seen = recent.to_vec();
    seen.sort_unstable();
    for same in seen.chunk_by(|a, b| a == b) {
        #[allow(clippy::cast_precision_loss)] // far fewer than 2^24
        let count = same.len() as f32;
        candidates.change(same[0], |logit| {
            let repeated = if logit > 0.0 { logit / by.repeat } else { logit * by.repeat };
            repeated - (count * by.frequency + by.presence)
        });
    }
}
