//! A table in place of a network.

use super::super::VitalityOracle;
use super::usage::Usage;
use super::{Clock, ExpertPolicy, ExpertShape};

/// Classes of age, and of use.
const AGES: usize = 10;
const USES: usize = 10;
/// Uses are forgotten by this, a count.
const KEPT: f32 = 0.9998;
/// Observations that the first guess counts as.
const DOUBT: f32 = 20.0;

/// Expects an expert as often as others of its age and its share of the last 256 tokens have been used: what a learned policy has
/// to beat.
#[derive(Clone, Debug)]
pub struct AgeFrequency {
    clock: Clock,
    usage: Vec<Usage>,
    /// Used, and seen, by class.
    table: [[f32; 2]; AGES * USES],
    chance: Vec<f32>,
}

impl AgeFrequency {
    /// Nothing has been seen yet: a chance falls with age and rises with use.
    pub fn new(shape: ExpertShape) -> Self {
        #[allow(clippy::cast_possible_truncation)]
        let mean = shape.share() as f32;
        let mut table = [[0.0, DOUBT]; AGES * USES];
        #[allow(clippy::cast_precision_loss)] // classes
        for (class, cell) in table.iter_mut().enumerate() {
            let (age, uses) = ((class / USES) as f32, (class % USES) as f32);
            let chance = 2.0 * mean * ((uses / 2.0).exp2() - 0.9) * (-0.3 * age).exp2();
            cell[0] = DOUBT * chance.min(0.9);
        }
        let usage = vec![Usage::new(shape); shape.layers];
        let mut policy = Self { clock: Clock::new(shape), usage, table, chance: vec![0.0; shape.count()] };
        (0..shape.layers).for_each(|layer| policy.expect(layer));
        policy
    }

    fn class(&self, layer: usize, e: usize) -> usize {
        let [age, _, share, _] = self.usage[layer].features(e);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // cut to the table
        let (age, share) = ((age * 10.0) as usize, (share * 8.0) as usize);
        age.min(AGES - 1) * USES + share.min(USES - 1)
    }

    fn expect(&mut self, layer: usize) {
        let experts = self.clock.shape().experts;
        for e in 0..experts {
            let [used, seen] = self.table[self.class(layer, e)];
            self.chance[layer * experts + e] = (used / seen).clamp(1e-6, 1.0);
        }
        self.clock.changed(layer);
    }
}

impl VitalityOracle for AgeFrequency {
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
        f64::from(self.chance[pack])
    }
}

impl ExpertPolicy for AgeFrequency {
    fn update_predictor(&mut self, layer: usize, chosen: &[u32]) {
        for e in 0..self.clock.shape().experts {
            let class = self.class(layer, e);
            let used = chosen.iter().any(|&chosen| chosen as usize == e);
            let [uses, seen] = &mut self.table[class];
            *uses = *uses * KEPT + f32::from(u8::from(used));
            *seen = *seen * KEPT + 1.0;
        }
        self.clock.tick(layer);
        self.usage[layer].used(chosen);
        self.expect(layer);
    }

    fn seed(&mut self, heat: &[f32]) {
        let shape = self.clock.shape();
        for (layer, heat) in heat.chunks_exact(shape.experts).enumerate().take(shape.layers) {
            self.usage[layer].seed(heat, 1.0);
            self.expect(layer);
        }
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}
