//! Random models, and random places for their packs.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::{Limits, MemoryTier, Need, PackTraffic, Residence, Wires, replan};
use crate::memory::NODE;

/// What a pass needs, operation by operation.
pub struct Model {
    pub traffic: Vec<PackTraffic>,
    pub operations: Vec<Vec<usize>>,
    /// The last operations of a pass.
    pub head: Vec<usize>,
    /// Packs of which rows are looked up.
    pub tables: Vec<usize>,
}

impl Model {
    pub fn random(rng: &mut ChaCha8Rng) -> Self {
        let mut model = Self { traffic: Vec::new(), operations: Vec::new(), head: Vec::new(), tables: Vec::new() };
        let longest = rng.random_range(1..=5 * NODE);
        let tied = rng.random();
        for _ in 0..rng.random_range(0..4) {
            let need = if tied { Need::Tied } else { Need::Lookup };
            let pack = model.add(rng.random_range(1..=longest), need);
            model.tables.push(pack);
        }
        let experts = rng.random_range(0..3) == 0;
        for _ in 0..rng.random_range(1..5) {
            let norm = model.add(rng.random_range(1..=NODE), Need::Always);
            model.operations.push(vec![norm]);
            for _ in 0..rng.random_range(1..4) {
                let packs = rng.random_range(1..5);
                let need = if experts { Need::Expert { used: 1, count: packs } } else { Need::EveryPass };
                let packs = (0..packs).map(|_| model.add(rng.random_range(longest / 2..=longest).max(1), need));
                let packs = packs.collect();
                model.operations.push(packs);
            }
        }
        if tied {
            model.head = model.tables.clone();
        } else {
            model.head = (0..rng.random_range(1..4)).map(|_| model.add(longest, Need::EveryPass)).collect();
        }
        model
    }

    fn add(&mut self, len: u64, need: Need) -> usize {
        self.traffic.push(PackTraffic { len, need });
        self.traffic.len() - 1
    }

    /// Packs in the order of a pass.
    pub fn uses(&self) -> Vec<usize> {
        self.operations.iter().chain([&self.head]).flatten().copied().collect()
    }

    /// Homes and rings by the planner, for random limits.
    pub fn planned(&self, rng: &mut ChaCha8Rng) -> Option<Residence> {
        let all: u64 = self.traffic.iter().map(PackTraffic::room).sum();
        let unified = rng.random();
        let limits = Limits { vram: rng.random_range(0..=all + NODE), ram: rng.random_range(0..=2 * all), unified };
        self.residence(limits, &[], rng.random())
    }

    /// Homes and rings by the planner, for packs that are in `homes`.
    pub fn residence(&self, limits: Limits, homes: &[MemoryTier], verify: bool) -> Option<Residence> {
        let p = replan(&self.traffic, limits, Wires { disk: 3e9, link: 20e9, vram: 300e9 }, homes).ok()?;
        Some(Residence {
            homes: p.homes,
            slots: (p.slots as usize, p.slot_bytes),
            staging: (p.staging as usize, p.staging_bytes),
            gather: if p.gather { p.staging_bytes } else { 0 },
            cache: (p.cache as usize, p.expert_bytes),
            warm_cache: (p.warm_cache as usize, p.expert_bytes),
            unified: p.unified,
            verify,
        })
    }

    /// Homes and rings that no planner would choose.
    pub fn odd(&self, rng: &mut ChaCha8Rng) -> Residence {
        let unified: bool = rng.random();
        let longest = self.traffic.iter().map(|pack| pack.len).max().unwrap_or(1);
        let home = |pack: &PackTraffic, rng: &mut ChaCha8Rng| match rng.random_range(0..3) {
            _ if pack.need == Need::Always => MemoryTier::VramHot,
            0 => MemoryTier::VramHot,
            1 if !unified => MemoryTier::RamWarm,
            _ => MemoryTier::DiskCold,
        };
        Residence {
            homes: self.traffic.iter().map(|pack| home(pack, rng)).collect(),
            slots: (rng.random_range(1..8), longest),
            staging: (if unified { 0 } else { rng.random_range(1..5) }, longest),
            gather: longest,
            cache: (rng.random_range(0..5), longest),
            warm_cache: (if unified { 0 } else { rng.random_range(0..5) }, longest),
            unified,
            verify: rng.random(),
        }
    }

    /// Bytes that a residence takes of VRAM and of RAM.
    pub fn bytes(&self, r: &Residence) -> [u64; 2] {
        let room = |len: u64| len.next_multiple_of(NODE);
        let rooms = |tier: MemoryTier| -> u64 {
            self.traffic.iter().zip(&r.homes).filter(|(_, home)| **home == tier).map(|(pack, _)| pack.room()).sum()
        };
        let (slots, staging) = (r.slots.0 as u64 * room(r.slots.1), r.staging.0 as u64 * room(r.staging.1));
        let [cache, warm] = [r.cache, r.warm_cache].map(|(count, len)| count as u64 * room(len));
        [rooms(MemoryTier::VramHot) + slots + cache, rooms(MemoryTier::RamWarm) + staging + room(r.gather) + warm]
    }
}
