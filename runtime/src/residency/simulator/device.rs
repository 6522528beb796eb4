//! A device and a disk that work in virtual time: what is submitted is done later, in any order that they allow, and hazards
//! are found when they happen.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::{BoxError, Location, MemoryTier, PackCheck, PackReader, PackStore, Passed};

/// What memory holds that nothing was written to, or that a read is going to write.
const POISON: u8 = 0xA5;
/// Address of block 0 of VRAM and of RAM, and the distance of blocks.
const BASES: [u64; 2] = [1 << 40, 1 << 50];
const STRIDE: u64 = 1 << 32;
/// A call that waits for longer than this many events waits for good.
const PATIENCE: u32 = 64;

/// Every byte of a pack; packs differ in all of theirs, as a rule.
pub fn bytes_of(pack: usize, len: u64) -> Vec<u8> {
    let byte = |at: u64| u8::try_from((at * 13 + at / 256 + pack as u64 * 29) % 251).unwrap();
    (0..len).map(byte).collect()
}

/// A stretch of memory, by its addresses.
type Span = std::ops::Range<u64>;

fn overlap(a: &Span, b: &Span) -> bool {
    a.start < b.end && b.start < a.end
}

fn span(at: Location) -> Span {
    let base = BASES[usize::from(at.tier == MemoryTier::RamWarm)];
    let start = base + at.range.block as u64 * STRIDE + at.range.offset;
    start..start + at.range.len
}

struct Copy {
    value: u64,
    from: Span,
    to: Span,
    after: u64,
}

struct Job {
    value: u64,
    /// The value of the copies' timeline that it waits for.
    after: u64,
    reads: Vec<(usize, u64)>,
}

struct Read {
    id: u64,
    pack: usize,
    to: Span,
}

/// The memories, and what is under way.
pub struct World {
    pub rng: ChaCha8Rng,
    pub packs: Rc<Vec<Vec<u8>>>,
    blocks: [BTreeMap<usize, Vec<u8>>; 2],
    copies: VecDeque<Copy>,
    jobs: VecDeque<Job>,
    reads: Vec<Read>,
    done: VecDeque<(u64, bool)>,
    passed: Passed,
    submitted: Passed,
    /// Of 1000 reads, copies and blocks so many fail.
    pub failing: [u32; 3],
    /// How often copies, work and reads come first.
    pace: [u32; 3],
    /// Calls in a row that waited for nothing.
    idle: u32,
    /// Everything that happened.
    pub events: u64,
    /// Reads begun, by pack.
    pub begun: Vec<usize>,
}

impl World {
    pub fn new(seed: u64, packs: Vec<Vec<u8>>) -> Rc<RefCell<Self>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let pace = std::array::from_fn(|_| rng.random_range(1..20));
        Rc::new(RefCell::new(Self {
            rng,
            packs: Rc::new(packs),
            blocks: Default::default(),
            copies: VecDeque::new(),
            jobs: VecDeque::new(),
            reads: Vec::new(),
            done: VecDeque::new(),
            passed: Passed::default(),
            submitted: Passed::default(),
            failing: [0; 3],
            pace,
            idle: 0,
            events: 0,
            begun: Vec::new(),
        }))
    }

    /// How far the device is.
    pub fn passed(&self) -> Passed {
        self.passed
    }

    /// Bytes of all blocks of VRAM and of RAM.
    pub fn held(&self) -> [u64; 2] {
        std::array::from_fn(|tier| self.blocks[tier].values().map(|block| block.len() as u64).sum())
    }

    /// Submits work that reads these packs, at these addresses, when the copies have passed `after`.
    pub fn submit(&mut self, reads: Vec<(usize, u64)>, after: u64) -> u64 {
        assert!(after <= self.submitted.copies, "work waits for a copy that nobody submitted");
        self.submitted.compute += 1;
        let value = self.submitted.compute;
        self.jobs.push_back(Job { value, after, reads });
        value
    }

    /// True while work that may still run reads the pack.
    pub fn is_read(&self, pack: usize) -> bool {
        self.jobs.iter().any(|job| job.reads.iter().any(|read| read.0 == pack))
    }

    fn fails(&mut self, kind: usize) -> bool {
        self.failing[kind] > 0 && self.rng.random_range(0..1000) < self.failing[kind]
    }

    fn memory(&mut self, at: &Span) -> &mut [u8] {
        let tier = usize::from(at.start >= BASES[1]);
        let block = usize::try_from((at.start - BASES[tier]) / STRIDE).unwrap();
        let start = usize::try_from((at.start - BASES[tier]) % STRIDE).unwrap();
        let len = usize::try_from(at.end - at.start).unwrap();
        &mut self.blocks[tier].get_mut(&block).expect("this block was given back")[start..start + len]
    }

    /// Does one thing that can be done now; false where there is none.
    pub fn advance(&mut self) -> bool {
        let copy = self.copies.front().is_some_and(|copy| copy.after <= self.passed.compute);
        let job = self.jobs.front().is_some_and(|job| job.after <= self.passed.copies);
        let can = [copy, job, !self.reads.is_empty()];
        let total: u32 = can.iter().zip(self.pace).map(|(can, pace)| u32::from(*can) * pace).sum();
        if total == 0 {
            return false;
        }
        let mut pick = self.rng.random_range(0..total);
        for kind in (0..3).filter(|kind| can[*kind]) {
            if pick < self.pace[kind] {
                match kind {
                    0 => self.copy(),
                    1 => self.compute(),
                    _ => self.land(),
                }
                break;
            }
            pick -= self.pace[kind];
        }
        self.events += 1;
        true
    }

    /// Some time goes by.
    fn pass_time(&mut self) {
        for _ in 0..self.rng.random_range(0..3) {
            self.advance();
        }
    }

    fn copy(&mut self) {
        let copy = self.copies.pop_front().unwrap();
        for job in &self.jobs {
            // work that waits for this copy wants what it brings
            let early = job.reads.iter().any(|&(pack, at)| {
                let read = at..at + self.packs[pack].len() as u64;
                job.after < copy.value && overlap(&read, &copy.to)
            });
            assert!(!early, "a copy overwrites what work {} is going to read", job.value);
        }
        let bytes = self.memory(&copy.from).to_vec();
        self.memory(&copy.to).copy_from_slice(&bytes);
        self.passed.copies = copy.value;
    }

    fn compute(&mut self) {
        let job = self.jobs.pop_front().unwrap();
        let packs = Rc::clone(&self.packs);
        for (pack, at) in job.reads {
            let bytes = &packs[pack];
            assert!(
                self.memory(&(at..at + bytes.len() as u64)) == bytes,
                "work {} reads a wrong pack {pack}",
                job.value
            );
        }
        self.passed.compute = job.value;
    }

    fn land(&mut self) {
        let at = self.rng.random_range(0..self.reads.len());
        let Read { id, pack, to } = self.reads.swap_remove(at);
        let fails = self.fails(0);
        if !fails {
            let packs = Rc::clone(&self.packs);
            self.memory(&to).copy_from_slice(&packs[pack]);
        }
        self.done.push_back((id, !fails));
    }

    fn begin(&mut self, id: u64, pack: usize, to: Span) {
        assert_eq!(to.end - to.start, self.packs[pack].len() as u64);
        assert!(!self.reads.iter().any(|read| overlap(&read.to, &to)), "two reads into one place");
        assert!(!self.copies.iter().any(|c| overlap(&c.from, &to) || overlap(&c.to, &to)), "a read over a copy");
        let packs = Rc::clone(&self.packs);
        let mut used = self.jobs.iter().flat_map(|job| &job.reads);
        let used = used.any(|&(pack, at)| overlap(&(at..at + packs[pack].len() as u64), &to));
        assert!(!used, "pack {pack} is read over what work is going to read");
        self.memory(&to).fill(POISON);
        self.reads.push(Read { id, pack, to });
        self.begun.push(pack);
    }

    /// Counts a wait that had nothing to wait for.
    fn idle(&mut self) {
        self.idle += 1;
        assert!(self.idle < PATIENCE, "nothing is under way, and somebody waits");
    }
}

/// The world as memory and copies.
#[derive(Clone)]
pub struct Device(pub Rc<RefCell<World>>, Rc<Vec<Vec<u8>>>);

impl Device {
    pub fn new(world: &Rc<RefCell<World>>) -> Self {
        Self(Rc::clone(world), Rc::clone(&world.borrow().packs))
    }
}

impl PackStore for Device {
    type Target = Span;

    fn create_block(&mut self, tier: MemoryTier, block: usize, len: u64) -> Result<u64, BoxError> {
        let mut world = self.0.borrow_mut();
        if world.fails(2) {
            return Err("no memory".into());
        }
        let tier = usize::from(tier == MemoryTier::RamWarm);
        let made = world.blocks[tier].insert(block, vec![POISON; usize::try_from(len)?]);
        assert!(made.is_none(), "block {block} is made twice");
        Ok(BASES[tier] + block as u64 * STRIDE)
    }

    fn drop_block(&mut self, tier: MemoryTier, block: usize) {
        let mut world = self.0.borrow_mut();
        let tier = usize::from(tier == MemoryTier::RamWarm);
        let start = BASES[tier] + block as u64 * STRIDE;
        let all = start..start + world.blocks[tier].remove(&block).unwrap().len() as u64;
        let copied = world.copies.iter().any(|c| overlap(&c.from, &all) || overlap(&c.to, &all));
        assert!(!copied && !world.reads.iter().any(|read| overlap(&read.to, &all)), "block {block} is in use");
        let used = world.jobs.iter().flat_map(|job| &job.reads).any(|read| all.contains(&read.1));
        assert!(!used, "block {block} is going to be read");
    }

    fn target(&self, at: Location) -> Result<Span, BoxError> {
        Ok(span(at))
    }

    fn bytes(&self, at: Location) -> Result<&[u8], BoxError> {
        let mut world = self.0.borrow_mut();
        let found = world.memory(&span(at));
        // a borrowed world cannot be lent on, so what is lent is the pack that lies there
        self.1.iter().find(|pack| *pack == found).map(Vec::as_slice).ok_or_else(|| "bytes of no pack".into())
    }

    fn copy(&mut self, from: Location, to: Location, after: u64) -> Result<u64, BoxError> {
        let mut world = self.0.borrow_mut();
        if world.fails(1) {
            return Err("the copy was lost".into());
        }
        assert!(after <= world.submitted.compute, "a copy waits for work that nobody submitted");
        let (from, to) = (span(from), span(to));
        assert_eq!(from.end - from.start, to.end - to.start);
        let races = world.reads.iter().any(|read| overlap(&read.to, &from) || overlap(&read.to, &to));
        assert!(!races, "a copy of what is being read");
        world.submitted.copies += 1;
        let value = world.submitted.copies;
        world.copies.push_back(Copy { value, from, to, after });
        Ok(value)
    }

    fn passed(&self) -> Result<Passed, BoxError> {
        let mut world = self.0.borrow_mut();
        world.pass_time();
        Ok(world.passed)
    }

    fn wait(&self, until: Passed, _: Duration) -> Result<(), BoxError> {
        let mut world = self.0.borrow_mut();
        assert!(until.compute <= world.submitted.compute && until.copies <= world.submitted.copies);
        for _ in 0..world.rng.random_range(1..PATIENCE) {
            if world.passed.compute >= until.compute && world.passed.copies >= until.copies {
                world.idle = 0;
                break;
            }
            if !world.advance() {
                world.idle();
                break;
            }
        }
        Ok(())
    }
}

/// The world as a disk.
#[derive(Clone)]
pub struct Disk(pub Rc<RefCell<World>>);

impl PackReader<Span> for Disk {
    fn begin(&mut self, id: u64, pack: usize, target: Span, _: bool) {
        self.0.borrow_mut().begin(id, pack, target);
    }

    fn done(&mut self, timeout: Duration) -> Option<(u64, Result<(), BoxError>)> {
        let mut world = self.0.borrow_mut();
        let patience = if timeout.is_zero() { world.rng.random_range(0..2) } else { PATIENCE };
        for _ in 0..patience {
            if !world.done.is_empty() || !world.advance() {
                break;
            }
        }
        if let Some((id, good)) = world.done.pop_front() {
            world.idle = 0;
            return Some((id, if good { Ok(()) } else { Err("a bad sector".into()) }));
        }
        if !timeout.is_zero() && world.reads.is_empty() {
            world.idle();
        }
        None
    }
}

/// Knows the bytes of every pack.
pub struct Judge(pub Vec<Vec<u8>>);

impl PackCheck for Judge {
    fn check(&self, pack: usize, bytes: &[u8], _: bool) -> Result<(), BoxError> {
        if self.0[pack] == bytes { Ok(()) } else { Err("wrong bytes".into()) }
    }
}
