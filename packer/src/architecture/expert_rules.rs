//! The tensors of mixtures of experts that architectures share, as `tensor_rules` has the others.

use symbiote_format::TensorKind;

use super::description::{Dim, Layers, Presence, TensorRule};
use super::tensor_rules::rule;
use Dim::{ExpertFfn, ExpertGateUp, Experts, Hidden, SharedFfn, SharedGateUp};

pub(super) const ROUTER: TensorRule = mixture(rule(
    TensorKind::Router,
    "blk.{}.ffn_gate_inp.weight",
    "model.layers.{}.mlp.gate.weight",
    &[Experts, Hidden],
));

pub(super) const ROUTER_BIAS: TensorRule =
    mixture(rule(TensorKind::RouterBias, "blk.{}.ffn_gate_inp.bias", "model.layers.{}.mlp.router.bias", &[Experts]));

pub(super) const EXPERT_SCORE_BIAS: TensorRule = mixture(rule(
    TensorKind::ExpertScoreBias,
    "blk.{}.exp_probs_b.bias",
    "model.layers.{}.mlp.gate.e_score_correction_bias",
    &[Experts],
));

/// Of all experts in one tensor, as transformers has them in memory and some checkpoints store them.
pub(super) const EXPERT_GATE_UP: TensorRule = mixture(rule(
    TensorKind::ExpertGateUp,
    "blk.{}.ffn_gate_up_exps.weight",
    "model.layers.{}.mlp.experts.gate_up_proj",
    &[Experts, ExpertGateUp, Hidden],
));
/// Of one expert; in GGUF, of all.
pub(super) const EXPERT_GATE: TensorRule = mixture(rule(
    TensorKind::ExpertGate,
    "blk.{}.ffn_gate_exps.weight",
    "model.layers.{}.mlp.experts.{}.gate_proj.weight",
    &[Experts, ExpertFfn, Hidden],
))
.without(TensorKind::ExpertGateUp);
pub(super) const EXPERT_UP: TensorRule = mixture(rule(
    TensorKind::ExpertUp,
    "blk.{}.ffn_up_exps.weight",
    "model.layers.{}.mlp.experts.{}.up_proj.weight",
    &[Experts, ExpertFfn, Hidden],
))
.without(TensorKind::ExpertGateUp);
pub(super) const EXPERT_DOWN: TensorRule = mixture(rule(
    TensorKind::ExpertDown,
    "blk.{}.ffn_down_exps.weight",
    "model.layers.{}.mlp.experts.{}.down_proj.weight",
    &[Experts, Hidden, ExpertFfn],
))
.without(TensorKind::ExpertGateUp);
/// Beside [`EXPERT_GATE_UP`].
pub(super) const EXPERT_DOWN_OF_ALL: TensorRule =
    EXPERT_DOWN.named("model.layers.{}.mlp.experts.down_proj").with(TensorKind::ExpertGateUp);

pub(super) const EXPERT_GATE_UP_BIAS: TensorRule = mixture(rule(
    TensorKind::ExpertGateUpBias,
    "blk.{}.ffn_gate_up_exps.bias",
    "model.layers.{}.mlp.experts.gate_up_proj_bias",
    &[Experts, ExpertGateUp],
));
pub(super) const EXPERT_GATE_BIAS: TensorRule = mixture(rule(
    TensorKind::ExpertGateBias,
    "blk.{}.ffn_gate_exps.bias",
    "model.layers.{}.mlp.experts.gate_proj_bias",
    &[Experts, ExpertFfn],
));
pub(super) const EXPERT_UP_BIAS: TensorRule = mixture(rule(
    TensorKind::ExpertUpBias,
    "blk.{}.ffn_up_exps.bias",
    "model.layers.{}.mlp.experts.up_proj_bias",
    &[Experts, ExpertFfn],
));
pub(super) const EXPERT_DOWN_BIAS: TensorRule = mixture(rule(
    TensorKind::ExpertDownBias,
    "blk.{}.ffn_down_exps.bias",
    "model.layers.{}.mlp.experts.down_proj_bias",
    &[Experts, Hidden],
));

/// What every token goes through beside its experts.
pub(super) const SHARED_GATE: TensorRule = mixture(rule(
    TensorKind::SharedGate,
    "blk.{}.ffn_gate_shexp.weight",
    "model.layers.{}.mlp.shared_expert.gate_proj.weight",
    &[SharedFfn, Hidden],
));
pub(super) const SHARED_UP: TensorRule = mixture(rule(
    TensorKind::SharedUp,
    "blk.{}.ffn_up_shexp.weight",
    "model.layers.{}.mlp.shared_expert.up_proj.weight",
    &[SharedFfn, Hidden],
));
pub(super) const SHARED_GATE_UP: TensorRule = mixture(rule(
    TensorKind::SharedGateUp,
    "blk.{}.ffn_up_shexp.weight",
    "model.layers.{}.shared_mlp.input_linear.weight",
    &[SharedGateUp, Hidden],
));
pub(super) const SHARED_DOWN: TensorRule = mixture(rule(
    TensorKind::SharedDown,
    "blk.{}.ffn_down_shexp.weight",
    "model.layers.{}.mlp.shared_expert.down_proj.weight",
    &[Hidden, SharedFfn],
));
pub(super) const SHARED_ROUTER: TensorRule = mixture(rule(
    TensorKind::SharedRouter,
    "blk.{}.ffn_gate_inp_shexp.weight",
    "model.layers.{}.mlp.shared_expert_gate.weight",
    &[Hidden],
));

/// The same, of layers with a mixture of experts alone.
pub(super) const fn mixture(rule: TensorRule) -> TensorRule {
    TensorRule { layers: Layers::Mixtures, ..rule }
}

impl TensorRule {
    /// The same, in layers for which a rule before it has found a tensor of this kind.
    pub const fn with(self, kind: TensorKind) -> Self {
        Self { presence: Presence::With(kind), ..self }
    }

    /// The same, in the other layers.
    pub const fn without(self, kind: TensorKind) -> Self {
        Self { presence: Presence::Without(kind), ..self }
    }

    /// The same, there in every layer that it could be in.
    pub const fn required(self) -> Self {
        Self { presence: Presence::Required, ..self }
    }

    /// The same, which need not be there.
    pub const fn optional(self) -> Self {
        Self { presence: Presence::Optional, ..self }
    }

    /// The same, which Hugging Face does not store so.
    pub const fn gguf_only(self) -> Self {
        Self { hugging_face: None, ..self }
    }

    /// The same, which GGUF does not store so.
    pub const fn hugging_face_only(self) -> Self {
        Self { gguf: None, ..self }
    }
}
