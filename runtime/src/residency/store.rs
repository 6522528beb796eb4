//! The effect side of residency: memory, copies, reads.

use std::time::Duration;

use super::{MemoryTier, Passed};
use crate::memory::Range;

/// Whatever an effect fails with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A place in one of the memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// VRAM, or pinned memory (RAM).
    pub tier: MemoryTier,
    /// Where in the blocks of that tier.
    pub range: Range,
}

/// Memory that packs lie in, in blocks, and copies between them. The manager decides what goes where; a store only does it.
pub trait PackStore {
    /// Where a read puts its bytes; the read has them to itself until it is done.
    type Target;

    /// Makes block number `block` of a tier, `len` bytes that there are not yet, and returns its device address, a multiple of
    /// [`PACK_ALIGN`](super::PACK_ALIGN). A failed call makes no block.
    fn create_block(&mut self, tier: MemoryTier, block: usize, len: u64) -> Result<u64, BoxError>;

    /// Gives a block back. Nothing reads or writes it any more.
    fn drop_block(&mut self, tier: MemoryTier, block: usize);

    /// Memory for a read, in a block that the host reaches.
    fn target(&self, at: Location) -> Result<Self::Target, BoxError>;

    /// Bytes in a block that the host reaches. No read or copy that writes them is under way.
    fn bytes(&self, at: Location) -> Result<&[u8], BoxError>;

    /// Submits a copy that starts when the compute timeline has passed `after` and all earlier copies are done. It is done when
    /// the copies' timeline has passed the value returned. Ranges may overlap only where `to` lies below `from`.
    fn copy(&mut self, from: Location, to: Location, after: u64) -> Result<u64, BoxError>;

    /// How far the device is.
    fn passed(&self) -> Result<Passed, BoxError>;

    /// Waits until both timelines have passed these values, or for `timeout`.
    fn wait(&self, until: Passed, timeout: Duration) -> Result<(), BoxError>;
}

/// Reads packs from disk, many at once.
pub trait PackReader<T> {
    /// Begins to read a pack; `id` names the read. Never waits.
    fn begin(&mut self, id: u64, pack: usize, target: T, urgent: bool);

    /// A read that is done, and how; waits for one at most for `timeout`.
    fn done(&mut self, timeout: Duration) -> Option<(u64, Result<(), BoxError>)>;
}

/// Judges the bytes of packs.
pub trait PackCheck {
    /// Refuses what kernels cannot rely on, and with `hash` also what does not match the pack's hash.
    fn check(&self, pack: usize, bytes: &[u8], hash: bool) -> Result<(), BoxError>;
}
