//! Qwen3: Llama with norms on the heads of queries and keys.

use symbiote_format::{Design, RopeLayout};

use super::description::{Architecture, GgufRules, JsonRules};
use super::rope_gguf;
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, ATTENTION_OUTPUT_BIAS, FFN_DOWN, FFN_GATE, FFN_NORM, FFN_UP, KEY, KEY_BIAS,
    KEY_NORM, OUTPUT, OUTPUT_NORM, QUERY, QUERY_BIAS, QUERY_NORM, ROTARY_TABLES, TOKEN_EMBEDDING, VALUE, VALUE_BIAS,
};
use super::{qwen2, rope_json};

pub(super) const QWEN3: Architecture = Architecture {
    name: "qwen3",
    model_type: "qwen3",
    class: "Qwen3ForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY,
        QUERY_BIAS.when("attention_bias"),
        QUERY_NORM,
        KEY,
        KEY_BIAS.when("attention_bias"),
        KEY_NORM,
        VALUE,
        VALUE_BIAS.when("attention_bias"),
        ATTENTION_OUTPUT,
        ATTENTION_OUTPUT_BIAS.when("attention_bias"),
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
        defaults: &[
            ("head_dim", 128.0),
            ("num_key_value_heads", 32.0),
            ("sliding_window", 4096.0),
            ("max_window_layers", 28.0),
        ],
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: qwen2::from_config_json,
    }),
};
