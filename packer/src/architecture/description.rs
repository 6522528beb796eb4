//! What an architecture is to the packer, and the table of those it knows.

use symbiote_format::{ModelConfig, TensorKind};

use super::ArchitectureError;
use super::llama::LLAMA;
use crate::source::StoredTensor;
use crate::source::gguf::Keys;
use crate::source::safetensors::JsonObject;

/// The architectures that can be packed.
const ALL: [&Architecture; 1] = [&LLAMA];

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

/// An architecture, declared.
#[derive(Debug)]
pub(crate) struct Architecture {
    /// Its name in archives, and `general.architecture` in GGUF.
    pub name: &'static str,
    /// `model_type` in `config.json`.
    pub model_type: &'static str,
    /// One of `architectures` in `config.json`.
    pub class: &'static str,
    /// Its tensors.
    pub tensors: &'static [TensorRule],
    /// Tensors that some files have and no computation reads.
    pub unused: &'static [&'static str],
    /// Hyperparameters out of GGUF keys, given the rows of the embedding.
    pub from_gguf: fn(Keys, u32) -> Result<ModelConfig>,
    /// Hyperparameters out of `config.json`, given the rows of the embedding.
    pub from_config_json: fn(&JsonObject, u32) -> Result<ModelConfig>,
}

/// One tensor of an architecture, or one of each layer: then its names have a `{}` for the layer's number.
#[derive(Debug)]
pub(crate) struct TensorRule {
    pub kind: TensorKind,
    pub gguf: &'static str,
    /// `None` where Hugging Face stores none.
    pub hugging_face: Option<&'static str>,
    /// Outermost dimension first.
    pub shape: &'static [Dim],
    pub presence: Presence,
}

/// A dimension, as the hyperparameters give it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dim {
    Vocabulary,
    Hidden,
    Ffn,
    /// heads * head size
    Query,
    /// key-value heads * head size
    KeyValue,
    /// rotated dimensions / 2
    RopePairs,
}

/// Whether a tensor must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
    /// Required unless the head is the embedding.
    UnlessTied,
}

impl Dim {
    pub fn size(self, config: &ModelConfig) -> u64 {
        u64::from(match self {
            Self::Vocabulary => config.vocab_size,
            Self::Hidden => config.hidden_size,
            Self::Ffn => config.ffn_size,
            Self::Query => config.query_rows(),
            Self::KeyValue => config.kv_rows(),
            Self::RopePairs => config.rope_dims / 2,
        })
    }
}

impl TensorRule {
    /// The name in a source of this layout, `{}` in it for the layer.
    pub fn pattern(&self, layout: Layout) -> Option<&'static str> {
        match layout {
            Layout::Gguf => Some(self.gguf),
            Layout::HuggingFace => self.hugging_face,
        }
    }
}

impl Architecture {
    /// The name of a tensor that is in no layer; empty if a source of this layout has none.
    pub fn tensor_name(&self, layout: Layout, kind: TensorKind) -> &'static str {
        let rule = self.tensors.iter().find(|rule| rule.kind == kind);
        rule.and_then(|rule| rule.pattern(layout)).unwrap_or_default()
    }

    /// Rows of the token embedding, which is what counts as the vocabulary's size.
    pub fn vocabulary(&self, layout: Layout, tensors: &[StoredTensor]) -> Result<u32> {
        let name = self.tensor_name(layout, TensorKind::TokenEmbedding);
        let found = tensors.iter().find(|t| t.name == name);
        let found = found.ok_or_else(|| ArchitectureError::MissingTensor { name: name.into() })?;
        let refuse = || ArchitectureError::Embedding { name: name.into(), found: found.shape.clone() };
        match found.shape[..] {
            [rows, _] => u32::try_from(rows).map_err(|_| refuse()),
            _ => Err(refuse()),
        }
    }
}

/// The architecture that a GGUF file names.
pub(crate) fn by_gguf_name(name: &str) -> Result<&'static Architecture> {
    ALL.into_iter().find(|a| a.name == name).ok_or_else(|| unknown(name, |a| a.name))
}

/// The architecture that a `config.json` names: by class where it lists classes, and by model type.
pub(crate) fn by_config_json(config: &JsonObject) -> Result<&'static Architecture> {
    let classes = config.get("architectures").and_then(|v| v.as_array()).map(Vec::as_slice).unwrap_or_default();
    let classes: Vec<&str> = classes.iter().filter_map(|v| v.as_str()).collect();
    let model_type = config.text("model_type")?;
    let class_fits = |a: &Architecture| classes.is_empty() || classes.contains(&a.class);
    let type_fits = |a: &Architecture| model_type.map_or(!classes.is_empty(), |t| t == a.model_type);
    if let Some(found) = ALL.into_iter().find(|a| class_fits(a) && type_fits(a)) {
        return Ok(found);
    }
    let found = match (classes.first(), model_type) {
        (Some(class), Some(model_type)) => format!("{class} ({model_type})"),
        (Some(class), None) => (*class).into(),
        (None, found) => found.unwrap_or("not named in config.json").into(),
    };
    Err(unknown(&found, |a| a.class))
}

fn unknown(found: &str, name: impl Fn(&Architecture) -> &'static str) -> ArchitectureError {
    let known: Vec<_> = ALL.into_iter().map(name).collect();
    ArchitectureError::Unknown { found: found.into(), known: known.join(", ") }
}
