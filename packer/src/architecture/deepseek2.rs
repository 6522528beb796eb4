//! DeepSeek-V2 and V3: attention through latent vectors, dense layers in front, a network beside the experts, experts in groups.
//! GGUF calls both deepseek2.

use symbiote_format::{Activation, Design, Experts, GroupScore, ModelConfig, RopeLayout, Scoring, TensorKind};

use super::ArchitectureError;
use super::config_json::{ConfigJson, unsupported};
use super::description::{Architecture, Dim, GgufRules, JsonRules};
use super::expert_rules::{
    EXPERT_DOWN, EXPERT_DOWN_OF_ALL, EXPERT_GATE, EXPERT_GATE_UP, EXPERT_SCORE_BIAS, EXPERT_UP, ROUTER, SHARED_DOWN,
    SHARED_GATE, SHARED_UP,
};
use super::gguf_keys::GgufKeys;
use super::latent_rules::{
    KEY_OF_LATENT, KEY_VALUE_LATENT, KEY_VALUE_LATENT_NORM, KEY_VALUE_OF_LATENT, QUERY_LATENT, QUERY_LATENT_NORM,
    QUERY_OF_LATENT, VALUE_OF_LATENT,
};
use super::tensor_rules::{
    ATTENTION_NORM, ATTENTION_OUTPUT, FFN_DOWN, FFN_GATE, FFN_NORM, FFN_UP, OUTPUT, OUTPUT_NORM, QUERY, ROTARY_TABLES,
    TOKEN_EMBEDDING,
};
use super::{rope_gguf, rope_json};

type Result<T> = std::result::Result<T, ArchitectureError>;

pub(super) const DEEPSEEK2: Architecture = Architecture {
    name: "deepseek2",
    model_type: "deepseek_v2",
    class: "DeepseekV2ForCausalLM",
    inside: None,
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY_LATENT,
        QUERY_LATENT_NORM,
        QUERY_OF_LATENT,
        QUERY.without(TensorKind::QueryLatent),
        KEY_VALUE_LATENT,
        KEY_VALUE_LATENT_NORM,
        // the converter has parted them since 2025
        KEY_OF_LATENT,
        VALUE_OF_LATENT,
        KEY_VALUE_OF_LATENT,
        ATTENTION_OUTPUT.of(&[Dim::Hidden, Dim::Attended]),
        FFN_NORM,
        FFN_GATE,
        FFN_UP,
        FFN_DOWN,
        ROUTER,
        // of V3 alone, which GGUF does not tell from V2
        EXPERT_SCORE_BIAS.gguf_only().optional(),
        EXPERT_GATE_UP.hugging_face_only().optional(),
        EXPERT_DOWN_OF_ALL,
        EXPERT_GATE,
        EXPERT_UP,
        EXPERT_DOWN,
        SHARED_GATE.named("model.layers.{}.mlp.shared_experts.gate_proj.weight"),
        SHARED_UP.named("model.layers.{}.mlp.shared_experts.up_proj.weight"),
        SHARED_DOWN.named("model.layers.{}.mlp.shared_experts.down_proj.weight"),
        OUTPUT_NORM,
        OUTPUT,
    ],
    unused: ROTARY_TABLES,
    gguf: Some(GgufRules {
        rope_layout: RopeLayout::Interleaved,
        rope: rope_gguf::latent,
        norm_eps: "attention.layer_norm_rms_epsilon",
        design: from_gguf,
    }),
    config_json: Some(JsonRules {
        defaults: &[("num_experts_per_tok", 6.0), ("n_shared_experts", 2.0), ("routed_scaling_factor", 1.0)],
        norm_eps: "rms_norm_eps",
        rope: rope_json::latent,
        design: second,
    }),
};

pub(super) const DEEPSEEK3: Architecture = Architecture {
    model_type: "deepseek_v3",
    class: "DeepseekV3ForCausalLM",
    tensors: &[
        TOKEN_EMBEDDING,
        ATTENTION_NORM,
        QUERY_LATENT,
        QUERY_LATENT_NORM,
        QUERY_OF_LATENT,
        QUERY.without(TensorKind::QueryLatent),
        KEY_VALUE_LATENT,
        KEY_VALUE_LATENT_NORM,
        KEY_VALUE_OF_LATENT,
        ATTENTION_OUTPUT.of(&[Dim::Hidden, Dim::Attended]),
        FFN_NORM,
        FFN_GATE,
        FFN_UP,
        FFN_DOWN,
        ROUTER,
        EXPERT_SCORE_BIAS,
        EXPERT_GATE_UP.hugging_face_only().optional(),
        EXPERT_DOWN_OF_ALL,
        EXPERT_GATE,
        EXPERT_UP,
        EXPERT_DOWN,
        SHARED_GATE.named("model.layers.{}.mlp.shared_experts.gate_proj.weight"),
        SHARED_UP.named("model.layers.{}.mlp.shared_experts.up_proj.weight"),
        SHARED_DOWN.named("model.layers.{}.mlp.shared_experts.down_proj.weight"),
        OUTPUT_NORM,
        OUTPUT,
    ],
    // layers that guess further tokens come behind the others
    unused: &["model.layers.{}.self_attn.rotary_emb.inv_freq", "model.layers.{}.*"],
    gguf: None,
    config_json: Some(JsonRules {
        defaults: &[
            ("num_experts_per_tok", 8.0),
            ("n_shared_experts", 1.0),
            ("routed_scaling_factor", 2.5),
            ("n_group", 8.0),
            ("topk_group", 4.0),
            ("norm_topk_prob", 1.0),
        ],
        norm_eps: "rms_norm_eps",
        rope: rope_json::latent,
        design: third,
    }),
    ..DEEPSEEK2
};

fn from_gguf(keys: &GgufKeys, config: &ModelConfig) -> Result<Design> {
    let experts = keys.experts(config, false)?;
    let groups = Groups {
        count: keys.u32("expert_group_count")?.unwrap_or(1),
        used: keys.u32("expert_group_used_count")?,
        shared: keys.u32("expert_shared_count")?.unwrap_or(0),
    };
    let attention_scale = rope_gguf::latent_scale(keys, config)?;
    Ok(Design { attention_scale, experts: Some(groups.of(experts)), ..Design::default() })
}

/// What an architecture says of its experts besides.
struct Groups {
    count: u32,
    used: Option<u32>,
    /// Experts that every token goes through, as one network.
    shared: u32,
}

impl Groups {
    /// Groups are chosen by their best expert; where scores are sigmoids by the two best.
    fn of(self, experts: Experts) -> Experts {
        let groups = self.count.max(1);
        Experts {
            shared_ffn_size: self.shared.saturating_mul(experts.ffn_size),
            groups,
            groups_used: self.used.unwrap_or(groups).clamp(1, groups),
            group_score: if experts.scoring == Scoring::Sigmoid { GroupScore::BestTwo } else { GroupScore::Best },
            ..experts
        }
    }
}

/// `greedy` takes the best of all experts, the others of the best groups.
fn second(json: &ConfigJson, config: &ModelConfig) -> Result<Design> {
    const METHOD: &str = "topk_method";
    let limited = match json.text(METHOD)? {
        None | Some("greedy") => false,
        Some("group_limited_greedy") => true,
        Some(found) => return Err(unsupported(METHOD, found, "greedy or group_limited_greedy")),
    };
    json.says("scoring_func", "softmax")?;
    if json.flag("norm_topk_prob")? {
        return Err(unsupported("norm_topk_prob", true, "false"));
    }
    let experts = json.experts(json.required("moe_intermediate_size")?, false)?;
    design(json, config, experts, limited)
}

fn third(json: &ConfigJson, config: &ModelConfig) -> Result<Design> {
    json.says("topk_method", "noaux_tc")?;
    json.says("scoring_func", "sigmoid")?;
    let experts = json.experts(json.required("moe_intermediate_size")?, json.flag("norm_topk_prob")?)?;
    design(json, config, Experts { scoring: Scoring::Sigmoid, ..experts }, true)
}

fn design(json: &ConfigJson, config: &ModelConfig, experts: Experts, in_groups: bool) -> Result<Design> {
    const FREQUENCY: &str = "moe_layer_freq";
    if let Some(found) = json.u32(FREQUENCY)?.filter(|found| *found != 1) {
        return Err(unsupported(FREQUENCY, found, "1"));
    }
    let count = if in_groups { json.u32("n_group")?.unwrap_or(1) } else { 1 };
    let groups = Groups { count, used: json.u32("topk_group")?, shared: json.required("n_shared_experts")? };
    #[expect(clippy::cast_possible_truncation, reason = "rounds to the precision that the model computes in")]
    let scale = json.positive("routed_scaling_factor")? as f32;
    Ok(Design {
        activation: json.activation("hidden_act", Activation::Silu)?,
        attention_scale: rope_json::latent_scale(json, config)?,
        experts: Some(Experts { scale, ..groups.of(experts) }),
        ..Design::default()
    })
}
