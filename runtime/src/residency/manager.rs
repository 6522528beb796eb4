//! The state of every pack.

use std::collections::BTreeMap;

use super::{Counters, Lease, MemoryTier, PackSource, PackStore, ResidencyError, TierShare};
use crate::memory::{Account, AllocError, Budget, ByteSize, FractalMemoryAllocator, NODE, OverBudget, Range};

/// Longest block, in bytes: drivers cap one allocation, and a driver that moves blocks moves them whole.
pub const MAX_BLOCK: u64 = 1 << 30;
/// Packs start at device addresses that are multiples of this, as parts do in packs.
pub const PACK_ALIGN: u64 = symbiote_format::PART_ALIGN;

/// What the allocator's books call them.
const HOLDER: &str = "packs";

type Result<T> = std::result::Result<T, ResidencyError>;

/// Owns the state of every pack: which tier it is in, where in VRAM, and who is reading it.
///
/// It acts and decides nothing: a caller (later a scheduler) says what to [`load`](Self::load) and
/// [`unload`](Self::unload), and the forward pass takes leases. Every call leaves books that agree, failed ones too.
///
/// VRAM comes in blocks that are made when a pack finds no room, and counted against the budget when they are made. A block
/// is as long as the packs that are still to come need together, up to [`MAX_BLOCK`]; so a model that fits leaves no gap.
pub struct NomadPackManager<S> {
    packs: Vec<Pack>,
    store: S,
    budget: Budget,
    /// Longest block to ask the store for.
    max_block: u64,
    places: FractalMemoryAllocator,
    /// Device address of each block.
    bases: Vec<u64>,
    /// Leases given back whose work the device may still be doing, by the timeline value that ends it.
    ending: BTreeMap<u64, Vec<Lease>>,
    /// The last timeline value that the device has passed.
    passed: u64,
    counters: Counters,
}

struct Pack {
    len: u64,
    place: Place,
    /// Leases that cover it, their ends not yet passed.
    pins: u32,
}

#[derive(Clone, Copy)]
enum Place {
    Vram(Range),
    /// In a tier that needs no place here.
    Outside(MemoryTier),
}

impl Pack {
    fn tier(&self) -> MemoryTier {
        match self.place {
            Place::Vram(_) => MemoryTier::VramHot,
            Place::Outside(tier) => tier,
        }
    }

    /// Bytes that it takes in VRAM.
    fn room(&self) -> u64 {
        self.len.next_multiple_of(NODE)
    }
}

impl<S: PackStore> NomadPackManager<S> {
    /// A manager of packs of these lengths in bytes, all of them cold, that may use `budget` of the device's memory.
    pub fn new(lengths: impl IntoIterator<Item = u64>, store: S, budget: Budget) -> Self {
        let cold = |len| Pack { len, place: Place::Outside(MemoryTier::DiskCold), pins: 0 };
        Self {
            packs: lengths.into_iter().map(cold).collect(),
            store,
            budget,
            max_block: MAX_BLOCK,
            places: FractalMemoryAllocator::new(),
            bases: Vec::new(),
            ending: BTreeMap::new(),
            passed: 0,
            counters: Counters::default(),
        }
    }

    /// Asks the store for blocks of at most `bytes`, for devices that allow less than [`MAX_BLOCK`] in one piece. A pack that
    /// is longer still gets a block of its own.
    pub fn with_max_block(mut self, bytes: u64) -> Self {
        self.max_block = bytes.min(MAX_BLOCK);
        self
    }

    /// Brings every pack into VRAM, each checked against its hash first if `verify` is set. `progress` hears of the bytes
    /// of each pack as it arrives. Refused before the first byte where the budget is too small for all of them.
    pub fn load_all(&mut self, source: &impl PackSource, verify: bool, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let coming: u64 = self.packs.iter().filter(|p| p.tier() != MemoryTier::VramHot).map(Pack::room).sum();
        if coming > self.available() {
            return Err(self.short("the model", coming).into());
        }
        for pack in 0..self.packs.len() {
            if verify {
                source.verify(pack).map_err(|error| ResidencyError::Source { pack, error })?;
            }
            self.load(pack, source)?;
            progress(self.packs[pack].len);
        }
        self.store.flush().map_err(|error| ResidencyError::Store { doing: "finish loading".into(), error })
    }

    /// Brings a pack into VRAM, where it may already be.
    pub fn load(&mut self, pack: usize, source: &impl PackSource) -> Result<()> {
        let expected = self.pack(pack)?.len;
        if self.packs[pack].tier() == MemoryTier::VramHot {
            return Ok(());
        }
        let bytes = source.bytes(pack).map_err(|error| ResidencyError::Source { pack, error })?;
        let found = bytes.len() as u64;
        if found != expected {
            return Err(ResidencyError::Length { pack, expected, found });
        }
        let range = self.place(pack)?;
        if let Err(error) = self.store.write(range.block, range.offset, bytes) {
            self.places.deallocate(range)?;
            return Err(ResidencyError::Store { doing: format!("write pack {pack}"), error });
        }
        self.packs[pack].place = Place::Vram(range);
        self.counters.loads += 1;
        self.counters.loaded_bytes += expected;
        Ok(())
    }

    /// Takes a pack down to a slower tier, whose bytes the caller keeps or finds again; out of VRAM it gives up its place.
    /// Refused while a lease holds it.
    pub fn unload(&mut self, pack: usize, target: MemoryTier) -> Result<()> {
        let (tier, pins, place) = self.pack(pack).map(|p| (p.tier(), p.pins, p.place))?;
        if target <= tier {
            return Err(ResidencyError::NotColder { pack, tier, target });
        }
        if let Place::Vram(range) = place {
            if pins > 0 {
                return Err(ResidencyError::Pinned { pack, pins });
            }
            self.places.deallocate(range)?;
            self.counters.evictions += 1;
        }
        self.packs[pack].place = Place::Outside(target);
        Ok(())
    }

    /// The right to read `packs` in VRAM. All of them must be there; one that is not fails the whole lease.
    pub fn lease(&mut self, packs: &[usize]) -> Result<Lease> {
        let mut wanted = packs.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let mut addresses = Vec::with_capacity(wanted.len());
        let mut absent = None;
        for pack in wanted {
            match self.pack(pack)?.place {
                Place::Vram(range) => addresses.push((pack, self.bases[range.block] + range.offset)),
                Place::Outside(tier) => {
                    absent = absent.or(Some(ResidencyError::NotHot { pack, tier }));
                    self.counters.misses += 1;
                }
            }
        }
        self.counters.hits += addresses.len() as u64;
        if let Some(error) = absent {
            return Err(error);
        }
        for &(pack, _) in &addresses {
            self.packs[pack].pins += 1;
        }
        Ok(Lease::new(addresses.into()))
    }

    /// Ends a lease when the device's timeline has passed `value`, the value that the last work reading it signals.
    pub fn release(&mut self, lease: Lease, value: u64) {
        if value <= self.passed {
            self.unpin(&lease);
        } else {
            self.ending.entry(value).or_default().push(lease);
        }
    }

    /// Says that the device's timeline has passed `value`: leases that end there, or before, end now.
    pub fn completed(&mut self, value: u64) {
        self.passed = self.passed.max(value);
        while let Some(first) = self.ending.first_entry() {
            if *first.key() > self.passed {
                break;
            }
            for lease in first.remove() {
                self.unpin(&lease);
            }
        }
    }

    /// Where a pack is.
    pub fn tier(&self, pack: usize) -> Result<MemoryTier> {
        self.pack(pack).map(Pack::tier)
    }

    /// True while a lease holds the pack.
    pub fn is_pinned(&self, pack: usize) -> Result<bool> {
        self.pack(pack).map(|p| p.pins > 0)
    }

    /// What each tier holds, from the fastest to the slowest.
    pub fn distribution(&self) -> [TierShare; 4] {
        MemoryTier::ALL.map(|tier| {
            let inside = self.packs.iter().filter(|p| p.tier() == tier);
            inside.fold(TierShare { tier, packs: 0, bytes: 0 }, |share, p| TierShare {
                packs: share.packs + 1,
                bytes: share.bytes + p.len,
                ..share
            })
        })
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The books of the blocks.
    pub fn account(&self) -> Account {
        self.places.account()
    }

    /// The budget that blocks are counted against.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The store, for what the manager does not do with it.
    pub fn store(&mut self) -> &mut S {
        &mut self.store
    }

    fn pack(&self, pack: usize) -> Result<&Pack> {
        self.packs.get(pack).ok_or(ResidencyError::NoSuchPack { pack, packs: self.packs.len() })
    }

    fn unpin(&mut self, lease: &Lease) {
        for pack in lease.packs() {
            self.packs[pack].pins -= 1;
        }
    }

    /// Bytes that packs could still take, in blocks that are there and in blocks that the budget allows.
    fn available(&self) -> u64 {
        self.budget.available() + self.places.account().free()
    }

    fn short(&self, what: &str, needed: u64) -> OverBudget {
        OverBudget { what: what.into(), needed, available: self.available(), cap: self.budget.cap() }
    }

    /// Finds a place for a pack, in a new block if need be.
    fn place(&mut self, pack: usize) -> Result<Range> {
        let name = format!("pack {pack}");
        let (len, room) = (self.packs[pack].len, self.packs[pack].room());
        match self.places.allocate(HOLDER, len, PACK_ALIGN) {
            Err(AllocError::NoRoom { free, longest, .. }) => {
                if room > self.available() {
                    return Err(self.short(&name, room).into());
                }
                if room > self.budget.available() {
                    return Err(AllocError::NoRoom { name, needed: room, free, longest }.into());
                }
            }
            done => return Ok(done?),
        }
        self.add_block(pack)?;
        Ok(self.places.allocate(HOLDER, len, PACK_ALIGN)?)
    }

    /// Makes a block for `pack` and those after it that are not in VRAM, as many as fit.
    fn add_block(&mut self, pack: usize) -> Result<()> {
        let most = self.max_block.min(self.budget.available());
        let mut len = self.packs[pack].room();
        for next in self.packs[pack + 1..].iter().filter(|p| p.tier() != MemoryTier::VramHot) {
            if len + next.room() > most {
                break;
            }
            len += next.room();
        }
        self.budget.reserve("a block of packs", len)?;
        match self.store.create_block(len) {
            Ok(address) => {
                debug_assert!(address.is_multiple_of(PACK_ALIGN), "block at {address:#x}");
                self.places.add_block(len);
                self.bases.push(address);
                Ok(())
            }
            Err(error) => {
                self.budget.release(len);
                Err(ResidencyError::Store { doing: format!("make a block of {}", ByteSize(len)), error })
            }
        }
    }
}
