//! Gemma 3, its text: Gemma 2 with norms on queries and keys instead of soft caps, five layers of six with a window, and
//! rotary frequencies of their own in those.

use symbiote_format::{Design, ModelConfig, RopeLayout, Turn};

use super::ArchitectureError;
use super::config_json::ConfigJson;
use super::description::{Architecture, GgufRules, Inside, JsonRules};
use super::gemma2::{PRE_FFN_NORM, gguf_design, json_design};
use super::gguf_keys::GgufKeys;
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, FFN_DOWN, FFN_GATE, FFN_UP, KEY, KEY_NORM, OUTPUT, OUTPUT_NORM,
    POST_ATTENTION_NORM, POST_FFN_NORM, QUERY, QUERY_NORM, ROTARY_TABLES, TOKEN_EMBEDDING, VALUE,
};
use super::{rope_gguf, rope_json};

type Result<T> = std::result::Result<T, ArchitectureError>;

pub(super) const GEMMA3: Architecture = Architecture {
    name: "gemma3",
    model_type: "gemma3_text",
    class: "Gemma3ForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY,
        QUERY_NORM,
        KEY,
        KEY_NORM,
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
            ("max_position_embeddings", 131_072.0),
            ("tie_word_embeddings", 1.0),
            ("query_pre_attn_scalar", 256.0),
            ("sliding_window", 4096.0),
            ("sliding_window_pattern", 6.0),
            ("rope_theta", 1e6),
            ("rope_local_base_freq", 1e4),
        ],
        norm_eps: "rms_norm_eps",
        rope: rope_json::by_layer_type,
        design: from_config_json,
    }),
};

/// The same as published with a vision tower, of which this program keeps the weights and computes nothing.
pub(super) const GEMMA3_WITH_VISION: Architecture = Architecture {
    model_type: "gemma3",
    class: "Gemma3ForConditionalGeneration",
    inside: Some(Inside { config: "text_config", prefix: "language_model." }),
    unused: &["vision_tower.*", "multi_modal_projector.*"],
    gguf: None,
    ..GEMMA3
};

/// The model of 27 billion parameters, which llama.cpp tells by its layers.
const LAYERS_27B: u32 = 62;

fn from_gguf(keys: &GgufKeys, config: &ModelConfig) -> Result<Design> {
    let design = Design { logit_softcap: keys.factor("final_logit_softcapping")?, ..gguf_design(config, LAYERS_27B) };
    let windowed = keys.windowed(config, 6)?;
    let local_rope_base = keys.float("rope.freq_base_swa")?.or(Some(10_000.0));
    match keys.window()? {
        None => Ok(design),
        Some(window) => Ok(Design {
            windows: windowed.windows(window),
            turns: windowed.turns(Turn::Local),
            local_rope_base,
            ..design
        }),
    }
}

fn from_config_json(json: &ConfigJson, config: &ModelConfig) -> Result<Design> {
    let period = json.u32("sliding_window_pattern")?.unwrap_or(6).max(1);
    let windowed = json.windowed(config, |layer| (layer + 1) % period != 0)?;
    Ok(Design {
        logit_softcap: json.number("final_logit_softcapping")?,
        windows: json.windows(&windowed)?,
        turns: windowed.turns(Turn::Local),
        local_rope_base: rope_json::local_base(json)?,
        ..json_design(json, config)?
    })
}
