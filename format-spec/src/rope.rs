//! Rotary position embedding: which dimensions turn together, and how frequencies change for longer contexts.

use crate::limits;
use crate::params::{ParamError, Reader, Writer, range};

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
        /// The ends of the ramp between the two are whole numbers of pairs: rounded away from each other.
        truncate: bool,
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

impl RopeLayout {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interleaved => "interleaved",
            Self::Halves => "halves",
        }
    }

    pub(crate) fn read(r: &mut Reader) -> Result<Self, ParamError> {
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

    pub(crate) fn write(&self, w: &mut Writer) {
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
            Self::Yarn { factor, original_context, beta_fast, beta_slow, truncate, attention_factor } => {
                w.number("rope.scaling.factor", *factor);
                w.number("rope.scaling.original_context", *original_context);
                w.number("rope.scaling.beta_fast", *beta_fast);
                w.number("rope.scaling.beta_slow", *beta_slow);
                if !truncate {
                    w.number("rope.scaling.truncate", false);
                }
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

    pub(crate) fn read(r: &mut Reader) -> Result<Self, ParamError> {
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
                truncate: !r.has("rope.scaling.truncate") || r.bool("rope.scaling.truncate")?,
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
