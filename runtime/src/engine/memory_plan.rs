//! Which memory the parts of an engine get: the budgets, what must fit, and the plan of the packs.

use super::need::Need;
use super::{EngineError, OpenOptions};
use crate::gpu::Gpu;
use crate::memory::{Budget, available_bytes};
use crate::pak::PrefetchOptions;
use crate::residency::{Limits, MemoryTier, Need as Traffic, PackTraffic, Plan, Residence, Wires, plan};

/// Heap that grows after the plan is made: logits, text, commands.
const SLACK: u64 = 24 << 20;

/// Wires of a machine that nobody has measured: they decide about the lengths of rings only.
pub const USUAL_WIRES: Wires = Wires { disk: 3e9, link: 20e9, vram: 300e9 };

/// What is where, and why.
#[derive(Clone, Debug)]
pub struct MemoryPlan {
    /// What each pack is needed for.
    pub traffic: Vec<PackTraffic>,
    /// Device memory beside the packs.
    pub need: Need,
    /// What was left for packs and slots.
    pub limits: Limits,
    /// Homes and rings.
    pub plan: Plan,
    /// The archive fits into RAM beside everything else, and nobody capped that: it is read through the page cache, and is
    /// there the next time.
    pub cached: bool,
}

impl MemoryPlan {
    /// Plans for `gpu`. `held` is what this process holds in RAM beside an open device, `file_len` the archive's length.
    pub fn new(
        gpu: &Gpu,
        traffic: Vec<PackTraffic>,
        need: Need,
        context: u32,
        (held, file_len): (u64, u64),
        options: &OpenOptions,
        wires: Wires,
    ) -> Result<Self, EngineError> {
        let unified = gpu.is_unified();
        let available = gpu.memory_available();
        let free = available_bytes().unwrap_or(u64::MAX);
        let ram = options.ram_cap.unwrap_or(free);
        // on a unified device everything is in RAM
        let held = held + SLACK + if unified { need.bytes() } else { need.host };
        let limits = Limits { vram: available.saturating_sub(need.bytes()), ram: ram.saturating_sub(held), unified };
        let plan = plan(&traffic, limits, wires).map_err(|small| {
            let vram = available < need.bytes() + small.vram_least;
            if vram && !(unified && limits.ram < limits.vram) {
                let need = Need { weights: need.weights + small.vram_least, ..need };
                EngineError::Memory { need, context, available, capped: options.gpu.vram_cap.is_some() }
            } else {
                EngineError::Ram { needed: held + small.ram_least, available: ram, capped: options.ram_cap.is_some() }
            }
        })?;
        let fits = file_len <= free / 2 && !plan.homes.contains(&MemoryTier::DiskCold);
        Ok(Self { traffic, need, limits, plan, cached: fits && options.ram_cap.is_none() })
    }

    /// How the archive is read.
    pub fn reads(&self) -> PrefetchOptions {
        PrefetchOptions { direct: !self.cached, keep: self.cached, ..PrefetchOptions::default() }
    }

    /// What the pack manager is told.
    pub fn residence(&self, verify: bool) -> Residence {
        let p = &self.plan;
        Residence {
            homes: p.homes.clone(),
            slots: (p.slots as usize, p.slot_bytes),
            staging: (p.staging as usize, p.staging_bytes),
            gather: if p.gather { p.staging_bytes } else { 0 },
            unified: p.unified,
            verify,
        }
    }

    /// Bytes of the packs that are read once, and stay in VRAM or RAM.
    pub fn staying_bytes(&self) -> u64 {
        let stays = |home: MemoryTier| home <= MemoryTier::RamWarm;
        let packs = self.traffic.iter().zip(&self.plan.homes);
        packs.filter(|(pack, home)| stays(**home) && pack.need != Traffic::Lookup).map(|(pack, _)| pack.len).sum()
    }

    /// Budgets of the packs and slots: exactly what the plan takes of VRAM and of RAM.
    pub fn budgets(&self) -> (Budget, Budget) {
        let p = &self.plan;
        let rooms = |tier: MemoryTier| -> u64 {
            self.traffic.iter().zip(&p.homes).filter(|(_, home)| **home == tier).map(|(pack, _)| pack.room()).sum()
        };
        let ring = u64::from(p.slots) * p.slot_bytes;
        let vram = rooms(MemoryTier::VramHot) + ring;
        (Budget::new(vram), Budget::new(rooms(MemoryTier::RamWarm) + p.host_slot_bytes()))
    }
}
