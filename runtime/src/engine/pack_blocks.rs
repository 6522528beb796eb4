//! Packs in device memory: the effect side of [`NomadPackManager`](crate::residency::NomadPackManager).

use crate::gpu::{Buffer, Gpu, Memory};
use crate::residency::{BoxError, PackStore};

/// Blocks of device memory that packs lie in.
pub struct PackBlocks {
    gpu: Gpu,
    blocks: Vec<Buffer>,
}

impl PackBlocks {
    /// No blocks yet.
    pub fn new(gpu: Gpu) -> Self {
        Self { gpu, blocks: Vec::new() }
    }

    /// The blocks, to be kept while the device uses them.
    pub fn buffers(&self) -> &[Buffer] {
        &self.blocks
    }
}

impl PackStore for PackBlocks {
    fn create_block(&mut self, len: u64) -> Result<u64, BoxError> {
        let block = self.gpu.buffer(&format!("packs {}", self.blocks.len()), len, Memory::Device)?;
        let address = block.address();
        self.blocks.push(block);
        Ok(address)
    }

    fn write(&mut self, block: usize, offset: u64, bytes: &[u8]) -> Result<(), BoxError> {
        self.gpu.upload(&self.blocks[block], offset, bytes)?;
        Ok(())
    }
}
