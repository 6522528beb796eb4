//! Which experts follow which.

use super::{ExpertShape, Follows};

/// Most pairs that are counted, 4 bytes each: DeepSeek V3 has fewer; a model with more goes without.
const MOST_PAIRS: usize = 1 << 22;
/// What is expected without evidence counts as so many observations.
const DOUBT: f32 = 12.0;
/// One expert's evidence changes a chance by these factors at most.
const LEAST: f32 = 0.05;
const MOST: f32 = 20.0;
/// Observations that a statistic from elsewhere counts as.
const SEEDED: f32 = 64.0;

/// How often a token that went through one expert went through another afterwards.
#[derive(Clone, Debug)]
pub(super) struct Pairs {
    experts: usize,
    used: usize,
    /// `[layers][experts before][experts]`; empty where there are too many.
    counts: Vec<f32>,
    /// `[layers][experts before]`.
    all: Vec<f32>,
}

impl Pairs {
    pub fn new(shape: ExpertShape) -> Self {
        let cells = shape.count().saturating_mul(shape.experts);
        let counts = if cells <= MOST_PAIRS { vec![0.0; cells] } else { Vec::new() };
        Self { experts: shape.experts, used: shape.used, counts, all: vec![0.0; shape.count()] }
    }

    /// Takes over what was counted elsewhere; pairs of no such layer or expert are left out. What is not told of an expert that
    /// is told of, the others share.
    pub fn seed(&mut self, follows: &[Follows]) {
        let mut told = vec![Vec::new(); self.all.len()];
        for pair in follows {
            let [layer, before, expert] = [pair.layer, pair.before, pair.expert].map(|n| n as usize);
            let row = layer * self.experts + before;
            if before.max(expert) >= self.experts || self.counts.is_empty() || row >= told.len() {
                continue;
            }
            told[row].push((expert, pair.probability.clamp(0.0, 1.0)));
        }
        for (row, told) in told.into_iter().enumerate().filter(|(_, told)| !told.is_empty()) {
            #[allow(clippy::cast_precision_loss)] // a few thousand experts
            let [used, others] = [self.used, self.experts.saturating_sub(told.len()).max(1)].map(|n| n as f32);
            let rest = (used - told.iter().map(|(_, probability)| probability).sum::<f32>()).max(0.0) / others;
            let counts = &mut self.counts[row * self.experts..][..self.experts];
            let others = rest.min(1.0) * SEEDED;
            counts.iter_mut().for_each(|count| *count += others);
            told.iter().for_each(|&(expert, probability)| counts[expert] += probability * SEEDED - others);
            self.all[row] += SEEDED;
        }
    }

    /// A token went through `chosen` of a layer after it had gone through `before`.
    pub fn count(&mut self, layer: usize, before: &[u32], chosen: &[u32]) {
        for &b in before {
            let row = layer * self.experts + b as usize;
            if let Some(counts) = self.counts.get_mut(row * self.experts..(row + 1) * self.experts) {
                self.all[row] += 1.0;
                chosen.iter().for_each(|&e| counts[e as usize] += 1.0);
            }
        }
    }

    /// By how much `before` makes each expert likelier than its share, both `[experts]`: the root of the product over those before,
    /// as they say much the same. False, and nothing changed, where pairs are not counted.
    #[inline(always)]
    pub fn lifts(&self, layer: usize, before: &[u32], shares: &[f32], lifts: &mut [f32]) -> bool {
        if self.counts.is_empty() {
            return false;
        }
        lifts.fill(1.0);
        for &b in before {
            let row = layer * self.experts + b as usize;
            let counts = &self.counts[row * self.experts..(row + 1) * self.experts];
            let all = 1.0 / (self.all[row] + DOUBT);
            for ((lift, count), share) in lifts.iter_mut().zip(counts).zip(shares) {
                *lift *= ((count / share.max(1e-3) + DOUBT) * all).clamp(LEAST, MOST);
            }
        }
        lifts.iter_mut().for_each(|lift| *lift = lift.sqrt());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_together_is_expected_together() {
        let shape = ExpertShape { layers: 2, experts: 4, used: 1 };
        let mut pairs = Pairs::new(shape);
        let mut lifts = [0.0; 4];
        assert!(pairs.lifts(1, &[2], &[0.25; 4], &mut lifts));
        assert_eq!(lifts, [1.0; 4]);
        (0..100).for_each(|_| pairs.count(1, &[2], &[3]));
        pairs.lifts(1, &[2], &[0.25; 4], &mut lifts);
        assert!(lifts[3] > 1.8 && lifts[0] < 0.4, "{lifts:?}");
        pairs.lifts(0, &[2], &[0.25; 4], &mut lifts);
        assert_eq!(lifts, [1.0; 4]);
    }

    #[test]
    fn statistics_that_do_not_fit_are_left_out() {
        let mut pairs = Pairs::new(ExpertShape { layers: 2, experts: 4, used: 1 });
        let pair = |layer, before, expert| Follows { layer, before, expert, probability: 1.0 };
        pairs.seed(&[pair(1, 0, 1), pair(2, 0, 0), pair(0, 4, 0), pair(0, 0, 4), pair(u32::MAX, 0, 0)]);
        let mut lifts = [0.0; 4];
        pairs.lifts(1, &[0], &[0.25; 4], &mut lifts);
        assert!(lifts[1] > 1.5);
        pairs.lifts(0, &[0], &[0.25; 4], &mut lifts);
        assert_eq!(lifts, [1.0; 4]);
    }
}
