//! From logits to the next token: a chain of stages, each a pure function of the candidates that are left, in the order that
//! llama.cpp uses.
//!
//! | file | stages |
//! |---|---|
//! | `sampling.rs` | none: the settings of all |
//! | `candidates.rs` | none: what they work on |
//! | `penalties.rs` | bias of tokens; repetition, frequency and presence |
//! | `dry.rs` | repeated sequences |
//! | `truncation.rs` | top-n-sigma, top-k, typical, top-p, min-p, XTC |
//! | `temperature.rs` | temperature, fixed or moving |
//! | `mirostat.rs` | Mirostat 1 and 2, in place of all truncation |

mod candidates;
mod dry;
mod mirostat;
mod penalties;
mod sampling;
mod temperature;
#[cfg(test)]
mod tests;
mod truncation;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use candidates::Candidates;
use mirostat::{Mirostat, Version};
use penalties::Penalties;

pub use dry::Dry;
pub use sampling::Sampling;

/// Where a token is drawn.
pub struct Step<'a, 'b> {
    /// The logits there `[vocabulary]`.
    pub logits: &'a [f32],
    /// The tokens before.
    pub recent: &'a [u32],
    /// The bytes of a token.
    pub bytes: &'a dyn Fn(u32) -> &'b [u8],
    /// The tokens that may be drawn, where not all may.
    pub allowed: Option<&'a dyn Fn(u32) -> bool>,
}

/// Draws tokens, one after another, from one random sequence.
pub struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
    mirostat: Option<Mirostat>,
    candidates: Candidates,
}

impl Sampler {
    /// A sampler at the start of its random sequence.
    pub fn new(sampling: Sampling) -> Self {
        let random = ChaCha8Rng::seed_from_u64(sampling.seed);
        let version = match sampling.mirostat {
            0 => None,
            1 => Some(Version::One),
            _ => Some(Version::Two),
        };
        let mirostat = version.map(|v| Mirostat::new(v, sampling.mirostat_ent, sampling.mirostat_lr));
        Self { sampling, random, mirostat, candidates: Candidates::default() }
    }

    /// The next token. Ties go to the lower id, and NaN is never drawn.
    pub fn sample(&mut self, step: &Step<'_, '_>) -> u32 {
        self.narrow(step);
        let probabilities = self.candidates.probabilities();
        let mut left = unit(&mut self.random);
        let passed = probabilities.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        // rounding may leave a crumb: the last that had any weight
        let drawn = passed.or_else(|| probabilities.iter().rposition(|p| *p > 0.0)).unwrap_or(0);
        if let (Some(mirostat), Some(&p)) = (&mut self.mirostat, probabilities.get(drawn)) {
            mirostat.observe(p);
        }
        self.candidates.list().get(drawn).map_or(0, |c| c.id)
    }

    /// Leaves in `candidates` what may be drawn, with logits to draw by.
    fn narrow(&mut self, step: &Step<'_, '_>) {
        let (s, c) = (&self.sampling, &mut self.candidates);
        c.reset(step.logits);
        if let Some(allowed) = step.allowed {
            c.retain(|_, candidate| allowed(candidate.id));
        }
        penalties::bias(c, &s.logit_bias);
        if let Some(mirostat) = &self.mirostat {
            temperature::temperature(c, s.temperature);
            return mirostat.truncate(c, step.logits.len());
        }
        let recent = &step.recent[step.recent.len().saturating_sub(s.repeat_last_n)..];
        let by = Penalties { repeat: s.repeat_penalty, frequency: s.frequency_penalty, presence: s.presence_penalty };
        penalties::penalties(c, recent, by);
        dry::dry(c, step.recent, &s.dry, step.bytes);

        let xtc = s.xtc_probability > 0.0 && s.xtc_threshold <= 0.5;
        if s.temperature == 0.0 && s.dynatemp_range == 0.0 && s.typical_p >= 1.0 && !xtc {
            return c.keep_best(1); // as the others would, sooner
        }
        truncation::top_n_sigma(c, s.top_n_sigma);
        truncation::top_k(c, s.top_k);
        truncation::typical(c, s.typical_p);
        truncation::top_p(c, s.top_p);
        truncation::min_p(c, s.min_p);
        if xtc && unit(&mut self.random) < f64::from(s.xtc_probability) {
            truncation::xtc(c, s.xtc_threshold);
        }
        let warm = temperature::dynamic(c, s.temperature, s.dynatemp_range, s.dynatemp_exponent);
        temperature::temperature(c, warm);
    }
}

/// A number from 0 to below 1.
#[allow(clippy::cast_precision_loss)] // 53 bits are exact
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
