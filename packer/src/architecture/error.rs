//! Why a model is refused: one variant a broken rule.

use symbiote_format::ParamError;

use crate::source::gguf::GgufError;
use crate::source::safetensors::SafetensorsError;

/// A model that this program would not compute exactly as its authors do. The caller adds the file's name.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ArchitectureError {
    /// Another architecture.
    #[error("the architecture is {found}; this program knows {known}")]
    Unknown {
        /// What the source says.
        found: String,
        /// What it could be.
        known: String,
    },
    /// An architecture whose safetensors cannot be packed as they are.
    #[error("{class} stores its matrices transposed in safetensors: convert the model to GGUF first, and pack that")]
    GgufOnly {
        /// Its class.
        class: &'static str,
    },
    /// Experts as transformers saves them where they are interleaved.
    #[error(
        "tensor {name} has the experts transposed, as transformers saves them without MXFP4: take the published MXFP4 weights, or convert the model to GGUF first, and pack that"
    )]
    TransposedExperts {
        /// Its name.
        name: String,
    },
    /// A hyperparameter that must be there.
    #[error("{key} is missing")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A hyperparameter whose value changes the computation in a way that is not implemented.
    #[error("{key} = {found} is not supported: it must be {expected}")]
    Unsupported {
        /// The key.
        key: String,
        /// The value.
        found: String,
        /// The values that are.
        expected: String,
    },
    /// A hyperparameter that this program does not know, so that ignoring it could compute something else.
    #[error("the model sets {key}, which this program does not know")]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A tensor that must be there.
    #[error("tensor {name} is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A tensor that the architecture does not have.
    #[error("tensor {name} does not belong to the {architecture} architecture")]
    UnexpectedTensor {
        /// Its name.
        name: String,
        /// The architecture.
        architecture: &'static str,
    },
    /// One expert's tensor in a GGUF file.
    #[error(
        "tensor {name} is of one expert, as llama.cpp stored them before it put a layer's experts into one tensor: convert the model again with a later llama.cpp"
    )]
    OldExperts {
        /// Its name.
        name: String,
    },
    /// A tensor that `config.json` says the model does not have.
    #[error(
        "tensor {name} is there, and {key} is false: set {key} to true in config.json to use it, or remove that tensor"
    )]
    TensorAgainstFlag {
        /// Its name.
        name: String,
        /// The flag.
        key: &'static str,
    },
    /// A vector that is not stored as plain numbers.
    #[error("tensor {name} is a vector stored as {dtype}: it must be F32, F16 or BF16")]
    CodedVector {
        /// Its name.
        name: String,
        /// How it is stored.
        dtype: &'static str,
    },
    /// A tensor of a type that is kept and not computed with.
    #[error("tensor {name} is stored as {dtype}, which no weight can be: convert the model to F32, F16 or BF16 first")]
    UnreadType {
        /// Its name.
        name: String,
        /// How it is stored.
        dtype: &'static str,
    },
    /// Weights of 8 bits without their factors.
    #[error("tensor {name} is stored as {dtype} and {name}_scale_inv or {name}_scale is missing")]
    NoScale {
        /// Its name.
        name: String,
        /// How it is stored.
        dtype: &'static str,
    },
    /// Factors that are no plain numbers.
    #[error("tensor {name} is a scale stored as {dtype}: it must be F32, F16 or BF16")]
    ScaleType {
        /// Its name.
        name: String,
        /// How it is stored.
        dtype: &'static str,
    },
    /// Factors that do not fit what they are of.
    #[error(
        "tensor {name} has shape {found:?}, and the tensor that it scales {of:?}: it must be one factor, one a row{blocks}"
    )]
    ScaleShape {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<u64>,
        /// The shape of the other.
        of: Vec<u64>,
        /// The blocks that it might also be of, in words.
        blocks: String,
    },
    /// A tensor of another shape than the hyperparameters ask for.
    #[error("tensor {name} has shape {found:?}, and the hyperparameters ask for {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// Its shape, outermost dimension first.
        found: Vec<u64>,
        /// What it must be.
        expected: Vec<u64>,
    },
    /// An embedding that is no matrix.
    #[error("tensor {name} has shape {found:?}: it must be [vocabulary, hidden]")]
    Embedding {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<u64>,
    },
    /// A head that is stored and different, and yet said to be the embedding.
    #[error(
        "tie_word_embeddings is true, and {head} differs from {embedding}: set it to false in config.json to use {head}, or remove that tensor"
    )]
    TiedHeadDiffers {
        /// The head.
        head: String,
        /// The embedding.
        embedding: String,
    },
    /// A hyperparameter outside its range.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A key of the wrong type in a GGUF file.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A key of the wrong type in a JSON file.
    #[error(transparent)]
    Json(#[from] SafetensorsError),
}
