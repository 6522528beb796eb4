//! From one plan to another while a model is in use: what keeps its place, what moves, what is given back.

use super::super::pool::Pool;
use super::{
    HOLDERS, MemoryTier, NomadPackManager, PackReader, PackStore, Passed, Residence, ResidencyError, Result, store,
};
use crate::memory::{Budget, Range};

/// Places found in a tier: its blocks then, those of its rings in order, and those of packs.
type Places = (Pool, Vec<Range>, Vec<(usize, Range)>);

impl<S: PackStore, R: PackReader<S::Target>> NomadPackManager<S, R> {
    /// Goes over to other homes, rings and budgets, between two passes: refused while a lease holds a pack. What was announced
    /// is forgotten.
    ///
    /// A pack whose home stays keeps its bytes, and one that goes from VRAM to RAM takes them along. Then holes are closed, and
    /// blocks are given back until the others, and new ones for what has no place yet, are within the budgets: those that hold
    /// least go first, and what was in them is read again when it is needed. New blocks are made then, too.
    ///
    /// After an error, packs may have lost their bytes, and come when they are needed.
    pub fn replan(&mut self, residence: Residence, (vram, ram): (Budget, Budget)) -> Result<()> {
        self.forget();
        self.come_to_rest()?;
        if let Some(pack) = self.pins.iter().position(|pins| *pins > 0) {
            return Err(ResidencyError::Pinned { pack, pins: self.pins[pack] });
        }
        self.empty_caches();
        for range in std::mem::take(&mut self.slots).into_iter().chain(std::mem::take(&mut self.caches.vram)) {
            self.vram.give_back(range)?;
        }
        let warm = std::mem::take(&mut self.caches.ram);
        for range in std::mem::take(&mut self.staging).into_iter().chain(self.gather.take()).chain(warm) {
            self.ram.give_back(range)?;
        }
        self.scheduler.resize(residence.slots.0, residence.staging.0);
        self.residence = residence;
        let mut leaving = Vec::new();
        for pack in 0..self.lengths.len() {
            let (from, to) = (self.scheduler.homes()[pack], self.residence.homes[pack]);
            let placed = self.scheduler.is_placed(pack);
            if from == to && placed {
                continue;
            }
            self.scheduler.move_home(pack, to);
            match self.places[pack].take() {
                Some(range) if placed && (from, to) == (MemoryTier::VramHot, MemoryTier::RamWarm) => {
                    leaving.push((pack, range));
                }
                Some(range) => self.pool_mut(from).give_back(range)?,
                None => {}
            }
        }
        // what cannot be moved is read again
        let warm = self.gather_up(MemoryTier::RamWarm).and_then(|()| self.find_places(MemoryTier::RamWarm, &ram));
        for (pack, range) in leaving {
            if let Some(place) = self.places[pack].filter(|_| warm.is_ok()) {
                let moved = self.move_bytes(pack, (MemoryTier::VramHot, range), (MemoryTier::RamWarm, place));
                moved.unwrap_or_else(|error| tracing::debug!("{error}"));
            }
            self.vram.give_back(range)?;
        }
        let hot = self.gather_up(MemoryTier::VramHot).and_then(|()| self.find_places(MemoryTier::VramHot, &vram));
        warm.and(hot)
    }

    /// Waits for all that the device was given.
    fn come_to_rest(&mut self) -> Result<()> {
        loop {
            let passed = self.store.passed().map_err(|error| store("say how far it is", error))?;
            self.completed(passed);
            let compute = self.ending.last_key_value().map_or(0, |(value, _)| *value);
            if passed.compute >= compute && passed.copies >= self.copied {
                return Ok(());
            }
            self.device_wait(Passed { compute, copies: self.copied })?;
        }
    }

    /// Closes a tier's holes, as far as that works, and gives back the blocks that are empty then.
    fn gather_up(&mut self, tier: MemoryTier) -> Result<()> {
        // nothing moves into a block that is going, and what it held may still be on its way out
        self.come_to_rest()?;
        self.drop_empty_blocks(tier);
        self.close_holes(tier).map_or_else(|error| tracing::debug!("{error}"), drop);
        self.come_to_rest()?;
        self.drop_empty_blocks(tier);
        Ok(())
    }

    fn drop_empty_blocks(&mut self, tier: MemoryTier) {
        while let Some((block, 0)) = self.pool(tier).emptiest() {
            self.drop_block(tier, block);
        }
    }

    /// Finds a place in a tier for its rings, and for the packs that live there and have none, in blocks of `budget` bytes. Their
    /// blocks are made when the first of them comes.
    pub(super) fn find_places(&mut self, tier: MemoryTier, budget: &Budget) -> Result<()> {
        let (pool, mut rings, packs) = loop {
            match self.places_within(tier, budget.clone()) {
                Ok(places) => break places,
                Err(error) => self.empty_a_block(tier).ok_or(error)?,
            }
        };
        *self.pool_mut(tier) = pool;
        packs.into_iter().for_each(|(pack, range)| self.places[pack] = Some(range));
        let Residence { slots: (slots, _), staging: (staging, _), .. } = self.residence;
        if tier == MemoryTier::RamWarm {
            self.caches.ram = rings.split_off(rings.len().min(staging + usize::from(self.residence.gather > 0)));
            self.gather = if self.residence.gather > 0 { rings.pop() } else { None };
            self.staging = rings;
        } else {
            self.caches.vram = rings.split_off(rings.len().min(slots));
            self.slots = rings;
        }
        Ok(())
    }

    fn places_within(&self, tier: MemoryTier, budget: Budget) -> Result<Places> {
        let Residence { slots, staging, gather, cache, warm_cache, .. } = self.residence;
        let mut pool = self.pool(tier).under(budget)?;
        let rings = match tier {
            MemoryTier::RamWarm => {
                vec![(HOLDERS[2], staging), (HOLDERS[3], (usize::from(gather > 0), gather)), (HOLDERS[4], warm_cache)]
            }
            _ => vec![(HOLDERS[1], slots), (HOLDERS[4], cache)],
        };
        let mut ranges = Vec::new();
        for (name, (count, len)) in rings {
            for after in (0..count).rev() {
                ranges.push(pool.take(name, len, std::iter::repeat_n(len, after))?);
            }
        }
        let homes = self.scheduler.homes();
        let homeless = |p: &usize| homes[*p] == tier && self.lengths[*p] > 0 && self.places[*p].is_none();
        let packs: Vec<usize> = (0..homes.len()).filter(homeless).collect();
        let mut places = Vec::with_capacity(packs.len());
        for (i, &pack) in packs.iter().enumerate() {
            let coming = packs[i + 1..].iter().map(|&p| self.lengths[p]);
            places.push((pack, pool.take(HOLDERS[0], self.lengths[pack], coming)?));
        }
        Ok((pool, ranges, places))
    }

    /// Gives back the block of a tier that holds least; its packs have no place then. `None` where there is none.
    fn empty_a_block(&mut self, tier: MemoryTier) -> Option<()> {
        let (block, _) = self.pool(tier).emptiest()?;
        for pack in 0..self.places.len() {
            let inside = self.scheduler.homes()[pack] == tier && self.places[pack].is_some_and(|p| p.block == block);
            if let Some(range) = self.places[pack].take_if(|_| inside) {
                self.pool_mut(tier).give_back(range).ok()?;
                self.scheduler.move_home(pack, tier);
            }
        }
        self.drop_block(tier, block);
        Some(())
    }

    fn drop_block(&mut self, tier: MemoryTier, block: usize) {
        let pool = if tier == MemoryTier::RamWarm { &mut self.ram } else { &mut self.vram };
        pool.drop_block(&mut self.store, block);
    }

    /// Copies a pack from one place to another, where it is from then on.
    pub(super) fn move_bytes(&mut self, pack: usize, from: (MemoryTier, Range), to: (MemoryTier, Range)) -> Result<()> {
        let (from, to) = (self.pool(from.0).found(from.1), self.locate_range(to.0, to.1)?);
        let copied = self.store.copy(from, to, self.passed.compute);
        let value = copied.map_err(|error| store(&format!("move pack {pack}"), error))?;
        self.copied = value;
        self.scheduler.place(pack, value);
        Ok(())
    }
}
