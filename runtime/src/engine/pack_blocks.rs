//! Packs in memory that the device reaches: the effect side of [`NomadPackManager`](crate::residency::NomadPackManager).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::gpu::{Buffer, Gpu, Memory, QueueKind};
use crate::memory::Range;
use crate::pak::ReadTarget;
use crate::residency::{BoxError, Location, MemoryTier, PackStore, Passed};

/// Blocks of device memory and of pinned memory that packs lie in.
pub struct PackBlocks {
    gpu: Gpu,
    vram: BTreeMap<usize, Buffer>,
    ram: BTreeMap<usize, Buffer>,
    /// Times that a pack crosses the link.
    crossings: u32,
}

impl PackBlocks {
    /// No blocks yet. Packs cross the link `crossings` times.
    pub fn new(gpu: Gpu, crossings: u32) -> Self {
        Self { gpu, vram: BTreeMap::new(), ram: BTreeMap::new(), crossings }
    }

    fn block(&self, at: Location) -> &Buffer {
        let blocks = if at.tier == MemoryTier::RamWarm { &self.ram } else { &self.vram };
        &blocks[&at.range.block]
    }
}

impl PackStore for PackBlocks {
    type Target = ReadTarget;

    fn create_block(&mut self, tier: MemoryTier, block: usize, len: u64) -> Result<u64, BoxError> {
        let (blocks, name, memory) = match tier {
            MemoryTier::RamWarm => (&mut self.ram, "warm packs", Memory::Host),
            _ => (&mut self.vram, "packs", Memory::Device),
        };
        let buffer = self.gpu.buffer(&format!("{name} {block}"), len, memory)?;
        let address = buffer.address();
        blocks.insert(block, buffer);
        Ok(address)
    }

    fn drop_block(&mut self, tier: MemoryTier, block: usize) {
        let blocks = if tier == MemoryTier::RamWarm { &mut self.ram } else { &mut self.vram };
        blocks.remove(&block);
    }

    fn target(&self, at: Location) -> Result<ReadTarget, BoxError> {
        Ok(self.block(at).read_target(at.range.offset, at.range.len)?)
    }

    fn bytes(&self, at: Location) -> Result<&[u8], BoxError> {
        let Range { offset, len, .. } = at.range;
        let bytes = self.block(at).bytes()?;
        Ok(&bytes[usize::try_from(offset)?..][..usize::try_from(len)?])
    }

    fn copy(&mut self, from: Location, to: Location, after: u64) -> Result<u64, BoxError> {
        let (source, target) = (self.block(from), self.block(to));
        let mut recorder = self.gpu.transfer_recorder("pack")?;
        let len = from.range.len;
        let apart = from.tier != to.tier || from.range.block != to.range.block;
        let distance = from.range.offset.abs_diff(to.range.offset);
        // ranges that overlap are copied in pieces that do not
        let piece = if apart { len } else { len.min(distance) };
        let crossings = if from.tier == to.tier { 1 } else { self.crossings };
        for _ in 1..crossings {
            recorder.copy(source, from.range.offset, target, to.range.offset, len).barrier();
        }
        let mut at = 0;
        while at < len {
            let n = piece.min(len - at);
            recorder.copy(source, from.range.offset + at, target, to.range.offset + at, n);
            at += n;
            if at < len {
                recorder.barrier();
            }
        }
        let ticket = self.gpu.submit_after(&recorder.finish()?, &[self.gpu.ticket(QueueKind::Compute, after)])?;
        Ok(ticket.value())
    }

    fn passed(&self) -> Result<Passed, BoxError> {
        Ok(Passed { compute: self.gpu.passed(QueueKind::Compute)?, copies: self.gpu.passed(QueueKind::Transfer)? })
    }

    fn wait(&self, until: Passed, timeout: Duration) -> Result<(), BoxError> {
        self.gpu.wait_for(self.gpu.ticket(QueueKind::Compute, until.compute), timeout)?;
        self.gpu.wait_for(self.gpu.ticket(QueueKind::Transfer, until.copies), timeout)?;
        Ok(())
    }
}
