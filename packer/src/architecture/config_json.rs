//! Hyperparameters out of `config.json`.

use serde_json::Value;
use symbiote_format::{Design, ModelConfig, RopeLayout};

use super::{ArchitectureError, rope_json};
use crate::source::safetensors::JsonObject;

type Result<T> = std::result::Result<T, ArchitectureError>;

/// Keys that would change the computation, with the values that do not (beside `null`).
const NEUTRAL: [(&str, &[&str]); 26] = [
    ("hidden_act", &["\"silu\""]),
    ("attention_bias", &["false"]),
    ("mlp_bias", &["false"]),
    ("qkv_bias", &["false"]),
    ("use_bias", &["false"]),
    ("quantization_config", &[]),
    ("compression_config", &[]),
    ("sliding_window", &[]),
    ("use_sliding_window", &["false"]),
    ("layer_types", &[]),
    ("no_rope_layers", &[]),
    ("partial_rotary_factor", &["1", "1.0"]),
    ("rope_interleaved", &["false"]),
    ("num_experts", &["0"]),
    ("num_local_experts", &["0"]),
    ("attention_multiplier", &["1", "1.0"]),
    ("embedding_multiplier", &["1", "1.0"]),
    ("residual_multiplier", &["1", "1.0"]),
    ("logits_scaling", &["1", "1.0"]),
    ("logit_scale", &["1", "1.0"]),
    ("attn_logit_softcapping", &[]),
    ("final_logit_softcapping", &[]),
    ("qk_norm", &["false"]),
    ("use_qk_norm", &["false"]),
    ("is_encoder_decoder", &["false"]),
    ("add_cross_attention", &["false"]),
];

/// Llama's hyperparameters, with the defaults of transformers' `LlamaConfig` where every model relies on them.
/// `vocab_size` is the embedding's.
pub(super) fn llama(json: &JsonObject, vocab_size: u32) -> Result<ModelConfig> {
    for (key, neutral) in NEUTRAL {
        must_be(json, key, neutral)?;
    }
    let (hidden_size, head_count) = (required(json, "hidden_size")?, required(json, "num_attention_heads")?);
    let head_dim = match json.u32("head_dim")? {
        Some(head_dim) => head_dim,
        None => hidden_size.checked_div(head_count).unwrap_or(0),
    };
    let claimed = json.u32("vocab_size")?.unwrap_or(vocab_size);
    if claimed != vocab_size {
        return Err(unsupported("vocab_size", claimed, format!("the rows of the token embedding, {vocab_size}")));
    }
    let context_length = required(json, "max_position_embeddings")?;
    let (rope_base, rope_scaling) = rope_json::rope(json, context_length)?;
    let config = ModelConfig {
        vocab_size,
        context_length,
        hidden_size,
        layer_count: required(json, "num_hidden_layers")?,
        head_count,
        kv_head_count: json.u32("num_key_value_heads")?.unwrap_or(head_count),
        head_dim,
        ffn_size: required(json, "intermediate_size")?,
        norm_eps: single(json.f64("rms_norm_eps")?.unwrap_or(1e-6)),
        tied_embeddings: json.bool("tie_word_embeddings")?.unwrap_or(false),
        rope_base,
        rope_dims: head_dim,
        rope_layout: RopeLayout::Halves,
        rope_scaling,
        design: Design::default(),
    };
    Ok(ModelConfig::from_params(config.to_params())?)
}

fn required(json: &JsonObject, key: &str) -> Result<u32> {
    json.u32(key)?.ok_or_else(|| ArchitectureError::MissingKey { key: key.into() })
}

/// Fails unless `key` is absent, `null` or one of the values that change nothing.
pub(super) fn must_be(json: &JsonObject, key: &str, neutral: &[&str]) -> Result<()> {
    let Some(value) = json.get(key) else { return Ok(()) };
    if neutral.contains(&value.to_string().as_str()) {
        return Ok(());
    }
    let found = match value {
        Value::Object(_) => "an object".into(),
        Value::Array(_) => "a list".into(),
        other => other.to_string(),
    };
    Err(unsupported(key, found, if neutral.is_empty() { "null" } else { neutral[0] }))
}

pub(super) fn unsupported(key: &str, found: impl ToString, expected: impl Into<String>) -> ArchitectureError {
    ArchitectureError::Unsupported { key: key.into(), found: found.to_string(), expected: expected.into() }
}

/// Rounds to the precision that the model computes in.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn single(x: f64) -> f32 {
    x as f32
}
