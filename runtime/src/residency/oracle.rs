//! When a pack is expected to be needed next.

use std::cmp::Ordering;

/// Knows the order of the passes, and how likely a pass needs a pack. Time is counted in steps (layers), and a pass has
/// [`steps`](Self::steps) of them, over and over.
pub trait VitalityOracle {
    /// How many packs there are.
    fn packs(&self) -> usize;

    /// Steps in a pass.
    fn steps(&self) -> usize;

    /// The step of a pass that may need the pack.
    fn step(&self, pack: usize) -> usize;

    /// How likely a pass needs the pack, from 0 to 1: 1 in a dense model, less for an expert.
    fn probability(&self, pack: usize) -> f64;

    /// Steps until the pack is expected to be needed, 0 where the step `now` is its own: the way to its step, and a whole
    /// pass for each that is expected to do without it, `1 / p - 1` of them.
    fn next_use(&self, pack: usize, now: usize) -> f64 {
        let steps = self.steps();
        let way = (self.step(pack) + steps - now % steps) % steps;
        #[allow(clippy::cast_precision_loss)] // a few thousand steps
        let (way, pass) = (way as f64, steps as f64);
        way + pass * (1.0 / self.probability(pack) - 1.0)
    }

    /// The `count` packs whose [`next_use`](Self::next_use) is soonest, in that order; among equals the first ones first.
    fn predict_next_packs(&self, now: usize, count: usize) -> Vec<usize> {
        let mut next: Vec<(f64, usize)> = (0..self.packs()).map(|pack| (self.next_use(pack, now), pack)).collect();
        let sooner = |a: &(f64, usize), b: &(f64, usize)| -> Ordering { a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)) };
        if count < next.len() {
            next.select_nth_unstable_by(count, sooner);
            next.truncate(count);
        }
        next.sort_unstable_by(sooner);
        next.into_iter().map(|(_, pack)| pack).collect()
    }
}

/// A dense model: every pass needs every pack, in the same order.
#[derive(Clone, Debug)]
pub struct DensePass {
    /// The step of each pack.
    step_of: Vec<usize>,
    steps: usize,
}

impl DensePass {
    /// Packs by the step that needs them.
    pub fn new(step_of: Vec<usize>) -> Self {
        let steps = step_of.iter().max().map_or(1, |last| last + 1);
        Self { step_of, steps }
    }
}

impl VitalityOracle for DensePass {
    fn packs(&self) -> usize {
        self.step_of.len()
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn step(&self, pack: usize) -> usize {
        self.step_of[pack]
    }

    fn probability(&self, _: usize) -> f64 {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dense_pass_comes_round() {
        let dense = DensePass::new(vec![0, 1, 1, 2, 3]);
        assert_eq!((dense.packs(), dense.steps()), (5, 4));
        assert_eq!((0..5).map(|pack| dense.next_use(pack, 2)).collect::<Vec<_>>(), [2.0, 3.0, 3.0, 0.0, 1.0]);
        assert_eq!(dense.next_use(0, 4 * 7 + 3), 1.0);
        assert_eq!(dense.predict_next_packs(2, 4), [3, 4, 0, 1]);
        assert_eq!(dense.predict_next_packs(1, 99), [1, 2, 3, 4, 0]);
        assert_eq!(dense.predict_next_packs(1, 0), [0; 0]);
        assert_eq!(DensePass::new(Vec::new()).predict_next_packs(0, 3), [0; 0]);
    }

    /// Two steps of two experts each, of which a pass takes the first of each with these chances.
    struct Experts([f64; 2]);

    impl VitalityOracle for Experts {
        fn packs(&self) -> usize {
            4
        }

        fn steps(&self) -> usize {
            2
        }

        fn step(&self, pack: usize) -> usize {
            pack / 2
        }

        fn probability(&self, pack: usize) -> f64 {
            if pack.is_multiple_of(2) { self.0[pack / 2] } else { 1.0 - self.0[pack / 2] }
        }
    }

    #[test]
    fn an_unlikely_expert_is_as_good_as_passes_away() {
        let experts = Experts([0.8, 0.5]);
        assert_eq!(experts.next_use(0, 1), 1.0 + 2.0 * 0.25);
        assert!((experts.next_use(1, 0) - 8.0).abs() < 1e-9);
        assert_eq!(experts.predict_next_packs(0, 4), [0, 2, 3, 1]);
        let never = Experts([1.0, 0.5]);
        assert_eq!(never.next_use(1, 0), f64::INFINITY);
        assert_eq!(never.predict_next_packs(0, 4), [0, 2, 3, 1]);
    }
}
