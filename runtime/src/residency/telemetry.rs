//! What happened, and what is where.

use super::MemoryTier;

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packs found in VRAM by a lease.
    pub hits: u64,
    /// Packs that a lease asked for and that were not in VRAM.
    pub misses: u64,
    /// Packs copied into VRAM.
    pub loads: u64,
    /// Bytes copied into VRAM.
    pub loaded_bytes: u64,
    /// Packs taken out of VRAM.
    pub evictions: u64,
}

/// What one tier holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierShare {
    /// The tier.
    pub tier: MemoryTier,
    /// Packs in it.
    pub packs: usize,
    /// Their bytes, as coded.
    pub bytes: u64,
}
