//! Qwen2 and Qwen2.5: Llama with biases on queries, keys and values.

use symbiote_format::{Activation, Design, ModelConfig, RopeLayout};

use super::ArchitectureError;
use super::config_json::ConfigJson;
use super::description::{Architecture, GgufRules, JsonRules};
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, FFN_DOWN, FFN_GATE, FFN_NORM, FFN_UP, KEY, KEY_BIAS, OUTPUT, OUTPUT_NORM, QUERY,
    QUERY_BIAS, ROTARY_TABLES, TOKEN_EMBEDDING, VALUE, VALUE_BIAS,
};
use super::{rope_gguf, rope_json};

pub(super) const QWEN2: Architecture = Architecture {
    name: "qwen2",
    model_type: "qwen2",
    class: "Qwen2ForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY,
        QUERY_BIAS,
        KEY,
        KEY_BIAS,
        VALUE,
        VALUE_BIAS,
        ATTENTION_OUTPUT,
        FFN_NORM,
        FFN_GATE,
        FFN_UP,
        FFN_DOWN,
        OUTPUT_NORM,
        OUTPUT,
    ],
    unused: ROTARY_TABLES,
    gguf: Some(GgufRules {
        rope_layout: RopeLayout::Halves,
        rope: rope_gguf::scaling,
        norm_eps: "attention.layer_norm_rms_epsilon",
        design: |_, _| Ok(Design::default()),
    }),
    config_json: Some(JsonRules {
        defaults: &[("num_key_value_heads", 32.0), ("sliding_window", 4096.0), ("max_window_layers", 28.0)],
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: from_config_json,
    }),
};

/// Windows only where they are asked for: in the layers from `max_window_layers` on, unless `layer_types` lists them.
pub(super) fn from_config_json(json: &ConfigJson, config: &ModelConfig) -> Result<Design, ArchitectureError> {
    let first = json.u32("max_window_layers")?.unwrap_or(0);
    Ok(Design {
        activation: json.activation("hidden_act", Activation::Silu)?,
        windows: json.windows_on_request(config, |layer| layer >= first)?,
        ..Design::default()
    })
}
