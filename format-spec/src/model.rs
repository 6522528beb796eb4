//! The hyperparameters of a model.

use crate::params::{ParamError, Reader, Writer, range};
use crate::{Param, limits};

/// What the forward pass needs to know of a model. Sizes are in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Tokens in the vocabulary: rows of the embedding and of the head.
    pub vocab_size: u32,
    /// Longest sequence that the model was made for, in tokens.
    pub context_length: u32,
    /// Width of the residual stream.
    pub hidden_size: u32,
    /// Number of layers.
    pub layer_count: u32,
    /// Query heads.
    pub head_count: u32,
    /// Key-value heads; each serves `head_count / kv_head_count` query heads.
    pub kv_head_count: u32,
    /// Size of a head.
    pub head_dim: u32,
    /// Width of the feed-forward network.
    pub ffn_size: u32,
    /// Epsilon of RMSNorm.
    pub norm_eps: f32,
    /// The head is the token embedding.
    pub tied_embeddings: bool,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Leading dimensions of a head that are rotated; even.
    pub rope_dims: u32,
    /// Which two dimensions are rotated together.
    pub rope_layout: RopeLayout,
    /// How the frequencies are changed for longer contexts.
    pub rope_scaling: RopeScaling,
}

/// Which two dimensions of a head a rotary frequency turns (RoFormer, arXiv 2104.09864).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeLayout {
    /// Dimensions 2i and 2i + 1: Llama in GGUF, whose q and k rows are permuted for it.
    Interleaved,
    /// Dimensions i and i + dims / 2: Hugging Face.
    Halves,
}

/// Changes to the rotary frequencies.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// None.
    None,
    /// Positions divided by `factor` (position interpolation, arXiv 2306.15595).
    Linear {
        /// The divisor.
        factor: f32,
    },
    /// NTK-aware base, growing with the length beyond the model's own context; within it nothing changes.
    Dynamic {
        /// Growth of the context.
        factor: f32,
    },
    /// Llama 3.1: low frequencies divided, high ones kept, a ramp between.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f32,
        /// Wavelengths longer than `original_context / low_freq_factor` are divided.
        low_freq_factor: f32,
        /// Wavelengths shorter than `original_context / high_freq_factor` are kept.
        high_freq_factor: f32,
        /// The context before the change.
        original_context: u32,
    },
    /// YaRN (arXiv 2309.00071).
    Yarn {
        /// Growth of the context.
        factor: f32,
        /// The context before the change.
        original_context: u32,
        /// Rotations in the original context above which a frequency is kept.
        beta_fast: f32,
        /// Rotations below which a frequency is divided by `factor`.
        beta_slow: f32,
        /// Factor on cos and sin.
        attention_factor: f32,
    },
    /// Su / LongRoPE (arXiv 2402.13753): one divisor a frequency, in a short and a long set.
    LongRope {
        /// Divisors up to the original context, `rope_dims / 2` of them.
        short: Vec<f32>,
        /// Divisors beyond it.
        long: Vec<f32>,
        /// The context before the change.
        original_context: u32,
        /// Factor on cos and sin.
        attention_factor: f32,
    },
}

const ANY: f32 = f32::MAX;

impl ModelConfig {
    /// Query rows of the fused attention input, `heads * head_dim`.
    pub fn query_rows(&self) -> u32 {
        self.head_count * self.head_dim
    }

    /// Key rows, and as many value rows: `kv heads * head_dim`.
    pub fn kv_rows(&self) -> u32 {
        self.kv_head_count * self.head_dim
    }

    /// The hyperparameters as the index stores them.
    pub fn to_params(&self) -> Vec<Param> {
        let mut w = Writer::default();
        w.number("vocab_size", self.vocab_size);
        w.number("context_length", self.context_length);
        w.number("hidden_size", self.hidden_size);
        w.number("layer_count", self.layer_count);
        w.number("head_count", self.head_count);
        w.number("kv_head_count", self.kv_head_count);
        w.number("head_dim", self.head_dim);
        w.number("ffn_size", self.ffn_size);
        w.number("norm_eps", self.norm_eps);
        w.number("tied_embeddings", self.tied_embeddings);
        w.number("rope.base", self.rope_base);
        w.number("rope.dims", self.rope_dims);
        w.text("rope.layout", self.rope_layout.name());
        self.rope_scaling.write(&mut w);
        w.0
    }

    /// The hyperparameters out of the index, each inside its limits.
    pub fn from_params(params: Vec<Param>) -> Result<Self, ParamError> {
        let mut r = Reader::new(params)?;
        let config = Self {
            vocab_size: r.u32("vocab_size", 1, limits::VOCABULARY)?,
            context_length: r.u32("context_length", 1, limits::CONTEXT)?,
            hidden_size: r.u32("hidden_size", 1, limits::WIDTH)?,
            layer_count: r.u32("layer_count", 1, limits::LAYERS)?,
            head_count: r.u32("head_count", 1, limits::WIDTH)?,
            kv_head_count: r.u32("kv_head_count", 1, limits::WIDTH)?,
            head_dim: r.u32("head_dim", 2, limits::HEAD_DIM)?,
            ffn_size: r.u32("ffn_size", 1, limits::WIDTH)?,
            norm_eps: r.f32("norm_eps", 0.0, 1.0)?,
            tied_embeddings: r.bool("tied_embeddings")?,
            rope_base: r.f32("rope.base", f32::MIN_POSITIVE, ANY)?,
            rope_dims: r.u32("rope.dims", 2, limits::HEAD_DIM)?,
            rope_layout: RopeLayout::read(&mut r)?,
            rope_scaling: RopeScaling::read(&mut r)?,
        };
        r.finish()?;
        config.check()?;
        Ok(config)
    }

    /// Relations between hyperparameters; [`from_params`](Self::from_params) has checked each on its own.
    fn check(&self) -> Result<(), ParamError> {
        if !self.head_count.is_multiple_of(self.kv_head_count) {
            let expected = format!("a divisor of head_count, {}", self.head_count);
            return Err(range("kv_head_count", self.kv_head_count, expected));
        }
        if u64::from(self.head_count) * u64::from(self.head_dim) > u64::from(limits::WIDTH) {
            return Err(range("head_count", self.head_count, format!("at most {} / head_dim", limits::WIDTH)));
        }
        if self.rope_dims > self.head_dim || !self.rope_dims.is_multiple_of(2) {
            return Err(range("rope.dims", self.rope_dims, format!("even and at most head_dim, {}", self.head_dim)));
        }
        if let RopeScaling::LongRope { short, long, .. } = &self.rope_scaling {
            let pairs = self.rope_dims / 2;
            let fits = |factors: &[f32]| u32::try_from(factors.len()) == Ok(pairs) && factors.iter().all(|f| *f > 0.0);
            if !fits(short) || !fits(long) {
                return Err(range("rope.scaling.short", "a list", format!("{pairs} positive numbers, long likewise")));
            }
        }
        Ok(())
    }
}

impl RopeLayout {
    fn name(self) -> &'static str {
        match self {
            Self::Interleaved => "interleaved",
            Self::Halves => "halves",
        }
    }

    fn read(r: &mut Reader) -> Result<Self, ParamError> {
        let name = r.text("rope.layout")?;
        [Self::Interleaved, Self::Halves]
            .into_iter()
            .find(|l| l.name() == name)
            .ok_or_else(|| range("rope.layout", name, "interleaved or halves"))
    }
}

impl RopeScaling {
    /// The name of the variant, as the index stores it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Linear { .. } => "linear",
            Self::Dynamic { .. } => "dynamic",
            Self::Llama3 { .. } => "llama3",
            Self::Yarn { .. } => "yarn",
            Self::LongRope { .. } => "longrope",
        }
    }

    fn write(&self, w: &mut Writer) {
        w.text("rope.scaling", self.name());
        match self {
            Self::None => {}
            Self::Linear { factor } | Self::Dynamic { factor } => w.number("rope.scaling.factor", *factor),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                w.number("rope.scaling.factor", *factor);
                w.number("rope.scaling.low_freq_factor", *low_freq_factor);
                w.number("rope.scaling.high_freq_factor", *high_freq_factor);
                w.number("rope.scaling.original_context", *original_context);
            }
            Self::Yarn { factor, original_context, beta_fast, beta_slow, attention_factor } => {
                w.number("rope.scaling.factor", *factor);
                w.number("rope.scaling.original_context", *original_context);
                w.number("rope.scaling.beta_fast", *beta_fast);
                w.number("rope.scaling.beta_slow", *beta_slow);
                w.number("rope.scaling.attention_factor", *attention_factor);
            }
            Self::LongRope { short, long, original_context, attention_factor } => {
                w.numbers("rope.scaling.short", short.iter().copied().map(f64::from).collect());
                w.numbers("rope.scaling.long", long.iter().copied().map(f64::from).collect());
                w.number("rope.scaling.original_context", *original_context);
                w.number("rope.scaling.attention_factor", *attention_factor);
            }
        }
    }

    fn read(r: &mut Reader) -> Result<Self, ParamError> {
        const TINY: f32 = f32::MIN_POSITIVE;
        let name = r.text("rope.scaling")?;
        let factor = |r: &mut Reader| r.f32("rope.scaling.factor", TINY, ANY);
        let original = |r: &mut Reader| r.u32("rope.scaling.original_context", 1, limits::CONTEXT);
        Ok(match name.as_str() {
            "none" => Self::None,
            "linear" => Self::Linear { factor: factor(r)? },
            "dynamic" => Self::Dynamic { factor: factor(r)? },
            "llama3" => Self::Llama3 {
                factor: factor(r)?,
                low_freq_factor: r.f32("rope.scaling.low_freq_factor", TINY, ANY)?,
                high_freq_factor: r.f32("rope.scaling.high_freq_factor", TINY, ANY)?,
                original_context: original(r)?,
            },
            "yarn" => Self::Yarn {
                factor: factor(r)?,
                original_context: original(r)?,
                beta_fast: r.f32("rope.scaling.beta_fast", TINY, ANY)?,
                beta_slow: r.f32("rope.scaling.beta_slow", TINY, ANY)?,
                attention_factor: r.f32("rope.scaling.attention_factor", TINY, ANY)?,
            },
            "longrope" => Self::LongRope {
                short: f32s(r.numbers("rope.scaling.short")?),
                long: f32s(r.numbers("rope.scaling.long")?),
                original_context: original(r)?,
                attention_factor: r.f32("rope.scaling.attention_factor", TINY, ANY)?,
            },
            other => {
                let known = "none, linear, dynamic, llama3, yarn or longrope";
                return Err(range("rope.scaling", other, known));
            }
        })
    }
}

fn f32s(numbers: Vec<f64>) -> Vec<f32> {
    #[allow(clippy::cast_possible_truncation)] // they were f32 when they were written
    numbers.into_iter().map(|n| n as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn config() -> ModelConfig {
        ModelConfig {
            vocab_size: 320,
            context_length: 128,
            hidden_size: 64,
            layer_count: 3,
            head_count: 4,
            kv_head_count: 2,
            head_dim: 16,
            ffn_size: 176,
            norm_eps: 1e-5,
            tied_embeddings: true,
            rope_base: 1e4,
            rope_dims: 16,
            rope_layout: RopeLayout::Halves,
            rope_scaling: RopeScaling::None,
        }
    }

    #[test]
    fn every_scaling_survives_the_round_trip() {
        let scalings = [
            RopeScaling::None,
            RopeScaling::Linear { factor: 2.5 },
            RopeScaling::Dynamic { factor: 4.0 },
            RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 8192 },
            RopeScaling::Yarn {
                factor: 4.0,
                original_context: 4096,
                beta_fast: 32.0,
                beta_slow: 1.0,
                attention_factor: 1.138_629_4,
            },
            RopeScaling::LongRope {
                short: vec![1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7],
                long: vec![2.0; 8],
                original_context: 4096,
                attention_factor: 1.19,
            },
        ];
        for rope_scaling in scalings {
            let c = ModelConfig { rope_scaling, ..config() };
            assert_eq!(ModelConfig::from_params(c.to_params()), Ok(c));
        }
    }

    #[test]
    fn missing_unknown_repeated_and_wild_values_are_named() {
        let refuse = |change: &dyn Fn(&mut Vec<Param>)| {
            let mut p = config().to_params();
            change(&mut p);
            ModelConfig::from_params(p).unwrap_err()
        };
        assert_eq!(refuse(&|p| drop(p.remove(0))), ParamError::Missing { key: "vocab_size" });
        let twice = refuse(&|p| p.push(p[0].clone()));
        assert_eq!(twice, ParamError::Twice { key: "vocab_size".into() });
        let unknown = refuse(&|p| p.push(Param { key: "attention.sinks".into(), ..Param::default() }));
        assert_eq!(unknown, ParamError::Unknown { key: "attention.sinks".into() });
        for wild in [f64::NAN, f64::INFINITY, -1.0, 0.5, 0.0, 1e30] {
            assert!(matches!(refuse(&|p| p[0].numbers[0] = wild), ParamError::Range { key: "vocab_size", .. }));
        }
        assert!(matches!(refuse(&|p| p[5].numbers[0] = 3.0), ParamError::Range { key: "kv_head_count", .. }));
        assert!(matches!(refuse(&|p| p[11].numbers[0] = 18.0), ParamError::Range { key: "rope.dims", .. }));
    }
}
