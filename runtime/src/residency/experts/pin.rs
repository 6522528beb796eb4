//! Keeps a set that does not change.

use super::super::VitalityOracle;
use super::{ExpertPolicy, ExpertShape};

/// Keeps the experts that are used most by what was known beforehand, and learns nothing. Without that, keeps what came first.
#[derive(Clone, Debug)]
pub struct Pin {
    shape: ExpertShape,
    /// Chance that a pass needs each expert.
    chance: Vec<f64>,
    now: usize,
    seeds: u64,
}

impl Pin {
    /// Every expert is as good as any.
    pub fn new(shape: ExpertShape) -> Self {
        Self { shape, chance: vec![0.5; shape.count()], now: 0, seeds: 0 }
    }
}

impl VitalityOracle for Pin {
    fn packs(&self) -> usize {
        self.shape.count()
    }

    fn steps(&self) -> usize {
        self.shape.layers
    }

    fn step(&self, pack: usize) -> usize {
        self.shape.layer(pack)
    }

    fn probability(&self, pack: usize) -> f64 {
        self.chance[pack]
    }

    /// Wherever the pass is: a set that follows it around would change.
    fn next_use(&self, pack: usize, _: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)] // a few thousand layers
        let pass = self.shape.layers as f64;
        pass / self.chance[pack]
    }
}

impl ExpertPolicy for Pin {
    fn update_predictor(&mut self, layer: usize, _: &[u32]) {
        self.now = layer + 1;
    }

    fn seed(&mut self, heat: &[f32]) {
        let layers = heat.chunks(self.shape.experts.max(1));
        for (chances, heat) in self.chance.chunks_mut(self.shape.experts.max(1)).zip(layers) {
            let all: f64 = heat.iter().copied().map(f64::from).sum();
            for (chance, &heat) in chances.iter_mut().zip(heat) {
                #[allow(clippy::cast_precision_loss)] // a few hundred experts
                let used = self.shape.used as f64;
                *chance = (f64::from(heat) / all.max(f64::MIN_POSITIVE) * used).clamp(1e-9, 1.0);
            }
        }
        self.seeds += 1;
    }

    fn now(&self) -> usize {
        self.now
    }

    fn version(&self, _: usize) -> u64 {
        self.seeds
    }
}
