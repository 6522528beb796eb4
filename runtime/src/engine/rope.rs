//! Rotary position embedding: the angles, in f64 on the host (RoFormer, arXiv 2104.09864, and what extends it).

use std::f64::consts::TAU;

use symbiote_format::{ModelConfig, RopeScaling};

/// Frequencies and magnitude of a model's rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Radians a position, one for each pair of dimensions.
    frequencies: Vec<f64>,
    /// Factor on cos and sin.
    magnitude: f64,
}

impl Rope {
    /// For sequences of up to `context` tokens. `factors` are the divisors of a `rope_freqs` tensor, one a pair, or empty.
    pub fn new(config: &ModelConfig, context: u32, factors: &[f32]) -> Self {
        let dims = f64::from(config.rope_dims);
        let base = f64::from(config.rope_base);
        let plain = |base: f64| -> Vec<f64> {
            (0..config.rope_dims / 2).map(|i| base.powf(-2.0 * f64::from(i) / dims)).collect()
        };
        let mut magnitude = 1.0;
        let mut frequencies = match &config.rope_scaling {
            RopeScaling::None => plain(base),
            RopeScaling::Linear { factor } => plain(base).into_iter().map(|f| f / f64::from(*factor)).collect(),
            RopeScaling::Dynamic { factor } => plain(dynamic_base(base, dims, *factor, context, config.context_length)),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                let (low, high) = (f64::from(*low_freq_factor), f64::from(*high_freq_factor));
                let original = f64::from(*original_context);
                plain(base).into_iter().map(|f| llama3(f, f64::from(*factor), low, high, original)).collect()
            }
            RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, truncate, attention_factor } => {
                magnitude = f64::from(*attention_factor);
                let ramp = YarnRamp::new(dims, base, *original_context, [*beta_fast, *beta_slow], *truncate);
                let kept = |i| ramp.kept(i);
                plain(base)
                    .into_iter()
                    .enumerate()
                    .map(|(i, f)| f * kept(i) + f / f64::from(*factor) * (1.0 - kept(i)))
                    .collect()
            }
            RopeScaling::LongRope { short, long, original_context, attention_factor } => {
                magnitude = f64::from(*attention_factor);
                let divisors = if context > *original_context { long } else { short };
                plain(base).into_iter().zip(divisors).map(|(f, d)| f / f64::from(*d)).collect()
            }
        };
        for (frequency, factor) in frequencies.iter_mut().zip(factors) {
            *frequency /= f64::from(*factor);
        }
        Self { frequencies, magnitude }
    }

    /// The turns of [`Turn::Local`](symbiote_format::Turn), where `config` has such.
    pub fn local(config: &ModelConfig, context: u32) -> Option<Self> {
        let rope_base = config.design.local_rope_base?;
        Some(Self::new(&ModelConfig { rope_base, rope_scaling: RopeScaling::None, ..config.clone() }, context, &[]))
    }

    /// Appends (cos, sin) of every pair for one position.
    pub fn turns(&self, position: u32, out: &mut Vec<f32>) {
        for frequency in &self.frequencies {
            let (sin, cos) = (f64::from(position) * frequency).sin_cos();
            #[allow(clippy::cast_possible_truncation)] // rounding to f32 is meant
            out.extend([(cos * self.magnitude) as f32, (sin * self.magnitude) as f32]);
        }
    }

    /// The frequencies, in radians a position.
    pub fn frequencies(&self) -> &[f64] {
        &self.frequencies
    }
}

/// NTK-aware base for `context` tokens; the model's own base within its own context.
fn dynamic_base(base: f64, dims: f64, factor: f32, context: u32, own_context: u32) -> f64 {
    if context <= own_context {
        return base;
    }
    let growth = f64::from(factor) * f64::from(context) / f64::from(own_context) - (f64::from(factor) - 1.0);
    base * growth.powf(dims / (dims - 2.0))
}

/// One frequency under Llama 3.1's scaling.
fn llama3(frequency: f64, factor: f64, low: f64, high: f64, original: f64) -> f64 {
    let wavelength = TAU / frequency;
    if wavelength < original / high {
        frequency
    } else if wavelength > original / low {
        frequency / factor
    } else {
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}

/// YaRN's ramp between frequencies that are kept and those that are interpolated (arXiv 2309.00071, section 3.2).
struct YarnRamp {
    low: f64,
    high: f64,
}

impl YarnRamp {
    fn new(dims: f64, base: f64, original: u32, rotations: [f32; 2], truncate: bool) -> Self {
        // the dimension that turns `rotations` times over the original context
        let dimension =
            |rotations: f32| dims * (f64::from(original) / (f64::from(rotations) * TAU)).ln() / (2.0 * base.ln());
        let [low, high] = rotations.map(dimension);
        let [low, high] = if truncate { [low.floor(), high.ceil()] } else { [low, high] };
        let (low, high) = (low.max(0.0), high.min(dims - 1.0));
        Self { low, high: if high == low { high + 0.001 } else { high } }
    }

    /// How much of pair `i`'s own frequency is kept: 1 for fast pairs, 0 for slow ones.
    fn kept(&self, i: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)] // a pair's number is small
        let i = i as f64;
        1.0 - ((i - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use symbiote_format::{Design, RopeLayout};

    fn config(rope_scaling: RopeScaling) -> ModelConfig {
        ModelConfig {
            vocab_size: 8,
            context_length: 64,
            hidden_size: 8,
            layer_count: 1,
            head_count: 1,
            kv_head_count: 1,
            head_dim: 8,
            ffn_size: 8,
            norm_eps: 1e-5,
            tied_embeddings: true,
            rope_base: 10_000.0,
            rope_dims: 8,
            rope_layout: RopeLayout::Halves,
            rope_scaling,
            design: Design::default(),
        }
    }

    #[test]
    fn plain_frequencies_are_powers_of_the_base() {
        let rope = Rope::new(&config(RopeScaling::None), 64, &[]);
        for (f, expected) in rope.frequencies().iter().zip([1.0, 0.1, 0.01, 0.001]) {
            assert!((f - expected).abs() < 1e-15);
        }
        let mut turns = Vec::new();
        rope.turns(2, &mut turns);
        assert_eq!(turns.len(), 8);
        assert!((f64::from(turns[0]) - 2f64.cos()).abs() < 1e-7 && (f64::from(turns[1]) - 2f64.sin()).abs() < 1e-7);
    }

    #[test]
    fn linear_and_factors_divide() {
        let rope = Rope::new(&config(RopeScaling::Linear { factor: 4.0 }), 64, &[1.0, 1.0, 2.0, 1.0]);
        assert!((rope.frequencies()[1] - 0.025).abs() < 1e-15);
        assert!((rope.frequencies()[2] - 0.01 / 8.0).abs() < 1e-15);
    }

    #[test]
    fn dynamic_changes_nothing_within_the_models_context() {
        let dynamic = config(RopeScaling::Dynamic { factor: 2.0 });
        assert_eq!(Rope::new(&dynamic, 64, &[]), Rope::new(&config(RopeScaling::None), 64, &[]));
        assert!(Rope::new(&dynamic, 128, &[]).frequencies()[3] < 0.001);
    }

    #[test]
    fn llama3_and_yarn_keep_fast_pairs_and_divide_slow_ones() {
        let llama3 =
            RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 64 };
        let yarn = RopeScaling::Yarn {
            factor: 8.0,
            original_context: 64,
            beta_fast: 8.0,
            beta_slow: 1.0,
            truncate: true,
            attention_factor: 1.2,
        };
        for scaling in [llama3, yarn] {
            let rope = Rope::new(&config(scaling), 64, &[]);
            assert!((rope.frequencies()[0] - 1.0).abs() < 1e-12);
            assert!((rope.frequencies()[3] - 0.001 / 8.0).abs() < 1e-12);
        }
    }
}
