//! OLMo 2: Llama with its norms behind attention and feed-forward network, and norms over all of queries and of keys.

use symbiote_format::{Activation, Design, RopeLayout};

use super::description::{Architecture, Dim, GgufRules, JsonRules};
use super::tensor_rules::{
    ATTENTION_OUTPUT, FFN_DOWN, FFN_GATE, FFN_UP, KEY, KEY_NORM, OUTPUT, OUTPUT_NORM, POST_ATTENTION_NORM,
    POST_FFN_NORM, QUERY, QUERY_NORM, ROTARY_TABLES, TOKEN_EMBEDDING, VALUE,
};
use super::{rope_gguf, rope_json};

pub(super) const OLMO2: Architecture = Architecture {
    name: "olmo2",
    model_type: "olmo2",
    class: "Olmo2ForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        QUERY,
        QUERY_NORM.of(&[Dim::Query]),
        KEY,
        KEY_NORM.of(&[Dim::KeyValue]),
        VALUE,
        ATTENTION_OUTPUT,
        POST_ATTENTION_NORM,
        FFN_GATE,
        FFN_UP,
        FFN_DOWN,
        POST_FFN_NORM,
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
        defaults: &[("rms_norm_eps", 1e-5)],
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: |json, _| {
            Ok(Design { activation: json.activation("hidden_act", Activation::Silu)?, ..Design::default() })
        },
    }),
};
