//! gpt-oss: a mixture of experts in every layer whose SwiGLU is clamped, attention with sinks, a window in every other layer, biases
//! throughout. In safetensors its experts are MXFP4 with gate and up rows interleaved; llama.cpp's converter parts them.

use symbiote_format::{Activation, Design, Experts, ModelConfig, RopeLayout};

use super::ArchitectureError;
use super::config_json::{ConfigJson, unsupported};
use super::description::{Architecture, GgufRules, JsonRules};
use super::expert_rules::{
    EXPERT_DOWN, EXPERT_DOWN_BIAS, EXPERT_GATE, EXPERT_GATE_BIAS, EXPERT_GATE_UP, EXPERT_GATE_UP_BIAS, EXPERT_UP,
    EXPERT_UP_BIAS, ROUTER, ROUTER_BIAS,
};
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, ATTENTION_OUTPUT_BIAS, ATTENTION_SINKS, FFN_NORM, KEY, KEY_BIAS, OUTPUT,
    OUTPUT_NORM, QUERY, QUERY_BIAS, ROTARY_TABLES, TOKEN_EMBEDDING, VALUE, VALUE_BIAS,
};
use super::{rope_gguf, rope_json};

type Result<T> = std::result::Result<T, ArchitectureError>;

/// The clamped SwiGLU that kernels know.
const SWIGLU: [(&str, f64); 2] = [("swiglu_limit", 7.0), ("swiglu_alpha", 1.702)];

pub(super) const GPT_OSS: Architecture = Architecture {
    name: "gpt-oss",
    model_type: "gpt_oss",
    class: "GptOssForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY,
        QUERY_BIAS.when("attention_bias"),
        KEY,
        KEY_BIAS.when("attention_bias"),
        VALUE,
        VALUE_BIAS.when("attention_bias"),
        ATTENTION_SINKS,
        ATTENTION_OUTPUT,
        ATTENTION_OUTPUT_BIAS.when("attention_bias"),
        FFN_NORM.named_in_gguf("blk.{}.post_attention_norm.weight"),
        ROUTER.named("model.layers.{}.mlp.router.weight"),
        ROUTER_BIAS,
        EXPERT_GATE_UP.hugging_face_only(),
        EXPERT_GATE_UP_BIAS.hugging_face_only(),
        EXPERT_GATE.gguf_only(),
        EXPERT_GATE_BIAS.gguf_only(),
        EXPERT_UP.gguf_only(),
        EXPERT_UP_BIAS.gguf_only(),
        EXPERT_DOWN.required().named("model.layers.{}.mlp.experts.down_proj"),
        EXPERT_DOWN_BIAS,
        OUTPUT_NORM,
        OUTPUT,
    ],
    unused: ROTARY_TABLES,
    gguf: Some(GgufRules {
        rope_layout: RopeLayout::Halves,
        rope: rope_gguf::untruncated,
        norm_eps: "attention.layer_norm_rms_epsilon",
        design: |keys, config| {
            let windowed = keys.windowed(config, 2)?;
            let windows = keys.window()?.map(|window| windowed.windows(window)).unwrap_or_default();
            Ok(design(keys.experts(config, true)?, windows))
        },
    }),
    config_json: Some(JsonRules {
        defaults: &[
            ("num_key_value_heads", 8.0),
            ("head_dim", 64.0),
            ("num_experts_per_tok", 4.0),
            ("sliding_window", 128.0),
            ("attention_bias", 1.0),
            ("rms_norm_eps", 1e-5),
            ("rope_theta", 150_000.0),
        ],
        norm_eps: "rms_norm_eps",
        rope: rope_json::plain,
        design: from_config_json,
    }),
};

fn design(experts: Experts, windows: Vec<u32>) -> Design {
    Design { activation: Activation::ClampedSwiglu, windows, experts: Some(experts), ..Design::default() }
}

/// The softmax of the logits chosen is that of all, divided by what the chosen have of it.
fn from_config_json(json: &ConfigJson, config: &ModelConfig) -> Result<Design> {
    json.quantized_by("mxfp4")?;
    for (key, known) in SWIGLU {
        if let Some(found) = json.f64(key)?.filter(|found| *found != known) {
            return Err(unsupported(key, found, known.to_string()));
        }
    }
    let windowed = json.windowed(config, |layer| layer % 2 == 0)?;
    let experts = Experts { interleaved: true, ..json.experts(config.ffn_size, true)? };
    Ok(design(experts, json.windows(&windowed)?))
}
