//! How experts are numbered.

/// The experts of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertShape {
    /// Layers that have experts.
    pub layers: usize,
    /// Experts a layer.
    pub experts: usize,
    /// Experts a token uses in each layer.
    pub used: usize,
}

impl ExpertShape {
    /// All experts.
    pub fn count(self) -> usize {
        self.layers * self.experts
    }

    /// Experts that one token uses: one cycle of the cache.
    pub fn active(self) -> usize {
        self.layers * self.used
    }

    /// Number of expert `e` of a layer, of all experts.
    pub fn expert(self, layer: usize, e: u32) -> usize {
        layer * self.experts + e as usize
    }

    /// Share of a layer's experts that a token uses.
    #[allow(clippy::cast_precision_loss)] // a few thousand experts
    pub fn share(self) -> f64 {
        (self.used as f64 / self.experts.max(1) as f64).min(1.0)
    }

    /// The layer of an expert.
    pub fn layer(self, expert: usize) -> usize {
        expert / self.experts.max(1)
    }
}
