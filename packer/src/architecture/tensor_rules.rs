//! The tensors that architectures share, each declared once: an architecture's table is a list of these.

use symbiote_format::TensorKind;

use super::description::{Dim, Layers, Presence, TensorRule};
use Dim::{Context, Ffn, GateUp, Hidden, KeyValue, Query, QueryKeyValue, RopePairs, Vocabulary};

/// Divisors of the rotary frequencies, which GGUF alone stores (Llama 3.1).
pub(super) const ROPE_FACTORS: TensorRule = TensorRule {
    kind: TensorKind::RopeFactors,
    gguf: Some("rope_freqs.weight"),
    hugging_face: None,
    shape: &[RopePairs],
    presence: Presence::Optional,
    layers: Layers::All,
};
pub(super) const TOKEN_EMBEDDING: TensorRule =
    rule(TensorKind::TokenEmbedding, "token_embd.weight", "model.embed_tokens.weight", &[Vocabulary, Hidden]);
pub(super) const POSITION_EMBEDDING: TensorRule =
    rule(TensorKind::PositionEmbedding, "position_embd.weight", "transformer.wpe.weight", &[Context, Hidden]);

pub(super) const ATTENTION_NORM: TensorRule =
    rule(TensorKind::AttentionNorm, "blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight", &[Hidden]);
pub(super) const ATTENTION_NORM_BIAS: TensorRule =
    rule(TensorKind::AttentionNormBias, "blk.{}.attn_norm.bias", "model.layers.{}.input_layernorm.bias", &[Hidden]);
pub(super) const QUERY: TensorRule =
    rule(TensorKind::Query, "blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight", &[Query, Hidden]);
pub(super) const KEY: TensorRule =
    rule(TensorKind::Key, "blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight", &[KeyValue, Hidden]);
pub(super) const VALUE: TensorRule =
    rule(TensorKind::Value, "blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight", &[KeyValue, Hidden]);
pub(super) const QUERY_KEY_VALUE: TensorRule = rule(
    TensorKind::QueryKeyValue,
    "blk.{}.attn_qkv.weight",
    "model.layers.{}.self_attn.qkv_proj.weight",
    &[QueryKeyValue, Hidden],
);
pub(super) const QUERY_KEY_VALUE_BIAS: TensorRule = rule(
    TensorKind::QueryKeyValueBias,
    "blk.{}.attn_qkv.bias",
    "model.layers.{}.self_attn.qkv_proj.bias",
    &[QueryKeyValue],
);
pub(super) const QUERY_BIAS: TensorRule =
    rule(TensorKind::QueryBias, "blk.{}.attn_q.bias", "model.layers.{}.self_attn.q_proj.bias", &[Query]);
pub(super) const KEY_BIAS: TensorRule =
    rule(TensorKind::KeyBias, "blk.{}.attn_k.bias", "model.layers.{}.self_attn.k_proj.bias", &[KeyValue]);
pub(super) const VALUE_BIAS: TensorRule =
    rule(TensorKind::ValueBias, "blk.{}.attn_v.bias", "model.layers.{}.self_attn.v_proj.bias", &[KeyValue]);
/// Of each head, unless [`TensorRule::of`] says otherwise.
pub(super) const QUERY_NORM: TensorRule =
    rule(TensorKind::QueryNorm, "blk.{}.attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight", &[Dim::Head]);
/// Likewise.
pub(super) const KEY_NORM: TensorRule =
    rule(TensorKind::KeyNorm, "blk.{}.attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight", &[Dim::Head]);
pub(super) const ATTENTION_OUTPUT: TensorRule = rule(
    TensorKind::AttentionOutput,
    "blk.{}.attn_output.weight",
    "model.layers.{}.self_attn.o_proj.weight",
    &[Hidden, Query],
);
pub(super) const ATTENTION_OUTPUT_BIAS: TensorRule = rule(
    TensorKind::AttentionOutputBias,
    "blk.{}.attn_output.bias",
    "model.layers.{}.self_attn.o_proj.bias",
    &[Hidden],
);
pub(super) const ATTENTION_SINKS: TensorRule =
    rule(TensorKind::AttentionSinks, "blk.{}.attn_sinks.weight", "model.layers.{}.self_attn.sinks", &[Dim::Heads]);
pub(super) const POST_ATTENTION_NORM: TensorRule = rule(
    TensorKind::PostAttentionNorm,
    "blk.{}.post_attention_norm.weight",
    "model.layers.{}.post_attention_layernorm.weight",
    &[Hidden],
);

/// Hugging Face names it after what comes before it, where nothing else follows attention.
pub(super) const FFN_NORM: TensorRule =
    rule(TensorKind::FfnNorm, "blk.{}.ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight", &[Hidden]);
pub(super) const FFN_NORM_BIAS: TensorRule =
    rule(TensorKind::FfnNormBias, "blk.{}.ffn_norm.bias", "model.layers.{}.post_attention_layernorm.bias", &[Hidden]);
pub(super) const FFN_GATE: TensorRule =
    rule(TensorKind::FfnGate, "blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight", &[Ffn, Hidden]).dense();
pub(super) const FFN_UP: TensorRule =
    rule(TensorKind::FfnUp, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight", &[Ffn, Hidden]).dense();
/// llama.cpp keeps the name of the up projection.
pub(super) const FFN_GATE_UP: TensorRule =
    rule(TensorKind::FfnGateUp, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.gate_up_proj.weight", &[GateUp, Hidden])
        .dense();
pub(super) const FFN_DOWN: TensorRule =
    rule(TensorKind::FfnDown, "blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight", &[Hidden, Ffn]).dense();
pub(super) const FFN_GATE_BIAS: TensorRule =
    rule(TensorKind::FfnGateBias, "blk.{}.ffn_gate.bias", "model.layers.{}.mlp.gate_proj.bias", &[Ffn]).dense();
pub(super) const FFN_UP_BIAS: TensorRule =
    rule(TensorKind::FfnUpBias, "blk.{}.ffn_up.bias", "model.layers.{}.mlp.up_proj.bias", &[Ffn]).dense();
pub(super) const FFN_DOWN_BIAS: TensorRule =
    rule(TensorKind::FfnDownBias, "blk.{}.ffn_down.bias", "model.layers.{}.mlp.down_proj.bias", &[Hidden]).dense();
pub(super) const POST_FFN_NORM: TensorRule = rule(
    TensorKind::PostFfnNorm,
    "blk.{}.post_ffw_norm.weight",
    "model.layers.{}.post_feedforward_layernorm.weight",
    &[Hidden],
);

pub(super) const OUTPUT_NORM: TensorRule =
    rule(TensorKind::OutputNorm, "output_norm.weight", "model.norm.weight", &[Hidden]);
pub(super) const OUTPUT_NORM_BIAS: TensorRule =
    rule(TensorKind::OutputNormBias, "output_norm.bias", "model.norm.bias", &[Hidden]);
pub(super) const OUTPUT: TensorRule = TensorRule {
    presence: Presence::UnlessTied,
    ..rule(TensorKind::Output, "output.weight", "lm_head.weight", &[Vocabulary, Hidden])
};

/// What early files have besides, and nobody reads.
pub(super) const ROTARY_TABLES: &[&str] = &[
    "model.layers.{}.self_attn.rotary_emb.inv_freq",
    "model.rotary_emb.inv_freq",
    "blk.{}.attn_rot_embd.weight",
    // read into the hyperparameters
    super::rope_gguf::SHORT,
    super::rope_gguf::LONG,
];

pub(super) const fn rule(
    kind: TensorKind,
    gguf: &'static str,
    hugging_face: &'static str,
    shape: &'static [Dim],
) -> TensorRule {
    TensorRule {
        kind,
        gguf: Some(gguf),
        hugging_face: Some(hugging_face),
        shape,
        presence: Presence::Required,
        layers: Layers::All,
    }
}

impl TensorRule {
    /// The same, of this name in Hugging Face's layout.
    pub const fn named(self, hugging_face: &'static str) -> Self {
        Self { hugging_face: Some(hugging_face), ..self }
    }

    /// The same, of this name in GGUF.
    pub const fn named_in_gguf(self, gguf: &'static str) -> Self {
        Self { gguf: Some(gguf), ..self }
    }

    /// The same, of this shape.
    pub const fn of(self, shape: &'static [Dim]) -> Self {
        Self { shape, ..self }
    }

    /// The same, of dense layers alone.
    const fn dense(self) -> Self {
        Self { layers: Layers::Dense, ..self }
    }

    /// The same, there if this flag of `config.json` is set; in GGUF, where it is stored.
    pub const fn when(self, flag: &'static str) -> Self {
        Self { presence: Presence::When(flag), ..self }
    }
}
