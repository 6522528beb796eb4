//! SmolLM3: Llama with every fourth layer not rotated.

use serde_json::Value;
use symbiote_format::{Activation, Design, ModelConfig, RopeLayout, Turn};

use super::ArchitectureError;
use super::config_json::{ConfigJson, shown, unsupported};
use super::description::{Architecture, GgufRules, JsonRules};
use super::layers::LayerFlags;
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, ATTENTION_OUTPUT_BIAS, FFN_DOWN, FFN_DOWN_BIAS, FFN_GATE, FFN_GATE_BIAS,
    FFN_NORM, FFN_UP, FFN_UP_BIAS, KEY, KEY_BIAS, OUTPUT, OUTPUT_NORM, QUERY, QUERY_BIAS, ROTARY_TABLES,
    TOKEN_EMBEDDING, VALUE, VALUE_BIAS,
};
use super::{rope_gguf, rope_json};

type Result<T> = std::result::Result<T, ArchitectureError>;

pub(super) const SMOLLM3: Architecture = Architecture {
    name: "smollm3",
    model_type: "smollm3",
    class: "SmolLM3ForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY,
        QUERY_BIAS.when("attention_bias"),
        KEY,
        KEY_BIAS.when("attention_bias"),
        VALUE,
        VALUE_BIAS.when("attention_bias"),
        ATTENTION_OUTPUT,
        ATTENTION_OUTPUT_BIAS.when("attention_bias"),
        FFN_NORM,
        FFN_GATE,
        FFN_GATE_BIAS.when("mlp_bias"),
        FFN_UP,
        FFN_UP_BIAS.when("mlp_bias"),
        FFN_DOWN,
        FFN_DOWN_BIAS.when("mlp_bias"),
        OUTPUT_NORM,
        OUTPUT,
    ],
    unused: ROTARY_TABLES,
    gguf: Some(GgufRules {
        rope_layout: RopeLayout::Interleaved,
        rope: rope_gguf::scaling,
        norm_eps: "attention.layer_norm_rms_epsilon",
        design: |_, config| {
            let turns = LayerFlags::of(config, |layer| is_last_of(4, layer)).turns(Turn::Not);
            Ok(Design { turns, ..Design::default() })
        },
    }),
    config_json: Some(JsonRules {
        defaults: &[
            ("num_key_value_heads", 4.0),
            ("tie_word_embeddings", 1.0),
            ("rope_theta", 2e6),
            ("no_rope_layer_interval", 4.0),
        ],
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: from_config_json,
    }),
};

fn is_last_of(period: u32, layer: u32) -> bool {
    (layer + 1).is_multiple_of(period)
}

fn from_config_json(json: &ConfigJson, config: &ModelConfig) -> Result<Design> {
    let still = not_rotated(json, config)?;
    Ok(Design {
        activation: json.activation("hidden_act", Activation::Silu)?,
        windows: json.windows_on_request(config, |layer| still.0[layer as usize])?,
        turns: still.turns(Turn::Not),
        ..Design::default()
    })
}

/// `no_rope_layers` has a 1 for each layer that is rotated.
fn not_rotated(json: &ConfigJson, config: &ModelConfig) -> Result<LayerFlags> {
    const KEY: &str = "no_rope_layers";
    json.knows(KEY);
    let period = json.u32("no_rope_layer_interval")?.unwrap_or(4);
    let Some(value) = json.json().get(KEY) else {
        return Ok(LayerFlags::of(config, |layer| is_last_of(period, layer)));
    };
    let count = config.layer_count as usize;
    let still = |value: &Value| match value.as_u64() {
        Some(0) => Some(true),
        Some(1) => Some(false),
        _ => None,
    };
    let list = value.as_array().filter(|list| list.len() >= count);
    let flags = list.and_then(|list| list.iter().take(count).map(still).collect::<Option<_>>());
    flags.map(LayerFlags).ok_or_else(|| unsupported(KEY, shown(value), format!("0 or 1 for each of {count} layers")))
}
