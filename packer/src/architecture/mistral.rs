//! Mistral in Hugging Face's layout: Llama with a window in every layer. GGUF calls it Llama.

use symbiote_format::{Activation, Design};

use super::description::{Architecture, JsonRules};
use super::rope_json;
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, FFN_DOWN, FFN_GATE, FFN_NORM, FFN_UP, KEY, OUTPUT, OUTPUT_NORM, QUERY,
    ROTARY_TABLES, TOKEN_EMBEDDING, VALUE,
};

pub(super) const MISTRAL: Architecture = Architecture {
    name: "mistral",
    model_type: "mistral",
    class: "MistralForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY,
        KEY,
        VALUE,
        ATTENTION_OUTPUT,
        FFN_NORM,
        FFN_GATE,
        FFN_UP,
        FFN_DOWN,
        OUTPUT_NORM,
        OUTPUT,
    ],
    unused: ROTARY_TABLES,
    gguf: None,
    config_json: Some(JsonRules {
        defaults: &[("num_key_value_heads", 8.0), ("sliding_window", 4096.0)],
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: |json, config| {
            Ok(Design {
                activation: json.activation("hidden_act", Activation::Silu)?,
                windows: json.window_everywhere(config)?,
                ..Design::default()
            })
        },
    }),
};
