//! The state of every pack, and the acts that change it.

mod caches;
mod replan;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use self::caches::Caches;
use super::pool::Pool;
use super::{
    Action, Blocked, Counters, Lease, Location, MemoryTier, PackCheck, PackReader, PackScheduler, PackStore, Passed,
    ResidencyError, Spot, TierShare, VitalityOracle,
};
use crate::memory::{Account, Budget, Range};

/// Longest block, in bytes: drivers cap one allocation, and a driver that moves blocks moves them whole.
pub const MAX_BLOCK: u64 = 1 << 30;
/// Packs start at device addresses that are multiples of this, as parts do in packs.
pub const PACK_ALIGN: u64 = symbiote_format::PART_ALIGN;

/// What the allocator's books call them.
const HOLDERS: [&str; 5] = ["packs", "slots", "staging", "gather", "cache"];
/// How long a wait lasts before it looks for a cancellation.
const PATIENCE: Duration = Duration::from_millis(50);

/// Says whether the caller wants no more.
pub type Cancel = Box<dyn Fn() -> bool + Send>;

type Result<T> = std::result::Result<T, ResidencyError>;

/// A pack that was asked for and is on its way.
#[derive(Debug)]
pub struct Load {
    pack: usize,
}

/// What a manager is made of.
#[derive(Clone, Debug)]
pub struct Residence {
    /// Home of each pack.
    pub homes: Vec<MemoryTier>,
    /// Slots of VRAM that packs pass through, and the length of one.
    pub slots: (usize, u64),
    /// Slots of pinned memory on the way from disk, and the length of one.
    pub staging: (usize, u64),
    /// Length of the pinned memory for packs that are only looked up; 0 for none.
    pub gather: u64,
    /// Places in VRAM that packs with slower homes take turns in, and the length of one.
    pub cache: (usize, u64),
    /// Likewise in pinned memory, for packs whose home is disk.
    pub warm_cache: (usize, u64),
    /// RAM and VRAM are the same.
    pub unified: bool,
    /// Check every pack against its hash when it is first read.
    pub verify: bool,
}

/// Owns the state of every pack: where it is, and who is reading it. It acts on what the [`PackScheduler`] decides, hands out
/// leases, and keeps books that agree, after failed calls too.
pub struct NomadPackManager<S: PackStore, R> {
    lengths: Vec<u64>,
    scheduler: PackScheduler,
    store: S,
    reader: R,
    check: Box<dyn PackCheck + Send>,
    vram: Pool,
    ram: Pool,
    /// Where packs lie whose home is VRAM or RAM, once they have a place there.
    places: Vec<Option<Range>>,
    /// Leases that cover each pack, their ends not yet passed.
    pins: Vec<u32>,
    /// True for packs that have been read once.
    seen: Vec<bool>,
    caches: Caches,
    slots: Vec<Range>,
    staging: Vec<Range>,
    gather: Option<Range>,
    residence: Residence,
    /// Reads under way.
    reading: HashMap<u64, (usize, Location)>,
    /// Leases given back whose work the device may still be doing, by the compute value that ends it.
    ending: BTreeMap<u64, Vec<Lease>>,
    passed: Passed,
    /// The value of the last copy.
    copied: u64,
    counters: Counters,
    cancel: Cancel,
}

/// Number of lookups' own reads, which no fetch has.
const LOOKUP: u64 = u64::MAX;

impl<S: PackStore, R: PackReader<S::Target>> NomadPackManager<S, R> {
    /// A manager of packs of these lengths in bytes, none of them read yet, that may use `vram` and `ram` for them.
    pub fn new(
        lengths: Vec<u64>,
        residence: Residence,
        (store, reader, check): (S, R, Box<dyn PackCheck + Send>),
        (vram, ram): (Budget, Budget),
        max_block: u64,
    ) -> Result<Self> {
        let count = lengths.len();
        let r = &residence;
        let scheduler = PackScheduler::new(r.homes.clone(), r.slots.0, r.staging.0, r.unified);
        let mut manager = Self {
            lengths,
            scheduler,
            store,
            reader,
            check,
            vram: Pool::new(MemoryTier::VramHot, vram.clone(), max_block),
            ram: Pool::new(MemoryTier::RamWarm, ram.clone(), max_block),
            places: vec![None; count],
            pins: vec![0; count],
            seen: vec![false; count],
            caches: Caches::new(count),
            slots: Vec::new(),
            staging: Vec::new(),
            gather: None,
            residence,
            reading: HashMap::new(),
            ending: BTreeMap::new(),
            passed: Passed::default(),
            copied: 0,
            counters: Counters::default(),
            cancel: Box::new(|| false),
        };
        for (tier, budget) in [(MemoryTier::VramHot, &vram), (MemoryTier::RamWarm, &ram)] {
            manager.find_places(tier, budget)?;
        }
        for &range in manager.slots.iter().chain(&manager.caches.vram) {
            manager.vram.locate(&mut manager.store, range)?;
        }
        for &range in manager.staging.iter().chain(&manager.gather) {
            manager.ram.locate(&mut manager.store, range)?;
        }
        Ok(manager)
    }

    /// Waits end with [`ResidencyError::Cancelled`] when `cancel` says so.
    pub fn cancel_on(&mut self, cancel: Cancel) {
        self.cancel = cancel;
    }

    /// See [`PackScheduler::read_in_place`].
    pub fn read_in_place(&mut self, in_place: bool) {
        self.scheduler.read_in_place(in_place);
    }

    /// The packs that are going to be leased, in order: they are brought nearer from now on.
    pub fn announce(&mut self, uses: &[usize]) -> Result<()> {
        self.known(uses)?;
        let uses: Vec<usize> = uses.iter().copied().filter(|&pack| self.can_come(pack)).collect();
        while !self.scheduler.announce(uses.iter().copied()) {
            self.wait(Blocked::Read)?;
        }
        self.pump()
    }

    /// Brings the `count` packs that `oracle` expects to be needed next, from step `now` on: an announcement.
    pub fn prefetch_related(&mut self, oracle: &dyn VitalityOracle, now: usize, count: usize) -> Result<()> {
        self.announce(&oracle.predict_next_packs(now, count))
    }

    /// Asks for a pack before all others and does not wait for it; whether it has [arrived](Self::arrived), can be asked.
    pub fn load_async(&mut self, pack: usize) -> Result<Load> {
        self.known(&[pack])?;
        if !self.can_come(pack) {
            return Err(ResidencyError::Hibernating { pack });
        }
        self.scheduler.demand(pack);
        self.pump()?;
        Ok(Load { pack })
    }

    /// Whether a lease of the pack would wait for nothing more than a copy under way.
    pub fn arrived(&mut self, load: &Load) -> Result<bool> {
        self.pump()?;
        Ok(self.scheduler.arrival(load.pack).is_some())
    }

    /// The right to read one pack; see [`lease`](Self::lease).
    pub fn get(&mut self, pack: usize) -> Result<Lease> {
        self.lease(&[pack])
    }

    /// The right to read `packs`, which are there when the copies' timeline has passed the lease's value. Waits until that is
    /// submitted.
    pub fn lease(&mut self, packs: &[usize]) -> Result<Lease> {
        self.known(packs)?;
        let mut addresses = Vec::with_capacity(packs.len());
        let mut after = 0;
        // in the order in which they were announced
        for &pack in packs {
            if addresses.iter().any(|&(leased, _)| leased == pack) {
                continue;
            }
            match self.lease_one(pack) {
                Ok((address, value)) => {
                    addresses.push((pack, address));
                    after = after.max(value);
                }
                Err(error) => {
                    addresses.iter().for_each(|&(pack, _)| self.scheduler.used(pack, 0));
                    return Err(error);
                }
            }
        }
        for &(pack, _) in &addresses {
            self.pins[pack] += 1;
        }
        addresses.sort_unstable();
        Ok(Lease::new(addresses.into(), after, true))
    }

    /// Address of a pack, which is there when the copies have passed the value.
    fn lease_one(&mut self, pack: usize) -> Result<(u64, u64)> {
        let (spot, value) = match self.scheduler.arrival(pack) {
            Some(arrival) => arrival,
            None => self.bring(pack)?,
        };
        let (tier, range) = self.range(pack, spot)?;
        self.scheduler.lease(pack);
        let from = match self.caches.brought[pack].take().unwrap_or(self.scheduler.homes()[pack]) {
            MemoryTier::VramHot => 0,
            MemoryTier::RamWarm => 1,
            _ => 2,
        };
        if from == 1 && spot == Spot::Home {
            self.counters.copied_bytes += self.lengths[pack];
        }
        self.counters.uses += 1;
        self.counters.used_bytes[from] += self.lengths[pack];
        Ok((self.pool(tier).address(range), value))
    }

    /// The right to read a pack of which kernels take a few rows: where it lies, in RAM too. A pack whose home is disk lies in
    /// the gather slot; the work that reads it must be over before the next of these calls.
    pub fn look_up(&mut self, pack: usize) -> Result<Lease> {
        self.known(&[pack])?;
        let home = self.scheduler.homes()[pack];
        let place = match (home, self.places[pack], self.gather) {
            (MemoryTier::RamWarm, Some(place), _) => place,
            (MemoryTier::DiskCold, _, Some(place)) if self.lengths[pack] <= place.len => place,
            _ => return self.lease(&[pack]),
        };
        // a fetch may be reading it
        while self.scheduler.is_coming(pack) {
            self.wait(Blocked::Read)?;
        }
        if !self.scheduler.is_placed(pack) {
            let place = Range { len: self.lengths[pack], ..place };
            let at = self.ram.locate(&mut self.store, place)?;
            self.begin(LOOKUP, pack, at, true)?;
            while self.reading.contains_key(&LOOKUP) {
                self.wait(Blocked::Read)?;
            }
            if home == MemoryTier::RamWarm {
                self.scheduler.place(pack, 0);
            }
        }
        self.counters.uses += 1;
        self.counters.used_bytes[if home == MemoryTier::RamWarm { 1 } else { 2 }] += self.lengths[pack];
        self.pins[pack] += 1;
        Ok(Lease::new([(pack, self.ram.address(place))].into(), 0, false))
    }

    /// Ends a lease when the compute timeline has passed `value`, the value that the last work reading it signals.
    pub fn release(&mut self, lease: Lease, value: u64) {
        if lease.in_vram {
            lease.packs().for_each(|(pack, _)| self.scheduler.used(pack, value));
        }
        if value <= self.passed.compute {
            self.unpin(&lease);
        } else {
            self.ending.entry(value).or_default().push(lease);
        }
    }

    /// Begins what can be begun, and takes notice of what is done.
    pub fn pump(&mut self) -> Result<()> {
        loop {
            while let Some((id, outcome)) = self.reader.done(Duration::ZERO) {
                self.landed(id, outcome)?;
            }
            let passed = self.store.passed().map_err(|error| store("say how far it is", error))?;
            self.completed(passed);
            match self.scheduler.next(passed) {
                None => return Ok(()),
                Some(Action::Read { id, pack, into, urgent }) => {
                    let begun = self.locate(pack, into).and_then(|at| self.begin(id, pack, at, urgent));
                    begun.inspect_err(|_| {
                        self.scheduler.failed(id);
                    })?;
                }
                Some(Action::Copy { id, pack, from, to, after }) => {
                    let value = self.copy(pack, from, to, after);
                    let value = value.inspect_err(|_| {
                        self.scheduler.failed(id);
                    })?;
                    self.scheduler.copied(id, value);
                }
            }
        }
    }

    /// Forgets what is on its way. Due after an error of [`lease`](Self::lease), [`look_up`](Self::look_up) or
    /// [`pump`](Self::pump), before anything else is asked for. Work that was submitted goes on, and what leases hold stays.
    pub fn forget(&mut self) {
        while !self.reading.is_empty() {
            if let Some((id, _)) = self.reader.done(PATIENCE) {
                self.reading.remove(&id);
                self.scheduler.failed(id);
            }
        }
        self.scheduler.forget();
    }

    /// Takes a pack to a slower home, and gives up its place in the one it had; in RAM it needs a new one. Refused while a lease
    /// holds it.
    pub fn unload(&mut self, pack: usize, target: MemoryTier) -> Result<()> {
        self.known(&[pack])?;
        let home = self.scheduler.homes()[pack];
        if self.is_promoted(pack) || self.caches.warmed[pack] {
            return Err(ResidencyError::Pinned { pack, pins: self.pins[pack] });
        }
        // unified memory has no slower part
        if target <= home || (self.residence.unified && target == MemoryTier::RamWarm) {
            return Err(ResidencyError::NotColder { pack, tier: self.tier(pack)?, target });
        }
        if self.pins[pack] > 0 || self.scheduler.is_coming(pack) {
            return Err(ResidencyError::Pinned { pack, pins: self.pins[pack] });
        }
        // a place in RAM may still be copied from, and is going to be somebody else's
        while home == MemoryTier::RamWarm && self.passed.copies < self.copied {
            self.wait(Blocked::Copies(self.copied))?;
            let passed = self.store.passed().map_err(|error| store("say how far it is", error))?;
            self.completed(passed);
        }
        let place = match target {
            MemoryTier::RamWarm => Some(self.ram.take(HOLDERS[0], self.lengths[pack], std::iter::empty())?),
            _ => None,
        };
        if let Some(range) = std::mem::replace(&mut self.places[pack], place) {
            self.pool_mut(home).give_back(range)?;
        }
        self.scheduler.move_home(pack, target);
        Ok(())
    }

    /// Closes the holes between the packs in VRAM, those apart that a lease holds: how many moved. Their addresses change, so
    /// it is for the time between two passes.
    pub fn defragment(&mut self) -> Result<usize> {
        self.close_holes(MemoryTier::VramHot)
    }

    fn close_holes(&mut self, tier: MemoryTier) -> Result<usize> {
        let held: Vec<Range> =
            (0..self.places.len()).filter(|&p| self.pins[p] > 0).filter_map(|p| self.places[p]).collect();
        let own = |pack: usize| !self.is_promoted(pack) && !self.caches.warmed[pack];
        let inside = |pack: usize| self.scheduler.homes()[pack] == tier && self.scheduler.is_placed(pack) && own(pack);
        let of: BTreeMap<Range, usize> =
            (0..self.places.len()).filter(|&p| inside(p)).filter_map(|p| Some((self.places[p]?, p))).collect();
        let plan = self.pool(tier).defragment(|range| of.contains_key(range) && !held.contains(range));
        for step in &plan {
            let Some(&pack) = of.get(&step.from) else { continue };
            self.move_bytes(pack, (tier, step.from), (tier, step.to))?;
            self.pool_mut(tier).moved(step)?;
            self.places[pack] = Some(step.to);
        }
        Ok(plan.len())
    }

    /// Where a pack is now.
    pub fn tier(&self, pack: usize) -> Result<MemoryTier> {
        self.known(&[pack])?;
        let home = self.scheduler.homes()[pack];
        Ok(if self.scheduler.is_placed(pack) || home == MemoryTier::Hibernating { home } else { MemoryTier::DiskCold })
    }

    /// Nobody has to wait for the pack: it is in VRAM, or on the way there, for good.
    pub fn stays(&self, pack: usize) -> bool {
        matches!(self.scheduler.arrival(pack), Some((Spot::Home, value)) if value <= self.passed.copies)
    }

    /// Likewise, and no cache or ring had anything to do with it: its address stays what it is.
    pub fn is_settled(&self, pack: usize) -> bool {
        self.residence.homes[pack] == MemoryTier::VramHot && self.stays(pack)
    }

    /// True while a lease holds the pack.
    pub fn is_pinned(&self, pack: usize) -> Result<bool> {
        self.known(&[pack])?;
        Ok(self.pins[pack] > 0)
    }

    /// What each tier holds, from the fastest to the slowest.
    pub fn distribution(&self) -> [TierShare; 4] {
        MemoryTier::ALL.map(|tier| {
            let inside = (0..self.lengths.len()).filter(|&pack| self.tier(pack).is_ok_and(|t| t == tier));
            inside.fold(TierShare { tier, packs: 0, bytes: 0 }, |share, pack| TierShare {
                packs: share.packs + 1,
                bytes: share.bytes + self.lengths[pack],
                ..share
            })
        })
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What was decided about the tiers.
    pub fn residence(&self) -> &Residence {
        &self.residence
    }

    /// The books of VRAM's blocks and of RAM's.
    pub fn accounts(&self) -> [Account; 2] {
        [self.vram.account(), self.ram.account()]
    }

    /// The budgets that blocks are counted against: VRAM's and RAM's.
    pub fn budgets(&self) -> [&Budget; 2] {
        [self.vram.budget(), self.ram.budget()]
    }

    /// See [`FractalMemoryAllocator::fragmentation`](crate::memory::FractalMemoryAllocator::fragmentation); of VRAM.
    pub fn fragmentation(&self) -> f64 {
        self.vram.fragmentation()
    }

    /// The store, for what the manager does not do with it.
    pub fn store(&mut self) -> &mut S {
        &mut self.store
    }

    /// The reader, likewise.
    pub fn reader(&mut self) -> &mut R {
        &mut self.reader
    }

    fn known(&self, packs: &[usize]) -> Result<()> {
        match packs.iter().find(|&&pack| pack >= self.lengths.len()) {
            Some(&pack) => Err(ResidencyError::NoSuchPack { pack, packs: self.lengths.len() }),
            None => Ok(()),
        }
    }

    /// False for a pack that no slot is long enough for, as after [`unload`](Self::unload).
    fn can_come(&self, pack: usize) -> bool {
        let (slots, len) = self.residence.slots;
        self.scheduler.homes()[pack] == MemoryTier::VramHot || slots > 0 && self.lengths[pack] <= len
    }

    /// Waits until it is submitted that the pack comes.
    fn bring(&mut self, pack: usize) -> Result<(Spot, u64)> {
        if self.scheduler.homes()[pack] == MemoryTier::Hibernating {
            return Err(ResidencyError::Hibernating { pack });
        }
        if !self.can_come(pack) {
            return Err(ResidencyError::NotHot { pack, tier: self.tier(pack)? });
        }
        self.scheduler.demand(pack);
        loop {
            self.pump()?;
            if let Some(arrival) = self.scheduler.arrival(pack) {
                return Ok(arrival);
            }
            match self.scheduler.blocked(self.passed) {
                Blocked::Lease => return Err(ResidencyError::NoSlot { pack, slots: self.slots.len() }),
                blocked => self.wait(blocked)?,
            }
        }
    }

    fn wait(&mut self, blocked: Blocked) -> Result<()> {
        if (self.cancel)() {
            return Err(ResidencyError::Cancelled);
        }
        let start = Instant::now();
        match blocked {
            Blocked::Read => {
                if let Some((id, outcome)) = self.reader.done(PATIENCE) {
                    self.landed(id, outcome)?;
                }
            }
            Blocked::Copies(copies) => self.device_wait(Passed { compute: 0, copies })?,
            Blocked::Compute(compute) => self.device_wait(Passed { compute, copies: 0 })?,
            Blocked::Lease => {}
        }
        self.counters.stall += start.elapsed();
        Ok(())
    }

    fn device_wait(&mut self, until: Passed) -> Result<()> {
        self.store.wait(until, PATIENCE).map_err(|error| store("finish its work", error))
    }

    fn begin(&mut self, id: u64, pack: usize, at: Location, urgent: bool) -> Result<()> {
        let target = self.store.target(at).map_err(|error| store(&format!("take in pack {pack}"), error))?;
        self.reading.insert(id, (pack, at));
        self.reader.begin(id, pack, target, urgent);
        Ok(())
    }

    fn landed(&mut self, id: u64, outcome: std::result::Result<(), super::BoxError>) -> Result<()> {
        let Some((pack, at)) = self.reading.remove(&id) else { return Ok(()) };
        let judge = || {
            outcome?;
            self.check.check(pack, self.store.bytes(at)?, self.residence.verify && !self.seen[pack])
        };
        if let Err(error) = judge() {
            // what nobody waits for fails when somebody does
            return match self.scheduler.failed(id) {
                true => Err(ResidencyError::Source { pack, error }),
                false => Ok(()),
            };
        }
        self.scheduler.read(id);
        if self.is_promoted(pack) {
            self.caches.brought[pack] = Some(MemoryTier::DiskCold);
        }
        self.seen[pack] = true;
        self.counters.reads += 1;
        self.counters.read_bytes += self.lengths[pack];
        Ok(())
    }

    fn copy(&mut self, pack: usize, from: Spot, to: Spot, after: u64) -> Result<u64> {
        if from == Spot::Below {
            self.caches.brought[pack].get_or_insert(MemoryTier::RamWarm);
        }
        let (from, to) = (self.locate(pack, from)?, self.locate(pack, to)?);
        let value = self.store.copy(from, to, after);
        let value = value.map_err(|error| store(&format!("copy pack {pack}"), error))?;
        self.copied = value;
        self.caches.left[pack] = value;
        self.counters.copies += 1;
        self.counters.copied_bytes += self.lengths[pack];
        Ok(value)
    }

    /// Where a spot is, as long as the pack.
    fn range(&self, pack: usize, spot: Spot) -> Result<(MemoryTier, Range)> {
        let (tier, range) = match (spot, self.scheduler.homes()[pack]) {
            (Spot::Slot(slot), _) => (MemoryTier::VramHot, Some(self.slots[slot])),
            (Spot::Staging(staging), _) => (MemoryTier::RamWarm, Some(self.staging[staging])),
            (Spot::Home, home) => (home, self.places[pack]),
            (Spot::Below, _) => (MemoryTier::RamWarm, self.caches.below[pack]),
        };
        let range = range.ok_or(ResidencyError::NotHot { pack, tier })?;
        Ok((tier, Range { len: self.lengths[pack], ..range }))
    }

    fn locate(&mut self, pack: usize, spot: Spot) -> Result<Location> {
        let (tier, range) = self.range(pack, spot)?;
        self.locate_range(tier, range)
    }

    fn locate_range(&mut self, tier: MemoryTier, range: Range) -> Result<Location> {
        let pool = if tier == MemoryTier::RamWarm { &mut self.ram } else { &mut self.vram };
        pool.locate(&mut self.store, range)
    }

    fn pool(&self, tier: MemoryTier) -> &Pool {
        if tier == MemoryTier::RamWarm { &self.ram } else { &self.vram }
    }

    fn pool_mut(&mut self, tier: MemoryTier) -> &mut Pool {
        if tier == MemoryTier::RamWarm { &mut self.ram } else { &mut self.vram }
    }

    fn completed(&mut self, passed: Passed) {
        self.passed = passed;
        while let Some(first) = self.ending.first_entry() {
            if *first.key() > passed.compute {
                break;
            }
            for lease in first.remove() {
                self.unpin(&lease);
            }
        }
    }

    fn unpin(&mut self, lease: &Lease) {
        lease.packs().for_each(|(pack, _)| self.pins[pack] -= 1);
    }
}

fn store(doing: &str, error: super::BoxError) -> ResidencyError {
    ResidencyError::Store { doing: doing.into(), error }
}
