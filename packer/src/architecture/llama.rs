//! Llama and the models built exactly like it: SmolLM2, TinyLlama, Yi and others.

use symbiote_format::TensorKind;

use super::description::{Architecture, Dim, Presence, TensorRule};
use super::{config_json, gguf_keys};
use Dim::{Ffn, Hidden, KeyValue, Query, RopePairs, Vocabulary};

pub(super) const LLAMA: Architecture = Architecture {
    name: "llama",
    model_type: "llama",
    class: "LlamaForCausalLM",
    tensors: &[
        optional(TensorKind::RopeFactors, "rope_freqs.weight", None, &[RopePairs]),
        required(TensorKind::TokenEmbedding, "token_embd.weight", "model.embed_tokens.weight", &[Vocabulary, Hidden]),
        layer(
            TensorKind::AttentionNorm,
            "blk.{}.attn_norm.weight",
            "model.layers.{}.input_layernorm.weight",
            &[Hidden],
        ),
        layer(TensorKind::Query, "blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight", &[Query, Hidden]),
        layer(TensorKind::Key, "blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight", &[KeyValue, Hidden]),
        layer(
            TensorKind::Value,
            "blk.{}.attn_v.weight",
            "model.layers.{}.self_attn.v_proj.weight",
            &[KeyValue, Hidden],
        ),
        layer(
            TensorKind::AttentionOutput,
            "blk.{}.attn_output.weight",
            "model.layers.{}.self_attn.o_proj.weight",
            &[Hidden, Query],
        ),
        layer(
            TensorKind::FfnNorm,
            "blk.{}.ffn_norm.weight",
            "model.layers.{}.post_attention_layernorm.weight",
            &[Hidden],
        ),
        layer(TensorKind::FfnGate, "blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight", &[Ffn, Hidden]),
        layer(TensorKind::FfnUp, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight", &[Ffn, Hidden]),
        layer(TensorKind::FfnDown, "blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight", &[Hidden, Ffn]),
        required(TensorKind::OutputNorm, "output_norm.weight", "model.norm.weight", &[Hidden]),
        TensorRule {
            kind: TensorKind::Output,
            gguf: "output.weight",
            hugging_face: Some("lm_head.weight"),
            shape: &[Vocabulary, Hidden],
            presence: Presence::UnlessTied,
        },
    ],
    unused: &[
        "model.layers.{}.self_attn.rotary_emb.inv_freq",
        "model.rotary_emb.inv_freq",
        "blk.{}.attn_rot_embd.weight",
    ],
    from_gguf: gguf_keys::llama,
    from_config_json: config_json::llama,
};

const fn required(
    kind: TensorKind,
    gguf: &'static str,
    hugging_face: &'static str,
    shape: &'static [Dim],
) -> TensorRule {
    TensorRule { kind, gguf, hugging_face: Some(hugging_face), shape, presence: Presence::Required }
}

/// Required in every layer: the `{}` in its names makes it so.
const fn layer(kind: TensorKind, gguf: &'static str, hugging_face: &'static str, shape: &'static [Dim]) -> TensorRule {
    required(kind, gguf, hugging_face, shape)
}

const fn optional(
    kind: TensorKind,
    gguf: &'static str,
    hugging_face: Option<&'static str>,
    shape: &'static [Dim],
) -> TensorRule {
    TensorRule { kind, gguf, hugging_face, shape, presence: Presence::Optional }
}
