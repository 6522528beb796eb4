//! What a cache of experts would have done on a trace.

use std::time::{Duration, Instant};

use super::Trace;
use crate::residency::experts::{ExpertCache, ExpertPolicy};

/// Least chance for which an expert is brought ahead where no router was run early.
const WORTH: f64 = 0.25;

/// How a trace is replayed.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    /// Experts that the cache holds; it begins empty.
    pub slots: usize,
    /// Tokens at the start that are not counted.
    pub warm_up: usize,
    /// Transfers that fit into the time that a layer computes: so many experts are brought ahead of the layer that is next, those
    /// that its router, run early, names, or else those that the policy expects. 0: none is.
    pub transfers: usize,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Replayed {
    /// Tokens counted.
    pub tokens: usize,
    /// Uses of experts.
    pub uses: u64,
    /// Of them, those held, or brought ahead, when they were needed.
    pub hits: u64,
    /// Experts brought ahead of their use.
    pub ahead: u64,
    /// Of them, those that the layer used.
    pub right: u64,
    /// What the policy and the cache took for a token, the median.
    pub time: Duration,
}

#[allow(clippy::cast_precision_loss)] // far fewer than 2^53
impl Replayed {
    /// Share of the uses that did not wait for a transfer.
    pub fn hit_rate(&self) -> f64 {
        self.hits as f64 / self.uses.max(1) as f64
    }

    /// Transfers a token that a layer waited for.
    pub fn stalls(&self) -> f64 {
        (self.uses - self.hits) as f64 / self.tokens.max(1) as f64
    }

    /// Share of those brought ahead that were used.
    pub fn precision(&self) -> f64 {
        self.right as f64 / self.ahead.max(1) as f64
    }
}

impl Replay {
    /// Replays `trace`. The policy hears of a layer's experts when the token goes through them, and of nothing before that.
    pub fn run(&self, trace: &Trace, policy: &mut dyn ExpertPolicy) -> Replayed {
        let shape = trace.shape;
        let mut cache = ExpertCache::new(self.slots, shape);
        let mut total = Replayed::default();
        let mut times = Vec::new();
        let wide = |experts: &[u16]| experts.iter().map(|&e| u32::from(e)).collect::<Vec<u32>>();
        for token in 0..trace.tokens.len() {
            let mut count = Replayed { tokens: 1, ..Replayed::default() };
            let start = Instant::now();
            for layer in 0..shape.layers {
                let mut brought = Vec::new();
                if self.transfers > 0 {
                    brought = self.bring(&mut cache, policy, layer, &wide(trace.early(token, layer)));
                }
                let chosen = wide(trace.chosen(token, layer));
                policy.update_predictor(layer, &chosen);
                let chosen: Vec<usize> = chosen.iter().map(|&e| shape.expert(layer, e)).collect();
                count.uses += chosen.len() as u64;
                count.ahead += brought.len() as u64;
                count.right += brought.iter().filter(|expert| chosen.contains(expert)).count() as u64;
                for expert in &chosen {
                    if cache.slot_of(*expert).is_some() || brought.contains(expert) {
                        count.hits += 1;
                    } else {
                        // held from now on, or not
                        let _ = cache.admit(*expert, policy, &|held| chosen.contains(&held));
                    }
                }
            }
            if token >= self.warm_up {
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

    /// Brings experts that a layer may need and that are not held, the likeliest first. Those that the cache does not keep are
    /// there for this layer alone.
    fn bring(&self, cache: &mut ExpertCache, policy: &mut dyn ExpertPolicy, layer: usize, named: &[u32]) -> Vec<usize> {
        let experts = policy.packs() / policy.steps();
        let number = |e: usize| layer * experts + e;
        let mut wanted: Vec<usize> = if named.is_empty() {
            (0..experts).map(number).filter(|&expert| policy.probability(expert) >= WORTH).collect()
        } else {
            policy.look_ahead(layer, named);
            named.iter().map(|&e| number(e as usize)).collect()
        };
        // a policy that expects nothing leaves them in the router's order
        wanted.sort_by(|&a, &b| policy.probability(b).total_cmp(&policy.probability(a)));
        let missing = wanted.iter().copied().filter(|&expert| cache.slot_of(expert).is_none());
        let brought: Vec<usize> = missing.take(self.transfers).collect();
        for &expert in &brought {
            let _ = cache.admit(expert, policy, &|held| wanted.contains(&held));
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
