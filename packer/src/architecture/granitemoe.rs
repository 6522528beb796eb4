//! Granite 3 with a mixture of experts in every layer, and in some models a network beside it that every token goes through.

use symbiote_format::{Design, Experts, ModelConfig, RopeLayout};

use super::ArchitectureError;
use super::config_json::ConfigJson;
use super::description::{Architecture, GgufRules, JsonRules};
use super::expert_rules::{
    EXPERT_DOWN, EXPERT_GATE, EXPERT_GATE_UP, EXPERT_UP, ROUTER, SHARED_DOWN, SHARED_GATE, SHARED_GATE_UP, SHARED_UP,
};
use super::granite::{self, GRANITE};
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, ATTENTION_OUTPUT_BIAS, FFN_NORM, KEY, KEY_BIAS, OUTPUT, OUTPUT_NORM, QUERY,
    QUERY_BIAS, ROPE_FACTORS, TOKEN_EMBEDDING, VALUE, VALUE_BIAS,
};
use super::{rope_gguf, rope_json};

type Result<T> = std::result::Result<T, ArchitectureError>;

pub(super) const GRANITEMOE: Architecture = Architecture {
    name: "granitemoe",
    model_type: "granitemoe",
    class: "GraniteMoeForCausalLM",
    inside: None,
    tensors: &[
        ROPE_FACTORS,
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
        ROUTER.named("model.layers.{}.block_sparse_moe.router.layer.weight"),
        // Hugging Face has both in one, llama.cpp's converter parts them
        EXPERT_GATE_UP.hugging_face_only().named("model.layers.{}.block_sparse_moe.input_linear.weight"),
        EXPERT_GATE.gguf_only(),
        EXPERT_UP.gguf_only(),
        EXPERT_DOWN.required().named("model.layers.{}.block_sparse_moe.output_linear.weight"),
        SHARED_GATE_UP.hugging_face_only(),
        SHARED_GATE.gguf_only(),
        SHARED_UP.gguf_only(),
        SHARED_DOWN.named("model.layers.{}.shared_mlp.output_linear.weight"),
        OUTPUT_NORM,
        OUTPUT,
    ],
    unused: GRANITE.unused,
    gguf: Some(GgufRules {
        rope_layout: RopeLayout::Interleaved,
        rope: rope_gguf::scaling,
        norm_eps: "attention.layer_norm_rms_epsilon",
        design: |keys, config| {
            Ok(Design { experts: Some(keys.experts(config, true)?), ..granite::from_gguf(keys, config)? })
        },
    }),
    config_json: Some(JsonRules {
        defaults: granite::DEFAULTS,
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: from_config_json,
    }),
};

/// GGUF calls it as the one above.
pub(super) const GRANITEMOE_SHARED: Architecture = Architecture {
    model_type: "granitemoeshared",
    class: "GraniteMoeSharedForCausalLM",
    gguf: None,
    config_json: Some(JsonRules {
        defaults: granite::DEFAULTS,
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: |json, config| {
            let design = from_config_json(json, config)?;
            let shared_ffn_size = json.required("shared_intermediate_size")?;
            Ok(Design { experts: design.experts.map(|experts| Experts { shared_ffn_size, ..experts }), ..design })
        },
    }),
    ..GRANITEMOE
};

/// The softmax of the logits chosen is that of all, divided by what the chosen have of it.
fn from_config_json(json: &ConfigJson, config: &ModelConfig) -> Result<Design> {
    Ok(Design { experts: Some(json.experts(config.ffn_size, true)?), ..granite::from_config_json(json, config)? })
}
