//! The tensors of attention through latent vectors, as `tensor_rules` has the others.

use symbiote_format::TensorKind;

use super::description::{Dim, TensorRule};
use super::tensor_rules::rule;
use Dim::{Heads, Hidden, KeyValueRank, KeyValueRankRope, Query, QueryRank, Unrotated, UnrotatedValues, Value};

/// Where queries have a latent vector.
pub(super) const QUERY_LATENT: TensorRule = rule(
    TensorKind::QueryLatent,
    "blk.{}.attn_q_a.weight",
    "model.layers.{}.self_attn.q_a_proj.weight",
    &[QueryRank, Hidden],
);
pub(super) const QUERY_LATENT_NORM: TensorRule = rule(
    TensorKind::QueryLatentNorm,
    "blk.{}.attn_q_a_norm.weight",
    "model.layers.{}.self_attn.q_a_layernorm.weight",
    &[QueryRank],
);
pub(super) const QUERY_OF_LATENT: TensorRule = rule(
    TensorKind::QueryOfLatent,
    "blk.{}.attn_q_b.weight",
    "model.layers.{}.self_attn.q_b_proj.weight",
    &[Query, QueryRank],
);
pub(super) const KEY_VALUE_LATENT: TensorRule = rule(
    TensorKind::KeyValueLatent,
    "blk.{}.attn_kv_a_mqa.weight",
    "model.layers.{}.self_attn.kv_a_proj_with_mqa.weight",
    &[KeyValueRankRope, Hidden],
);
pub(super) const KEY_VALUE_LATENT_NORM: TensorRule = rule(
    TensorKind::KeyValueLatentNorm,
    "blk.{}.attn_kv_a_norm.weight",
    "model.layers.{}.self_attn.kv_a_layernorm.weight",
    &[KeyValueRank],
);
/// Of GGUF files since 2025, and transposed.
pub(super) const KEY_OF_LATENT: TensorRule = rule(
    TensorKind::KeyOfLatent,
    "blk.{}.attn_k_b.weight",
    "model.layers.{}.self_attn.k_b_proj.weight",
    &[Heads, KeyValueRank, Unrotated],
)
.gguf_only()
.optional();
/// Beside it.
pub(super) const VALUE_OF_LATENT: TensorRule = rule(
    TensorKind::ValueOfLatent,
    "blk.{}.attn_v_b.weight",
    "model.layers.{}.self_attn.v_b_proj.weight",
    &[Heads, Value, KeyValueRank],
)
.gguf_only()
.with(TensorKind::KeyOfLatent);
/// Elsewhere.
pub(super) const KEY_VALUE_OF_LATENT: TensorRule = rule(
    TensorKind::KeyValueOfLatent,
    "blk.{}.attn_kv_b.weight",
    "model.layers.{}.self_attn.kv_b_proj.weight",
    &[UnrotatedValues, KeyValueRank],
)
.without(TensorKind::KeyOfLatent);
