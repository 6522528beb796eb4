//! Other budgets while a model is in use: because the caller says so, or because other programs take memory.
//!
//! It happens between two passes. Weights change their places, and nothing else does: the sequence, its keys and values, and
//! the bits of what is computed stay what they are.

use super::memory_plan::MemoryPlan;
use super::pack_table::PackTable;
use super::{EngineError, SymbioteEngine};
use crate::gpu::Gpu;
use crate::memory::{ByteSize, Pressure, Room};
use crate::residency::{Limits, MemoryTier, TooSmall};

/// Says what the system has of device memory and of RAM; nothing of a memory that it does not know.
pub type Meter = Box<dyn FnMut(&Gpu) -> [Option<Room>; 2] + Send>;

impl SymbioteEngine {
    /// Caps all of device memory and of RAM anew, as [`OpenOptions`](super::OpenOptions) do: larger caps are used too, as far
    /// as there is memory. Caps that are too small are refused, and nothing changes.
    pub fn set_budgets(&mut self, vram: u64, ram: u64) -> Result<(), EngineError> {
        let readings = self.memory.readings(&self.gpu, (self.meter)(&self.gpu));
        let [free_vram, free_ram] = self.pressure.budgets(readings, [true; 2]);
        let most = [free_vram.min(self.gpu.info().heap_bytes), free_ram.saturating_add(self.memory.held)];
        let memory = self.memory.within(self.memory.left_of([vram.min(most[0]), ram.min(most[1])]));
        let memory = memory.map_err(|small| self.memory.refusal(small, self.context(), [vram, ram], most))?;
        self.gpu.set_vram_cap(vram);
        self.follow(memory, [0; 2])
    }

    /// Asks `meter` what memory there is, instead of the system, from the next pass on.
    pub fn ask_meter(&mut self, mut meter: Meter) {
        let free = meter(&self.gpu).map(|room| room.map_or(0, |room| room.free()));
        self.pressure = Pressure::new(free);
        self.meter = meter;
    }

    /// Gives back what other programs have taken of the memories, if it is time to look.
    pub(super) fn relieve(&mut self) -> Result<(), EngineError> {
        if !self.pressure.is_due(self.opened.elapsed()) {
            return Ok(());
        }
        let readings = self.memory.readings(&self.gpu, (self.meter)(&self.gpu));
        let short = self.pressure.short(readings);
        if short == [false; 2] {
            return Ok(());
        }
        let taken = match short {
            _ if self.memory.plan.unified => "memory",
            [true, true] => "VRAM and RAM",
            [true, false] => "VRAM",
            _ => "RAM",
        };
        let [vram, ram] = self.pressure.budgets(readings, short);
        let left = self.memory.left_of([vram, ram.saturating_add(self.memory.held)]);
        let limits =
            Limits { vram: left.vram.min(self.memory.limits.vram), ram: left.ram.min(self.memory.limits.ram), ..left };
        // there is nothing smaller than the least, and no reason to stop
        let Ok((memory, least)) = self.smaller(limits) else { return Ok(()) };
        if least != [0; 2] {
            tracing::warn!("another program took {taken}: the model keeps the least that it needs");
        }
        if let Some(moved) = moved(&self.memory, &memory) {
            tracing::info!("another program took {taken}: {moved}");
        }
        self.follow(memory, least)
    }

    /// The plan within `limits`, or the least that works; and the bytes of the memories that can do with no less, 0 for others.
    fn smaller(&self, limits: Limits) -> Result<(MemoryPlan, [u64; 2]), TooSmall> {
        let small = match self.memory.within(limits) {
            Ok(memory) => return Ok((memory, [0; 2])),
            Err(small) => small,
        };
        let (vram, ram) = (limits.vram.max(small.vram_least), limits.ram.max(small.ram_least));
        let memory = self.memory.within(Limits { vram, ram, ..limits })?;
        let [planned_vram, planned_ram] = memory.planned();
        let least = |is_least: bool, planned| if is_least { planned } else { 0 };
        Ok((memory, [least(vram > limits.vram, planned_vram), least(ram > limits.ram, planned_ram)]))
    }

    fn follow(&mut self, memory: MemoryPlan, least: [u64; 2]) -> Result<(), EngineError> {
        let residence = memory.residence(self.packs.residence().verify);
        let budgets = memory.loose_budgets();
        self.memory = memory;
        let outcome = self.packs.replan(residence, budgets);
        if let Some(pager) = &mut self.pager {
            pager.reset(self.packs.residence());
        }
        self.tables.iter_mut().for_each(PackTable::forget);
        self.pressure.answered(self.opened.elapsed(), least);
        Ok(outcome?)
    }
}

/// What a new plan takes from where, in words; nothing where no pack moves.
fn moved(old: &MemoryPlan, new: &MemoryPlan) -> Option<String> {
    let bytes = |to: MemoryTier| -> u64 {
        let homes = old.plan.homes.iter().zip(&new.plan.homes);
        let packs = old.traffic.iter().zip(homes).filter(|(_, (was, is))| **is == to && is > was);
        packs.map(|(pack, _)| pack.len).sum()
    };
    match [bytes(MemoryTier::RamWarm), bytes(MemoryTier::DiskCold)] {
        [0, 0] => None,
        [ram, 0] => Some(format!("{} of weights moved to RAM", ByteSize(ram))),
        [0, disk] => Some(format!("{} of weights are read from disk from now on", ByteSize(disk))),
        [ram, disk] => Some(format!(
            "{} of weights moved to RAM, and {} are read from disk from now on",
            ByteSize(ram),
            ByteSize(disk)
        )),
    }
}
