//! What a cache asks before it gives a slot away.

use super::super::VitalityOracle;
use super::Clock;

/// A [`VitalityOracle`] of experts, numbered as [`ExpertShape`](super::ExpertShape) does, that learns where tokens go. A step is
/// a layer that has experts, and [`next_use`](VitalityOracle::next_use) is counted from [`now`](Self::now). While a layer does not
/// change, the next use of its experts comes nearer, or is farther, by at most one step a step, all alike.
pub trait ExpertPolicy: VitalityOracle + Send {
    /// A token goes through these experts of a layer: called in order of layers, token after token, while decoding only.
    fn update_predictor(&mut self, layer: usize, chosen: &[u32]);

    /// What the layer's router, run early, ranks first: called before [`update_predictor`](Self::update_predictor) of that
    /// layer, or not at all.
    fn look_ahead(&mut self, _layer: usize, _ranked: &[u32]) {}

    /// How often each expert is used, in any unit: what an archive or a prompt says before the first token.
    fn seed(&mut self, _heat: &[f32]) {}

    /// The cache has so many slots from now on.
    fn resized(&mut self, _slots: usize) {}

    /// A newcomer that is needed later than all that a cache holds passes through staging and is not kept.
    fn bypasses(&self) -> bool {
        true
    }

    /// How far the tokens are, and which layers have changed: as long as a layer has not, the order of its experts by their next
    /// use stays, and a cache need not look at all of them again.
    fn clock(&self) -> &Clock;

    /// The step to come: the one after the layer that a token went through last.
    fn now(&self) -> usize {
        self.clock().now()
    }

    /// The policy has been worse than LRU, which decides for it now.
    fn has_fallen_back(&self) -> bool {
        false
    }
}
