//! Keeps what was used last.

use super::super::VitalityOracle;
use super::{Clock, ExpertPolicy, ExpertShape};

/// Keeps what was used last, whatever that is.
#[derive(Clone, Debug)]
pub struct Lru {
    clock: Clock,
    /// Step after each expert's last use, 0 before the first.
    last: Vec<usize>,
}

impl Lru {
    /// Nothing has been used yet.
    pub fn new(shape: ExpertShape) -> Self {
        Self { clock: Clock::new(shape), last: vec![0; shape.count()] }
    }
}

impl VitalityOracle for Lru {
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

    /// Nothing is foreseen: as far away as it is past.
    fn next_use(&self, pack: usize, now: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
        let past = now.saturating_sub(self.last[pack]) as f64;
        past
    }
}

impl ExpertPolicy for Lru {
    fn update_predictor(&mut self, layer: usize, chosen: &[u32]) {
        self.clock.tick(layer);
        let (shape, now) = (self.clock.shape(), self.clock.now());
        chosen.iter().for_each(|&e| self.last[shape.expert(layer, e)] = now);
    }

    fn bypasses(&self) -> bool {
        false
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}
