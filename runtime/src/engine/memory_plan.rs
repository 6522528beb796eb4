//! Which memory the parts of an engine get: the budgets, what must fit, and the plan of the packs.

use super::need::Need;
use super::{EngineError, OpenOptions};
use crate::gpu::{DeviceKind, Gpu};
use crate::memory::{Budget, Reading, Room, available_bytes, margin};
use crate::pak::PrefetchOptions;
use crate::residency::{
    Limits, MAX_BLOCK, MemoryTier, Need as Traffic, PackTraffic, Plan, Residence, TooSmall, Wires, replan,
};

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
    /// RAM beside the packs that is not pinned for the device: what the process holds, and what its heap grows by.
    pub held: u64,
    /// The wires that it was made for.
    pub wires: Wires,
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
        let free = rooms(gpu).map(|room| room.map_or(u64::MAX, |room| room.free()));
        let [vram_free, ram_free] = free.map(|free| free - margin(free));
        let most = [gpu.memory_available().min(vram_free), ram_free];
        let caps = [options.gpu.vram_cap, options.ram_cap].map(|cap| cap.unwrap_or(u64::MAX));
        let limits = Limits { vram: 0, ram: 0, unified: gpu.is_unified() };
        let held = held + SLACK + bounce(gpu);
        let plan = Plan::default();
        let memory = Self { traffic, need, limits, held, wires, plan, cached: false };
        let limits = memory.left_of([caps[0].min(most[0]), caps[1].min(most[1])]);
        let plan = replan(&memory.traffic, limits, wires, &[]);
        let plan = plan.map_err(|small| memory.refusal(small, context, caps, most))?;
        let fits = file_len <= free[1] / 2 && !plan.homes.contains(&MemoryTier::DiskCold);
        Ok(Self { limits, plan, cached: fits && options.ram_cap.is_none(), ..memory })
    }

    /// What is left for packs of so many bytes of device memory and of RAM.
    pub fn left_of(&self, [vram, ram]: [u64; 2]) -> Limits {
        let beside = self.held.saturating_add(self.pinned());
        Limits { vram: vram.saturating_sub(self.need.bytes()), ram: ram.saturating_sub(beside), ..self.limits }
    }

    /// What is wrong with these caps, `most` being what there is.
    pub fn refusal(&self, small: TooSmall, context: u32, caps: [u64; 2], most: [u64; 2]) -> EngineError {
        let [available, ram] = std::array::from_fn(|i| caps[i].min(most[i]));
        let limits = self.left_of([available, ram]);
        let need = Need { weights: self.need.weights + small.vram_least, ..self.need };
        if available < need.bytes() && !(limits.unified && limits.ram < limits.vram) {
            EngineError::Memory { need, context, available, capped: caps[0] <= most[0] }
        } else {
            let needed = self.held + self.pinned() + small.ram_least;
            EngineError::Ram { needed, available: ram, capped: caps[1] <= most[1] }
        }
    }

    /// Another plan for the same model: packs that are where they may stay, stay there. Some room is spared for the ends of
    /// blocks, where a pack no longer fits.
    pub fn within(&self, limits: Limits) -> Result<Self, TooSmall> {
        let longest = self.traffic.iter().map(PackTraffic::room).max().unwrap_or(0);
        let spared = |limit: u64| limit.saturating_sub((limit / MAX_BLOCK + 1) * longest);
        let fewer = Limits { vram: spared(limits.vram), ram: spared(limits.ram), ..limits };
        let plan = |limits| replan(&self.traffic, limits, self.wires, &self.plan.homes);
        let plan = plan(fewer).or_else(|_| plan(limits))?;
        Ok(Self { traffic: self.traffic.clone(), plan, limits, ..*self })
    }

    /// What the system says of device memory and of RAM in `rooms`, and what of them the engine has.
    pub fn readings(&self, gpu: &Gpu, rooms: [Option<Room>; 2]) -> [Option<Reading>; 2] {
        let (used, planned) = (gpu.memory_used(), self.planned());
        let held = [used.device, if self.plan.unified { used.device } else { used.host }];
        std::array::from_fn(|i| rooms[i].map(|room| Reading { room, held: held[i], planned: planned[i] }))
    }

    /// Bytes of device memory, and of pinned RAM, that are held when everything has come. On a unified device they are the
    /// same.
    pub fn planned(&self) -> [u64; 2] {
        let (vram, ram) = self.budgets();
        let [vram, ram] = [vram.cap(), ram.cap()];
        match self.plan.unified {
            true => [self.need.bytes() + vram + ram; 2],
            false => [self.need.bytes() + vram, self.need.host + ram],
        }
    }

    /// RAM that is pinned for the device, packs aside.
    fn pinned(&self) -> u64 {
        if self.limits.unified { self.need.bytes() } else { self.need.host }
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
            cache: (p.cache as usize, p.expert_bytes),
            warm_cache: (p.warm_cache as usize, p.expert_bytes),
            unified: p.unified,
            verify,
        }
    }

    /// Bytes of the packs that are read once, and stay in VRAM or RAM.
    pub fn staying_bytes(&self) -> u64 {
        let stays = |home: MemoryTier| home <= MemoryTier::RamWarm;
        let packs = self.traffic.iter().zip(&self.plan.homes);
        let first = |pack: &PackTraffic| pack.need != Traffic::Lookup && !pack.is_expert();
        packs.filter(|(pack, home)| stays(**home) && first(pack)).map(|(pack, _)| pack.len).sum()
    }

    /// Budgets of the packs and slots where some of them are in blocks already: all that there is.
    pub fn loose_budgets(&self) -> (Budget, Budget) {
        let host = self.plan.host_slot_bytes();
        let Limits { vram, ram, unified } = self.limits;
        match unified {
            true => (Budget::new(vram.min(ram).saturating_sub(host)), Budget::new(host)),
            false => (Budget::new(vram), Budget::new(ram)),
        }
    }

    /// Budgets of the packs and slots: exactly what the plan takes of VRAM and of RAM.
    pub fn budgets(&self) -> (Budget, Budget) {
        let p = &self.plan;
        let rooms = |tier: MemoryTier| -> u64 {
            self.traffic.iter().zip(&p.homes).filter(|(_, home)| **home == tier).map(|(pack, _)| pack.room()).sum()
        };
        let ring = u64::from(p.slots) * p.slot_bytes;
        let [cache, warm_cache] = p.cache_bytes();
        let vram = rooms(MemoryTier::VramHot) + ring + cache;
        (Budget::new(vram), Budget::new(rooms(MemoryTier::RamWarm) + p.host_slot_bytes() + warm_cache))
    }
}

/// What the system says of device memory and of RAM.
pub fn rooms(gpu: &Gpu) -> [Option<Room>; 2] {
    [gpu.room(), available_bytes().map(|budget| Room { budget, usage: 0 })]
}

/// Memory that reads go through where the kernel cannot pin the device's mappings: its drivers' are ordinary memory on a CPU only.
fn bounce(gpu: &Gpu) -> u64 {
    let PrefetchOptions { depth, chunk, .. } = PrefetchOptions::default();
    if gpu.info().kind == DeviceKind::Cpu { 0 } else { (depth * chunk) as u64 }
}
