//! What a cache of experts would have done on a trace.

use std::time::{Duration, Instant};

use super::Trace;
use crate::residency::experts::{ExpertCache, ExpertPolicy};

/// How a trace is replayed.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    /// Experts that the cache holds.
    pub slots: usize,
    /// Tokens at the start that are not counted: a cache begins empty.
    pub warm_up: usize,
    /// A layer's router is run one layer early, and what it names is brought while that layer computes: so many transfers fit
    /// into a layer's time. 0: nothing is brought ahead of its use.
    pub transfers: usize,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Replayed {
    /// Tokens counted.
    pub tokens: usize,
    /// Uses of experts.
    pub uses: u64,
    /// Of them, those held when they were needed.
    pub hits: u64,
    /// Transfers made ahead of their use.
    pub ahead: u64,
    /// Of them, those used by the layer that they were made for.
    pub right: u64,
    /// What the policy and the cache took for a token: the median.
    pub time: Duration,
}

#[allow(clippy::cast_precision_loss)] // far fewer than 2^53
impl Replayed {
    /// Share of uses that were held.
    pub fn hit_rate(&self) -> f64 {
        self.hits as f64 / self.uses.max(1) as f64
    }

    /// Transfers a token that a layer waited for.
    pub fn stalls(&self) -> f64 {
        (self.uses - self.hits) as f64 / self.tokens.max(1) as f64
    }
}

impl Replay {
    /// Replays `trace` through a cache that starts empty.
    pub fn run(&self, trace: &Trace, policy: &mut dyn ExpertPolicy) -> Replayed {
        let shape = trace.shape;
        let mut cache = ExpertCache::new(self.slots, shape);
        let mut total = Replayed::default();
        let mut chosen: Vec<u32> = Vec::new();
        let mut times = Vec::new();
        for token in 0..trace.tokens.len() {
            let counted = token >= self.warm_up;
            let mut count = Replayed { tokens: 1, ..Replayed::default() };
            let start = Instant::now();
            for layer in 0..shape.layers {
                // brought, but not kept
                let mut staged = Vec::new();
                if self.transfers > 0 {
                    let named: Vec<u32> = trace.early(token, layer).iter().map(|&e| e.into()).collect();
                    policy.look_ahead(layer, &named);
                    let first: Vec<usize> = named.iter().take(shape.used).map(|&e| shape.expert(layer, e)).collect();
                    staged = self.bring(&mut cache, policy, &first);
                    count.ahead += staged.len() as u64;
                }
                chosen.clear();
                chosen.extend(trace.chosen(token, layer).iter().map(|&e| u32::from(e)));
                policy.update_predictor(layer, &chosen);
                let needed = |expert| chosen.iter().any(|&e| shape.expert(layer, e) == expert);
                count.uses += chosen.len() as u64;
                count.right += staged.iter().filter(|&&expert| needed(expert)).count() as u64;
                for expert in chosen.iter().map(|&e| shape.expert(layer, e)) {
                    if cache.slot_of(expert).is_some() || staged.contains(&expert) {
                        count.hits += 1;
                    } else {
                        let _ = cache.admit(expert, policy, &needed);
                    }
                }
            }
            if counted {
                times.push(start.elapsed());
                total.add(&count);
            }
        }
        let middle = times.len() / 2;
        if middle < times.len() {
            total.time = *times.select_nth_unstable(middle).1;
        }
        total
    }

    /// Brings the likeliest of `named` that are not held, as many as there is time for; those that are not kept are only staged.
    fn bring(&self, cache: &mut ExpertCache, policy: &dyn ExpertPolicy, named: &[usize]) -> Vec<usize> {
        let missing = named.iter().copied().filter(|&expert| cache.slot_of(expert).is_none());
        let brought: Vec<usize> = missing.take(self.transfers).collect();
        for &expert in &brought {
            let _ = cache.admit(expert, policy, &|other| named.contains(&other));
        }
        brought
    }
}

impl Replayed {
    fn add(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.uses += other.uses;
        self.hits += other.hits;
        self.ahead += other.ahead;
        self.right += other.right;
    }
}
