//! What statistics tell an oracle before the first token.

use symbiote_format::Coaccess;

use crate::residency::experts::{Follows, WarmStart};

impl From<&Coaccess> for WarmStart {
    fn from(coaccess: &Coaccess) -> Self {
        let experts = coaccess.mixture.experts;
        let pairs = coaccess.successor_shares().map(|(s, probability)| Follows {
            layer: s.next / experts,
            before: s.expert % experts,
            expert: s.next % experts,
            probability,
        });
        Self {
            weights: coaccess.warm_start().map_or_else(Vec::new, |weights| weights.to_vec()),
            heat: coaccess.heat(),
            follows: pairs.collect(),
        }
    }
}
