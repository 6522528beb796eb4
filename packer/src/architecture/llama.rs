//! Llama and the models built exactly like it: SmolLM2, TinyLlama, Yi, DeepSeek LLM, Falcon 3 and others. GGUF calls
//! Mistral and Mixtral so too.

use symbiote_format::{Activation, Design, RopeLayout};

use super::description::{Architecture, GgufRules, JsonRules};
use super::expert_rules::{EXPERT_DOWN, EXPERT_GATE, EXPERT_UP, ROUTER};
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, ATTENTION_OUTPUT_BIAS, FFN_DOWN, FFN_DOWN_BIAS, FFN_GATE, FFN_GATE_BIAS,
    FFN_NORM, FFN_UP, FFN_UP_BIAS, KEY, KEY_BIAS, OUTPUT, OUTPUT_NORM, QUERY, QUERY_BIAS, ROPE_FACTORS, ROTARY_TABLES,
    TOKEN_EMBEDDING, VALUE, VALUE_BIAS,
};
use super::{rope_gguf, rope_json};

pub(super) const LLAMA: Architecture = Architecture {
    name: "llama",
    model_type: "llama",
    class: "LlamaForCausalLM",
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
        FFN_GATE,
        FFN_GATE_BIAS.when("mlp_bias"),
        FFN_UP,
        FFN_UP_BIAS.when("mlp_bias"),
        FFN_DOWN,
        FFN_DOWN_BIAS.when("mlp_bias"),
        ROUTER,
        EXPERT_GATE,
        EXPERT_UP,
        EXPERT_DOWN,
        OUTPUT_NORM,
        OUTPUT,
    ],
    unused: ROTARY_TABLES,
    gguf: Some(GgufRules {
        rope_layout: RopeLayout::Interleaved,
        rope: rope_gguf::scaling,
        norm_eps: "attention.layer_norm_rms_epsilon",
        design: |keys, config| {
            // Mixtral's; in other files 0 or nothing
            let experts = keys.u32("expert_count")?.is_some_and(|count| count != 0);
            let experts = experts.then(|| keys.experts(config, true)).transpose()?;
            // Mistral's: of all layers
            Ok(Design { windows: keys.window_everywhere(config)?, experts, ..Design::default() })
        },
    }),
    config_json: Some(JsonRules {
        defaults: &[],
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: |json, _| {
            Ok(Design { activation: json.activation("hidden_act", Activation::Silu)?, ..Design::default() })
        },
    }),
};
