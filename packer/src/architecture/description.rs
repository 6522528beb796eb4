//! What an architecture is to the packer, and the table of those it knows.

use symbiote_format::{Design, Experts, Latent, ModelConfig, RopeLayout, RopeScaling, TensorKind};

use super::ArchitectureError;
use super::config_json::ConfigJson;
use super::gguf_keys::GgufKeys;
use super::layers::LayerFlags;
use super::rope_gguf::StoredFactors;
use super::rope_json::Rope;
use super::{
    deepseek2, gemma2, gemma3, gpt_oss, gpt2, granite, granitemoe, llama, mistral, mixtral, olmo2, olmoe, phi3, qwen2,
    qwen2moe, qwen3, qwen3moe, smollm3, starcoder2,
};
use crate::source::StoredTensor;
use crate::source::safetensors::JsonObject;

/// The architectures that can be packed.
const ALL: [&Architecture; 22] = [
    &llama::LLAMA,
    &mistral::MISTRAL,
    &qwen2::QWEN2,
    &qwen3::QWEN3,
    &gemma2::GEMMA2,
    &gemma3::GEMMA3,
    &gemma3::GEMMA3_WITH_VISION,
    &phi3::PHI3,
    &olmo2::OLMO2,
    &granite::GRANITE,
    &smollm3::SMOLLM3,
    &starcoder2::STARCODER2,
    &gpt2::GPT2,
    &mixtral::MIXTRAL,
    &qwen2moe::QWEN2MOE,
    &qwen3moe::QWEN3MOE,
    &olmoe::OLMOE,
    &granitemoe::GRANITEMOE,
    &granitemoe::GRANITEMOE_SHARED,
    &gpt_oss::GPT_OSS,
    &deepseek2::DEEPSEEK2,
    &deepseek2::DEEPSEEK3,
];

type Result<T> = std::result::Result<T, ArchitectureError>;

/// Whose tensor names and row orders a source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Gguf,
    HuggingFace,
}

impl Layout {
    /// The name in an archive's provenance.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gguf => "gguf",
            Self::HuggingFace => "safetensors",
        }
    }
}

/// An architecture, declared. To add one: write its file, and name it in the table above.
#[derive(Debug)]
pub(crate) struct Architecture {
    /// Its name in archives, and `general.architecture` in GGUF.
    pub name: &'static str,
    /// `model_type` in `config.json`.
    pub model_type: &'static str,
    /// One of `architectures` in `config.json`.
    pub class: &'static str,
    /// Where it is in a larger model that Hugging Face stores whole.
    pub inside: Option<Inside>,
    /// Its tensors.
    pub tensors: &'static [TensorRule],
    /// Tensors that some files have and no computation reads: `{}` is a number, `*` at the end is anything, and `{}.*` at the end is
    /// all of layers beyond the last.
    pub unused: &'static [&'static str],
    /// How GGUF says its hyperparameters; `None` where GGUF calls it something else.
    pub gguf: Option<GgufRules>,
    /// How `config.json` says them; `None` where its safetensors cannot be packed.
    pub config_json: Option<JsonRules>,
}

/// The text model in a larger one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inside {
    /// The object in `config.json` that has its hyperparameters.
    pub config: &'static str,
    /// What its tensors' names start with.
    pub prefix: &'static str,
}

/// What is particular to an architecture's GGUF keys.
#[derive(Debug)]
pub(crate) struct GgufRules {
    /// Which rows of q and k turn together: interleaved where llama.cpp's converter permutes them.
    pub rope_layout: RopeLayout,
    /// How frequencies are scaled, given the context and the rotated dimensions.
    pub rope: fn(&GgufKeys, u32, u32, StoredFactors) -> Result<RopeScaling>,
    /// The key of the norms' epsilon.
    pub norm_eps: &'static str,
    /// What is otherwise than in Llama, given the hyperparameters that all have.
    pub design: fn(&GgufKeys, &ModelConfig) -> Result<Design>,
}

/// What is particular to an architecture's `config.json`.
#[derive(Debug)]
pub(crate) struct JsonRules {
    /// What transformers takes where a number or flag (0 or 1) is not there and models rely on it.
    pub defaults: &'static [(&'static str, f64)],
    /// The key of the norms' epsilon.
    pub norm_eps: &'static str,
    /// Rotary frequencies.
    pub rope: fn(&ConfigJson, u32) -> Result<Rope>,
    /// What is otherwise than in Llama, given the hyperparameters that all have.
    pub design: fn(&ConfigJson, &ModelConfig) -> Result<Design>,
}

/// One tensor of an architecture, or one of each layer: then its names have a `{}` for the layer's number. A name with a
/// second `{}`, for an expert's number, is of one of a layer's experts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TensorRule {
    pub kind: TensorKind,
    /// `None` where GGUF has none.
    pub gguf: Option<&'static str>,
    /// `None` where Hugging Face stores none.
    pub hugging_face: Option<&'static str>,
    /// Outermost dimension first; less the first where the name is of one expert. With a dimension of 0 there is no tensor.
    pub shape: &'static [Dim],
    pub presence: Presence,
    /// The layers that it is in, of all.
    pub layers: Layers,
}

/// What a source says of a model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hyperparameters {
    pub config: ModelConfig,
    /// The layers with a mixture of experts.
    pub mixtures: LayerFlags,
}

/// Which layers have a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layers {
    All,
    /// Those with one feed-forward network, which every token goes through.
    Dense,
    /// Those with a mixture of experts.
    Mixtures,
}

/// A dimension, as the hyperparameters give it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dim {
    Vocabulary,
    Context,
    Hidden,
    Ffn,
    /// gate and up rows
    GateUp,
    Heads,
    /// size of a head
    Head,
    /// heads * head size
    Query,
    /// key-value heads * head size
    KeyValue,
    /// query, key and value rows
    QueryKeyValue,
    /// rotated dimensions / 2
    RopePairs,
    /// what attention makes of a token: heads * size of a head of values
    Attended,
    /// width of the latent vector of queries
    QueryRank,
    /// width of that of keys and values
    KeyValueRank,
    /// the same, and rotated dimensions
    KeyValueRankRope,
    /// dimensions of a head that are not rotated
    Unrotated,
    /// size of a head of values
    Value,
    /// heads * both of them
    UnrotatedValues,
    /// experts of a layer
    Experts,
    /// width of one expert
    ExpertFfn,
    /// gate and up rows of one expert
    ExpertGateUp,
    /// width of what every token goes through beside its experts
    SharedFfn,
    /// its gate and up rows
    SharedGateUp,
}

/// Whether a tensor must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
    /// Required unless the head is the embedding.
    UnlessTied,
    /// Required in layers for which a rule before this one has found a tensor of this kind, not allowed in others.
    With(TensorKind),
    /// The other way round.
    Without(TensorKind),
    /// Required if this flag of `config.json` is set, else not allowed; optional in GGUF, which has no such flags.
    When(&'static str),
}

impl Dim {
    pub fn size(self, config: &ModelConfig) -> u64 {
        let rank = |size: fn(&Latent) -> u32| u64::from(config.design.latent.as_ref().map_or(0, size));
        let unrotated = u64::from(config.head_dim.saturating_sub(config.rope_dims));
        let of_experts = |size: fn(&Experts) -> u32| config.design.experts.as_ref().map_or(0, size).into();
        match self {
            Self::Vocabulary => config.vocab_size.into(),
            Self::Context => config.context_length.into(),
            Self::Hidden => config.hidden_size.into(),
            Self::Ffn => config.ffn_size.into(),
            Self::GateUp => 2 * u64::from(config.ffn_size),
            Self::Heads => config.head_count.into(),
            Self::Head => config.head_dim.into(),
            Self::Query => config.query_rows().into(),
            Self::KeyValue => config.kv_rows().into(),
            Self::QueryKeyValue => u64::from(config.query_rows()) + 2 * u64::from(config.kv_rows()),
            Self::RopePairs => (config.rope_dims / 2).into(),
            Self::Attended => config.attended_rows().into(),
            Self::QueryRank => rank(|latent| latent.query_rank),
            Self::KeyValueRank => rank(|latent| latent.kv_rank),
            Self::KeyValueRankRope => rank(|latent| latent.kv_rank) + u64::from(config.rope_dims),
            Self::Unrotated => unrotated,
            Self::Value => config.value_dim().into(),
            Self::UnrotatedValues => u64::from(config.head_count) * (unrotated + u64::from(config.value_dim())),
            Self::Experts => of_experts(|e| e.count),
            Self::ExpertFfn => of_experts(|e| e.ffn_size),
            Self::ExpertGateUp => 2 * of_experts(|e| e.ffn_size),
            Self::SharedFfn => of_experts(|e| e.shared_ffn_size),
            Self::SharedGateUp => 2 * of_experts(|e| e.shared_ffn_size),
        }
    }
}

impl Architecture {
    /// The name that a rule gives in a source of this layout, `{}` in it for the layer and for the expert; `None` if that stores
    /// no such tensor.
    pub fn pattern(&self, rule: &TensorRule, layout: Layout) -> Option<String> {
        match layout {
            Layout::Gguf => rule.gguf.map(String::from),
            Layout::HuggingFace => {
                rule.hugging_face.map(|name| format!("{}{name}", self.inside.map_or("", |inside| inside.prefix)))
            }
        }
    }

    /// True if some of its layers may be dense although others are mixtures of experts.
    pub fn has_dense_layers(&self) -> bool {
        self.tensors.iter().any(|rule| rule.layers == Layers::Dense)
    }

    /// True if keys and values are made of latent vectors.
    pub fn has_latents(&self) -> bool {
        self.tensors.iter().any(|rule| rule.kind == TensorKind::KeyValueLatent)
    }

    /// The name of a tensor that is in no layer; empty if a source of this layout has none.
    pub fn tensor_name(&self, layout: Layout, kind: TensorKind) -> String {
        let rule = self.tensors.iter().find(|rule| rule.kind == kind);
        rule.and_then(|rule| self.pattern(rule, layout)).unwrap_or_default()
    }

    /// Rows of the token embedding, which is what counts as the vocabulary's size.
    pub fn vocabulary(&self, layout: Layout, tensors: &[StoredTensor]) -> Result<u32> {
        let name = self.tensor_name(layout, TensorKind::TokenEmbedding);
        let found = tensors.iter().find(|t| t.name == name);
        let found = found.ok_or_else(|| ArchitectureError::MissingTensor { name: name.clone() })?;
        let refuse = || ArchitectureError::Embedding { name: name.clone(), found: found.shape.clone() };
        match found.shape[..] {
            [rows, _] => u32::try_from(rows).map_err(|_| refuse()),
            _ => Err(refuse()),
        }
    }
}

/// The architecture that a GGUF file names, and how GGUF says its hyperparameters.
pub(crate) fn by_gguf_name(name: &str) -> Result<(&'static Architecture, &'static GgufRules)> {
    let known = || ALL.into_iter().filter_map(|a| Some((a, a.gguf.as_ref()?)));
    known().find(|(a, _)| a.name == name).ok_or_else(|| unknown(name, known().map(|(a, _)| a.name)))
}

/// The architecture that a `config.json` names, by class where it lists classes and by model type, and how it says its
/// hyperparameters.
pub(crate) fn by_config_json(config: &JsonObject) -> Result<(&'static Architecture, &'static JsonRules)> {
    let classes = config.get("architectures").and_then(|v| v.as_array()).map(Vec::as_slice).unwrap_or_default();
    let classes: Vec<&str> = classes.iter().filter_map(|v| v.as_str()).collect();
    let model_type = config.text("model_type")?;
    let class_fits = |a: &Architecture| classes.is_empty() || classes.contains(&a.class);
    let type_fits = |a: &Architecture| model_type.map_or(!classes.is_empty(), |t| t == a.model_type);
    if let Some(found) = ALL.into_iter().find(|a| class_fits(a) && type_fits(a)) {
        let rules = found.config_json.as_ref().ok_or(ArchitectureError::GgufOnly { class: found.class })?;
        return Ok((found, rules));
    }
    let found = match (classes.first(), model_type) {
        (Some(class), Some(model_type)) => format!("{class} ({model_type})"),
        (Some(class), None) => (*class).into(),
        (None, found) => found.unwrap_or("not named in config.json").into(),
    };
    Err(unknown(&found, ALL.into_iter().filter(|a| a.config_json.is_some()).map(|a| short(a.class))))
}

/// A class without the end that nearly all have.
fn short(class: &'static str) -> &'static str {
    class.strip_suffix("ForCausalLM").unwrap_or(class)
}

fn unknown(found: &str, known: impl Iterator<Item = &'static str>) -> ArchitectureError {
    ArchitectureError::Unknown { found: found.into(), known: known.collect::<Vec<_>>().join(", ") }
}
