//! `bench --routes`: tokens go where a trace says.

use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use symbiote_format::ModelConfig;
use symbiote_runtime::engine::RouteScript;
use symbiote_runtime::trace::{NONE, Trace};

use super::output::Failure;

/// A trace that tokens follow, over and over.
pub struct TraceScript {
    trace: Trace,
    /// The token under way, and the layer that it was in last.
    token: usize,
    last: u32,
    /// Share of a token's experts that a router names when it is run early, where the trace does not say what it named.
    recall: Option<f64>,
    rng: ChaCha8Rng,
}

impl TraceScript {
    /// Reads a trace for a model: of as many experts a layer and a token, and at least its layers.
    pub fn read(file: &Path, config: &ModelConfig, recall: Option<f64>) -> Result<Self, Failure> {
        let name = file.display();
        let bytes = std::fs::read(file).map_err(|e| format!("{name}: {e}"))?;
        let trace = Trace::parse(&bytes).map_err(|e| format!("{name}: {e}"))?;
        let experts = config.design.experts.as_ref().ok_or("the model has no experts, which --routes is about")?;
        let (found, layers) = (trace.shape, config.layer_count as usize);
        if [found.experts, found.used] != [experts.count, experts.used].map(|n| n as usize) || found.layers < layers {
            return Err(format!(
                "{name}: it has {} layers and {} of {} experts a token, and the model {layers}, and {} of {}",
                found.layers, found.used, found.experts, experts.used, experts.count
            )
            .into());
        }
        let rng = ChaCha8Rng::seed_from_u64(1);
        Ok(Self { trace, token: 0, last: u32::MAX, recall, rng })
    }

    fn at(&self, layer: u32) -> Vec<u32> {
        self.trace.chosen(self.token, layer as usize).iter().map(|&e| e.into()).collect()
    }

    /// True for so large a share of the times that this is asked.
    fn happens(&mut self, share: f64) -> bool {
        f64::from(self.rng.next_u32()) < share * f64::from(u32::MAX)
    }
}

impl RouteScript for TraceScript {
    fn chosen(&mut self, layer: u32, _: u32) -> Option<Vec<u32>> {
        if self.last != u32::MAX && layer <= self.last {
            self.token = (self.token + 1) % self.trace.tokens.len().max(1);
        }
        self.last = layer;
        Some(self.at(layer))
    }

    fn early(&mut self, layer: u32, ranks: u32) -> Option<Vec<u32>> {
        let named: Vec<u32> = self.trace.early(self.token, layer as usize).iter().map(|&e| e.into()).collect();
        if named.iter().any(|&e| e != u32::from(NONE)) {
            return Some(named.into_iter().filter(|&e| e != u32::from(NONE)).take(ranks as usize).collect());
        }
        let experts = u32::try_from(self.trace.shape.experts).unwrap_or(u32::MAX);
        let recall = self.recall.unwrap_or(0.0);
        let mut named = Vec::new();
        for expert in self.at(layer) {
            let other = self.rng.next_u32() % experts.max(1);
            named.push(if self.happens(recall) { expert } else { other });
        }
        named.dedup();
        Some(named)
    }
}
