//! Hyperparameters out of `config.json`.

use std::cell::RefCell;
use std::collections::HashSet;

use serde_json::Value;
use symbiote_format::{Activation, Design, Latent, ModelConfig};

use super::description::{Architecture, Hyperparameters, JsonRules, Layout, Presence};
use super::layers::LayerFlags;
use super::tensors::{Place, places};
use super::{ArchitectureError, scales};
use crate::source::StoredTensor;
use crate::source::safetensors::JsonObject;

type Result<T> = std::result::Result<T, ArchitectureError>;

/// Keys that would change the computation, with the values that do not (beside `null`). They hold where the architecture
/// does not read the key.
const NEUTRAL: [(&str, &[&str]); 34] = [
    ("attention_bias", &["false"]),
    ("mlp_bias", &["false"]),
    ("qkv_bias", &["false"]),
    ("use_bias", &["false"]),
    ("lm_head_bias", &["false"]),
    ("sliding_window", &[]),
    ("use_sliding_window", &["false"]),
    ("use_bidirectional_attention", &["false"]),
    ("layer_types", &[]),
    ("no_rope_layers", &[]),
    ("partial_rotary_factor", &["1", "1.0"]),
    ("rope_local_base_freq", &[]),
    ("rope_interleaved", &["false"]),
    ("use_mrope", &["false"]),
    ("num_experts", &["0"]),
    ("num_local_experts", &["0"]),
    ("n_routed_experts", &["0"]),
    ("kv_lora_rank", &[]),
    ("decoder_sparse_step", &["1"]),
    ("mlp_only_layers", &["[]"]),
    ("first_k_dense_replace", &["0"]),
    ("attention_multiplier", &["1", "1.0"]),
    ("embedding_multiplier", &["1", "1.0"]),
    ("residual_multiplier", &["1", "1.0"]),
    ("logits_scaling", &["1", "1.0"]),
    ("logit_scale", &["1", "1.0"]),
    ("query_pre_attn_scalar", &[]),
    ("attn_logit_softcapping", &[]),
    ("final_logit_softcapping", &[]),
    ("clip_qkv", &[]),
    ("qk_norm", &["false"]),
    ("use_qk_norm", &["false"]),
    ("is_encoder_decoder", &["false"]),
    ("add_cross_attention", &["false"]),
];

/// Of the norms of latent vectors, whatever a model says of its other norms.
pub(super) const LATENT_NORM_EPS: f32 = 1e-6;

const SLIDING_WINDOW: &str = "sliding_window";

/// What transformers calls the activation functions.
const ACTIVATIONS: [(&str, Activation); 6] = [
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("gelu", Activation::GeluErf),
];

/// The hyperparameters of a model of `architecture`, whose `rules` these are, with these tensors. `vocab_size` is the
/// embedding's.
pub(crate) fn from_config_json(
    architecture: &Architecture,
    rules: &JsonRules,
    json: &JsonObject,
    tensors: &[StoredTensor],
    vocab_size: u32,
) -> Result<Hyperparameters> {
    let outer = json;
    let inner;
    let json = match architecture.inside {
        None => json,
        Some(inside) => {
            NEUTRAL.iter().try_for_each(|(key, neutral)| must_be(json, key, neutral))?;
            inner = json.object(inside.config)?.ok_or_else(|| missing(inside.config))?;
            &inner
        }
    };
    let json = ConfigJson { json, rules, read: RefCell::default() };
    let mut config = json.config(vocab_size, architecture.has_latents())?;
    // an architecture may have read that itself
    if !json.read.borrow().contains(scales::KEYS[0]) {
        config.design.scale_block = scales::block(outer)?.or(scales::block(json.json)?);
        config = ModelConfig::from_params(config.to_params())?;
    }
    let mixtures = json.mixtures(architecture, &config)?;
    let model = Hyperparameters { config, mixtures };
    json.check_flags(architecture, &model, tensors)?;
    let read = json.read.borrow();
    let unread = NEUTRAL.iter().filter(|(key, _)| !read.contains(key));
    unread.into_iter().try_for_each(|(key, neutral)| must_be(json.json, key, neutral))?;
    Ok(model)
}

/// A `config.json` with the defaults of its architecture. It remembers what was read.
pub(crate) struct ConfigJson<'a> {
    json: &'a JsonObject,
    rules: &'a JsonRules,
    read: RefCell<HashSet<&'static str>>,
}

impl ConfigJson<'_> {
    fn config(&self, vocab_size: u32, latents: bool) -> Result<ModelConfig> {
        let (hidden_size, head_count) = (self.required("hidden_size")?, self.required("num_attention_heads")?);
        let latent = latents.then(|| self.latent()).transpose()?;
        let head_dim = match self.u32("head_dim")? {
            // theirs is the rotated part
            _ if latents => self.required("qk_nope_head_dim")?.saturating_add(self.required("qk_rope_head_dim")?),
            Some(head_dim) => head_dim,
            None => hidden_size.checked_div(head_count).unwrap_or(0),
        };
        let claimed = self.u32("vocab_size")?.unwrap_or(vocab_size);
        if claimed != vocab_size {
            return Err(unsupported("vocab_size", claimed, format!("the rows of the token embedding, {vocab_size}")));
        }
        let context_length = self.required("max_position_embeddings")?;
        let rope = (self.rules.rope)(self, context_length)?;
        let mut config = ModelConfig {
            vocab_size,
            context_length,
            hidden_size,
            layer_count: self.required("num_hidden_layers")?,
            head_count,
            kv_head_count: self.u32("num_key_value_heads")?.unwrap_or(head_count),
            head_dim,
            ffn_size: self.required("intermediate_size")?,
            norm_eps: self.number(self.rules.norm_eps)?.unwrap_or(1e-6),
            tied_embeddings: self.flag("tie_word_embeddings")?,
            rope_base: rope.base,
            rope_dims: rope.dims(head_dim),
            rope_layout: rope.layout,
            rope_scaling: rope.scaling,
            design: Design { latent: latent.clone(), ..Design::default() },
        };
        // what follows makes lists of as many numbers as there are layers
        config = ModelConfig::from_params(config.to_params())?;
        config.design = Design { latent, ..(self.rules.design)(self, &config)? };
        Ok(ModelConfig::from_params(config.to_params())?)
    }

    /// The sizes of latent attention. transformers norms both vectors with an epsilon of its own.
    fn latent(&self) -> Result<Latent> {
        Ok(Latent {
            query_rank: self.u32("q_lora_rank")?.unwrap_or(0),
            kv_rank: self.required("kv_lora_rank")?,
            value_dim: self.required("v_head_dim")?,
            norm_eps: LATENT_NORM_EPS,
        })
    }

    /// The object itself, for keys that stand for more than a number.
    pub fn json(&self) -> &JsonObject {
        self.json
    }

    /// Counts a key as known, whatever its value.
    pub fn knows(&self, key: &'static str) {
        self.read.borrow_mut().insert(key);
    }

    /// The value where the key is there (`None` where it is `null`), else the architecture's default.
    fn value<T>(
        &self,
        key: &'static str,
        found: impl Fn() -> Result<Option<T>>,
        default: impl Fn(f64) -> T,
    ) -> Result<Option<T>> {
        self.knows(key);
        if self.json.pairs().any(|(k, _)| k == key) {
            return found();
        }
        Ok(self.rules.defaults.iter().find(|(k, _)| *k == key).map(|(_, value)| default(*value)))
    }

    /// A whole number.
    pub fn u32(&self, key: &'static str) -> Result<Option<u32>> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from a table of small numbers
        self.value(key, || Ok(self.json.u32(key)?), |default| default as u32)
    }

    pub fn f64(&self, key: &'static str) -> Result<Option<f64>> {
        self.value(key, || Ok(self.json.f64(key)?), |default| default)
    }

    pub fn number(&self, key: &'static str) -> Result<Option<f32>> {
        Ok(self.f64(key)?.map(single))
    }

    /// A list of numbers; none where it is not there.
    pub fn numbers(&self, key: &'static str) -> Result<Vec<f64>> {
        self.knows(key);
        Ok(self.json.f64s(key)?.unwrap_or_default())
    }

    /// False where nothing says otherwise.
    pub fn flag(&self, key: &'static str) -> Result<bool> {
        Ok(self.value(key, || Ok(self.json.bool(key)?), |default| default != 0.0)?.unwrap_or(false))
    }

    /// A whole number that must be there.
    pub fn required(&self, key: &'static str) -> Result<u32> {
        self.u32(key)?.ok_or_else(|| missing(key))
    }

    /// A number that is above 0.
    pub fn positive(&self, key: &'static str) -> Result<f64> {
        let found = self.f64(key)?.ok_or_else(|| missing(key))?;
        if found > 0.0 { Ok(found) } else { Err(unsupported(key, found, "above 0")) }
    }

    pub fn text(&self, key: &'static str) -> Result<Option<&str>> {
        self.knows(key);
        Ok(self.json.text(key)?)
    }

    /// Fails where `key` is there and another text than `expected`.
    pub fn says(&self, key: &'static str, expected: &'static str) -> Result<()> {
        match self.text(key)? {
            Some(found) if found != expected => Err(unsupported(key, found, expected)),
            _ => Ok(()),
        }
    }

    /// Weights may be quantised by this method, whose tensors say so themselves.
    pub fn quantized_by(&self, method: &'static str) -> Result<()> {
        const KEY: &str = "quantization_config";
        self.knows(KEY);
        let Some(found) = self.json.object(KEY)? else { return Ok(()) };
        match found.text("quant_method")? {
            Some(name) if name == method => Ok(()),
            name => Err(unsupported("quant_method", name.unwrap_or("null"), method)),
        }
    }

    /// The activation function that `key` names, or `default`.
    pub fn activation(&self, key: &'static str, default: Activation) -> Result<Activation> {
        self.knows(key);
        let Some(name) = self.json.text(key)? else { return Ok(default) };
        let found = ACTIVATIONS.iter().find(|(known, _)| *known == name).map(|(_, activation)| *activation);
        let names = || ACTIVATIONS.map(|(known, _)| known).join(", ");
        found.ok_or_else(|| unsupported(key, format!("{name:?}"), format!("one of {}", names())))
    }

    /// Which layers see a window: as `layer_types` says, else as `pattern` does.
    pub fn windowed(&self, config: &ModelConfig, pattern: impl Fn(u32) -> bool) -> Result<LayerFlags> {
        const KEY: &str = "layer_types";
        self.knows(KEY);
        let Some(value) = self.json.get(KEY) else { return Ok(LayerFlags::of(config, pattern)) };
        let windowed = |value: &Value| match value.as_str() {
            Some("sliding_attention") => Some(true),
            Some("full_attention") => Some(false),
            _ => None,
        };
        let found = value.as_array().and_then(|list| list.iter().map(windowed).collect::<Option<Vec<bool>>>());
        let found = found.filter(|list| list.len() == config.layer_count as usize);
        let expected = || format!("sliding_attention or full_attention for each of {} layers", config.layer_count);
        found.map(LayerFlags).ok_or_else(|| unsupported(KEY, shown(value), expected()))
    }

    /// The windows of those layers, as long as `sliding_window` says.
    pub fn windows(&self, windowed: &LayerFlags) -> Result<Vec<u32>> {
        if !windowed.any() {
            // most files say how long a window would be
            self.knows(SLIDING_WINDOW);
            return Ok(Vec::new());
        }
        match self.u32(SLIDING_WINDOW)? {
            Some(0) => Err(unsupported(SLIDING_WINDOW, 0, "above 0")),
            Some(window) => Ok(windowed.windows(window)),
            None => Err(missing(SLIDING_WINDOW)),
        }
    }

    /// A window in every layer, unless `sliding_window` is `null`.
    pub fn window_everywhere(&self, config: &ModelConfig) -> Result<Vec<u32>> {
        let there = self.u32(SLIDING_WINDOW)?.is_some();
        self.windows(&LayerFlags::of(config, |_| there))
    }

    /// The windows of the layers of `layer_types`, else of `pattern`, where `use_sliding_window` asks for them.
    pub fn windows_on_request(&self, config: &ModelConfig, pattern: impl Fn(u32) -> bool) -> Result<Vec<u32>> {
        const KEY: &str = "use_sliding_window";
        let asked = self.flag(KEY)? && self.u32(SLIDING_WINDOW)?.is_some();
        let windowed = self.windowed(config, |layer| asked && pattern(layer))?;
        if windowed.any() && !asked {
            return Err(unsupported(
                KEY,
                false,
                "true, with a sliding_window, for the sliding_attention of layer_types",
            ));
        }
        self.windows(&windowed)
    }

    /// Tensors that a flag asks for are there, those that it forbids are not.
    fn check_flags(
        &self,
        architecture: &Architecture,
        model: &Hyperparameters,
        tensors: &[StoredTensor],
    ) -> Result<()> {
        let names: HashSet<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
        for rule in architecture.tensors {
            let pattern = architecture.pattern(rule, Layout::HuggingFace);
            let (Presence::When(key), Some(pattern)) = (rule.presence, pattern) else { continue };
            let set = self.flag(key)?;
            for Place { name, .. } in places(rule, &pattern, model) {
                match (set, names.contains(name.as_str())) {
                    (true, false) => return Err(ArchitectureError::MissingTensor { name }),
                    (false, true) => return Err(ArchitectureError::TensorAgainstFlag { name, key }),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn missing(key: &str) -> ArchitectureError {
    ArchitectureError::MissingKey { key: key.into() }
}

/// Fails unless `key` is absent, `null` or one of the values that change nothing.
fn must_be(json: &JsonObject, key: &str, neutral: &[&str]) -> Result<()> {
    let Some(value) = json.get(key) else { return Ok(()) };
    if neutral.contains(&value.to_string().as_str()) {
        return Ok(());
    }
    Err(unsupported(key, shown(value), if neutral.is_empty() { "null" } else { neutral[0] }))
}

pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".into(),
        Value::Array(_) => "a list".into(),
        other => other.to_string(),
    }
}

pub(super) fn unsupported(key: &str, found: impl ToString, expected: impl Into<String>) -> ArchitectureError {
    ArchitectureError::Unsupported { key: key.into(), found: found.to_string(), expected: expected.into() }
}

/// Rounds to the precision that the model computes in.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn single(x: f64) -> f32 {
    x as f32
}
