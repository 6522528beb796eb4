//! How an engine is opened, and how it answers.

use std::path::PathBuf;

use super::{Grammar, Sampling};
use crate::gpu::GpuOptions;
use crate::residency::experts::OracleKind;

/// How an engine is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Device, validation and the cap on device memory.
    pub gpu: GpuOptions,
    /// The most bytes of RAM that the process may hold beside what an open device takes; what the machine has free if absent.
    pub ram_cap: Option<u64>,
    /// What the process holds in RAM beside what an open device takes and before packs come, in bytes, where the caller knows;
    /// measured if absent, which counts what other threads take meanwhile.
    pub ram_held: Option<u64>,
    /// How weights in RAM reach the device.
    pub link: Link,
    /// What decides which experts of a mixture stay, where not all of them fit.
    pub oracle: OracleKind,
    /// Copy each pack so many times from RAM to VRAM, at least once: a slower link, for measurements.
    pub crossings: u32,
    /// Bring no expert before a router has chosen it.
    pub no_prefetch: bool,
    /// Most tokens of a sequence; the model's own context up to [`DEFAULT_CONTEXT`] if absent.
    pub context: Option<u32>,
    /// Most tokens of one pass; a longer prompt takes several.
    pub batch: Option<u32>,
    /// How keys and values are kept.
    pub kv_type: KvType,
    /// A folder of GLSL sources to use in place of those built in; watched for changes.
    pub shader_dir: Option<PathBuf>,
    /// Time every kernel.
    pub profile: bool,
    /// Choose kernels as for a GPU, whatever the device: on a CPU that is slow, and tests them.
    pub like_gpu: bool,
    /// Check every pack against its SHA-256 while loading.
    pub verify: bool,
}

/// The context of an engine whose options name none, where the model has a longer one.
pub const DEFAULT_CONTEXT: u32 = 4096;
/// The batch of an engine whose options name none.
pub const DEFAULT_BATCH: u32 = 512;

/// How weights in RAM reach a device with memory of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// They are copied into a ring of slots in VRAM, ahead of their use.
    #[default]
    Copy,
    /// Kernels read them where they are, in passes of few tokens; in others they are copied.
    Direct,
}

/// How keys and values are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvType {
    /// A byte an element, and two for the scale of every 32 of them: logits off by some hundredths.
    Q8,
    /// Two bytes an element: half the memory, and logits off by a few thousandths.
    F16,
    /// Four bytes an element: the cache adds no rounding of its own.
    #[default]
    F32,
}

impl KvType {
    /// Bytes an element, scales apart.
    pub fn bytes(self) -> u32 {
        match self {
            Self::Q8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }

    /// Bytes of a head's key, or of its value (`KV_ROW` in `kv.glsl`).
    pub fn row_bytes(self, head_dim: u32) -> u32 {
        match self {
            Self::Q8 => (head_dim + 2 * head_dim.div_ceil(32)).next_multiple_of(4),
            Self::F16 | Self::F32 => head_dim * self.bytes(),
        }
    }
}

/// How an answer is made.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// Most tokens of the answer.
    pub max_tokens: u32,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Read special tokens in the prompt as what they stand for.
    pub parse_special: bool,
    /// Go on after a token that ends an answer.
    pub ignore_stop: bool,
    /// End before any of these texts.
    pub stop: Vec<String>,
    /// Tell how probable each token was, beside so many of the most probable ones; 0 does not.
    pub n_probs: usize,
    /// What the answer must look like. It ends where nothing can follow, and no token ends it before it is whole.
    pub grammar: Option<Grammar>,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            max_tokens: 512,
            sampling: Sampling::default(),
            parse_special: false,
            ignore_stop: false,
            stop: Vec::new(),
            n_probs: 0,
            grammar: None,
        }
    }
}
