//! Qwen3-MoE: Qwen3 with a mixture of experts in most layers; some may be dense.

use symbiote_format::{Activation, Design, RopeLayout};

use super::description::{Architecture, GgufRules, JsonRules};
use super::expert_rules::{EXPERT_DOWN, EXPERT_DOWN_OF_ALL, EXPERT_GATE, EXPERT_GATE_UP, EXPERT_UP, ROUTER};
use super::layers::all;
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, ATTENTION_OUTPUT_BIAS, FFN_DOWN, FFN_GATE, FFN_NORM, FFN_UP, KEY, KEY_BIAS,
    KEY_NORM, OUTPUT, OUTPUT_NORM, QUERY, QUERY_BIAS, QUERY_NORM, ROTARY_TABLES, TOKEN_EMBEDDING, VALUE, VALUE_BIAS,
};
use super::{rope_gguf, rope_json};

pub(super) const QWEN3MOE: Architecture = Architecture {
    name: "qwen3moe",
    model_type: "qwen3_moe",
    class: "Qwen3MoeForCausalLM",
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
        ROUTER,
        EXPERT_GATE_UP.hugging_face_only().optional(),
        EXPERT_DOWN_OF_ALL,
        EXPERT_GATE,
        EXPERT_UP,
        EXPERT_DOWN,
        OUTPUT_NORM,
        OUTPUT,
    ],
    unused: ROTARY_TABLES,
    gguf: Some(GgufRules {
        rope_layout: RopeLayout::Halves,
        rope: rope_gguf::scaling,
        norm_eps: "attention.layer_norm_rms_epsilon",
        // GGUF has no word for norm_topk_prob, and llama.cpp takes it for true, as published models have it
        design: |keys, config| Ok(Design { experts: Some(keys.experts(config, true)?), ..Design::default() }),
    }),
    config_json: Some(JsonRules {
        defaults: &[
            ("num_key_value_heads", 4.0),
            ("num_experts_per_tok", 8.0),
            ("moe_intermediate_size", 768.0),
            ("sliding_window", 4096.0),
        ],
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: |json, config| {
            let experts = json.experts(json.required("moe_intermediate_size")?, json.flag("norm_topk_prob")?)?;
            Ok(Design {
                activation: json.activation("hidden_act", Activation::Silu)?,
                windows: json.windows_on_request(config, all)?,
                experts: Some(experts),
                ..Design::default()
            })
        },
    }),
};
