//! The effect side of residency: device memory.

/// Whatever a store or a source fails with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Blocks of device memory that packs lie in. The manager decides what goes where; a store only does it.
pub trait PackStore {
    /// Makes one more block of `len` bytes and returns its device address, a multiple of
    /// [`PACK_ALIGN`](super::PACK_ALIGN). Blocks are numbered from 0 in the order of these calls, and live as long as
    /// the store does. A failed call makes no block.
    fn create_block(&mut self, len: u64) -> Result<u64, BoxError>;

    /// Copies `bytes` to `offset` of block number `block`; they lie inside it, and no lease covers what they overwrite.
    /// The copy may still be under way when this returns, as long as work submitted to the device afterwards sees it.
    /// `bytes` may be gone when this returns.
    fn write(&mut self, block: usize, offset: u64, bytes: &[u8]) -> Result<(), BoxError>;

    /// Waits until everything written has arrived. Stores that copy at once have nothing to do.
    fn flush(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}
