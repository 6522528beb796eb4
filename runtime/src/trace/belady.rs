//! What nobody can know: the rest of the trace.

use super::Trace;
use crate::residency::VitalityOracle;
use crate::residency::experts::{Clock, ExpertPolicy};

/// Knows when every expert is used next. With bypass, nothing hits more (L. A. Belady, A study of replacement algorithms for a
/// virtual-storage computer, 1966): what this hits is the bound for all others.
#[derive(Clone, Debug)]
pub struct Belady {
    clock: Clock,
    /// Steps of each expert's uses that are still to come, the next one last.
    uses: Vec<Vec<usize>>,
}

impl Belady {
    /// Knows `trace`, and is at its beginning.
    pub fn new(trace: &Trace) -> Self {
        let shape = trace.shape;
        let mut uses = vec![Vec::new(); shape.count()];
        for token in (0..trace.tokens.len()).rev() {
            for layer in (0..shape.layers).rev() {
                for &e in trace.chosen(token, layer) {
                    uses[shape.expert(layer, e.into())].push(token * shape.layers + layer);
                }
            }
        }
        Self { clock: Clock::new(shape), uses }
    }
}

impl VitalityOracle for Belady {
    fn packs(&self) -> usize {
        self.uses.len()
    }

    fn steps(&self) -> usize {
        self.clock.shape().layers
    }

    fn step(&self, pack: usize) -> usize {
        self.clock.shape().layer(pack)
    }

    fn probability(&self, pack: usize) -> f64 {
        let pass = self.clock.now() + self.steps();
        let used = self.uses[pack].last().is_some_and(|&step| step < pass);
        f64::from(u8::from(used))
    }

    fn next_use(&self, pack: usize, now: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
        self.uses[pack].last().map_or(f64::INFINITY, |&step| step.saturating_sub(now) as f64)
    }
}

impl ExpertPolicy for Belady {
    fn update_predictor(&mut self, layer: usize, chosen: &[u32]) {
        self.clock.tick(layer);
        let shape = self.clock.shape();
        for &e in chosen {
            self.uses[shape.expert(layer, e)].pop();
        }
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}
