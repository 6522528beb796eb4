//! The manager over a store of plain memory: by hand, and over thousands of seeded random steps.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{BoxError, Lease, MemoryTier, NomadPackManager, PackSource, PackStore, ResidencyError};
use crate::memory::{Budget, NODE};

/// Device memory: block `i` is at address `(i + 1) << 40`. It fails when told to.
#[derive(Default)]
struct PlainMemory {
    blocks: Vec<Vec<u8>>,
    fail: bool,
}

impl PlainMemory {
    fn read(&self, address: u64, len: usize) -> &[u8] {
        let at = |n: u64| usize::try_from(n).unwrap();
        &self.blocks[at(address >> 40) - 1][at(address & ((1 << 40) - 1))..][..len]
    }
}

impl PackStore for PlainMemory {
    fn create_block(&mut self, len: u64) -> Result<u64, BoxError> {
        if self.fail {
            return Err("no more memory".into());
        }
        self.blocks.push(vec![0xEE; usize::try_from(len)?]);
        Ok((self.blocks.len() as u64) << 40)
    }

    fn write(&mut self, block: usize, offset: u64, bytes: &[u8]) -> Result<(), BoxError> {
        if self.fail {
            return Err("the copy was lost".into());
        }
        self.blocks[block][usize::try_from(offset)?..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// Packs in memory; those in `corrupt` do not match their hash, those beyond the end are missing.
#[derive(Default)]
struct Packs {
    bytes: Vec<Vec<u8>>,
    corrupt: Option<usize>,
}

impl Packs {
    /// Packs of these lengths, each full of bytes of its own.
    fn of(lengths: &[usize]) -> Self {
        let fill =
            |(i, &len): (usize, &usize)| (0..len).map(|at| u8::try_from((at * 7 + i * 31) % 256).unwrap()).collect();
        Self { bytes: lengths.iter().enumerate().map(fill).collect(), corrupt: None }
    }

    fn manager(&self, cap: u64) -> NomadPackManager<PlainMemory> {
        let lengths = self.bytes.iter().map(|b| b.len() as u64);
        NomadPackManager::new(lengths, PlainMemory::default(), Budget::new(cap))
    }
}

impl PackSource for Packs {
    fn bytes(&self, pack: usize) -> Result<&[u8], BoxError> {
        self.bytes.get(pack).map(Vec::as_slice).ok_or_else(|| "missing".into())
    }

    fn verify(&self, pack: usize) -> Result<(), BoxError> {
        if self.corrupt == Some(pack) { Err("its bytes do not match their SHA-256".into()) } else { Ok(()) }
    }
}

#[test]
fn a_model_that_fits_fills_its_blocks_exactly() {
    let packs = Packs::of(&[5000, 100, 70_000, 8192, 1]);
    let room = (2 + 1 + 18 + 2 + 1) * NODE;
    let mut manager = packs.manager(room);
    let mut heard = Vec::new();
    manager.load_all(&packs, true, &mut |bytes| heard.push(bytes)).unwrap();
    assert_eq!(heard, [5000, 100, 70_000, 8192, 1]);
    assert_eq!(manager.store().blocks.len(), 1);
    assert_eq!((manager.account().free(), manager.budget().available()), (0, 0));
    let lease = manager.lease(&[2, 0, 2]).unwrap();
    assert_eq!(lease.packs().collect::<Vec<_>>(), [0, 2]);
    let address = lease.address(2).unwrap();
    assert_eq!((address, lease.address(1)), ((1 << 40) + 3 * NODE, None));
    assert_eq!(manager.store().read(address, 70_000), packs.bytes[2]);
    manager.release(lease, 0);
    assert_eq!(manager.counters().hits, 2);
}

#[test]
fn blocks_are_cut_between_packs() {
    let packs = Packs::of(&[5 * 4096; 7]);
    let mut manager = packs.manager(1 << 20).with_max_block(12 * NODE);
    manager.load_all(&packs, false, &mut |_| {}).unwrap();
    let lengths: Vec<usize> = manager.store().blocks.iter().map(Vec::len).collect();
    assert_eq!(lengths, [40_960, 40_960, 40_960, 20_480]);
    assert_eq!(manager.account().free(), 0);
}

#[test]
fn a_budget_too_small_is_refused_before_the_first_byte() {
    let packs = Packs::of(&[4096; 10]);
    let mut manager = packs.manager(9 * NODE + 1);
    let error = manager.load_all(&packs, false, &mut |_| panic!("nothing is loaded")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "VRAM is short: the model needs 40 KiB (40960 bytes), and 36.0 KiB (36865 bytes) of the budget of 36.0 KiB are left"
    );
    assert!(manager.store().blocks.is_empty());
}

#[test]
fn holes_too_small_are_told_from_a_full_budget() {
    let packs = Packs::of(&[4096, 4096, 4096, 8192]);
    let mut manager = packs.manager(3 * NODE);
    for pack in 0..3 {
        manager.load(pack, &packs).unwrap();
    }
    assert!(matches!(manager.load(3, &packs), Err(ResidencyError::Budget(_))));
    manager.unload(0, MemoryTier::DiskCold).unwrap();
    manager.unload(2, MemoryTier::DiskCold).unwrap();
    assert!(matches!(manager.load(3, &packs), Err(ResidencyError::Room(_))));
    manager.unload(1, MemoryTier::Hibernating).unwrap();
    manager.load(3, &packs).unwrap();
}

#[test]
fn a_lease_pins_until_the_timeline_passes_its_end() {
    let packs = Packs::of(&[100; 3]);
    let mut manager = packs.manager(1 << 20);
    assert!(matches!(manager.lease(&[0]), Err(ResidencyError::NotHot { pack: 0, tier: MemoryTier::DiskCold })));
    manager.load_all(&packs, false, &mut |_| {}).unwrap();
    let (first, second) = (manager.lease(&[0, 1]).unwrap(), manager.lease(&[1]).unwrap());
    manager.release(first, 10);
    manager.release(second, 11);
    let refused = |manager: &mut NomadPackManager<_>, pack| {
        matches!(manager.unload(pack, MemoryTier::DiskCold), Err(ResidencyError::Pinned { .. }))
    };
    manager.completed(9);
    assert!(refused(&mut manager, 0));
    manager.completed(10);
    assert!(!refused(&mut manager, 0) && refused(&mut manager, 1));
    manager.completed(3);
    assert!(refused(&mut manager, 1));
    manager.completed(11);
    assert!(!manager.is_pinned(1).unwrap());
    assert!(matches!(manager.unload(0, MemoryTier::RamWarm), Err(ResidencyError::NotColder { .. })));
    assert_eq!(manager.counters().misses, 1);
}

#[test]
fn what_goes_wrong_outside_leaves_the_books_in_order() {
    let mut packs = Packs::of(&[100, 200]);
    let mut manager = packs.manager(1 << 20);
    manager.store().fail = true;
    let error = manager.load(0, &packs).unwrap_err().to_string();
    assert_eq!(error, "the device cannot make a block of 8 KiB: no more memory");
    assert_eq!(manager.budget().used(), 0);
    manager.store().fail = false;
    manager.load(0, &packs).unwrap();
    manager.store().fail = true;
    assert_eq!(manager.load(1, &packs).unwrap_err().to_string(), "the device cannot write pack 1: the copy was lost");
    assert_eq!((manager.account().asked, manager.tier(1).unwrap()), (100, MemoryTier::DiskCold));
    manager.store().fail = false;
    packs.corrupt = Some(1);
    let error = manager.load_all(&packs, true, &mut |_| {}).unwrap_err().to_string();
    assert_eq!(error, "pack 1 cannot be read: its bytes do not match their SHA-256");
    packs.bytes[1].pop();
    assert!(matches!(manager.load(1, &packs), Err(ResidencyError::Length { expected: 200, found: 199, .. })));
    packs.bytes.pop();
    assert!(matches!(manager.load(1, &packs), Err(ResidencyError::Source { .. })));
    assert!(matches!(manager.load(2, &packs), Err(ResidencyError::NoSuchPack { pack: 2, packs: 2 })));
    assert!(matches!(manager.lease(&[0, 9]), Err(ResidencyError::NoSuchPack { .. })));
    assert!(!manager.is_pinned(0).unwrap());
}

/// What the manager must agree with, kept the plain way.
struct Simulation {
    manager: NomadPackManager<PlainMemory>,
    packs: Packs,
    cap: u64,
    tiers: Vec<MemoryTier>,
    /// Leases held, and leases that end at a value of the timeline.
    held: Vec<Lease>,
    ending: Vec<(u64, Vec<usize>)>,
    now: u64,
}

impl Simulation {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        let lengths: Vec<usize> = (0..rng.random_range(1..60)).map(|_| rng.random_range(1..60_000)).collect();
        let total: u64 = lengths.iter().map(|&len| len as u64).sum();
        let cap = rng.random_range(total / 4..=total * 2);
        let packs = Packs::of(&lengths);
        let manager = packs.manager(cap).with_max_block(rng.random_range(1..64) * NODE);
        let tiers = vec![MemoryTier::DiskCold; lengths.len()];
        Self { manager, packs, cap, tiers, held: Vec::new(), ending: Vec::new(), now: 0 }
    }

    fn is_pinned(&self, pack: usize) -> bool {
        let ending = self.ending.iter().filter(|(end, _)| *end > self.now);
        self.held.iter().any(|lease| lease.address(pack).is_some())
            || ending.map(|(_, packs)| packs).any(|packs| packs.contains(&pack))
    }

    fn step(&mut self, rng: &mut ChaCha8Rng) {
        let pack = rng.random_range(0..self.tiers.len());
        match rng.random_range(0..10) {
            0..4 => self.load(pack, rng.random_range(0..20) == 0),
            4..6 => self.unload(pack, *MemoryTier::ALL.choose(rng).unwrap()),
            6..8 => self.lease(rng),
            8 if !self.held.is_empty() => {
                let lease = self.held.swap_remove(rng.random_range(0..self.held.len()));
                let end = self.now + rng.random_range(0..5);
                self.ending.push((end, lease.packs().collect()));
                self.manager.release(lease, end);
            }
            _ => {
                self.now += rng.random_range(0..3);
                self.manager.completed(self.now);
            }
        }
    }

    fn load(&mut self, pack: usize, fail: bool) {
        self.manager.store().fail = fail;
        let hot = self.tiers[pack] == MemoryTier::VramHot;
        match self.manager.load(pack, &self.packs) {
            Ok(()) => self.tiers[pack] = MemoryTier::VramHot,
            Err(ResidencyError::Budget(e)) => assert!(!hot && e.needed > e.available),
            Err(ResidencyError::Room(_)) => assert!(!hot),
            Err(ResidencyError::Store { .. }) => assert!(!hot && fail),
            Err(other) => panic!("{other}"),
        }
        self.manager.store().fail = false;
    }

    fn unload(&mut self, pack: usize, target: MemoryTier) {
        match self.manager.unload(pack, target) {
            Ok(()) => {
                assert!(target > self.tiers[pack]);
                assert!(self.tiers[pack] != MemoryTier::VramHot || !self.is_pinned(pack));
                self.tiers[pack] = target;
            }
            Err(ResidencyError::Pinned { .. }) => assert!(self.is_pinned(pack)),
            Err(ResidencyError::NotColder { .. }) => assert!(target <= self.tiers[pack]),
            Err(other) => panic!("{other}"),
        }
    }

    fn lease(&mut self, rng: &mut ChaCha8Rng) {
        let mut wanted: Vec<usize> =
            (0..rng.random_range(0..5)).map(|_| rng.random_range(0..self.tiers.len())).collect();
        if rng.random() {
            wanted.retain(|&pack| self.tiers[pack] == MemoryTier::VramHot);
        }
        let all_hot = wanted.iter().all(|&pack| self.tiers[pack] == MemoryTier::VramHot);
        match self.manager.lease(&wanted) {
            Ok(lease) => {
                assert!(all_hot);
                self.held.push(lease);
            }
            Err(ResidencyError::NotHot { .. }) => assert!(!all_hot),
            Err(other) => panic!("{other}"),
        }
    }

    fn check(&mut self) {
        for pack in 0..self.tiers.len() {
            assert_eq!(self.manager.tier(pack).unwrap(), self.tiers[pack]);
            assert_eq!(self.manager.is_pinned(pack).unwrap(), self.is_pinned(pack));
        }
        let hot: Vec<usize> = (0..self.tiers.len()).filter(|&p| self.tiers[p] == MemoryTier::VramHot).collect();
        let hot_bytes: u64 = hot.iter().map(|&pack| self.packs.bytes[pack].len() as u64).sum();
        let shares = self.manager.distribution();
        assert_eq!((shares[0].packs, shares[0].bytes), (hot.len(), hot_bytes));
        assert_eq!(shares.iter().map(|share| share.packs).sum::<usize>(), self.tiers.len());
        let account = self.manager.account();
        assert_eq!(account.asked, hot_bytes);
        let blocks: u64 = self.manager.store().blocks.iter().map(|block| block.len() as u64).sum();
        assert_eq!((blocks, blocks), (account.capacity, self.manager.budget().used()));
        assert!(blocks <= self.cap);
        // Bytes are where addresses say, both for a lease taken now and for those taken long ago.
        let lease = self.manager.lease(&hot).unwrap();
        for lease in self.held.iter().chain([&lease]) {
            for pack in lease.packs() {
                let expected = &self.packs.bytes[pack];
                assert_eq!(self.manager.store().read(lease.address(pack).unwrap(), expected.len()), expected);
            }
        }
        self.manager.release(lease, 0);
    }
}

#[test]
fn thousands_of_random_steps_keep_every_invariant() {
    for seed in 0..40 {
        let run = std::panic::catch_unwind(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut simulation = Simulation::new(&mut rng);
            for _ in 0..500 {
                simulation.step(&mut rng);
                simulation.check();
            }
        });
        assert!(run.is_ok(), "the simulation of seed {seed} failed; its own message is above");
    }
}
