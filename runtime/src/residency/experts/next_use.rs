//! Learns when an expert is needed next.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::super::VitalityOracle;
use super::approximate::exp;
use super::network::{INPUTS, LANES, Network, WEIGHTS};
use super::pairs::Pairs;
use super::ranks::Ranks;
use super::usage::Usage;
use super::{Clock, ExpertPolicy, ExpertShape, WarmStart};

/// Experts not used that a token of a layer teaches, beside those used.
const OTHERS: usize = 8;
/// A layer teaches every so many tokens, by turns: with each the network forgets too fast, and a token takes longer.
const TURNS: usize = 4;
/// Before anything is learned, a chance falls with age and rises with use over 16 and 256 tokens and after the last token's experts.
const SLOPES: [f32; INPUTS] = [-1.0, 1.4, 1.4, 1.4];
const OFFSET: f32 = -0.75;

/// Expects an expert after the way to its layer and `L (1/p - 1)` steps, of L layers. p is what a network 4-16-8-1 makes of the
/// tokens since its last use, of its shares of the last 16 and 256 tokens, and of how likely it is after the experts that the
/// last token used. It learns while it is used.
///
/// Of a layer's pass to come more is known shortly before: what its router, run early, ranks first, or else which experts of the
/// layer before are used. That changes the chance for this pass alone: an expert that is left out comes back as before, after
/// `L (1 - p') / p` steps.
#[derive(Clone, Debug)]
pub struct NextUse {
    shape: ExpertShape,
    clock: Clock,
    network: Network,
    rng: ChaCha8Rng,
    /// By layer.
    usage: Vec<Usage>,
    /// Experts of the last token, by layer.
    last: Vec<Vec<u32>>,
    /// What follows from a token to the next, and from a layer to the next.
    tokens: Pairs,
    layers: Pairs,
    ranks: Ranks,
    /// The layer that was looked ahead to, and the ranks of its experts.
    ahead: Option<(usize, Vec<usize>)>,
    /// Odds against each expert, `1/p - 1`.
    against: Vec<f32>,
    /// The same in the pass to come alone; NaN where no more is known.
    soon: Vec<f32>,
}

impl NextUse {
    /// Knows what `warm` says of weights and pairs.
    pub fn new(shape: ExpertShape, warm: &WarmStart) -> Self {
        #[allow(clippy::cast_possible_truncation)]
        let mean = shape.share().min(0.99) as f32;
        let network = match <[f32; WEIGHTS]>::try_from(warm.weights.as_slice()) {
            Ok(weights) if weights.iter().all(|weight| weight.is_finite()) => Network::with_weights(weights),
            _ => Network::new(SLOPES, (mean / (1.0 - mean)).ln() + OFFSET),
        };
        let mut layers = Pairs::new(shape);
        layers.seed(&warm.follows);
        let mut policy = Self {
            shape,
            clock: Clock::new(shape),
            network,
            rng: ChaCha8Rng::seed_from_u64(1),
            usage: vec![Usage::new(shape); shape.layers],
            last: vec![Vec::new(); shape.layers],
            tokens: Pairs::new(shape),
            layers,
            ranks: Ranks::new(shape.used),
            ahead: None,
            against: vec![0.0; shape.count()],
            soon: vec![f32::NAN; shape.count()],
        };
        (0..shape.layers).for_each(|layer| Task::Expect.run(&mut policy, layer));
        policy
    }

    /// What was learned so far: a warm start for another time.
    pub fn weights(&self) -> &[f32; WEIGHTS] {
        self.network.weights()
    }

    fn range(&self, layer: usize) -> Range<usize> {
        layer * self.shape.experts..(layer + 1) * self.shape.experts
    }

    /// A token has gone through `chosen`.
    #[inline(always)]
    fn update(&mut self, layer: usize, chosen: &[u32]) {
        let all = self.shape.used >= self.shape.experts;
        if !all && (self.clock.passes() + layer).is_multiple_of(TURNS) {
            self.learn(layer, chosen);
        }
        self.tokens.count(layer, &self.last[layer], chosen);
        if layer > 0 {
            self.layers.count(layer, &self.last[layer - 1], chosen);
        }
        self.last[layer].clear();
        self.last[layer].extend_from_slice(chosen);
        self.usage[layer].used(chosen);
        let range = self.range(layer);
        let lifts = &mut self.soon[range.clone()];
        if self.tokens.lifts(layer, chosen, self.usage[layer].shares(), lifts) {
            self.usage[layer].relate(lifts);
        }
        self.expect(layer);
        self.soon[range].fill(f32::NAN);
        if layer + 1 < self.shape.layers {
            self.foresee(layer + 1, chosen);
        }
    }

    /// Learns from what a layer has chosen, and from some of what it has not, which stand for all such.
    #[inline(always)]
    fn learn(&mut self, layer: usize, chosen: &[u32]) {
        let experts = self.shape.experts;
        #[allow(clippy::cast_precision_loss)] // a few thousand experts
        let weight = experts.saturating_sub(chosen.len()) as f32 / OTHERS as f32;
        let used = chosen.iter().map(|&e| (e as usize, 1.0, 1.0));
        let mut samples: Vec<(usize, f32, f32)> = used.collect();
        let (rng, tries) = (&mut self.rng, 4 * OTHERS);
        let drawn = std::iter::repeat_with(|| rng.next_u32() as usize % experts).take(tries);
        let others = drawn.filter(|&other| chosen.iter().all(|&e| e as usize != other)).take(OTHERS);
        samples.extend(others.map(|e| (e, 0.0, weight)));
        for some in samples.chunks(LANES) {
            let mut x = [[0.0; LANES]; INPUTS];
            let (mut seen, mut weights) = ([0.0; LANES], [0.0; LANES]);
            for (l, &(e, used, weight)) in some.iter().enumerate() {
                for (x, feature) in x.iter_mut().zip(self.usage[layer].features(e)) {
                    x[l] = feature;
                }
                (seen[l], weights[l]) = (used, weight);
            }
            self.network.learn(&x, &seen, &weights);
        }
    }

    /// Finds a layer's chances anew.
    #[inline(always)]
    fn expect(&mut self, layer: usize) {
        self.clock.changed(layer);
        if self.shape.used >= self.shape.experts {
            return;
        }
        let range = self.range(layer);
        for (n, against) in self.against[range].chunks_mut(LANES).enumerate() {
            let mut odds = self.network.logits(&self.usage[layer].lot(n));
            for logit in &mut odds {
                *logit = exp(-*logit);
            }
            against.copy_from_slice(&odds[..against.len()]);
        }
    }

    /// What the experts of the layer before say of a layer's pass to come.
    #[inline(always)]
    fn foresee(&mut self, layer: usize, before: &[u32]) {
        let range = self.range(layer);
        let soon = &mut self.soon[range.clone()];
        if self.layers.lifts(layer, before, self.usage[layer].shares(), soon) {
            for (soon, against) in soon.iter_mut().zip(&self.against[range]) {
                *soon = against / *soon;
            }
            self.clock.changed(layer);
        }
    }

    /// Learns what ranks mean, if this is the layer that was looked ahead to.
    fn calibrate(&mut self, layer: usize, chosen: &[u32]) {
        if let Some((ahead, ranks)) = self.ahead.take()
            && ahead == layer
        {
            let against = &self.against[self.range(layer)];
            for (e, (&rank, against)) in (0..).zip(ranks.iter().zip(against)) {
                self.ranks.count(rank, 1.0 / (1.0 + against), chosen.contains(&e));
            }
        }
    }
}

/// What runs in the vectors of this machine. No closure: that would not be inlined into the function that may use them.
enum Task<'a> {
    Update(&'a [u32]),
    Expect,
}

struct Job<'a>(Task<'a>, &'a mut NextUse, usize);

impl Task<'_> {
    fn run(self, policy: &mut NextUse, layer: usize) {
        Arch::new().dispatch(Job(self, policy, layer));
    }
}

impl WithSimd for Job<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self(task, policy, layer) = self;
        match task {
            Task::Update(chosen) => policy.update(layer, chosen),
            Task::Expect => policy.expect(layer),
        }
    }
}

impl VitalityOracle for NextUse {
    fn packs(&self) -> usize {
        self.against.len()
    }

    fn steps(&self) -> usize {
        self.shape.layers
    }

    fn step(&self, pack: usize) -> usize {
        self.shape.layer(pack)
    }

    fn probability(&self, pack: usize) -> f64 {
        let soon = self.soon[pack];
        1.0 / (1.0 + f64::from(if soon.is_nan() { self.against[pack] } else { soon }))
    }

    fn next_use(&self, pack: usize, now: usize) -> f64 {
        let layers = self.shape.layers;
        let (layer, now) = (self.shape.layer(pack), now % layers);
        let way = if layer < now { layer + layers - now } else { layer - now };
        let (against, soon) = (f64::from(self.against[pack]), f64::from(self.soon[pack]));
        let passes = if soon.is_nan() { against } else { soon / (1.0 + soon) * (1.0 + against) };
        #[allow(clippy::cast_precision_loss)] // a few thousand layers
        let (way, layers) = (way as f64, layers as f64);
        way + layers * passes
    }
}

impl ExpertPolicy for NextUse {
    fn update_predictor(&mut self, layer: usize, chosen: &[u32]) {
        self.clock.tick(layer);
        self.calibrate(layer, chosen);
        Task::Update(chosen).run(self, layer);
    }

    fn look_ahead(&mut self, layer: usize, ranked: &[u32]) {
        let mut ranks = vec![Ranks::UNNAMED; self.shape.experts];
        for (rank, &e) in ranked.iter().enumerate() {
            ranks[e as usize] = Ranks::of(rank);
        }
        for (expert, &rank) in self.range(layer).zip(&ranks) {
            self.soon[expert] = self.against[expert] / self.ranks.lift(rank);
        }
        self.ahead = Some((layer, ranks));
        self.clock.changed(layer);
    }

    fn seed(&mut self, heat: &[f32]) {
        let weight = if self.clock.now() == 0 { 1.0 } else { 0.5 };
        for (layer, heat) in heat.chunks_exact(self.shape.experts).enumerate().take(self.shape.layers) {
            self.usage[layer].seed(heat, weight);
            Task::Expect.run(self, layer);
        }
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}
