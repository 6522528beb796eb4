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
    /// Passes that each is expected to be left out.
    passes: Vec<f32>,
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
            passes: vec![0.0; shape.count()],
        };
        (0..shape.layers).for_each(|layer| Task::Expect.run(&mut policy, layer));
        policy
    }

    /// What was learned so far: a warm start for another time.
    pub fn weights(&self) -> &[f32; WEIGHTS] {
        self.network.weights()
    }

    /// Every token uses every expert: all chances are 1.
    fn is_dense(&self) -> bool {
        self.shape.used >= self.shape.experts
    }

    fn range(&self, layer: usize) -> Range<usize> {
        layer * self.shape.experts..(layer + 1) * self.shape.experts
    }

    /// A token has gone through `chosen`; `early`: routers are run early, so that layers need not say what follows them.
    #[inline(always)]
    fn update(&mut self, layer: usize, chosen: &[u32], early: bool) {
        if self.is_dense() {
            return;
        }
        if (self.clock.passes() + layer).is_multiple_of(TURNS) {
            self.learn(layer, chosen);
        }
        self.tokens.count(layer, &self.last[layer], chosen);
        if layer > 0 && !early {
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
        if layer + 1 < self.shape.layers && !early {
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
        if self.is_dense() {
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
        let range = self.range(layer);
        self.passes[range.clone()].copy_from_slice(&self.against[range.clone()]);
        self.soon[range].fill(f32::NAN);
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
            self.leave_out(layer);
        }
    }

    /// Passes until a layer's experts are used, where more is known of the first.
    #[inline(always)]
    fn leave_out(&mut self, layer: usize) {
        let range = self.range(layer);
        let odds = self.against[range.clone()].iter().zip(&self.soon[range.clone()]);
        for (passes, (against, soon)) in self.passes[range].iter_mut().zip(odds) {
            *passes = soon / (1.0 + soon) * (1.0 + against);
        }
        self.clock.changed(layer);
    }

    /// Learns what ranks mean, if this is the layer that was looked ahead to; whether it is.
    fn calibrate(&mut self, layer: usize, chosen: &[u32]) -> bool {
        let Some((_, ranks)) = self.ahead.take().filter(|(ahead, _)| *ahead == layer) else { return false };
        let against = &self.against[self.range(layer)];
        for (e, (&rank, against)) in (0..).zip(ranks.iter().zip(against)) {
            self.ranks.count(rank, 1.0 / (1.0 + against), chosen.contains(&e));
        }
        true
    }
}

/// What runs in the vectors of this machine. No closure: that would not be inlined into the function that may use them.
enum Task<'a> {
    Update(&'a [u32], bool),
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
            Task::Update(chosen, early) => policy.update(layer, chosen, early),
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
        #[allow(clippy::cast_precision_loss)] // a few thousand layers
        let (way, layers) = (way as f64, layers as f64);
        way + layers * f64::from(self.passes[pack])
    }
}

impl ExpertPolicy for NextUse {
    fn update_predictor(&mut self, layer: usize, chosen: &[u32]) {
        self.clock.tick(layer);
        let early = self.calibrate(layer, chosen);
        Task::Update(chosen, early).run(self, layer);
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
        self.leave_out(layer);
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

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ExpertShape = ExpertShape { layers: 3, experts: 8, used: 2 };

    /// Tokens that always go through 0 and 1, and now and then one of the others.
    fn practised(tokens: u32) -> NextUse {
        let mut policy = NextUse::new(SHAPE, &WarmStart::default());
        for token in 0..tokens {
            for layer in 0..SHAPE.layers {
                let other = if token % 5 == 4 { 2 + token % 6 } else { 1 };
                policy.update_predictor(layer, &[0, other]);
            }
        }
        policy
    }

    #[test]
    fn what_is_always_used_is_expected_next_time() {
        let policy = practised(200);
        for layer in 0..SHAPE.layers {
            let chance = |e| policy.probability(SHAPE.expert(layer, e));
            assert!(
                chance(0) > 0.8 && chance(1) > 0.5 && chance(5) < 0.25,
                "{} {} {}",
                chance(0),
                chance(1),
                chance(5)
            );
        }
        // the pass is over: the first layer is next
        let soonest = policy.predict_next_packs(policy.now(), 6);
        assert!(soonest[0] == 0 && [1, 8, 9, 16, 17].iter().all(|expert| soonest.contains(expert)), "{soonest:?}");
        assert!(policy.next_use(8, policy.now()) - policy.next_use(0, policy.now()) < 2.0);
    }

    #[test]
    fn the_same_tokens_teach_the_same() {
        let [a, b] = [0, 1].map(|_| practised(100));
        assert_eq!(a.weights(), b.weights());
        assert_eq!(a.passes, b.passes);
        let warm = WarmStart { weights: a.weights().to_vec(), ..WarmStart::default() };
        assert_eq!(NextUse::new(SHAPE, &warm).weights(), a.weights());
    }

    #[test]
    fn weights_that_are_none_are_not_taken() {
        let plain = NextUse::new(SHAPE, &WarmStart::default());
        for weights in [vec![1.0; WEIGHTS - 1], vec![f32::NAN; WEIGHTS]] {
            let policy = NextUse::new(SHAPE, &WarmStart { weights, ..WarmStart::default() });
            assert_eq!(policy.weights(), plain.weights());
        }
    }

    #[test]
    fn what_a_prompt_used_is_expected_first() {
        let mut policy = NextUse::new(SHAPE, &WarmStart::default());
        let heat: Vec<f32> = (0..SHAPE.count()).map(|expert| if expert % 8 == 6 { 90.0 } else { 10.0 }).collect();
        policy.seed(&heat);
        assert!((0..8).all(|expert| policy.probability(expert) <= policy.probability(6)));
        // heat of another shape, or none, changes nothing
        let before = policy.passes.clone();
        policy.seed(&[]);
        assert_eq!(policy.passes, before);
        policy.seed(&vec![f32::NAN; SHAPE.count()]);
        assert!(policy.passes.iter().all(|passes| passes.is_finite()));
    }

    #[test]
    fn a_router_run_early_is_believed_as_far_as_it_was_right() {
        let mut policy = practised(20);
        let way = |policy: &NextUse, e| policy.next_use(SHAPE.expert(1, e), policy.now());
        for token in 0..100 {
            let e = 2 + token % 6;
            policy.update_predictor(0, &[0, 1]);
            let before = way(&policy, e);
            policy.look_ahead(1, &[e, 2 + (token + 1) % 6]);
            if token > 50 {
                assert!(way(&policy, e) < before && policy.probability(SHAPE.expert(1, e)) > 0.7);
                assert!(policy.probability(SHAPE.expert(1, 2 + (token + 1) % 6)) < 0.3);
            }
            policy.update_predictor(1, &[e, 0]);
            policy.update_predictor(2, &[0, 1]);
        }
    }

    #[test]
    fn experts_that_all_tokens_use_are_a_dense_model() {
        let shape = ExpertShape { layers: 2, experts: 3, used: 3 };
        let mut policy = NextUse::new(shape, &WarmStart::default());
        policy.update_predictor(0, &[0, 1, 2]);
        assert_eq!(
            [0, 3].map(|expert| (policy.probability(expert), policy.next_use(expert, policy.now()))),
            [(1.0, 1.0), (1.0, 0.0)]
        );
    }
}
