//! What is remembered of the uses of one layer's experts.

use super::ExpertShape;
use super::approximate::log2;
use super::network::{INPUTS, LANES, Lanes};

/// Weight of a token in the short and the long mean.
const SHORT: f32 = 1.0 / 16.0;
const LONG: f32 = 1.0 / 256.0;
/// Experts count as used this many tokens ago at first.
const LONG_AGO: f32 = 255.0;
/// Without evidence a share is the mean, which counts as so many tokens.
const DOUBT: f32 = 64.0;
/// Stands for a chance that is not known.
const UNKNOWN: f32 = -0.25;

/// A value for each expert, and for some more, so that vectors are full.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    /// Tokens since the last use.
    age: Vec<f32>,
    /// Share of the last tokens, about 16 and about 256 of them, that used it.
    short: Vec<f32>,
    long: Vec<f32>,
    /// How likely it is after the experts that the token before used, [`relative`].
    context: Vec<f32>,
    experts: usize,
    /// What such a share is multiplied by: experts over experts used.
    scale: f32,
}

impl Usage {
    pub fn new(shape: ExpertShape) -> Self {
        #[allow(clippy::cast_possible_truncation)]
        let mean = shape.share() as f32;
        let all = |value| vec![value; shape.experts.next_multiple_of(LANES)];
        let (age, short, long, context) = (all(LONG_AGO), all(mean), all(mean), all(UNKNOWN));
        Self { age, short, long, context, experts: shape.experts, scale: 1.0 / mean }
    }

    /// Shares move towards what `heat`, uses by tokens seen elsewhere, says of them: by `weight`, from 0 to 1.
    pub fn seed(&mut self, heat: &[f32], weight: f32) {
        let all: f32 = heat.iter().map(|heat| heat.max(0.0)).sum();
        #[allow(clippy::cast_precision_loss)] // a few thousand experts
        let (mean, tokens) = (1.0 / self.scale, all * self.scale / self.experts as f32);
        for (share, heat) in self.short.iter_mut().zip(heat).chain(self.long.iter_mut().zip(heat)) {
            let seen = (heat.max(0.0) + DOUBT * mean) / (tokens + DOUBT);
            *share += (seen.min(1.0) - *share) * weight;
        }
    }

    /// A token goes through `chosen`.
    #[inline(always)]
    pub fn used(&mut self, chosen: &[u32]) {
        for ((age, short), long) in self.age.iter_mut().zip(&mut self.short).zip(&mut self.long) {
            *age += 1.0;
            *short -= *short * SHORT;
            *long -= *long * LONG;
        }
        for &e in chosen {
            let e = e as usize;
            self.age[e] = 0.0;
            self.short[e] += SHORT;
            self.long[e] += LONG;
        }
    }

    /// Share of the last 256 tokens or so that used each expert.
    pub fn shares(&self) -> &[f32] {
        &self.long[..self.experts]
    }

    /// Each expert is so many times as likely as its share, after what the last token used.
    #[inline(always)]
    pub fn relate(&mut self, lifts: &[f32]) {
        for ((context, share), lift) in self.context.iter_mut().zip(&self.long).zip(lifts) {
            *context = relative((share * lift).clamp(1e-6, 1.0), self.scale);
        }
    }

    /// What the network is told of an expert.
    #[inline(always)]
    pub fn features(&self, e: usize) -> [f32; INPUTS] {
        let [age, short, long] = [self.age[e], self.short[e], self.long[e]];
        [recency(age), relative(short, self.scale), relative(long, self.scale), self.context[e]]
    }

    /// The same of the `n`th lot of experts.
    #[inline(always)]
    pub fn lot(&self, n: usize) -> [Lanes; INPUTS] {
        let lot = |all: &[f32]| -> Lanes { all.as_chunks().0[n] };
        let (age, short, long) = (lot(&self.age), lot(&self.short), lot(&self.long));
        let mut x = [[0.0; LANES], [0.0; LANES], [0.0; LANES], lot(&self.context)];
        for l in 0..LANES {
            x[0][l] = recency(age[l]);
            x[1][l] = relative(short[l], self.scale);
            x[2][l] = relative(long[l], self.scale);
        }
        x
    }
}

/// Tokens since the last use as a number from 0 to about 1.
#[inline(always)]
fn recency(age: f32) -> f32 {
    log2(1.0 + age) * 0.125
}

/// A chance as a number from 0 to about 1: how far above the mean it is, on a logarithmic scale.
#[inline(always)]
fn relative(chance: f32, scale: f32) -> f32 {
    log2(1.0 + chance * scale) * 0.25
}
