//! Rotary parameters out of `config.json`: `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`.

use symbiote_format::RopeScaling;

use super::ArchitectureError;
use super::config_json::{must_be, single, unsupported};
use crate::source::safetensors::JsonObject;

type Result<T> = std::result::Result<T, ArchitectureError>;

/// Keys that a set of rotary parameters may have. Each type reads its own of them, as transformers does.
const KNOWN: [&str; 17] = [
    "rope_type",
    "type",
    "rope_theta",
    "partial_rotary_factor",
    "factor",
    "original_max_position_embeddings",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "low_freq_factor",
    "high_freq_factor",
    "short_factor",
    "long_factor",
    "finetuned",
];

/// Base and scaling of the rotary frequencies, computed as transformers computes them.
pub(super) fn rope(json: &JsonObject, context_length: u32) -> Result<(f32, RopeScaling)> {
    // an empty or absent old-style object gives way to the new one
    let scaling = json.object("rope_scaling")?.filter(|r| r.pairs().next().is_some());
    let parameters = match scaling {
        Some(scaling) => scaling,
        None => json.object("rope_parameters")?.unwrap_or_default(),
    };
    if let Some((key, _)) = parameters.pairs().find(|(key, _)| !KNOWN.contains(key)) {
        return Err(ArchitectureError::UnknownKey { key: format!("rope_parameters.{key}") });
    }
    must_be(&parameters, "partial_rotary_factor", &["1", "1.0"])?;
    let base = match parameters.f64("rope_theta")? {
        Some(base) => base,
        None => json.f64("rope_theta")?.unwrap_or(10_000.0),
    };
    let kind = match parameters.text("rope_type")? {
        Some(kind) => kind,
        None => parameters.text("type")?.unwrap_or("default"),
    };
    let r = Rope { json, parameters: &parameters, context_length };
    let scaling = match kind {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: r.required("factor")? },
        "dynamic" => RopeScaling::Dynamic { factor: r.required("factor")? },
        "llama3" => RopeScaling::Llama3 {
            factor: r.required("factor")?,
            low_freq_factor: r.required("low_freq_factor")?,
            high_freq_factor: r.required("high_freq_factor")?,
            original_context: r.original_context()?,
        },
        "yarn" => r.yarn()?,
        "longrope" => r.longrope()?,
        other => return Err(unsupported("rope_type", other, "default, linear, dynamic, llama3, yarn or longrope")),
    };
    Ok((single(base), scaling))
}

struct Rope<'a> {
    json: &'a JsonObject,
    parameters: &'a JsonObject,
    context_length: u32,
}

impl Rope<'_> {
    fn missing(key: &str) -> ArchitectureError {
        ArchitectureError::MissingKey { key: format!("rope_parameters.{key}") }
    }

    fn required(&self, key: &str) -> Result<f32> {
        self.parameters.f64(key)?.map(single).ok_or_else(|| Self::missing(key))
    }

    /// The top level comes first, then the set itself, then the context of the model.
    fn original_context(&self) -> Result<u32> {
        const KEY: &str = "original_max_position_embeddings";
        Ok(match self.json.u32(KEY)? {
            Some(context) => context,
            None => self.parameters.u32(KEY)?.unwrap_or(self.context_length),
        })
    }

    /// How far the context has grown, where nothing says so.
    fn growth(&self, original_context: u32) -> f64 {
        f64::from(self.context_length) / f64::from(original_context.max(1))
    }

    fn yarn(&self) -> Result<RopeScaling> {
        must_be(self.parameters, "truncate", &["true"])?;
        let original_context = self.original_context()?;
        let factor = self.parameters.f64("factor")?.unwrap_or_else(|| self.growth(original_context));
        let given = |key| self.parameters.f64(key).map(|value| value.filter(|x| *x != 0.0));
        let magnitude = |mscale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 };
        let attention_factor =
            match (self.parameters.f64("attention_factor")?, given("mscale")?, given("mscale_all_dim")?) {
                (Some(attention_factor), _, _) => attention_factor,
                (None, Some(mscale), Some(all_dims)) => magnitude(mscale) / magnitude(all_dims),
                (None, _, _) => magnitude(1.0),
            };
        Ok(RopeScaling::Yarn {
            factor: single(factor),
            original_context,
            beta_fast: single(given("beta_fast")?.unwrap_or(32.0)),
            beta_slow: single(given("beta_slow")?.unwrap_or(1.0)),
            attention_factor: single(attention_factor),
        })
    }

    fn longrope(&self) -> Result<RopeScaling> {
        let original_context = self.original_context()?;
        let factor = self.parameters.f64("factor")?.unwrap_or_else(|| self.growth(original_context));
        let attention_factor = match self.parameters.f64("attention_factor")? {
            Some(attention_factor) => attention_factor,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + factor.ln() / f64::from(original_context).ln()).sqrt(),
        };
        let divisors = |key| -> Result<Vec<f32>> {
            let list = self.parameters.f64s(key)?.ok_or_else(|| Self::missing(key))?;
            Ok(list.into_iter().map(single).collect())
        };
        Ok(RopeScaling::LongRope {
            short: divisors("short_factor")?,
            long: divisors("long_factor")?,
            original_context,
            attention_factor: single(attention_factor),
        })
    }
}
