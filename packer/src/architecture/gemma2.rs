//! Gemma 2: norms around attention and feed-forward network, a scaled embedding, soft caps, a window in every other layer.

use symbiote_format::{Activation, Design, ModelConfig, RopeLayout};

use super::ArchitectureError;
use super::config_json::{ConfigJson, single};
use super::description::{Architecture, GgufRules, JsonRules, TensorRule};
use super::gguf_keys::GgufKeys;
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, FFN_DOWN, FFN_GATE, FFN_NORM, FFN_UP, KEY, OUTPUT, OUTPUT_NORM,
    POST_ATTENTION_NORM, POST_FFN_NORM, QUERY, ROTARY_TABLES, TOKEN_EMBEDDING, VALUE,
};
use super::{rope_gguf, rope_json};

type Result<T> = std::result::Result<T, ArchitectureError>;

pub(super) const GEMMA2: Architecture = Architecture {
    name: "gemma2",
    model_type: "gemma2",
    class: "Gemma2ForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY,
        KEY,
        VALUE,
        ATTENTION_OUTPUT,
        POST_ATTENTION_NORM,
        PRE_FFN_NORM,
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
        design: from_gguf,
    }),
    config_json: Some(JsonRules {
        defaults: &[
            ("num_attention_heads", 8.0),
            ("num_key_value_heads", 4.0),
            ("head_dim", 256.0),
            ("tie_word_embeddings", 1.0),
            ("query_pre_attn_scalar", 256.0),
            ("attn_logit_softcapping", 50.0),
            ("final_logit_softcapping", 30.0),
            ("sliding_window", 4096.0),
        ],
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: from_config_json,
    }),
};

/// Its name where attention has a norm behind it too.
pub(super) const PRE_FFN_NORM: TensorRule = FFN_NORM.named("model.layers.{}.pre_feedforward_layernorm.weight");

/// The model of 27 billion parameters, which llama.cpp tells by its layers.
const LAYERS_27B: u32 = 46;

fn from_gguf(keys: &GgufKeys, config: &ModelConfig) -> Result<Design> {
    let windowed = keys.windowed(config, 2)?;
    Ok(Design {
        attention_softcap: keys.float("attn_logit_softcapping")?.or(Some(50.0)),
        logit_softcap: keys.float("final_logit_softcapping")?.or(Some(30.0)),
        windows: windowed.windows(keys.u32("attention.sliding_window")?.unwrap_or(4096)),
        ..gguf_design(config, LAYERS_27B)
    })
}

fn from_config_json(json: &ConfigJson, config: &ModelConfig) -> Result<Design> {
    Ok(Design {
        attention_softcap: json.number("attn_logit_softcapping")?,
        logit_softcap: json.number("final_logit_softcapping")?,
        windows: json.windows(&json.windowed(config, |layer| layer % 2 == 0)?)?,
        ..json_design(json, config)?
    })
}

/// What GGUF leaves to the program, of Gemma 2 and 3: the converter adds 1 to the norms, and the largest models, of so many
/// layers, share out the hidden size, not the head's.
pub(super) fn gguf_design(config: &ModelConfig, layers_27b: u32) -> Design {
    let share = f64::from(config.hidden_size / config.head_count);
    Design {
        activation: Activation::GeluTanh,
        attention_scale: (config.layer_count == layers_27b).then(|| single(share.sqrt().recip())),
        embedding_scale: embedding_scale(config),
        ..Design::default()
    }
}

/// What `config.json` says of Gemma 2 and 3.
pub(super) fn json_design(json: &ConfigJson, config: &ModelConfig) -> Result<Design> {
    json.knows("hidden_act"); // an older name, which transformers does not read
    Ok(Design {
        norm_weight_offset: 1.0,
        activation: json.activation("hidden_activation", Activation::GeluTanh)?,
        attention_scale: Some(single(json.positive("query_pre_attn_scalar")?.sqrt().recip())),
        embedding_scale: embedding_scale(config),
        ..Design::default()
    })
}

fn embedding_scale(config: &ModelConfig) -> f32 {
    single(f64::from(config.hidden_size).sqrt())
}
