//! Mixtral in Hugging Face's layout: Mistral with a mixture of experts in every layer. GGUF calls it Llama.

use symbiote_format::{Activation, Design};

use super::description::{Architecture, JsonRules};
use super::expert_rules::{EXPERT_DOWN, EXPERT_GATE, EXPERT_UP, ROUTER};
use super::rope_json;
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, FFN_NORM, KEY, OUTPUT, OUTPUT_NORM, QUERY, ROTARY_TABLES, TOKEN_EMBEDDING, VALUE,
};

pub(super) const MIXTRAL: Architecture = Architecture {
    name: "mixtral",
    model_type: "mixtral",
    class: "MixtralForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY,
        KEY,
        VALUE,
        ATTENTION_OUTPUT,
        FFN_NORM,
        ROUTER.named("model.layers.{}.block_sparse_moe.gate.weight"),
        EXPERT_GATE.named("model.layers.{}.block_sparse_moe.experts.{}.w1.weight"),
        EXPERT_UP.named("model.layers.{}.block_sparse_moe.experts.{}.w3.weight"),
        EXPERT_DOWN.named("model.layers.{}.block_sparse_moe.experts.{}.w2.weight"),
        OUTPUT_NORM,
        OUTPUT,
    ],
    unused: ROTARY_TABLES,
    gguf: None,
    config_json: Some(JsonRules {
        defaults: &[("num_key_value_heads", 8.0), ("num_experts_per_tok", 2.0), ("rope_theta", 1e6)],
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: |json, config| {
            Ok(Design {
                activation: json.activation("hidden_act", Activation::Silu)?,
                windows: json.window_everywhere(config)?,
                experts: Some(json.experts(config.ffn_size, true)?),
                ..Design::default()
            })
        },
    }),
};
