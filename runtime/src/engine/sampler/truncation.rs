//! Which tokens are left to draw from. A stage whose setting is neutral changes nothing.

use super::candidates::{Candidates, entropy};

/// Keeps the `k` best; all for 0.
pub fn top_k(candidates: &mut Candidates, k: usize) {
    if k > 0 {
        candidates.keep_best(k);
    }
}

/// Keeps the fewest best whose probabilities reach `p`; all for 1 (arXiv 1904.09751).
pub fn top_p(candidates: &mut Candidates, p: f32) {
    if p >= 1.0 {
        return;
    }
    candidates.sort();
    let kept = reaching(candidates.probabilities().into_iter(), |sum| sum >= f64::from(p));
    candidates.keep_best(kept);
}

/// Keeps those with at least `p` times the best one's probability; all for 0 (arXiv 2407.01082).
pub fn min_p(candidates: &mut Candidates, p: f32) {
    if p > 0.0 {
        let least = candidates.best() + p.ln();
        candidates.retain(|_, c| c.logit >= least);
    }
}

/// Keeps those whose surprise is nearest to the expected one, until their probabilities pass `p`; all for 1 (arXiv
/// 2202.00666).
pub fn typical(candidates: &mut Candidates, p: f32) {
    if p >= 1.0 {
        return;
    }
    candidates.sort();
    let probabilities = candidates.probabilities();
    let expected = entropy(&probabilities);
    let off = |i: usize| (-probabilities[i].ln() - expected).abs();
    let mut nearest: Vec<usize> = (0..probabilities.len()).collect();
    nearest.sort_by(|&a, &b| off(a).total_cmp(&off(b)));
    let kept = reaching(nearest.iter().map(|&i| probabilities[i]), |sum| sum > f64::from(p));
    let mut keep = vec![false; probabilities.len()];
    nearest[..kept].iter().for_each(|&i| keep[i] = true);
    candidates.retain(|i, _| keep[i]);
}

/// Forbids what lies more than `n` standard deviations below the best logit; nothing for 0 and less (arXiv 2411.07641).
pub fn top_n_sigma(candidates: &mut Candidates, n: f32) {
    if n <= 0.0 {
        return;
    }
    let drawable = || candidates.list().iter().map(|c| f64::from(c.logit)).filter(|l| *l > f64::NEG_INFINITY);
    #[allow(clippy::cast_precision_loss)] // a vocabulary is far below 2^53
    let count = drawable().count().max(1) as f64;
    let mean = drawable().sum::<f64>() / count;
    let deviation = (drawable().map(|l| (l - mean).powi(2)).sum::<f64>() / count).sqrt();
    let least = f64::from(candidates.best()) - f64::from(n) * deviation;
    candidates.scale(|logit| if f64::from(logit) < least { f32::NEG_INFINITY } else { logit });
}

/// Takes away all that have at least the probability `threshold`, but for the least likely of them. Exclude top choices, by
/// p-e-w: github.com/oobabooga/text-generation-webui/pull/6335.
pub fn xtc(candidates: &mut Candidates, threshold: f32) {
    candidates.sort();
    let above = candidates.probabilities().iter().take_while(|p| **p >= f64::from(threshold)).count();
    candidates.retain(|i, _| i + 1 >= above);
}

/// How many terms it takes until `enough` says so of their sum; all if it never does.
fn reaching(terms: impl Iterator<Item = f64>, enough: impl Fn(f64) -> bool) -> usize {
    let (mut sum, mut count) = (0.0, 0);
    for term in terms {
        sum += term;
        count += 1;
        if enough(sum) {
            break;
        }
    }
    count
}
