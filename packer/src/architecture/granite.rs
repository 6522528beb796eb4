//! Granite 3: Llama with a factor on the embedding, on q k, on what a layer adds and on the logits.

use symbiote_format::{Activation, Design, ModelConfig, RopeLayout, Turn};

use super::ArchitectureError;
use super::config_json::{ConfigJson, single};
use super::description::{Architecture, GgufRules, JsonRules};
use super::gguf_keys::GgufKeys;
use super::layers::{LayerFlags, all};
use super::llama::LLAMA;
use super::{rope_gguf, rope_json};

type Result<T> = std::result::Result<T, ArchitectureError>;

pub(super) const GRANITE: Architecture = Architecture {
    name: "granite",
    model_type: "granite",
    class: "GraniteForCausalLM",
    inside: None,
    tensors: LLAMA.tensors,
    unused: LLAMA.unused,
    gguf: Some(GgufRules {
        rope_layout: RopeLayout::Interleaved,
        rope: rope_gguf::scaling,
        norm_eps: "attention.layer_norm_rms_epsilon",
        design: from_gguf,
    }),
    config_json: Some(JsonRules {
        defaults: DEFAULTS,
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: from_config_json,
    }),
};

pub(super) const DEFAULTS: &[(&str, f64)] = &[
    ("embedding_multiplier", 1.0),
    ("attention_multiplier", 1.0),
    ("residual_multiplier", 1.0),
    ("logits_scaling", 1.0),
];

pub(super) fn from_gguf(keys: &GgufKeys, config: &ModelConfig) -> Result<Design> {
    let divisor = keys.required(keys.factor("logit_scale")?, "logit_scale")?;
    // this key switches rotation off here
    let rotated = keys.bool("rope.scaling.finetuned")?.unwrap_or(true);
    Ok(Design {
        embedding_scale: keys.factor("embedding_scale")?.unwrap_or(1.0),
        attention_scale: keys.factor("attention.scale")?,
        residual_scale: keys.factor("residual_scale")?.unwrap_or(1.0),
        logit_scale: divisor.recip(),
        turns: if rotated { Vec::new() } else { LayerFlags::of(config, all).turns(Turn::Not) },
        ..Design::default()
    })
}

pub(super) fn from_config_json(json: &ConfigJson, _: &ModelConfig) -> Result<Design> {
    Ok(Design {
        activation: json.activation("hidden_act", Activation::Silu)?,
        embedding_scale: single(json.positive("embedding_multiplier")?),
        attention_scale: Some(single(json.positive("attention_multiplier")?)),
        residual_scale: single(json.positive("residual_multiplier")?),
        logit_scale: single(json.positive("logits_scaling")?.recip()),
        ..Design::default()
    })
}
