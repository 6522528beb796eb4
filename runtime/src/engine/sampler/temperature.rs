//! How much the best tokens are preferred.

use super::candidates::{Candidates, entropy};

/// Divides the logits; at 0 only the best token is left.
pub fn temperature(candidates: &mut Candidates, temperature: f32) {
    if temperature <= 0.0 {
        candidates.keep_best(1);
    } else {
        candidates.scale(|logit| logit / temperature);
    }
}

/// The temperature for these candidates, `range` around `middle`: low where the model is sure, high where it is not. The share
/// that their entropy has of the greatest possible, to the power of `exponent`, says where in the range.
pub fn dynamic(candidates: &Candidates, middle: f32, range: f32, exponent: f32) -> f32 {
    if range <= 0.0 || candidates.list().len() < 2 {
        return middle;
    }
    let (least, most) = (f64::from((middle - range).max(0.0)), f64::from(middle + range));
    #[allow(clippy::cast_precision_loss)] // a vocabulary is far below 2^53
    let greatest = (candidates.list().len() as f64).ln();
    let share = entropy(&candidates.probabilities()) / greatest;
    #[allow(clippy::cast_possible_truncation)] // a temperature needs no more than f32
    let found = (least + (most - least) * share.powf(f64::from(exponent))) as f32;
    found
}
