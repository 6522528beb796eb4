//! What is so in some layers and not in others.

use symbiote_format::{ModelConfig, Turn};

/// One flag a layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LayerFlags(pub Vec<bool>);

impl LayerFlags {
    /// Set where `pattern`, given the layer's number, says so.
    pub fn of(config: &ModelConfig, pattern: impl Fn(u32) -> bool) -> Self {
        Self((0..config.layer_count).map(pattern).collect())
    }

    /// True in a layer that is set.
    pub fn has(&self, layer: u32) -> bool {
        self.0.get(layer as usize).copied().unwrap_or(false)
    }

    pub fn any(&self) -> bool {
        self.0.contains(&true)
    }

    /// This window in the layers that are set; nothing where none is.
    pub fn windows(&self, window: u32) -> Vec<u32> {
        if !self.any() {
            return Vec::new();
        }
        self.0.iter().map(|set| if *set { window } else { 0 }).collect()
    }

    /// `turn` in the layers that are set, the model's main frequencies elsewhere; nothing where none is set.
    pub fn turns(&self, turn: Turn) -> Vec<Turn> {
        if !self.any() {
            return Vec::new();
        }
        self.0.iter().map(|set| if *set { turn } else { Turn::Main }).collect()
    }
}

/// True in every layer.
pub(super) fn all(_: u32) -> bool {
    true
}
