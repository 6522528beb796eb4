//! A policy that must prove itself against LRU.

use std::collections::VecDeque;

use super::super::VitalityOracle;
use super::{Clock, ExpertCache, ExpertPolicy, ExpertShape, Lru};

/// Tokens over which the two are compared.
const WINDOW: usize = 256;
/// By how much of the uses a policy may trail.
const POINT: f64 = 0.01;
/// Layers that suffice to compare: some stand for all, as sampled sets of a processor's cache do (M. K. Qureshi and others,
/// Adaptive insertion policies for high performance caching, 2007).
const SAMPLED: usize = 8;

/// Decides as a policy does, and as LRU does while that policy trails LRU by more than a point over the last 256 tokens. What
/// each of them would have hit is found beside the real cache, with caches of its share of some layers.
pub struct Guarded {
    policy: Box<dyn ExpertPolicy>,
    lru: Lru,
    clock: Clock,
    /// One of so many layers is compared.
    every: usize,
    /// What the policy and LRU would hold.
    shadows: [ExpertCache; 2],
    /// Hits of both, and uses, of the last tokens, the one under way last.
    window: VecDeque<[u32; 3]>,
    sums: [u64; 3],
    fallen: bool,
}

impl Guarded {
    /// Watches `policy`, for a cache of `slots`.
    pub fn new(policy: Box<dyn ExpertPolicy>, shape: ExpertShape, slots: usize) -> Self {
        let every = (shape.layers / SAMPLED).max(1);
        let mut guarded = Self {
            policy,
            lru: Lru::new(shape),
            clock: Clock::new(shape),
            every,
            shadows: [ExpertCache::new(0, shape), ExpertCache::new(0, shape)],
            window: VecDeque::from([[0; 3]]),
            sums: [0; 3],
            fallen: false,
        };
        guarded.resized(slots);
        guarded
    }

    fn active(&self) -> &dyn ExpertPolicy {
        if self.fallen { &self.lru } else { self.policy.as_ref() }
    }

    /// What both would have done.
    fn shadow(&mut self, layer: usize, chosen: &[u32]) {
        let shape = self.clock.shape();
        let needed = |expert| chosen.iter().any(|&e| shape.expert(layer, e) == expert);
        let policies: [&dyn ExpertPolicy; 2] = [self.policy.as_ref(), &self.lru];
        let mut counts = [0, 0, chosen.len()];
        for ((cache, policy), hits) in self.shadows.iter_mut().zip(policies).zip(&mut counts) {
            for expert in chosen.iter().map(|&e| shape.expert(layer, e)) {
                match cache.slot_of(expert) {
                    Some(_) => *hits += 1,
                    None => drop(cache.admit(expert, policy, &needed).is_some()),
                }
            }
        }
        if let Some(last) = self.window.back_mut() {
            for ((last, sum), count) in last.iter_mut().zip(&mut self.sums).zip(counts) {
                *last += u32::try_from(count).unwrap_or(u32::MAX);
                *sum += count as u64;
            }
        }
    }

    /// A token is through: whoever has been better decides.
    fn judge(&mut self) {
        if self.window.len() >= WINDOW {
            #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
            let rate = |hits: u64| hits as f64 / self.sums[2].max(1) as f64;
            let ahead = rate(self.sums[1]) - rate(self.sums[0]);
            let fallen = if self.fallen { ahead > 0.0 } else { ahead > POINT };
            if fallen != self.fallen {
                self.fallen = fallen;
                self.clock.all_changed();
            }
            let gone = self.window.pop_front().unwrap_or_default();
            self.sums.iter_mut().zip(gone).for_each(|(sum, gone)| *sum -= u64::from(gone));
        }
        self.window.push_back([0; 3]);
    }
}

impl VitalityOracle for Guarded {
    fn packs(&self) -> usize {
        self.policy.packs()
    }

    fn steps(&self) -> usize {
        self.policy.steps()
    }

    fn step(&self, pack: usize) -> usize {
        self.policy.step(pack)
    }

    fn probability(&self, pack: usize) -> f64 {
        self.policy.probability(pack)
    }

    fn next_use(&self, pack: usize, now: usize) -> f64 {
        self.active().next_use(pack, now)
    }
}

impl ExpertPolicy for Guarded {
    fn update_predictor(&mut self, layer: usize, chosen: &[u32]) {
        let passes = self.clock.passes();
        self.clock.tick(layer);
        if self.clock.passes() > passes {
            self.judge();
        }
        self.policy.update_predictor(layer, chosen);
        self.lru.update_predictor(layer, chosen);
        if layer.is_multiple_of(self.every) {
            self.shadow(layer, chosen);
        }
    }

    fn look_ahead(&mut self, layer: usize, ranked: &[u32]) {
        self.policy.look_ahead(layer, ranked);
        self.clock.changed(layer);
    }

    fn seed(&mut self, heat: &[f32]) {
        self.policy.seed(heat);
        self.clock.all_changed();
    }

    fn resized(&mut self, slots: usize) {
        self.policy.resized(slots);
        let layers = self.steps();
        let sampled = layers.div_ceil(self.every);
        let share = (slots * sampled).div_ceil(layers.max(1));
        self.shadows.iter_mut().for_each(|cache| drop(cache.resize(share)));
    }

    fn bypasses(&self) -> bool {
        self.active().bypasses()
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn has_fallen_back(&self) -> bool {
        self.fallen
    }
}
