//! Rotary parameters out of `config.json`: `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`.

use symbiote_format::{ModelConfig, RopeLayout, RopeScaling};

use super::ArchitectureError;
use super::config_json::{ConfigJson, single, unsupported};
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

const INTERLEAVE: &str = "rope_interleave";

/// Rotary frequencies.
#[derive(Clone, Debug)]
pub(crate) struct Rope {
    pub base: f32,
    pub scaling: RopeScaling,
    pub layout: RopeLayout,
    /// How much of a head is rotated.
    share: f64,
    /// So many dimensions of it are, whatever its size.
    fixed: Option<u32>,
}

impl Rope {
    /// Dimensions of a head that are rotated.
    pub fn dims(&self, head_dim: u32) -> u32 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // cut off, as transformers does
        let dims = (f64::from(head_dim) * self.share) as u32;
        self.fixed.unwrap_or(dims)
    }
}

/// All heads turned whole, in all layers alike.
pub(super) fn plain(config: &ConfigJson, context_length: u32) -> Result<Rope> {
    let set = one_set(config)?;
    let rope = Parameters { config, set: &set, context_length }.rope(kind(&set)?)?;
    if rope.share == 1.0 { Ok(rope) } else { Err(unsupported("partial_rotary_factor", rope.share, "1")) }
}

/// As much of a head as `partial_rotary_factor` says; older files of Phi-3 call its LongRoPE by other names.
pub(super) fn phi3(config: &ConfigJson, context_length: u32) -> Result<Rope> {
    let set = one_set(config)?;
    let kind = match kind(&set)? {
        "su" | "yarn" => "longrope",
        kind => kind,
    };
    Parameters { config, set: &set, context_length }.rope(kind)
}

/// Of latent attention: a part of a head with a size of its own, in pairs of neighbours unless `rope_interleave` is false.
pub(super) fn latent(config: &ConfigJson, context_length: u32) -> Result<Rope> {
    config.knows(INTERLEAVE);
    let halves = config.json().bool(INTERLEAVE)? == Some(false);
    let layout = if halves { RopeLayout::Halves } else { RopeLayout::Interleaved };
    Ok(Rope { layout, fixed: Some(config.required("qk_rope_head_dim")?), ..plain(config, context_length)? })
}

/// The scale of latent attention where that is not that of its heads' size.
pub(super) fn latent_scale(config: &ConfigJson, model: &ModelConfig) -> Result<Option<f32>> {
    let multiplier = one_set(config)?.f64("mscale_all_dim")?.unwrap_or(0.0);
    Ok(yarn_scale(model, multiplier))
}

/// YaRN on all dimensions of queries and keys, rotated or not: its factor, by this multiplier, twice in their product.
pub(super) fn yarn_scale(model: &ModelConfig, multiplier: f64) -> Option<f32> {
    let RopeScaling::Yarn { factor, .. } = model.rope_scaling else { return None };
    let growth = magnitude(factor.into(), multiplier);
    (multiplier != 0.0).then(|| single(growth * growth / f64::from(model.head_dim).sqrt()))
}

/// What YaRN multiplies by where the context has grown by `factor`.
fn magnitude(factor: f64, multiplier: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * multiplier * factor.ln() + 1.0 }
}

/// The main frequencies where layers with a window have their own (Gemma 3).
pub(super) fn by_layer_type(config: &ConfigJson, context_length: u32) -> Result<Rope> {
    let set = match config.json().object("rope_scaling")? {
        Some(_) if config.json().get("rope_parameters").is_some() => {
            return Err(unsupported("rope_scaling", "an object", "null beside rope_parameters"));
        }
        Some(scaling) => known(scaling)?,
        None => set_of(config, "full_attention")?,
    };
    Parameters { config, set: &set, context_length }.rope(kind(&set)?)
}

/// The base of the frequencies of layers with a window, which have no scaling.
pub(super) fn local_base(config: &ConfigJson) -> Result<Option<f32>> {
    let set = set_of(config, "sliding_attention")?;
    let kind = kind(&set)?;
    if kind != "default" {
        return Err(unsupported("rope_type", kind, "default for sliding_attention"));
    }
    let named = config.number("rope_local_base_freq")?;
    Ok(set.f64("rope_theta")?.map(single).or(named))
}

/// The one set of all layers: the older object, unless it is empty or absent.
fn one_set(config: &ConfigJson) -> Result<JsonObject> {
    let scaling = config.json().object("rope_scaling")?.filter(|set| set.pairs().next().is_some());
    match scaling {
        Some(set) => known(set),
        None => known(config.json().object("rope_parameters")?.unwrap_or_default()),
    }
}

/// The set of one type of layers.
fn set_of(config: &ConfigJson, layer_type: &str) -> Result<JsonObject> {
    let sets = config.json().object("rope_parameters")?.unwrap_or_default();
    if let Some((key, _)) = sets.pairs().find(|(key, _)| !["full_attention", "sliding_attention"].contains(key)) {
        return Err(ArchitectureError::UnknownKey { key: format!("rope_parameters.{key}") });
    }
    known(sets.object(layer_type)?.unwrap_or_default())
}

fn known(set: JsonObject) -> Result<JsonObject> {
    if let Some((key, _)) = set.pairs().find(|(key, _)| !KNOWN.contains(key)) {
        return Err(ArchitectureError::UnknownKey { key: format!("rope_parameters.{key}") });
    }
    Ok(set)
}

fn kind(set: &JsonObject) -> Result<&str> {
    Ok(match set.text("rope_type")? {
        Some(kind) => kind,
        None => set.text("type")?.unwrap_or("default"),
    })
}

struct Parameters<'a> {
    config: &'a ConfigJson<'a>,
    set: &'a JsonObject,
    context_length: u32,
}

impl Parameters<'_> {
    /// The frequencies, computed as transformers computes them.
    fn rope(&self, kind: &str) -> Result<Rope> {
        let base = match self.set.f64("rope_theta")? {
            Some(base) => base,
            None => self.config.f64("rope_theta")?.unwrap_or(10_000.0),
        };
        let share = match self.set.f64("partial_rotary_factor")? {
            Some(share) => share,
            None => self.config.f64("partial_rotary_factor")?.unwrap_or(1.0),
        };
        let scaling = match kind {
            "default" => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor: self.required("factor")? },
            "dynamic" => RopeScaling::Dynamic { factor: self.required("factor")? },
            "llama3" => RopeScaling::Llama3 {
                factor: self.required("factor")?,
                low_freq_factor: self.required("low_freq_factor")?,
                high_freq_factor: self.required("high_freq_factor")?,
                original_context: self.original_context()?,
            },
            "yarn" => self.yarn()?,
            "longrope" => self.longrope()?,
            other => return Err(unsupported("rope_type", other, "default, linear, dynamic, llama3, yarn or longrope")),
        };
        Ok(Rope { base: single(base), scaling, layout: RopeLayout::Halves, share, fixed: None })
    }

    fn missing(key: &str) -> ArchitectureError {
        ArchitectureError::MissingKey { key: format!("rope_parameters.{key}") }
    }

    fn required(&self, key: &str) -> Result<f32> {
        self.set.f64(key)?.map(single).ok_or_else(|| Self::missing(key))
    }

    /// The top level comes first, then the set itself, then the context of the model.
    fn original_context(&self) -> Result<u32> {
        const KEY: &str = "original_max_position_embeddings";
        Ok(match self.config.u32(KEY)? {
            Some(context) => context,
            None => self.set.u32(KEY)?.unwrap_or(self.context_length),
        })
    }

    /// How far the context has grown, where nothing says so.
    fn growth(&self, original_context: u32) -> f64 {
        f64::from(self.context_length) / f64::from(original_context.max(1))
    }

    fn yarn(&self) -> Result<RopeScaling> {
        let original_context = self.original_context()?;
        let factor = self.set.f64("factor")?.unwrap_or_else(|| self.growth(original_context));
        let given = |key| self.set.f64(key).map(|value| value.filter(|x| *x != 0.0));
        let magnitude = |multiplier| magnitude(factor, multiplier);
        let attention_factor = match (self.set.f64("attention_factor")?, given("mscale")?, given("mscale_all_dim")?) {
            (Some(attention_factor), _, _) => attention_factor,
            (None, Some(mscale), Some(all_dims)) => magnitude(mscale) / magnitude(all_dims),
            (None, _, _) => magnitude(1.0),
        };
        Ok(RopeScaling::Yarn {
            factor: single(factor),
            original_context,
            beta_fast: single(given("beta_fast")?.unwrap_or(32.0)),
            beta_slow: single(given("beta_slow")?.unwrap_or(1.0)),
            truncate: self.set.bool("truncate")?.unwrap_or(true),
            attention_factor: single(attention_factor),
        })
    }

    fn longrope(&self) -> Result<RopeScaling> {
        let original_context = self.original_context()?;
        let factor = self.set.f64("factor")?.unwrap_or_else(|| self.growth(original_context));
        let attention_factor = match self.set.f64("attention_factor")? {
            Some(attention_factor) => attention_factor,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + factor.ln() / f64::from(original_context).ln()).sqrt(),
        };
        let divisors = |key| -> Result<Vec<f32>> {
            let list = self.set.f64s(key)?.ok_or_else(|| Self::missing(key))?;
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
