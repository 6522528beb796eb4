//! Made-up routes: what a cache cannot gain on, and what it must.

use half::f16;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{Token, Trace, TraceError};
use crate::residency::experts::ExpertShape;

impl Trace {
    /// Every token goes through every expert, as through a dense model.
    pub fn dense(layers: usize, experts: usize, tokens: usize) -> Result<Self, TraceError> {
        Self::made("dense", ExpertShape { layers, experts, used: experts }, tokens, |chosen| chosen.sort_unstable())
    }

    /// Every token goes through experts drawn without regard to anything: a policy that hits more than the cache's share of the
    /// experts would know the future.
    pub fn independent(shape: ExpertShape, tokens: usize) -> Result<Self, TraceError> {
        Self::made("iid", shape, tokens, |_| {})
    }

    fn made(name: &str, shape: ExpertShape, tokens: usize, order: impl Fn(&mut [u16])) -> Result<Self, TraceError> {
        let mut trace = Self::new(shape, 0)?;
        trace.model = name.to_owned();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        #[allow(clippy::cast_possible_truncation)] // at most 4096 experts
        let mut deck: Vec<u16> = (0..shape.experts as u16).collect();
        for token in 0..tokens {
            #[allow(clippy::cast_possible_truncation)] // positions count modulo 2^16
            trace.tokens.push(Token { position: token as u16, ..Token::default() });
            for _ in 0..shape.layers {
                for i in 0..shape.used {
                    let rest = (shape.experts - i) as u64;
                    #[allow(clippy::cast_possible_truncation)] // below the number of experts
                    deck.swap(i, i + ((u64::from(rng.next_u32()) * rest) >> 32) as usize);
                }
                let mut chosen = deck[..shape.used].to_vec();
                order(&mut chosen);
                trace.chosen.extend(chosen);
                trace.weights.extend(std::iter::repeat_n(f16::ZERO, shape.used));
            }
        }
        Ok(trace)
    }
}
