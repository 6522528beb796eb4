//! Keeps what was used last.

use super::super::VitalityOracle;
use super::{ExpertPolicy, ExpertShape};

/// Keeps what was used last, whatever that is.
#[derive(Clone, Debug)]
pub struct Lru {
    shape: ExpertShape,
    /// Step after each expert's last use, 0 before the first.
    last: Vec<usize>,
    /// Passes that are over, and the step to come of this one.
    passes: usize,
    step: usize,
}

impl Lru {
    /// Nothing has been used yet.
    pub fn new(shape: ExpertShape) -> Self {
        Self { shape, last: vec![0; shape.count()], passes: 0, step: 0 }
    }
}

impl VitalityOracle for Lru {
    fn packs(&self) -> usize {
        self.shape.count()
    }

    fn steps(&self) -> usize {
        self.shape.layers
    }

    fn step(&self, pack: usize) -> usize {
        self.shape.layer(pack)
    }

    fn probability(&self, _: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)] // a few hundred experts
        let (used, experts) = (self.shape.used as f64, self.shape.experts.max(1) as f64);
        (used / experts).min(1.0)
    }

    /// Nothing is foreseen: as far away as it is past.
    fn next_use(&self, pack: usize, now: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
        let past = now.saturating_sub(self.last[pack]) as f64;
        past
    }
}

impl ExpertPolicy for Lru {
    fn update_predictor(&mut self, layer: usize, chosen: &[u32]) {
        if layer < self.step {
            self.passes += 1;
        }
        self.step = layer + 1;
        let now = self.now();
        chosen.iter().for_each(|&e| self.last[self.shape.expert(layer, e)] = now);
    }

    fn bypasses(&self) -> bool {
        false
    }

    fn now(&self) -> usize {
        self.passes * self.shape.layers + self.step
    }

    fn version(&self, layer: usize) -> u64 {
        // once a pass
        (self.passes + usize::from(layer < self.step)) as u64
    }
}
