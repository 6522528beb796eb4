//! Caps on everything that a file may claim. A claim above its cap is refused before memory is set aside for it.

/// Longest index, in bytes.
pub const INDEX_BYTES: u64 = 1 << 30;
/// Most tensors in one archive.
pub const TENSORS: usize = 1 << 20;
/// Most packs in one archive.
pub const PACKS: usize = 1 << 22;
/// Most parts over all packs.
pub const PARTS: usize = 1 << 23;
/// Most hyperparameters.
pub const PARAMS: usize = 256;
/// Most dimensions of a tensor.
pub const DIMS: usize = 8;
/// Longest pack, in bytes as coded (drivers cap one allocation near 4 GiB; a pack must fit a 1 GiB block).
pub const PACK_BYTES: u64 = 1 << 30;
/// Most elements in one tensor.
pub const TENSOR_ELEMENTS: u64 = 1 << 44;
/// Most rows, and most columns, of a tensor seen as a matrix.
pub const ROWS: u64 = (1 << 31) - 1;
/// Longest name of a tensor, in bytes.
pub const NAME_BYTES: usize = 512;
/// Most layers.
pub const LAYERS: u32 = 4096;
/// Most tokens in a vocabulary.
pub const VOCABULARY: u32 = 1 << 22;
/// Longest context that a model may claim, in tokens.
pub const CONTEXT: u32 = 1 << 27;
/// Largest width of any activation (hidden, feed-forward, heads x head size).
pub const WIDTH: u32 = 1 << 22;
/// Experts of a layer.
pub const EXPERTS: u32 = 4096;
/// Experts that a token goes through.
pub const EXPERTS_USED: u32 = 64;
/// Largest head size that the attention kernels take.
pub const HEAD_DIM: u32 = 256;
/// Longest co-access statistics, in bytes.
pub const COACCESS_BYTES: usize = 1 << 26;
/// Most domains in co-access statistics.
pub const DOMAINS: usize = 256;
/// Longest name of a domain, in bytes.
pub const DOMAIN_NAME_BYTES: usize = 64;
/// Most successors of one expert in co-access statistics.
pub const SUCCESSORS: usize = 64;
/// Most sizes of a cache in co-access statistics.
pub const CACHE_SIZES: usize = 256;
