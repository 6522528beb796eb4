//! A trace of a model: texts go through it, and where their tokens go is written down.

use std::sync::{Arc, Mutex, PoisonError};

use half::f16;
use symbiote_format::{CoaccessError, Mixture, PackRole};

use super::{EngineError, ProfileText, Routes, SymbioteEngine};
use crate::residency::experts::ExpertShape;
use crate::trace::{Token, Trace};

/// What was heard so far.
struct Recorder {
    trace: Trace,
    /// Layers that have experts, ascending.
    layers: Vec<u32>,
    domain: u16,
    sequence: u32,
}

impl Recorder {
    /// All tokens of a pass, in one layer.
    fn hear(&mut self, routes: &Routes<'_>) {
        let ExpertShape { layers, used, .. } = self.trace.shape;
        let Some(layer) = self.layers.iter().position(|&layer| layer == routes.layer) else { return };
        if layer == 0 {
            self.sequence += u32::from(routes.position == 0);
            for (position, &id) in (routes.position..).zip(routes.tokens) {
                #[allow(clippy::cast_possible_truncation)] // modulo 2^16
                let position = position as u16;
                self.trace.tokens.push(Token { sequence: self.sequence - 1, domain: self.domain, position, id });
            }
            self.trace.chosen.resize(self.trace.tokens.len() * layers * used, 0);
            self.trace.weights.resize(self.trace.chosen.len(), f16::ZERO);
        }
        let first = self.trace.tokens.len() - routes.tokens.len();
        let rows = routes.chosen.chunks(used).zip(routes.weights.chunks(used));
        for (token, (chosen, weights)) in (first..).zip(rows) {
            let at = (token * layers + layer) * used;
            for (to, &e) in self.trace.chosen[at..].iter_mut().zip(chosen) {
                *to = u16::try_from(e).unwrap_or(u16::MAX);
            }
            for (to, &weight) in self.trace.weights[at..].iter_mut().zip(weights) {
                *to = f16::from_f32(weight);
            }
        }
    }
}

impl SymbioteEngine {
    /// Sends texts through the model, as [`coaccess`](Self::coaccess) does, and writes down where their tokens go.
    pub fn trace_routes(
        &mut self,
        texts: &[ProfileText],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Trace, EngineError> {
        let mixture = Mixture::of_archived(self.pak().archive().index(), self.config());
        let mixture = mixture.filter(|mixture| mixture.count() > 0).ok_or(CoaccessError::NoExperts)?;
        let [experts, used] = [mixture.experts, mixture.used].map(|n| n as usize);
        let mut trace = Trace::new(ExpertShape { layers: mixture.layers.len(), experts, used }, 0)?;
        trace.model = mixture.name;
        trace.vocabulary = self.config().vocab_size;
        trace.expert_bytes = self.expert_bytes();
        let recorder = Arc::new(Mutex::new(Recorder { trace, layers: mixture.layers, domain: 0, sequence: 0 }));
        let lock = |recorder: &Mutex<Recorder>, act: &mut dyn FnMut(&mut Recorder)| {
            act(&mut recorder.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let heard = Arc::clone(&recorder);
        let listener = Box::new(move |routes: &Routes<'_>| lock(&heard, &mut |recorder| recorder.hear(routes)));
        let mut begin = |text: &ProfileText| {
            lock(&recorder, &mut |recorder| {
                let domains = &mut recorder.trace.domains;
                let known = domains.iter().position(|domain| *domain == text.domain);
                let domain = known.unwrap_or(domains.len());
                if known.is_none() {
                    domains.push(text.domain.clone());
                }
                recorder.domain = u16::try_from(domain).unwrap_or(u16::MAX);
            });
        };
        self.hear_texts(texts, listener, &mut begin, progress)?;
        let recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(recorder.trace.clone())
    }

    /// Bytes of one expert, on average.
    fn expert_bytes(&self) -> u64 {
        let packs = &self.pak().archive().index().packs;
        let experts = packs.iter().filter(|pack| PackRole::from_code(pack.role) == Some(PackRole::Expert));
        let (count, bytes) = experts.fold((0, 0), |(count, bytes), pack| (count + 1, bytes + pack.len.to_native()));
        bytes / u64::max(count, 1)
    }
}
