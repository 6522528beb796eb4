//! Keeps a set that does not change.

use super::super::VitalityOracle;
use super::{Clock, ExpertPolicy, ExpertShape};

/// Keeps the experts that are used most by what was known beforehand, and learns nothing. Without that, keeps what came first.
#[derive(Clone, Debug)]
pub struct Pin {
    clock: Clock,
    /// Chance that a pass needs each expert.
    chance: Vec<f64>,
}

impl Pin {
    /// Every expert is as good as any.
    pub fn new(shape: ExpertShape) -> Self {
        Self { clock: Clock::new(shape), chance: vec![shape.share(); shape.count()] }
    }
}

impl VitalityOracle for Pin {
    fn packs(&self) -> usize {
        self.chance.len()
    }

    fn steps(&self) -> usize {
        self.clock.shape().layers
    }

    fn step(&self, pack: usize) -> usize {
        self.clock.shape().layer(pack)
    }

    fn probability(&self, pack: usize) -> f64 {
        self.chance[pack]
    }

    /// Wherever the pass is: a set that follows it around would change.
    fn next_use(&self, pack: usize, _: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)] // a few thousand layers
        let pass = self.steps() as f64;
        pass / self.chance[pack]
    }
}

impl ExpertPolicy for Pin {
    fn update_predictor(&mut self, layer: usize, _: &[u32]) {
        self.clock.tick(layer);
    }

    fn seed(&mut self, heat: &[f32]) {
        let shape = self.clock.shape();
        for (chances, heat) in self.chance.chunks_mut(shape.experts).zip(heat.chunks(shape.experts)) {
            let all: f64 = heat.iter().copied().map(f64::from).sum();
            for (chance, &heat) in chances.iter_mut().zip(heat) {
                #[allow(clippy::cast_precision_loss)] // a few dozen
                let used = shape.used as f64;
                *chance = (f64::from(heat) / all.max(f64::MIN_POSITIVE) * used).clamp(1e-9, 1.0);
            }
        }
        self.clock.all_changed();
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}
