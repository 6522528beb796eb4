//! The next layer's router, run early: on what this layer's experts have not been added to yet. What it says is a guess, by which
//! experts are brought and nothing is computed.

use bytemuck::cast_slice;
use symbiote_format::Experts;

use super::mixture::RouteTo;
use super::{Into, Pass};
use crate::engine::EngineError;
use crate::engine::stages::Stages;
use crate::engine::state::ExpertActivations;
use crate::engine::weights::{Mixture, NormWeights};

/// What was asked of a router.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// The layer.
    layer: u32,
    /// Experts that it ranks.
    ranks: u32,
}

impl Pass<'_> {
    /// Runs the router of the next layer that has experts, where somebody wants to know and its weights are there.
    pub(super) fn route_ahead(
        &self,
        s: &mut Stages<'_>,
        l: u32,
        e: &Experts,
        a: &ExpertActivations,
    ) -> Result<Option<Ahead>, EngineError> {
        if self.tokens != 1 || !s.looks_ahead() {
            return Ok(None);
        }
        let Some((layer, norm, m)) = self.next_mixture(l).filter(|(.., m)| s.stay(&m.router.packs)) else {
            return Ok(None);
        };
        let ranks = ranks(e);
        let (x, normed) = (self.hidden(&self.act.x), self.hidden(&a.ahead_normed));
        let n = match norm {
            Some(norm) => {
                self.norm(s, norm, x, normed, 1, Into::Replace)?;
                &a.ahead_normed
            }
            None => &self.act.x,
        };
        self.matmul(s, &m.router, n, &a.ahead_logits, 1, Into::Replace)?;
        let chosen = a.ahead_chosen.address();
        let weights = u64::from(ranks) * 4;
        self.route(s, m, e, RouteTo { logits: &a.ahead_logits, chosen, weights, used: ranks })?;
        s.recorder().copy(&a.ahead_chosen, 0, &a.ahead_seen, 0, u64::from(ranks) * 4);
        Ok(Some(Ahead { layer, ranks }))
    }

    fn next_mixture(&self, l: u32) -> Option<(u32, Option<NormWeights>, &Mixture)> {
        let later = (0u32..).zip(&self.weights.layers).skip(l as usize + 1);
        later.into_iter().find_map(|(number, layer)| Some((number, layer.ffn_norm, layer.mixture()?)))
    }

    /// What that router said, which the device has copied.
    pub(super) fn seen_ahead(
        &self,
        s: &mut Stages<'_>,
        ahead: Ahead,
        a: &ExpertActivations,
    ) -> Result<(), EngineError> {
        let words: &[u32] = cast_slice(a.ahead_seen.bytes()?);
        s.look_ahead(ahead.layer, &words[..ahead.ranks as usize])
    }
}

/// Experts that an early router ranks: twice those that a token goes through.
pub(in crate::engine) fn ranks(e: &Experts) -> u32 {
    (2 * e.used).min(e.count / e.groups * e.groups_used)
}
