//! A small network that learns while it is used.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::approximate::exp;

/// Inputs, and units of the two hidden layers.
pub(super) const INPUTS: usize = 4;
const FIRST: usize = 16;
const SECOND: usize = 8;
/// Where the matrices, `[units][inputs]`, and offsets begin.
const OFFSET_1: usize = INPUTS * FIRST;
const MATRIX_2: usize = OFFSET_1 + FIRST;
const OFFSET_2: usize = MATRIX_2 + FIRST * SECOND;
const MATRIX_3: usize = OFFSET_2 + SECOND;
const OFFSET_3: usize = MATRIX_3 + SECOND;
/// Weights in all.
pub const WEIGHTS: usize = OFFSET_3 + 1;

/// Samples side by side.
pub(super) const LANES: usize = 16;
pub(super) type Lanes = [f32; LANES];

/// RMSprop (G. Hinton, Neural Networks for Machine Learning, lecture 6e).
const RATE: f32 = 0.003;
const DECAY: f32 = 0.99;
/// Squares of gradients are as if they had been this at first.
const SQUARE: f32 = 1e-2;

/// A perceptron 4-16-8-1 with rectifiers, whose result is the logit of a chance.
#[derive(Clone, Debug)]
pub(super) struct Network {
    weights: [f32; WEIGHTS],
    squares: [f32; WEIGHTS],
}

/// What the units gave.
struct Pass {
    first: [Lanes; FIRST],
    second: [Lanes; SECOND],
    logits: Lanes,
}

impl Network {
    /// Each input goes straight through with a slope, beside small random weights that are to learn.
    pub fn new(slopes: [f32; INPUTS], offset: f32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        #[allow(clippy::cast_precision_loss)]
        let mut draw = |most: f32| (rng.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0) * most;
        let mut weights = [0.0; WEIGHTS];
        weights[..OFFSET_1].fill_with(|| draw(0.5));
        weights[MATRIX_2..OFFSET_2].fill_with(|| draw(0.3));
        weights[MATRIX_3..OFFSET_3].fill_with(|| draw(0.3));
        for (i, slope) in slopes.into_iter().enumerate() {
            weights[i * INPUTS..][..INPUTS].fill(0.0);
            weights[MATRIX_2 + i * FIRST..][..FIRST].fill(0.0);
            weights[i * INPUTS + i] = 1.0;
            weights[MATRIX_2 + i * FIRST + i] = 1.0;
            weights[MATRIX_3 + i] = slope;
        }
        weights[OFFSET_3] = offset;
        Self::with_weights(weights)
    }

    pub fn with_weights(weights: [f32; WEIGHTS]) -> Self {
        Self { weights, squares: [SQUARE; WEIGHTS] }
    }

    pub fn weights(&self) -> &[f32; WEIGHTS] {
        &self.weights
    }

    #[inline(always)]
    fn pass(&self, x: &[Lanes; INPUTS]) -> Pass {
        let w = &self.weights;
        let mut first = [[0.0; LANES]; FIRST];
        for (j, unit) in first.iter_mut().enumerate() {
            *unit = rectified(sum(&w[j * INPUTS..][..INPUTS], w[OFFSET_1 + j], x));
        }
        let mut second = [[0.0; LANES]; SECOND];
        for (j, unit) in second.iter_mut().enumerate() {
            *unit = rectified(sum(&w[MATRIX_2 + j * FIRST..][..FIRST], w[OFFSET_2 + j], &first));
        }
        let logits = sum(&w[MATRIX_3..][..SECOND], w[OFFSET_3], &second);
        Pass { first, second, logits }
    }

    /// Logit of each sample's chance.
    #[inline(always)]
    pub fn logits(&self, x: &[Lanes; INPUTS]) -> Lanes {
        self.pass(x).logits
    }

    /// One step towards what was `seen`, 0 or 1, each sample with its weight.
    #[inline(always)]
    pub fn learn(&mut self, x: &[Lanes; INPUTS], seen: &Lanes, weight: &Lanes) {
        let Pass { first, second, logits } = self.pass(x);
        let w = &self.weights;
        let mut out = [0.0; LANES];
        for l in 0..LANES {
            out[l] = (1.0 / (1.0 + exp(-logits[l])) - seen[l]) * weight[l];
        }
        let mut back_2 = [[0.0; LANES]; SECOND];
        let mut back_1 = [[0.0; LANES]; FIRST];
        for (j, back) in back_2.iter_mut().enumerate() {
            for l in 0..LANES {
                back[l] = if second[j][l] > 0.0 { out[l] * w[MATRIX_3 + j] } else { 0.0 };
            }
            for (i, sum) in back_1.iter_mut().enumerate() {
                let weight = w[MATRIX_2 + j * FIRST + i];
                for l in 0..LANES {
                    sum[l] = back[l].mul_add(weight, sum[l]);
                }
            }
        }
        for (j, back) in back_1.iter_mut().enumerate() {
            for l in 0..LANES {
                back[l] = if first[j][l] > 0.0 { back[l] } else { 0.0 };
            }
        }
        let mut gradient = [0.0; WEIGHTS];
        let (inputs, first, second) = (turned(x), turned(&first), turned(&second));
        let (back_1, back_2) = (turned(&back_1), turned(&back_2));
        for l in 0..LANES {
            outer(&back_1[l], &inputs[l], &mut gradient[..OFFSET_1]);
            add(&back_1[l], &mut gradient[OFFSET_1..]);
            outer(&back_2[l], &first[l], &mut gradient[MATRIX_2..OFFSET_2]);
            add(&back_2[l], &mut gradient[OFFSET_2..]);
            outer(&[out[l]], &second[l], &mut gradient[MATRIX_3..OFFSET_3]);
            gradient[OFFSET_3] += out[l];
        }
        for ((weight, square), slope) in self.weights.iter_mut().zip(&mut self.squares).zip(gradient) {
            *square = DECAY * *square + (1.0 - DECAY) * slope * slope;
            *weight -= RATE * slope / (square.sqrt() + 1e-6);
        }
    }
}

/// A unit's sum.
#[inline(always)]
fn sum(weights: &[f32], offset: f32, x: &[Lanes]) -> Lanes {
    let mut sum = [offset; LANES];
    for (weight, x) in weights.iter().zip(x) {
        for l in 0..LANES {
            sum[l] = weight.mul_add(x[l], sum[l]);
        }
    }
    sum
}

#[inline(always)]
fn rectified(mut unit: Lanes) -> Lanes {
    unit.iter_mut().for_each(|x| *x = x.max(0.0));
    unit
}

/// By samples instead of by units.
#[inline(always)]
fn turned<const N: usize>(units: &[Lanes; N]) -> [[f32; N]; LANES] {
    let mut turned = [[0.0; N]; LANES];
    for (i, unit) in units.iter().enumerate() {
        for l in 0..LANES {
            turned[l][i] = unit[l];
        }
    }
    turned
}

/// Adds `a` times `b` to `sum`, `[a][b]`.
#[inline(always)]
fn outer<const N: usize>(a: &[f32], b: &[f32; N], sum: &mut [f32]) {
    for (a, row) in a.iter().zip(sum.as_chunks_mut::<N>().0) {
        for (b, sum) in b.iter().zip(row) {
            *sum = a.mul_add(*b, *sum);
        }
    }
}

#[inline(always)]
fn add<const N: usize>(a: &[f32; N], sum: &mut [f32]) {
    a.iter().zip(sum).for_each(|(a, sum)| *sum += a);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples that depend on all inputs, half of them used.
    fn samples() -> ([Lanes; INPUTS], Lanes, Lanes) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut draw = || f32::from(u16::try_from(rng.next_u32() >> 16).unwrap()) / 65536.0;
        let x: [Lanes; INPUTS] = std::array::from_fn(|_| std::array::from_fn(|_| draw()));
        let seen = std::array::from_fn(|l| f32::from(u8::from(x[1][l] + x[3][l] > x[0][l] + 0.4)));
        (x, seen, std::array::from_fn(|l| if l % 3 == 0 { 4.0 } else { 1.0 }))
    }

    fn loss(network: &Network, x: &[Lanes; INPUTS], seen: &Lanes, weight: &Lanes) -> f64 {
        let logits = network.logits(x);
        (0..LANES).map(|l| f64::from(weight[l]) * f64::from((1.0 - 2.0 * seen[l]) * logits[l]).exp().ln_1p()).sum()
    }

    #[test]
    fn a_step_follows_the_slope_of_every_weight() {
        let (x, seen, weight) = samples();
        let before = Network::new([-1.0, 1.4, 1.4, 1.4], -1.0);
        let mut after = before.clone();
        after.learn(&x, &seen, &weight);
        for i in 0..WEIGHTS {
            let shifted = |by: f32| {
                let mut network = before.clone();
                network.weights[i] += by;
                loss(&network, &x, &seen, &weight)
            };
            let slope = (shifted(1e-3) - shifted(-1e-3)) / 2e-3;
            let square = f64::from(DECAY) * f64::from(SQUARE) + f64::from(1.0 - DECAY) * slope * slope;
            let expected = -f64::from(RATE) * slope / square.sqrt();
            let step = f64::from(after.weights[i] - before.weights[i]);
            assert!((step - expected).abs() < 1e-3, "weight {i}: {step}, expected {expected}");
        }
    }

    #[test]
    fn it_learns() {
        let (x, seen, weight) = samples();
        let mut network = Network::new([0.0; INPUTS], 0.0);
        let first = loss(&network, &x, &seen, &weight);
        (0..2000).for_each(|_| network.learn(&x, &seen, &weight));
        assert!(loss(&network, &x, &seen, &weight) < 0.2 * first);
    }
}
