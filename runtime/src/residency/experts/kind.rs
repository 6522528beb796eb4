//! The policies by name.

use clap::ValueEnum;

use super::{Classic, ExpertPolicy, ExpertShape, Guarded, Lru, NextUse, Pin};

/// What decides which experts are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OracleKind {
    /// When an expert is expected to be needed next, learned on the way
    #[default]
    NextUse,
    /// A weighted sum of use, meaning, hardware and recency
    Classic,
    /// What was used last
    Lru,
    /// What the archive says is used most
    Pin,
    /// What came first
    Off,
}

/// How likely an expert is where the layer before went through another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Follows {
    /// The later of the two layers, of those that have experts.
    pub layer: u32,
    /// The expert of the layer before.
    pub before: u32,
    /// The expert of this layer.
    pub expert: u32,
    /// P(expert | before).
    pub probability: f32,
}

/// What is known before the first token; all of it may be empty.
#[derive(Clone, Debug, Default)]
pub struct WarmStart {
    /// Weights of the predictor, as it was trained elsewhere.
    pub weights: Vec<f32>,
    /// How often each expert is used, in any unit.
    pub heat: Vec<f32>,
    /// The pairs that matter.
    pub follows: Vec<Follows>,
}

/// The policy of this name for a cache of `slots`. Those that could be worse than LRU are watched.
pub fn policy(kind: OracleKind, shape: ExpertShape, slots: usize, warm: &WarmStart) -> Box<dyn ExpertPolicy> {
    let mut policy: Box<dyn ExpertPolicy> = match kind {
        OracleKind::NextUse => Box::new(NextUse::new(shape, warm)),
        OracleKind::Classic => Box::new(Classic::new(shape)),
        OracleKind::Lru => Box::new(Lru::new(shape)),
        OracleKind::Pin | OracleKind::Off => Box::new(Pin::new(shape)),
    };
    if !warm.heat.is_empty() && kind != OracleKind::Off {
        policy.seed(&warm.heat);
    }
    match kind {
        OracleKind::NextUse | OracleKind::Classic => Box::new(Guarded::new(policy, shape, slots)),
        _ => policy,
    }
}
