//! GPT-2, from GGUF alone: in safetensors its matrices are stored transposed, and a pack holds whole rows as they are stored.

use symbiote_format::{Activation, Design, Norm, RopeLayout, Turn};

use super::description::{Architecture, GgufRules};
use super::layers::{LayerFlags, all};
use super::rope_gguf;
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_NORM_BIAS, ATTENTION_OUTPUT, ATTENTION_OUTPUT_BIAS, FFN_DOWN, FFN_DOWN_BIAS, FFN_NORM,
    FFN_NORM_BIAS, FFN_UP, FFN_UP_BIAS, OUTPUT, OUTPUT_NORM, OUTPUT_NORM_BIAS, POSITION_EMBEDDING, QUERY_KEY_VALUE,
    QUERY_KEY_VALUE_BIAS, TOKEN_EMBEDDING,
};

pub(super) const GPT2: Architecture = Architecture {
    name: "gpt2",
    model_type: "gpt2",
    class: "GPT2LMHeadModel",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        POSITION_EMBEDDING,
        ATTENTION_NORM,
        ATTENTION_NORM_BIAS,
        QUERY_KEY_VALUE,
        QUERY_KEY_VALUE_BIAS,
        ATTENTION_OUTPUT,
        ATTENTION_OUTPUT_BIAS,
        FFN_NORM,
        FFN_NORM_BIAS,
        FFN_UP,
        FFN_UP_BIAS,
        FFN_DOWN,
        FFN_DOWN_BIAS,
        OUTPUT_NORM,
        OUTPUT_NORM_BIAS,
        OUTPUT,
    ],
    unused: &[],
    gguf: Some(GgufRules {
        rope_layout: RopeLayout::Halves,
        rope: rope_gguf::scaling,
        norm_eps: "attention.layer_norm_epsilon",
        design: |_, config| {
            Ok(Design {
                norm: Norm::Layer,
                activation: Activation::GeluTanh,
                gated: false,
                turns: LayerFlags::of(config, all).turns(Turn::Not),
                ..Design::default()
            })
        },
    }),
    config_json: None,
};
