//! The weighted sum that vitality was first thought of as.

use super::super::VitalityOracle;
use super::{Clock, ExpertPolicy, ExpertShape};

/// 0.4 how often an expert was used, 0.3 what it means, 0.2 how dear it is to the hardware, 0.1 how lately it was used: each from
/// 0 to 1, the first two against the most of its layer. Meaning is the heat that the policy is seeded with, as an archive has it
/// for a prompt's kind of text; to the hardware all experts of one size are alike, and where they come from is the cache's to weigh.
#[derive(Clone, Debug)]
pub struct Classic {
    clock: Clock,
    uses: Vec<f32>,
    heat: Vec<f32>,
    score: Vec<f32>,
    /// Tokens since the last use.
    age: Vec<f32>,
}

impl Classic {
    /// Nothing has been used yet.
    pub fn new(shape: ExpertShape) -> Self {
        let all = |value| vec![value; shape.count()];
        Self { clock: Clock::new(shape), uses: all(0.0), heat: all(0.0), score: all(0.2), age: all(f32::INFINITY) }
    }

    /// Sums up a layer's experts.
    fn sum(&mut self, layer: usize) {
        let experts = self.clock.shape().experts;
        let range = layer * experts..(layer + 1) * experts;
        let most = |of: &[f32]| of[range.clone()].iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let (uses, heat) = (most(&self.uses), most(&self.heat));
        for expert in range.clone() {
            let recency = 1.0 / (1.0 + self.age[expert]);
            self.score[expert] = 0.4 * self.uses[expert] / uses + 0.3 * self.heat[expert] / heat + 0.2 + 0.1 * recency;
        }
    }
}

impl VitalityOracle for Classic {
    fn packs(&self) -> usize {
        self.score.len()
    }

    fn steps(&self) -> usize {
        self.clock.shape().layers
    }

    fn step(&self, pack: usize) -> usize {
        self.clock.shape().layer(pack)
    }

    fn probability(&self, _: usize) -> f64 {
        self.clock.shape().share()
    }

    /// The lower the sum, the farther; it knows nothing of where the pass is.
    fn next_use(&self, pack: usize, _: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)] // a few thousand layers
        let pass = self.steps() as f64;
        pass / f64::from(self.score[pack])
    }
}

impl ExpertPolicy for Classic {
    fn update_predictor(&mut self, layer: usize, chosen: &[u32]) {
        self.clock.tick(layer);
        let shape = self.clock.shape();
        self.age[layer * shape.experts..(layer + 1) * shape.experts].iter_mut().for_each(|age| *age += 1.0);
        for expert in chosen.iter().map(|&e| shape.expert(layer, e)) {
            self.uses[expert] += 1.0;
            self.age[expert] = 0.0;
        }
        self.sum(layer);
    }

    fn seed(&mut self, heat: &[f32]) {
        self.heat.iter_mut().zip(heat).for_each(|(all, heat)| *all = heat.max(0.0));
        (0..self.steps()).for_each(|layer| self.sum(layer));
        self.clock.all_changed();
    }

    fn bypasses(&self) -> bool {
        false
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_meaning_and_recency_count() {
        let mut classic = Classic::new(ExpertShape { layers: 1, experts: 4, used: 1 });
        [0, 0, 0, 1].iter().for_each(|&e| classic.update_predictor(0, &[e]));
        let sum = |classic: &Classic| [0, 1, 2].map(|e| (classic.score[e] * 1000.0).round());
        assert_eq!(sum(&classic), [650.0, 433.0, 200.0]);
        classic.seed(&[0.0, 0.0, 7.0, 3.5]);
        assert_eq!(sum(&classic), [650.0, 433.0, 500.0]);
        assert!(classic.next_use(0, 1) < classic.next_use(2, 1));
    }
}
