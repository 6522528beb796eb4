//! What happened, and what is where.

use std::time::Duration;

use super::MemoryTier;

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packs that leases covered.
    pub uses: u64,
    /// Bytes of packs that leases covered, by the tier that they came from: VRAM, RAM, disk.
    pub used_bytes: [u64; 3],
    /// Packs read from disk.
    pub reads: u64,
    /// Bytes read from disk.
    pub read_bytes: u64,
    /// Copies into VRAM.
    pub copies: u64,
    /// Bytes copied into VRAM, or read by kernels across the link.
    pub copied_bytes: u64,
    /// Time that leases waited for a read, or for a slot.
    pub stall: Duration,
}

impl Counters {
    /// Both together.
    pub fn and(&self, other: &Self) -> Self {
        Self {
            uses: self.uses + other.uses,
            used_bytes: std::array::from_fn(|tier| self.used_bytes[tier] + other.used_bytes[tier]),
            reads: self.reads + other.reads,
            read_bytes: self.read_bytes + other.read_bytes,
            copies: self.copies + other.copies,
            copied_bytes: self.copied_bytes + other.copied_bytes,
            stall: self.stall + other.stall,
        }
    }

    /// Share of the bytes used that each tier gave: VRAM, RAM, disk.
    pub fn shares(&self) -> [f64; 3] {
        #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
        let float = |bytes: u64| bytes as f64;
        let all = self.used_bytes.iter().sum::<u64>().max(1);
        self.used_bytes.map(|bytes| float(bytes) / float(all))
    }

    /// What happened after `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            uses: self.uses - before.uses,
            used_bytes: std::array::from_fn(|tier| self.used_bytes[tier] - before.used_bytes[tier]),
            reads: self.reads - before.reads,
            read_bytes: self.read_bytes - before.read_bytes,
            copies: self.copies - before.copies,
            copied_bytes: self.copied_bytes - before.copied_bytes,
            stall: self.stall.saturating_sub(before.stall),
        }
    }
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
