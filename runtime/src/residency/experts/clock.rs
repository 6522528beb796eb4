//! Where in a pass the tokens are.

use super::ExpertShape;

/// Counts layers as tokens go through them, and what they change.
#[derive(Clone, Debug)]
pub struct Clock {
    shape: ExpertShape,
    /// Passes that are over.
    passes: usize,
    /// The step to come of this one.
    step: usize,
    versions: Vec<u64>,
}

impl Clock {
    /// Before the first pass.
    pub fn new(shape: ExpertShape) -> Self {
        Self { shape, passes: 0, step: 0, versions: vec![0; shape.layers] }
    }

    /// The experts that it counts for.
    pub fn shape(&self) -> ExpertShape {
        self.shape
    }

    /// A token has gone through a layer, of which other things are expected now.
    pub fn tick(&mut self, layer: usize) {
        self.passes += usize::from(layer < self.step);
        self.step = layer + 1;
        self.changed(layer);
    }

    /// Other things are expected of a layer.
    pub fn changed(&mut self, layer: usize) {
        self.versions[layer] += 1;
    }

    /// Other things are expected of every layer.
    pub fn all_changed(&mut self) {
        self.versions.iter_mut().for_each(|version| *version += 1);
    }

    /// Tokens that are through the layers so far, or the first of them.
    pub fn passes(&self) -> usize {
        self.passes
    }

    /// The step to come, of all steps.
    pub fn now(&self) -> usize {
        self.passes * self.shape.layers + self.step
    }

    /// How often something changed, layer by layer.
    pub fn versions(&self) -> &[u64] {
        &self.versions
    }
}
