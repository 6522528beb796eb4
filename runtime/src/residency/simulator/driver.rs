//! Plays passes as an engine does, and looks at everything in between.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::{Lease, Limits, MemoryTier, NomadPackManager, PackStore, Passed, Residence, ResidencyError};
use super::device::{Device, Disk, Judge, World, bytes_of};
use super::model::Model;
use crate::memory::{Budget, NODE};

pub type Manager = NomadPackManager<Device, Disk>;

/// One life of a manager.
pub struct Simulation {
    pub rng: ChaCha8Rng,
    pub world: Rc<RefCell<World>>,
    pub manager: Manager,
    model: Model,
    /// Homes as they must be.
    homes: Vec<MemoryTier>,
    cancel: Arc<AtomicBool>,
    /// What is recorded and not submitted: leases, and the value that it waits for.
    leases: Vec<Lease>,
    after: u64,
    /// Leases of work that was submitted, by its value.
    ending: Vec<(u64, Vec<usize>)>,
    /// Who has the places of the caches in VRAM and in RAM.
    cached: [Vec<Option<usize>>; 2],
    /// The work that read the gather slot last.
    gathered: u64,
    pub steps: u64,
    /// How often blocks were given back for smaller budgets.
    pub squeezed: u64,
}

impl Simulation {
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let model = Model::random(&mut rng);
        let planned = if rng.random() { model.planned(&mut rng) } else { None };
        let residence = planned.unwrap_or_else(|| model.odd(&mut rng));
        let packs: Vec<Vec<u8>> = model.traffic.iter().enumerate().map(|(i, p)| bytes_of(i, p.len)).collect();
        let world = World::new(seed, packs.clone());
        if rng.random_range(0..3) == 0 {
            world.borrow_mut().failing = [rng.random_range(0..30), rng.random_range(0..10), rng.random_range(0..50)];
        }
        let [vram, ram] = model.bytes(&residence);
        let lengths = model.traffic.iter().map(|pack| pack.len).collect();
        let homes = residence.homes.clone();
        let cached = places(&residence);
        let max_block = rng.random_range(1..60) * NODE;
        let make = |residence, lengths| {
            let effects = (Device::new(&world), Disk(Rc::clone(&world)), Box::new(Judge(packs.clone())) as Box<_>);
            NomadPackManager::new(lengths, residence, effects, (Budget::new(vram), Budget::new(ram)), max_block)
        };
        let failing = std::mem::take(&mut world.borrow_mut().failing);
        let mut manager = make(residence, lengths).unwrap();
        world.borrow_mut().failing = failing;
        let cancel = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&cancel);
        manager.cancel_on(Box::new(move || heard.load(Ordering::Relaxed)));
        let (leases, ending) = (Vec::new(), Vec::new());
        Self {
            rng,
            world,
            manager,
            model,
            homes,
            cancel,
            leases,
            after: 0,
            ending,
            cached,
            gathered: 0,
            steps: 0,
            squeezed: 0,
        }
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_range(0..n) == 0
    }

    /// Passes, with other things between them.
    pub fn play(&mut self, passes: usize) {
        for _ in 0..passes {
            let stop = self.one_in(12);
            self.cancel.store(stop, Ordering::Relaxed);
            let announced = self.announce();
            // an announcement that fails may be made again at once
            let forget = announced.is_ok() || self.rng.random();
            if let Err(error) = announced.and_then(|()| self.pass()) {
                self.recover(&error, forget);
            }
            self.cancel.store(false, Ordering::Relaxed);
            if self.one_in(8) {
                self.unload();
            }
            if self.one_in(8) {
                self.squeeze();
            }
            if self.one_in(6) {
                match self.manager.defragment() {
                    Ok(_) => {}
                    Err(error) => self.recover(&error, true),
                }
            }
            self.books();
        }
        self.world.borrow_mut().failing = [0; 3];
        // a read that has failed is not heard of yet
        self.manager.forget();
        self.announce().and_then(|()| self.pass()).expect("a pass works when nothing fails");
        self.end();
    }

    fn announce(&mut self) -> Result<(), ResidencyError> {
        if self.one_in(4) {
            let mut packs: Vec<usize> = (0..self.homes.len()).collect();
            packs.shuffle(&mut self.rng);
            self.manager.fill(packs)?;
        }
        let mut uses = self.model.uses();
        match self.rng.random_range(0..10) {
            0 => uses.shuffle(&mut self.rng),
            1 => uses.truncate(uses.len() - self.model.head.len()),
            2 => uses.extend(self.model.head.repeat(2)),
            3 => uses.truncate(self.rng.random_range(0..=uses.len())),
            4 => return Ok(()),
            _ => {}
        }
        if self.rng.random() {
            uses.extend(self.model.uses());
        }
        self.manager.announce(&uses)
    }

    fn pass(&mut self) -> Result<(), ResidencyError> {
        for pack in self.model.tables.clone() {
            if self.rng.random() {
                self.look_up(pack)?;
            }
        }
        let mut operations = self.model.operations.clone();
        let heads = if self.one_in(8) { 2 } else { 1 };
        operations.extend(std::iter::repeat_n(self.model.head.clone(), heads));
        if self.one_in(8) {
            operations.truncate(self.rng.random_range(0..=operations.len()));
        }
        for operation in operations {
            let usable: Vec<usize> = operation.into_iter().filter(|&pack| self.can_come(pack)).collect();
            let most = (self.manager.residence().slots.0 / 3).max(1);
            let stay = usable.iter().all(|&pack| self.manager.stays(pack));
            let groups = usable.chunks(if stay { usable.len().max(1) } else { most });
            for group in groups {
                if self.one_in(3) {
                    self.cache()?;
                }
                let held: usize = self.leases.iter().map(|lease| lease.packs().len()).sum();
                let more = held + group.len() <= self.manager.residence().slots.0 && self.one_in(6);
                if !more && !group.iter().all(|&pack| self.manager.stays(pack)) {
                    self.submit()?;
                }
                self.lease(group)?;
                if self.one_in(20) {
                    self.lease(group)?;
                }
                if self.one_in(4) {
                    self.manager.pump()?;
                }
            }
        }
        self.submit()?;
        let last = self.ending.last().map_or(0, |end| end.0);
        while self.world.borrow().passed().compute < last {
            self.manager.pump()?;
            self.manager.store().wait(Passed { compute: last, copies: 0 }, Duration::ZERO).unwrap();
        }
        Ok(())
    }

    /// A cache takes a pack in, which may come at once.
    fn cache(&mut self) -> Result<(), ResidencyError> {
        let which = self.rng.random_range(0..2);
        let tier = [MemoryTier::VramHot, MemoryTier::RamWarm][which];
        let pack = self.rng.random_range(0..self.homes.len());
        if self.cached[which].is_empty() || !self.manager.can_enter(tier, pack) {
            return Ok(());
        }
        let slot = self.rng.random_range(0..self.cached[which].len());
        let evicted = self.cached[which][slot];
        if !evicted.is_none_or(|evicted| self.manager.can_leave(tier, evicted)) {
            return Ok(());
        }
        self.manager.promote(tier, slot, pack, evicted).unwrap();
        self.cached[which][slot] = Some(pack);
        match self.rng.random_range(0..4) {
            0 => self.manager.demand(&[pack]),
            1 => self.manager.expect(&[pack]),
            _ => Ok(()),
        }
    }

    /// False for a pack that was unloaded to where no ring brings it from.
    fn can_come(&self, pack: usize) -> bool {
        let (slots, len) = self.manager.residence().slots;
        match self.homes[pack] {
            MemoryTier::VramHot => true,
            MemoryTier::Hibernating => false,
            _ => slots > 0 && self.model.traffic[pack].len <= len,
        }
    }

    fn lease(&mut self, packs: &[usize]) -> Result<(), ResidencyError> {
        let lease = self.manager.lease(packs)?;
        assert!(packs.iter().all(|&pack| lease.address(pack).is_some()));
        self.take(lease);
        Ok(())
    }

    fn look_up(&mut self, pack: usize) -> Result<(), ResidencyError> {
        let gather = self.manager.residence().gather >= self.model.traffic[pack].len;
        match self.homes[pack] {
            MemoryTier::Hibernating => return Ok(()),
            MemoryTier::DiskCold if gather => {
                self.submit()?;
                let until = Passed { compute: self.gathered, copies: 0 };
                while self.world.borrow().passed().compute < until.compute {
                    self.manager.store().wait(until, Duration::ZERO).unwrap();
                }
            }
            MemoryTier::DiskCold if !self.can_come(pack) => return Ok(()),
            _ => {}
        }
        let lease = self.manager.look_up(pack)?;
        self.take(lease);
        if self.homes[pack] == MemoryTier::DiskCold {
            // work that was submitted reads the slot, whatever fails behind it
            let submitted = self.submit();
            self.gathered = self.ending.last().map_or(self.gathered, |end| end.0);
            submitted?;
        }
        Ok(())
    }

    fn take(&mut self, lease: Lease) {
        self.after = self.after.max(lease.after);
        self.leases.push(lease);
        self.step();
    }

    fn submit(&mut self) -> Result<u64, ResidencyError> {
        let reads = self.leases.iter().flat_map(Lease::packs).collect();
        let value = self.world.borrow_mut().submit(reads, self.after);
        for lease in std::mem::take(&mut self.leases) {
            self.ending.push((value, lease.packs().map(|(pack, _)| pack).collect()));
            self.manager.release(lease, value);
        }
        self.step();
        self.manager.pump()?;
        Ok(value)
    }

    /// What an engine does after an error; only those that were asked for are allowed.
    fn recover(&mut self, error: &ResidencyError, forget: bool) {
        let cancelled = self.cancel.load(Ordering::Relaxed);
        let failing = self.world.borrow().failing;
        match error {
            ResidencyError::Cancelled => assert!(cancelled),
            ResidencyError::Source { .. } => assert!(failing[0] > 0, "{error}"),
            ResidencyError::Store { .. } => assert!(failing[1] + failing[2] > 0, "{error}"),
            other => panic!("{other}"),
        }
        std::mem::take(&mut self.leases).into_iter().for_each(|lease| self.manager.release(lease, 0));
        if forget {
            self.manager.forget();
        }
        self.step();
    }

    fn unload(&mut self) {
        let pack = self.rng.random_range(0..self.homes.len());
        let target = MemoryTier::ALL[self.rng.random_range(0..4)];
        let before = self.homes[pack];
        match self.manager.unload(pack, target) {
            Ok(()) => {
                assert!(target > before && !self.is_held(pack));
                self.homes[pack] = target;
            }
            Err(ResidencyError::NotColder { .. }) => {
                assert!(target <= before || target == MemoryTier::RamWarm && self.manager.residence().unified);
            }
            Err(ResidencyError::Budget(_) | ResidencyError::Room(_)) => assert_eq!(target, MemoryTier::RamWarm),
            Err(ResidencyError::Pinned { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }

    /// The budgets become others, as a rule smaller ones, with or without room to spare.
    fn squeeze(&mut self) {
        let caps = self.manager.budgets().map(Budget::cap);
        let unified = self.manager.residence().unified;
        let [vram, ram] = caps.map(|cap| self.rng.random_range(0..=cap + cap / 4));
        let limits = Limits { vram: if unified { vram + ram } else { vram }, ram: vram + ram, unified };
        let Some(mut next) = self.model.residence(limits, &self.homes, self.rng.random()) else { return };
        for (home, now) in next.homes.iter_mut().zip(&self.homes) {
            *home = if *now == MemoryTier::Hibernating { *now } else { *home };
        }
        let [mut vram, ram] = self.model.bytes(&next);
        if self.one_in(2) {
            vram += self.rng.random_range(0..10) * NODE;
        }
        let (before, held) = (self.manager.counters(), self.world.borrow().held());
        match self.manager.replan(next.clone(), (Budget::new(vram), Budget::new(ram))) {
            Ok(()) | Err(ResidencyError::Store { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        assert_eq!(self.manager.counters(), before, "nothing is read or waited for");
        self.cached = places(&next);
        self.homes = next.homes;
        let [hot, warm] = self.world.borrow().held();
        assert!(hot <= vram && warm <= ram, "{hot} of {vram}, {warm} of {ram}");
        self.squeezed += u64::from(hot < held[0] || warm < held[1]);
        self.gathered = 0;
    }

    fn is_held(&self, pack: usize) -> bool {
        self.leases.iter().any(|lease| lease.address(pack).is_some()) || self.world.borrow().is_read(pack)
    }

    /// What holds at every moment.
    fn step(&mut self) {
        self.steps += 1;
        let passed = self.world.borrow().passed();
        self.ending.retain(|end| end.0 > passed.compute);
        let held = self.leases.iter().flat_map(Lease::packs).map(|(pack, _)| pack);
        for pack in held.chain(self.ending.iter().flat_map(|end| end.1.iter().copied())) {
            assert!(self.manager.is_pinned(pack).unwrap(), "the pin of pack {pack} is lost");
        }
        assert!(self.manager.budgets().iter().all(|budget| budget.used() <= budget.cap()));
        // what is leased lies apart
        let mut spans: Vec<_> = self.leases.iter().flat_map(Lease::packs).map(|(pack, at)| (at, pack)).collect();
        spans.sort_unstable();
        spans.dedup();
        for pair in spans.windows(2) {
            assert!(pair[0].0 + self.model.traffic[pair[0].1].len <= pair[1].0, "{pair:?} overlap");
        }
    }

    /// What holds between passes.
    fn books(&mut self) {
        self.step();
        let accounts = self.manager.accounts();
        for (tier, account) in [MemoryTier::VramHot, MemoryTier::RamWarm].into_iter().zip(&accounts) {
            let inside = (0..self.homes.len()).filter(|&pack| self.homes[pack] == tier);
            let bytes: u64 = inside.map(|pack| self.model.traffic[pack].len).sum();
            assert_eq!(account.holders.get("packs").map_or(0, |holder| holder.bytes), bytes, "{tier}");
        }
        for (account, budget) in accounts.iter().zip(self.manager.budgets()) {
            assert_eq!(account.capacity, budget.used());
            assert!(account.used <= account.capacity);
        }
        let shares = self.manager.distribution();
        assert_eq!(shares.iter().map(|share| share.packs).sum::<usize>(), self.homes.len());
        for pack in 0..self.homes.len() {
            let tier = self.manager.tier(pack).unwrap();
            let cached = self.cached.iter().flatten().any(|held| *held == Some(pack));
            assert!(tier == self.homes[pack] || tier == MemoryTier::DiskCold || cached);
        }
    }

    /// Everything is given back, and nothing but rings is left.
    fn end(&mut self) {
        self.manager.fill([]).unwrap();
        self.manager.forget();
        self.manager.pump().unwrap();
        self.manager.empty_caches();
        for pack in 0..self.homes.len() {
            assert!(!self.manager.is_pinned(pack).unwrap(), "pack {pack} is pinned for good");
            if self.homes[pack] != MemoryTier::Hibernating {
                self.manager.unload(pack, MemoryTier::Hibernating).unwrap();
                self.homes[pack] = MemoryTier::Hibernating;
            }
        }
        self.books();
        while self.world.borrow_mut().advance() {}
    }
}

/// Places of the caches, nobody's yet.
fn places(residence: &Residence) -> [Vec<Option<usize>>; 2] {
    [residence.cache.0, residence.warm_cache.0].map(|count| vec![None; count])
}
