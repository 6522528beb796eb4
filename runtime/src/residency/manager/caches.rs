//! Places that packs take turns in: a cache in VRAM over RAM or disk, and one in RAM over disk. Who gets them is decided elsewhere.

use super::{MemoryTier, NomadPackManager, PackReader, PackStore, ResidencyError, Result};
use crate::memory::Range;

/// Both caches, and what is known of their packs.
pub(super) struct Caches {
    /// Their places.
    pub vram: Vec<Range>,
    pub ram: Vec<Range>,
    /// Packs that the cache in RAM has a place for.
    pub warmed: Vec<bool>,
    /// Places in RAM of packs, while the cache in VRAM has them.
    pub below: Vec<Option<Range>>,
    /// Where bytes came from that the cache in VRAM has and nobody has used yet.
    pub brought: Vec<Option<MemoryTier>>,
    /// The value of the last copy of each pack.
    pub left: Vec<u64>,
}

impl Caches {
    /// No places, and nothing in them, of so many packs.
    pub fn new(packs: usize) -> Self {
        Self {
            vram: Vec::new(),
            ram: Vec::new(),
            warmed: vec![false; packs],
            below: vec![None; packs],
            brought: vec![None; packs],
            left: vec![0; packs],
        }
    }
}

impl<S: PackStore, R: PackReader<S::Target>> NomadPackManager<S, R> {
    /// Whether a pack can be given a place in the cache of `tier`: it is not on its way to another.
    pub fn can_enter(&self, tier: MemoryTier, pack: usize) -> bool {
        let (cache, base) = (self.cache_of(tier), self.scheduler.base(pack));
        let fits = cache.first().is_some_and(|place| self.lengths[pack] <= place.len);
        fits && !self.scheduler.has_fetch(pack)
            && match tier {
                MemoryTier::RamWarm => base == MemoryTier::DiskCold,
                _ => base > MemoryTier::VramHot && base < MemoryTier::Hibernating && !self.is_promoted(pack),
            }
    }

    /// Whether a pack's place in the cache of `tier` can be given away: nothing reads it, and nothing is being brought there.
    pub fn can_leave(&self, tier: MemoryTier, pack: usize) -> bool {
        match tier {
            // a copy out of it may be under way
            MemoryTier::RamWarm => {
                self.caches.warmed[pack]
                    && self.pins[pack] == 0
                    && !self.scheduler.has_fetch(pack)
                    && self.caches.left[pack] <= self.passed.copies
            }
            _ => self.is_promoted(pack) && self.pins[pack] == 0 && !self.scheduler.is_busy(pack),
        }
    }

    /// Gives a pack, which [`can_enter`](Self::can_enter), place number `slot` of the cache in `tier`. It is `evicted`'s, which
    /// [`can_leave`](Self::can_leave), or nobody's. Bytes come when they are asked for.
    pub fn promote(&mut self, tier: MemoryTier, slot: usize, pack: usize, evicted: Option<usize>) -> Result<()> {
        self.known(&[pack])?;
        self.known(evicted.as_slice())?;
        let cache = self.cache_of(tier);
        let place = *cache.get(slot).ok_or(ResidencyError::NoSuchSlot { slot, slots: cache.len() })?;
        if let Some(held) = evicted.filter(|&evicted| !self.can_leave(tier, evicted)) {
            return Err(ResidencyError::Pinned { pack: held, pins: self.pins[held] });
        }
        if !self.can_enter(tier, pack) {
            return Err(ResidencyError::NotHot { pack, tier: self.tier(pack)? });
        }
        if tier == MemoryTier::RamWarm {
            evicted.into_iter().for_each(|evicted| self.cool(evicted));
            self.scheduler.rebase(pack, tier);
            *self.warm_place(pack) = Some(place);
            self.caches.warmed[pack] = true;
        } else {
            evicted.into_iter().for_each(|evicted| self.demote(evicted));
            self.scheduler.promote(pack);
            self.caches.below[pack] = self.places[pack].replace(place);
        }
        Ok(())
    }

    /// Brings packs nearer behind all that is on its way already.
    pub fn expect(&mut self, packs: &[usize]) -> Result<()> {
        self.known(packs)?;
        for &pack in packs {
            if self.can_come(pack) {
                self.scheduler.expect(pack);
            }
        }
        self.pump()
    }

    /// Asks for packs before all others, the first of them first, and does not wait for them.
    pub fn demand(&mut self, packs: &[usize]) -> Result<()> {
        self.known(packs)?;
        for &pack in packs.iter().rev() {
            if self.can_come(pack) {
                self.scheduler.demand(pack);
            }
        }
        self.pump()
    }

    /// Brings packs to their homes while nothing else is read, in this order.
    pub fn fill(&mut self, packs: impl IntoIterator<Item = usize>) -> Result<()> {
        let packs: Vec<usize> = packs.into_iter().collect();
        self.known(&packs)?;
        self.scheduler.fill(packs);
        Ok(())
    }

    /// Waits until the packs that [`fill`](Self::fill) named are in their homes.
    pub fn settle(&mut self) -> Result<()> {
        loop {
            self.pump()?;
            if !self.scheduler.is_filling() {
                return Ok(());
            }
            self.wait(self.scheduler.blocked(self.passed))?;
        }
    }

    /// True where RAM holds the pack's bytes, beside VRAM or not.
    pub fn is_in_ram(&self, pack: usize) -> bool {
        self.scheduler.is_warm(pack)
    }

    /// True for a pack that the cache in VRAM has a place for.
    pub fn is_promoted(&self, pack: usize) -> bool {
        self.scheduler.is_promoted(pack)
    }

    fn cache_of(&self, tier: MemoryTier) -> &[Range] {
        if tier == MemoryTier::RamWarm { &self.caches.ram } else { &self.caches.vram }
    }

    /// Takes a pack out of the cache in RAM.
    fn cool(&mut self, pack: usize) {
        if self.scheduler.rebase(pack, MemoryTier::DiskCold) {
            *self.warm_place(pack) = None;
            self.caches.warmed[pack] = false;
        }
    }

    /// Takes a pack out of the cache in VRAM.
    fn demote(&mut self, pack: usize) {
        if self.scheduler.demote(pack) {
            self.places[pack] = self.caches.below[pack].take();
            self.caches.brought[pack] = None;
        }
    }

    /// The place of a pack in RAM.
    fn warm_place(&mut self, pack: usize) -> &mut Option<Range> {
        if self.scheduler.is_promoted(pack) { &mut self.caches.below[pack] } else { &mut self.places[pack] }
    }

    /// Takes every pack out of both caches. Nothing is on its way, and no lease holds any.
    pub(in crate::residency) fn empty_caches(&mut self) {
        for pack in 0..self.lengths.len() {
            self.demote(pack);
            if self.caches.warmed[pack] {
                self.cool(pack);
            }
        }
    }
}
