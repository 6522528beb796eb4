//! Qwen2-MoE and Qwen1.5-MoE: Qwen2 with a mixture of experts in most layers, and beside them an expert that every token goes
//! through, as far as a gate of its own lets it.

use symbiote_format::{Activation, Design, Experts, ModelConfig, RopeLayout};

use super::ArchitectureError;
use super::config_json::ConfigJson;
use super::description::{Architecture, GgufRules, JsonRules};
use super::expert_rules::{
    EXPERT_DOWN, EXPERT_DOWN_OF_ALL, EXPERT_GATE, EXPERT_GATE_UP, EXPERT_UP, ROUTER, SHARED_DOWN, SHARED_GATE,
    SHARED_ROUTER, SHARED_UP,
};
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, FFN_DOWN, FFN_GATE, FFN_NORM, FFN_UP, KEY, KEY_BIAS, OUTPUT, OUTPUT_NORM, QUERY,
    QUERY_BIAS, ROTARY_TABLES, TOKEN_EMBEDDING, VALUE, VALUE_BIAS,
};
use super::{rope_gguf, rope_json};

pub(super) const QWEN2MOE: Architecture = Architecture {
    name: "qwen2moe",
    model_type: "qwen2_moe",
    class: "Qwen2MoeForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY,
        QUERY_BIAS.when("qkv_bias"),
        KEY,
        KEY_BIAS.when("qkv_bias"),
        VALUE,
        VALUE_BIAS.when("qkv_bias"),
        ATTENTION_OUTPUT,
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
        SHARED_ROUTER,
        SHARED_GATE,
        SHARED_UP,
        SHARED_DOWN,
        OUTPUT_NORM,
        OUTPUT,
    ],
    unused: ROTARY_TABLES,
    gguf: Some(GgufRules {
        rope_layout: RopeLayout::Halves,
        rope: rope_gguf::scaling,
        norm_eps: "attention.layer_norm_rms_epsilon",
        design: |keys, config| {
            let experts = keys.experts(config, false)?;
            // the first files say nothing of its width, which is that of a dense layer
            let shared_ffn_size = keys.u32("expert_shared_feed_forward_length")?.unwrap_or(config.ffn_size);
            Ok(Design { experts: Some(Experts { shared_ffn_size, ..experts }), ..Design::default() })
        },
    }),
    config_json: Some(JsonRules {
        defaults: &[
            ("num_key_value_heads", 16.0),
            ("qkv_bias", 1.0),
            ("num_experts_per_tok", 4.0),
            ("moe_intermediate_size", 1408.0),
            ("shared_expert_intermediate_size", 5632.0),
            ("sliding_window", 4096.0),
            ("max_window_layers", 28.0),
        ],
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: from_config_json,
    }),
};

fn from_config_json(json: &ConfigJson, config: &ModelConfig) -> Result<Design, ArchitectureError> {
    let experts = json.experts(json.required("moe_intermediate_size")?, json.flag("norm_topk_prob")?)?;
    let shared_ffn_size = json.required("shared_expert_intermediate_size")?;
    let first_without = json.required("max_window_layers")?;
    Ok(Design {
        activation: json.activation("hidden_act", Activation::Silu)?,
        windows: json.windows_on_request(config, |layer| layer % 2 == 0 && layer < first_without)?,
        experts: Some(Experts { shared_ffn_size, ..experts }),
        ..Design::default()
    })
}
