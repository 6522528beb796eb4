//! Caps on what a trace may claim; those on a model are `symbiote_format::limits`.

/// Longest description in a header, in bytes.
pub const HEADER_BYTES: usize = 1 << 20;
/// Longest file, in bytes.
pub const FILE_BYTES: u64 = 4 << 30;
/// Most experts that a router names ahead of time.
pub const PREDICTED: usize = 256;
