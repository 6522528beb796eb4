//! Uploads and downloads: straight into mapped buffers, through a ring of pinned memory into the others.

use std::sync::PoisonError;

use super::buffer::Buffer;
use super::commands::UPDATE_BYTES;
use super::context::Gpu;
use super::error::GpuError;
use super::memory_type::Memory;
use super::queue::{QueueKind, Ticket};

/// Bytes of one slot of the ring.
const SLOT_BYTES: usize = 16 << 20;

/// Most bytes that go with the commands instead, which takes no pinned memory.
const SMALL: usize = 1 << 20;

/// Slots of the ring: one is filled by the host while the other is read by the copy engine.
const SLOTS: usize = 2;

/// The ring, made on first use. Nothing of it exists where all memory is mapped.
#[derive(Default)]
pub(super) struct Staging {
    slots: Vec<Slot>,
    next: usize,
    uploaded: Option<Ticket>,
}

struct Slot {
    buffer: Buffer,
    busy_until: Ticket,
}

impl Staging {
    /// The ticket of the latest upload.
    pub(super) fn uploaded(&self) -> Ticket {
        self.uploaded.unwrap_or(Ticket::DONE)
    }

    /// The next slot, once the GPU is done with it.
    fn slot(&mut self, gpu: &Gpu) -> Result<&mut Slot, GpuError> {
        if self.slots.len() < SLOTS {
            let buffer = gpu.buffer("staging", SLOT_BYTES as u64, Memory::Host)?;
            self.slots.push(Slot { buffer, busy_until: Ticket::DONE });
        }
        let slot = &mut self.slots[self.next % SLOTS];
        self.next = (self.next + 1) % SLOTS;
        gpu.wait(slot.busy_until)?;
        Ok(slot)
    }
}

impl Gpu {
    /// Writes `bytes` to `target` at `offset`, in order with everything submitted: what came before does not see them,
    /// what is [submitted](Self::submit) later does. The ticket is passed when they are there.
    pub fn upload(&self, target: &Buffer, offset: u64, bytes: &[u8]) -> Result<Ticket, GpuError> {
        target.check(offset, bytes.len() as u64)?;
        if target.is_mapped() {
            self.wait_all()?;
            target.write(offset, bytes)?;
            return Ok(Ticket::DONE);
        }
        let mut staging = self.shared.staging.lock().unwrap_or_else(PoisonError::into_inner);
        let words = offset.is_multiple_of(4) && bytes.len().is_multiple_of(4);
        if words && bytes.len() <= SMALL {
            let mut recorder = self.recorder("upload")?;
            for (at, piece) in (offset..).step_by(UPDATE_BYTES).zip(bytes.chunks(UPDATE_BYTES)) {
                recorder.update(target, at, piece);
            }
            let ticket = self.submit_after(&recorder.finish()?, &[])?;
            staging.uploaded = Some(ticket);
            return Ok(ticket);
        }
        let mut to = offset;
        for chunk in bytes.chunks(SLOT_BYTES) {
            let len = chunk.len() as u64;
            let slot = staging.slot(self)?;
            slot.buffer.write(0, chunk)?;
            let mut recorder = self.transfer_recorder("upload")?;
            recorder.copy(&slot.buffer, 0, target, to, len);
            let ticket = self.submit_after(&recorder.finish()?, &[self.latest(QueueKind::Compute)])?;
            slot.busy_until = ticket;
            staging.uploaded = Some(ticket);
            to += len;
        }
        Ok(staging.uploaded())
    }

    /// Reads `source` from `offset` on into `bytes`, after everything submitted so far is done.
    pub fn download(&self, source: &Buffer, offset: u64, bytes: &mut [u8]) -> Result<(), GpuError> {
        source.check(offset, bytes.len() as u64)?;
        if source.is_mapped() {
            self.wait_all()?;
            return source.read(offset, bytes);
        }
        let mut staging = self.shared.staging.lock().unwrap_or_else(PoisonError::into_inner);
        let mut from = offset;
        for chunk in bytes.chunks_mut(SLOT_BYTES) {
            let len = chunk.len() as u64;
            let slot = staging.slot(self)?;
            let mut recorder = self.transfer_recorder("download")?;
            recorder.copy(source, from, &slot.buffer, 0, len);
            let ticket = self.submit_after(&recorder.finish()?, &[self.latest(QueueKind::Compute)])?;
            slot.busy_until = ticket;
            self.wait(ticket)?;
            slot.buffer.read(0, chunk)?;
            from += len;
        }
        Ok(())
    }
}
