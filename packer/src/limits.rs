//! Caps on what a source file may claim, checked before memory is set aside for it. Those of the archive itself are in
//! `symbiote_format::limits`.

/// Most key-value pairs in one GGUF file.
pub const GGUF_KEYS: u64 = 1 << 16;
/// Longest GGUF key, in bytes (the GGUF specification's own limit).
pub const GGUF_KEY_BYTES: u64 = 65535;
/// Most dimensions of a GGUF tensor (ggml's own limit).
pub const GGUF_DIMS: u32 = 4;
/// Largest `general.alignment`, in bytes.
pub const GGUF_ALIGNMENT: u64 = 1 << 20;
/// Most files that one model may be split into.
pub const SHARDS: usize = 4096;
/// Longest `config.json` and its like, in bytes.
pub const CONFIG_BYTES: u64 = 64 << 20;
/// Longest `tokenizer.json`, in bytes.
pub const TOKENIZER_BYTES: u64 = 512 << 20;
/// Longest metadata value kept for people, in bytes; what is beyond is cut.
pub const METADATA_BYTES: usize = 2048;
/// Smallest and largest target size of a pack, in bytes.
pub const PACK_TARGET: std::ops::RangeInclusive<u64> = 4096..=512 << 20;
/// Memory for packs on their way through, in bytes, which decides how many threads there are; there is one whatever it takes.
pub const BUFFER_BYTES: u64 = 768 << 20;
