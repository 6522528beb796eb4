//! Phi-3, Phi-3.5 and Phi-4: Llama with fused projections, LongRoPE and in some a window in every layer.

use symbiote_format::{Activation, Design, RopeLayout};

use super::description::{Architecture, GgufRules, JsonRules};
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, FFN_DOWN, FFN_GATE_UP, FFN_NORM, OUTPUT, OUTPUT_NORM, QUERY_KEY_VALUE,
    ROTARY_TABLES, TOKEN_EMBEDDING,
};
use super::{rope_gguf, rope_json};

pub(super) const PHI3: Architecture = Architecture {
    name: "phi3",
    model_type: "phi3",
    class: "Phi3ForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY_KEY_VALUE,
        ATTENTION_OUTPUT,
        FFN_NORM,
        FFN_GATE_UP,
        FFN_DOWN,
        OUTPUT_NORM,
        OUTPUT,
    ],
    unused: ROTARY_TABLES,
    gguf: Some(GgufRules {
        rope_layout: RopeLayout::Halves,
        rope: rope_gguf::scaling,
        norm_eps: "attention.layer_norm_rms_epsilon",
        // its authors compute with the window; llama.cpp does not at present
        design: |keys, config| Ok(Design { windows: keys.window_everywhere(config)?, ..Design::default() }),
    }),
    config_json: Some(JsonRules {
        defaults: &[("rms_norm_eps", 1e-5), ("original_max_position_embeddings", 4096.0)],
        norm_eps: "rms_norm_eps",
        rope: rope_json::phi3,
        design: |json, config| {
            Ok(Design {
                activation: json.activation("hidden_act", Activation::Silu)?,
                windows: json.window_everywhere(config)?,
                ..Design::default()
            })
        },
    }),
};
