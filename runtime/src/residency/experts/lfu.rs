//! Keeps what was used most.

use super::super::VitalityOracle;
use super::{Clock, ExpertPolicy, ExpertShape};

/// Keeps what was used most often so far, and of that what was used last.
#[derive(Clone, Debug)]
pub struct Lfu {
    clock: Clock,
    /// Step after each expert's last use, 0 before the first.
    last: Vec<usize>,
    uses: Vec<u32>,
}

impl Lfu {
    /// Nothing has been used yet.
    pub fn new(shape: ExpertShape) -> Self {
        Self { clock: Clock::new(shape), last: vec![0; shape.count()], uses: vec![0; shape.count()] }
    }
}

impl VitalityOracle for Lfu {
    fn packs(&self) -> usize {
        self.last.len()
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

    /// The fewer uses, the farther; the last use decides between equals.
    fn next_use(&self, pack: usize, now: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
        let (past, now) = (now.saturating_sub(self.last[pack]) as f64, now.max(1) as f64);
        1.0 / (f64::from(self.uses[pack]) + 1.0 - past / now)
    }
}

impl ExpertPolicy for Lfu {
    fn update_predictor(&mut self, layer: usize, chosen: &[u32]) {
        self.clock.tick(layer);
        let (shape, now) = (self.clock.shape(), self.clock.now());
        for expert in chosen.iter().map(|&e| shape.expert(layer, e)) {
            self.last[expert] = now;
            self.uses[expert] += 1;
        }
    }

    fn bypasses(&self) -> bool {
        false
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}
