//! Rotary scaling out of GGUF keys, as llama.cpp applies them.

use symbiote_format::RopeScaling;

use super::ArchitectureError;
use super::gguf_keys::Prefixed;

/// Keys below the architecture's name that are read here. `finetuned` says how the model was made and changes nothing.
pub(super) const READ: [&str; 12] = [
    "rope.freq_base",
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

/// The scaling. Divisors in a `rope_freqs` tensor (Llama 3.1) come on top of it.
pub(super) fn scaling(p: Prefixed, context_length: u32) -> Result<RopeScaling, ArchitectureError> {
    let kind = p.text("rope.scaling.type")?;
    let factor = match p.float("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => p.float("rope.scale_linear")?, // its older name
    };
    // 0 has always stood for "none"
    let factor = factor.filter(|f| *f != 0.0).unwrap_or(1.0);
    let attention_factor = p.float("rope.scaling.attn_factor")?.unwrap_or(1.0);
    let kind = kind.as_deref().unwrap_or("linear");
    if kind != "yarn" {
        must_be(p, "rope.scaling.attn_factor", attention_factor, &[1.0])?;
    }
    match kind {
        "none" => Ok(RopeScaling::None),
        "linear" if factor == 1.0 => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor }),
        "yarn" => {
            // negative: not set
            must_be(
                p,
                "rope.scaling.yarn_ext_factor",
                p.float("rope.scaling.yarn_ext_factor")?.unwrap_or(1.0),
                &[1.0, -1.0],
            )?;
            must_be(
                p,
                "rope.scaling.yarn_attn_factor",
                p.float("rope.scaling.yarn_attn_factor")?.unwrap_or(1.0),
                &[1.0, -1.0],
            )?;
            must_be(
                p,
                "rope.scaling.yarn_log_multiplier",
                p.float("rope.scaling.yarn_log_multiplier")?.unwrap_or(0.0),
                &[0.0],
            )?;
            let attention = if factor > 1.0 { 0.1 * factor.ln() + 1.0 } else { 1.0 };
            Ok(RopeScaling::Yarn {
                factor,
                original_context: p.u32("rope.scaling.original_context_length")?.unwrap_or(context_length),
                beta_fast: p.float("rope.scaling.yarn_beta_fast")?.filter(|b| *b > 0.0).unwrap_or(32.0),
                beta_slow: p.float("rope.scaling.yarn_beta_slow")?.filter(|b| *b > 0.0).unwrap_or(1.0),
                attention_factor: attention * attention_factor,
            })
        }
        other => Err(p.unsupported("rope.scaling.type", other, "none, linear or yarn")),
    }
}

fn must_be(p: Prefixed, name: &str, found: f32, allowed: &[f32]) -> Result<(), ArchitectureError> {
    if allowed.contains(&found) { Ok(()) } else { Err(p.unsupported(name, found, allowed[0].to_string())) }
}
