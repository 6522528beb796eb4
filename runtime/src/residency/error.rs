//! Why a pack cannot be had, or let go.

use super::{BoxError, MemoryTier};
use crate::memory::{AllocError, OverBudget};

/// Why a pack cannot be had, or let go.
#[derive(Debug, thiserror::Error)]
pub enum ResidencyError {
    /// A number that no pack has.
    #[error("there is no pack {pack}; the archive has {packs}")]
    NoSuchPack {
        /// The number.
        pack: usize,
        /// How many packs there are.
        packs: usize,
    },
    /// More than a budget has left.
    #[error("memory for packs is short: {0}")]
    Budget(#[from] OverBudget),
    /// The budget would do, but no hole is long enough.
    #[error("memory for packs is in pieces: {0}")]
    Room(#[from] AllocError),
    /// A lease that asks for a pack which is not in VRAM.
    #[error("pack {pack} cannot be leased: it is in {tier}, not in VRAM")]
    NotHot {
        /// The pack.
        pack: usize,
        /// Where it is.
        tier: MemoryTier,
    },
    /// An eviction of a pack that the device may be reading.
    #[error("pack {pack} cannot be evicted: {pins} leases hold it")]
    Pinned {
        /// The pack.
        pack: usize,
        /// Leases that hold it.
        pins: u32,
    },
    /// An unload to the tier that the pack is in, or to a faster one.
    #[error("pack {pack} is in {tier} and cannot be unloaded to {target}")]
    NotColder {
        /// The pack.
        pack: usize,
        /// Where it is.
        tier: MemoryTier,
        /// Where it should go.
        target: MemoryTier,
    },
    /// Work that wants more packs at once than there are slots.
    #[error("pack {pack} finds no slot: all {slots} are held by work that waits for it")]
    NoSlot {
        /// The pack.
        pack: usize,
        /// Slots.
        slots: usize,
    },
    /// A place that a cache does not have.
    #[error("the cache has no place {slot}, it has {slots}")]
    NoSuchSlot {
        /// The place.
        slot: usize,
        /// How many it has.
        slots: usize,
    },
    /// A pack whose bytes are not on this machine.
    #[error("pack {pack} is not on this machine: get the whole archive")]
    Hibernating {
        /// The pack.
        pack: usize,
    },
    /// The caller wanted no more.
    #[error("stopped while waiting for weights")]
    Cancelled,
    /// The source cannot give the bytes.
    #[error("pack {pack} cannot be read: {error}")]
    Source {
        /// The pack.
        pack: usize,
        /// What the source says.
        error: BoxError,
    },
    /// The device cannot make a block, or write to it.
    #[error("the device cannot {doing}: {error}")]
    Store {
        /// What it was asked for.
        doing: String,
        /// What the store says.
        error: BoxError,
    },
}
