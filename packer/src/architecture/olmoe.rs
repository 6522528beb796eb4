//! OLMoE: Llama with norms over all of queries and of keys, and a mixture of experts in every layer.

use symbiote_format::{Activation, Design, RopeLayout};

use super::description::{Architecture, Dim, GgufRules, JsonRules};
use super::expert_rules::{EXPERT_DOWN, EXPERT_DOWN_OF_ALL, EXPERT_GATE, EXPERT_GATE_UP, EXPERT_UP, ROUTER};
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, FFN_NORM, KEY, KEY_NORM, OUTPUT, OUTPUT_NORM, QUERY, QUERY_NORM, ROTARY_TABLES,
    TOKEN_EMBEDDING, VALUE,
};
use super::{rope_gguf, rope_json};

pub(super) const OLMOE: Architecture = Architecture {
    name: "olmoe",
    model_type: "olmoe",
    class: "OlmoeForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY,
        QUERY_NORM.of(&[Dim::Query]),
        KEY,
        KEY_NORM.of(&[Dim::KeyValue]),
        VALUE,
        ATTENTION_OUTPUT,
        FFN_NORM,
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
        design: |keys, config| Ok(Design { experts: Some(keys.experts(config, false)?), ..Design::default() }),
    }),
    config_json: Some(JsonRules {
        defaults: &[("rms_norm_eps", 1e-5), ("num_experts_per_tok", 8.0)],
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: |json, config| {
            Ok(Design {
                activation: json.activation("hidden_act", Activation::Silu)?,
                experts: Some(json.experts(config.ffn_size, json.flag("norm_topk_prob")?)?),
                ..Design::default()
            })
        },
    }),
};
