//! StarCoder2: LayerNorm, biases everywhere, a feed-forward network without gate, a window in every layer.

use symbiote_format::{Activation, Design, Norm, RopeLayout};

use super::description::{Architecture, GgufRules, JsonRules};
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_NORM_BIAS, ATTENTION_OUTPUT, ATTENTION_OUTPUT_BIAS, FFN_DOWN, FFN_DOWN_BIAS, FFN_NORM,
    FFN_NORM_BIAS, FFN_UP, FFN_UP_BIAS, KEY, KEY_BIAS, OUTPUT, OUTPUT_NORM, OUTPUT_NORM_BIAS, QUERY, QUERY_BIAS,
    ROTARY_TABLES, TOKEN_EMBEDDING, VALUE, VALUE_BIAS,
};
use super::{rope_gguf, rope_json};

pub(super) const STARCODER2: Architecture = Architecture {
    name: "starcoder2",
    model_type: "starcoder2",
    class: "Starcoder2ForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        ATTENTION_NORM_BIAS,
        QUERY,
        QUERY_BIAS.when("use_bias"),
        KEY,
        KEY_BIAS.when("use_bias"),
        VALUE,
        VALUE_BIAS.when("use_bias"),
        ATTENTION_OUTPUT,
        ATTENTION_OUTPUT_BIAS.when("use_bias"),
        FFN_NORM,
        FFN_NORM_BIAS,
        FFN_UP.named("model.layers.{}.mlp.c_fc.weight"),
        FFN_UP_BIAS.named("model.layers.{}.mlp.c_fc.bias").when("use_bias"),
        FFN_DOWN.named("model.layers.{}.mlp.c_proj.weight"),
        FFN_DOWN_BIAS.named("model.layers.{}.mlp.c_proj.bias").when("use_bias"),
        OUTPUT_NORM,
        OUTPUT_NORM_BIAS,
        OUTPUT,
    ],
    unused: ROTARY_TABLES,
    gguf: Some(GgufRules {
        rope_layout: RopeLayout::Halves,
        rope: rope_gguf::scaling,
        norm_eps: "attention.layer_norm_epsilon",
        design: |keys, config| {
            Ok(Design {
                activation: Activation::GeluTanh,
                windows: keys.window_everywhere(config)?,
                norm: Norm::Layer,
                gated: false,
                ..Design::default()
            })
        },
    }),
    config_json: Some(JsonRules {
        defaults: &[
            ("num_key_value_heads", 2.0),
            ("norm_epsilon", 1e-5),
            ("tie_word_embeddings", 1.0),
            ("use_bias", 1.0),
        ],
        norm_eps: "norm_epsilon",
        rope: rope_json::plain,
        design: |json, config| {
            Ok(Design {
                activation: json.activation("hidden_act", Activation::GeluTanh)?,
                windows: json.window_everywhere(config)?,
                norm: Norm::Layer,
                gated: false,
                ..Design::default()
            })
        },
    }),
};
