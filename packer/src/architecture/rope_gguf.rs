//! Rotary scaling out of GGUF keys, as llama.cpp applies them.

use symbiote_format::{ModelConfig, RopeScaling};

use super::ArchitectureError;
use super::gguf_keys::GgufKeys;
use super::rope_json::yarn_scale;

type Result<T> = std::result::Result<T, ArchitectureError>;

/// Tensors with the divisors of LongRoPE.
pub(super) const SHORT: &str = "rope_factors_short.weight";
/// Likewise, beyond the original context.
pub(super) const LONG: &str = "rope_factors_long.weight";

/// Keys that only some scalings read. `finetuned` says how the model was made and changes nothing.
const KNOWN: [&str; 11] = [
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.yarn_log_multiplier",
];

/// Divisors of the rotary frequencies that a file stores as tensors.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoredFactors {
    pub short: Option<Vec<f32>>,
    pub long: Option<Vec<f32>>,
}

impl StoredFactors {
    /// The names of the tensors: short, long.
    pub const NAMES: [&'static str; 2] = [SHORT, LONG];
}

/// What latent attention makes of its scale instead of YaRN's factor on angles.
const LOG_MULTIPLIER: &str = "rope.scaling.yarn_log_multiplier";

/// The scaling. Divisors in a `rope_freqs` tensor (Llama 3.1) come on top of it.
pub(super) fn scaling(
    p: &GgufKeys,
    context_length: u32,
    rope_dims: u32,
    factors: StoredFactors,
) -> Result<RopeScaling> {
    must_be(p, LOG_MULTIPLIER, p.float(LOG_MULTIPLIER)?.unwrap_or(0.0), &[0.0])?;
    any_scaling(p, context_length, rope_dims, factors)
}

fn any_scaling(p: &GgufKeys, context_length: u32, rope_dims: u32, factors: StoredFactors) -> Result<RopeScaling> {
    KNOWN.into_iter().for_each(|name| p.knows(name));
    let kind = p.text("rope.scaling.type")?;
    let factor = match p.float("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => p.float("rope.scale_linear")?, // its older name
    };
    // 0 has always stood for "none"
    let factor = factor.filter(|f| *f != 0.0).unwrap_or(1.0);
    let attention_factor = p.float("rope.scaling.attn_factor")?.unwrap_or(1.0);
    let original_context = p.u32("rope.scaling.original_context_length")?.unwrap_or(context_length);
    let kind = kind.as_deref().unwrap_or("linear");
    // a file with divisors need not name its scaling
    let stored = factors.short.is_some() || factors.long.is_some();
    if kind == "longrope" || stored {
        if !["longrope", "linear"].contains(&kind) {
            return Err(p.unsupported("rope.scaling.type", kind, format!("longrope beside {SHORT}")));
        }
        must_be(p, "rope.scaling.factor", factor, &[1.0])?;
        return Ok(RopeScaling::LongRope {
            short: divisors(factors.short, SHORT, rope_dims)?,
            long: divisors(factors.long, LONG, rope_dims)?,
            original_context,
            attention_factor,
        });
    }
    if kind != "yarn" {
        must_be(p, "rope.scaling.attn_factor", attention_factor, &[1.0])?;
    }
    match kind {
        "none" => Ok(RopeScaling::None),
        "linear" if factor == 1.0 => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor }),
        "yarn" => {
            // negative: not set
            for (name, plain) in
                [("rope.scaling.yarn_ext_factor", &[1.0, -1.0][..]), ("rope.scaling.yarn_attn_factor", &[1.0, -1.0])]
            {
                must_be(p, name, p.float(name)?.unwrap_or(plain[0]), plain)?;
            }
            let attention = if factor > 1.0 { 0.1 * factor.ln() + 1.0 } else { 1.0 };
            Ok(RopeScaling::Yarn {
                factor,
                original_context,
                beta_fast: p.float("rope.scaling.yarn_beta_fast")?.filter(|b| *b > 0.0).unwrap_or(32.0),
                beta_slow: p.float("rope.scaling.yarn_beta_slow")?.filter(|b| *b > 0.0).unwrap_or(1.0),
                truncate: true,
                attention_factor: attention * attention_factor,
            })
        }
        other => Err(p.unsupported("rope.scaling.type", other, "none, linear, yarn or longrope")),
    }
}

/// The same, and YaRN as gpt-oss has it: its ramp need not begin and end with whole pairs, which GGUF has no word for.
pub(super) fn untruncated(
    p: &GgufKeys,
    context_length: u32,
    rope_dims: u32,
    factors: StoredFactors,
) -> Result<RopeScaling> {
    Ok(match scaling(p, context_length, rope_dims, factors)? {
        RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, attention_factor, .. } => {
            RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, truncate: false, attention_factor }
        }
        other => other,
    })
}

/// The same, for latent attention: with a multiplier, YaRN leaves the length of what it turns alone.
pub(super) fn latent(p: &GgufKeys, context_length: u32, rope_dims: u32, factors: StoredFactors) -> Result<RopeScaling> {
    let multiplier = p.float(LOG_MULTIPLIER)?.unwrap_or(0.0);
    Ok(match any_scaling(p, context_length, rope_dims, factors)? {
        RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, truncate, .. } if multiplier != 0.0 => {
            RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, truncate, attention_factor: 1.0 }
        }
        other => other,
    })
}

/// The scale of latent attention where that is not that of its heads' size.
pub(super) fn latent_scale(p: &GgufKeys, config: &ModelConfig) -> Result<Option<f32>> {
    // the converter has multiplied it by 0.1
    let multiplier = 10.0 * f64::from(p.float(LOG_MULTIPLIER)?.unwrap_or(0.0));
    Ok(yarn_scale(config, multiplier))
}

fn divisors(stored: Option<Vec<f32>>, name: &str, rope_dims: u32) -> Result<Vec<f32>> {
    let stored = stored.ok_or_else(|| ArchitectureError::MissingTensor { name: name.into() })?;
    let (found, expected) = (stored.len() as u64, u64::from(rope_dims / 2));
    if found != expected {
        return Err(ArchitectureError::Shape { name: name.into(), found: vec![found], expected: vec![expected] });
    }
    Ok(stored)
}

fn must_be(p: &GgufKeys, name: &'static str, found: f32, allowed: &[f32]) -> Result<()> {
    if allowed.contains(&found) { Ok(()) } else { Err(p.unsupported(name, found, allowed[0].to_string())) }
}
