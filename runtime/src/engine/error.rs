//! Why an engine cannot do what it was asked.

use symbiote_format::{CoaccessError, Codec, Dtype, NO_LAYER};

use super::PromptCacheError;
use super::need::Need;
use crate::gpu::GpuError;
use crate::memory::ByteSize;
use crate::pak::PakError;
use crate::residency::ResidencyError;
use crate::text::TextError;

/// Why an engine cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The archive.
    #[error(transparent)]
    Pak(#[from] PakError),
    /// The device.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The packs.
    #[error(transparent)]
    Residency(#[from] ResidencyError),
    /// The tokenizer.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A tensor that the architecture needs.
    #[error("the archive has no {kind} tensor for {}", layer_name(*.layer))]
    MissingTensor {
        /// Which.
        kind: &'static str,
        /// Its layer.
        layer: u32,
    },
    /// An expert whose rows are not in a pack of its own.
    #[error("expert {expert} of {} is not whole in one pack: make the archive again with symbiote-pack convert", layer_name(*.layer))]
    MissingExpert {
        /// Its layer.
        layer: u32,
        /// Which.
        expert: usize,
    },
    /// The device chose what is not there.
    #[error("the router of layer {layer} chose expert {expert} of {experts}: the device computed nonsense")]
    Routed {
        /// The layer.
        layer: u32,
        /// The choice.
        expert: u32,
        /// How many there are.
        experts: u32,
    },
    /// A bug: fewer activations were counted than a pass takes.
    #[error("the buffers of a pass are not as they were planned")]
    Activations,
    /// A tensor of another shape.
    #[error("tensor {name} has shape {found:?}; the model's sizes ask for {expected:?}")]
    TensorShape {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<u64>,
        /// The shape it should have.
        expected: Vec<u64>,
    },
    /// A norm that is stored in blocks.
    #[error("the {kind} tensor of {} is stored as {dtype}; vectors must be F32, F16 or BF16", layer_name(*.layer))]
    VectorType {
        /// Which.
        kind: &'static str,
        /// Its layer.
        layer: u32,
        /// How it is stored.
        dtype: Dtype,
    },
    /// A vector that is coded.
    #[error("the {kind} tensor of {} is coded; make the archive with symbiote-pack repack --target run", layer_name(*.layer))]
    VectorCodec {
        /// Which.
        kind: &'static str,
        /// Its layer.
        layer: u32,
    },
    /// Weights in a form that no kernel computes on.
    #[error(
        "tensor {name} is coded as {codec}, to be sent and kept: symbiote-pack repack --target run makes an archive to run of it"
    )]
    NotComputable {
        /// The tensor.
        name: String,
        /// Its codec.
        codec: Codec,
    },
    /// A size that the kernels cannot take.
    #[error("{what} is {found}; the kernels need a multiple of {multiple}")]
    Size {
        /// Which size.
        what: &'static str,
        /// Its value.
        found: u32,
        /// What it must divide by.
        multiple: u32,
    },
    /// A context that is empty or longer than the model's.
    #[error("a context of {asked} tokens was asked for: it must be from {least} to {most}")]
    Context {
        /// What was asked for.
        asked: u32,
        /// The fewest that make sense.
        least: u32,
        /// The model's own, or the engine's.
        most: u32,
    },
    /// More device memory than there is.
    #[error(
        "{} of device memory are needed ({} for the weights, {} for the keys and values of {context} tokens, {} for activations) and {} are {}, or use a smaller --ctx or --batch",
        Mebibytes(need.bytes()), ByteSize(need.weights), ByteSize(need.cache), ByteSize(need.activations),
        ByteSize(*available), if *capped { "allowed: raise --vram" } else { "free: close what uses the rest" }
    )]
    Memory {
        /// For what.
        need: Need,
        /// Tokens of the context.
        context: u32,
        /// Bytes that may be used.
        available: u64,
        /// The limit is the options' own.
        capped: bool,
    },
    /// The archive's file is another than it was.
    #[error("{}: the file was changed while it was in use; start again", .path.display())]
    FileChanged {
        /// The archive.
        path: std::path::PathBuf,
    },
    /// More RAM than there is.
    #[error(
        "{} of RAM are needed beside an open device and {} are {}",
        Mebibytes(*needed), ByteSize(*available), if *capped { "allowed: raise --ram" } else { "free: close what uses the rest" }
    )]
    Ram {
        /// The least that will do, in bytes.
        needed: u64,
        /// Bytes that may be used.
        available: u64,
        /// The limit is the options' own.
        capped: bool,
    },
    /// More tokens than are left of the context.
    #[error(
        "{tokens} tokens do not fit into the context of {context}{}: shorten the prompt or raise --ctx",
        if *used == 0 { String::new() } else { format!(", of which {used} are in use") }
    )]
    ContextFull {
        /// Tokens to add.
        tokens: usize,
        /// Tokens there.
        used: usize,
        /// Tokens that fit in all.
        context: u32,
    },
    /// A token id outside the vocabulary.
    #[error("token {token} is not in the vocabulary of {vocabulary}")]
    Token {
        /// The id.
        token: u32,
        /// Ids there are.
        vocabulary: u32,
    },
    /// No tokens where at least one is needed.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// No tokenizer in the archive.
    #[error("the archive has no tokenizer, so it takes token ids only")]
    NoTokenizer,
    /// A grammar that cannot be used, or an answer that cannot go on with one.
    #[error("{0}")]
    Grammar(String),
    /// A sequence in a file.
    #[error(transparent)]
    PromptCache(#[from] PromptCacheError),
    /// Co-access statistics.
    #[error(transparent)]
    Coaccess(#[from] CoaccessError),
    /// The model's shape is none that a trace can have.
    #[error(transparent)]
    Trace(#[from] crate::trace::TraceError),
    /// A setting of the sampler.
    #[error("{0}")]
    Sampling(String),
    /// A text too short to measure.
    #[error(
        "windows of {context} tokens need a text of at least {needed}, and it has {found}: use a longer one or a smaller --ctx"
    )]
    ShortText {
        /// Its tokens.
        found: usize,
        /// The window.
        context: u32,
        /// What is needed.
        needed: usize,
    },
}

/// A number of bytes that a user may give as a limit: rounded up.
struct Mebibytes(u64);

impl std::fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} MiB", self.0.div_ceil(1 << 20))
    }
}

fn layer_name(layer: u32) -> String {
    if layer == NO_LAYER { "the model".into() } else { format!("layer {layer}") }
}
