//! Ranges in big blocks: who has which.

use std::collections::BTreeMap;

use super::tree::Tree;
use super::{Account, ByteSize, LeakReport};

/// The smallest node, in bytes. Every range starts at a multiple of it, and wastes less than one of it.
pub const NODE: u64 = 4096;

/// A range of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The block, in the order of [`FractalMemoryAllocator::add_block`].
    pub block: usize,
    /// Where the range starts in the block, in bytes.
    pub offset: u64,
    /// Its length as asked for, in bytes.
    pub len: u64,
}

impl Range {
    /// Its pages in the block's tree.
    pub(super) fn pages(&self) -> std::ops::Range<u64> {
        let first = self.offset / NODE;
        first..first + self.len.div_ceil(NODE)
    }
}

/// Why a range cannot be had, or given back.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AllocError {
    /// No hole is long enough.
    #[error(
        "{name} needs {} ({needed} bytes) in one piece; {} are free, {} of them in one piece",
        ByteSize(*.needed), ByteSize(*.free), ByteSize(*.longest)
    )]
    NoRoom {
        /// For what.
        name: String,
        /// Bytes asked for.
        needed: u64,
        /// Bytes free in all blocks.
        free: u64,
        /// Bytes in the longest free run.
        longest: u64,
    },
    /// A length of zero, or one so long that it cannot be rounded up.
    #[error("{name}: a range of {len} bytes cannot be allocated")]
    Length {
        /// For what.
        name: String,
        /// Bytes asked for.
        len: u64,
    },
    /// An alignment that is no power of two.
    #[error("{name}: alignment {align} is not a power of two")]
    Alignment {
        /// For what.
        name: String,
        /// The alignment asked for.
        align: u64,
    },
    /// A range that is not held: given back twice, or never taken.
    #[error("nobody holds bytes {}..{} of block {}", .0.offset, .0.offset.saturating_add(.0.len), .0.block)]
    NotHeld(Range),
    /// The target of a move that is out of date.
    #[error("bytes {}..{} of block {} are not free", .0.offset, .0.offset.saturating_add(.0.len), .0.block)]
    NotFree(Range),
}

/// Places ranges in big blocks (device allocations, as a rule at most 1 GiB each), and keeps their books.
///
/// Every block is a binary tree, halved down to [`NODE`] where something is taken and whole again when it is given back.
/// Two departures from the textbook's buddies, both for large ranges under a hard cap:
/// - **The tail is given back.** A pack of 16.3 MiB does not keep the power of two above it, but its own nodes only: less
///   than one [`NODE`] is wasted on a range.
/// - **A run may cross buddies.** The leftmost run of free nodes that is long enough is taken, wherever it starts. Otherwise
///   two packs of 16.3 MiB would need two nodes of 32 MiB, however much of each had been given back.
///
/// Numbers only: the caller makes the blocks, copies the bytes of a [`Move`](super::Move) and frees everything.
#[derive(Clone, Debug, Default)]
pub struct FractalMemoryAllocator {
    pub(super) blocks: Vec<Block>,
    /// What is held, by block and offset.
    pub(super) held: BTreeMap<(usize, u64), Held>,
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    pub tree: Tree,
    pub len: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub name: Box<str>,
    pub len: u64,
    pub align: u64,
}

impl FractalMemoryAllocator {
    /// An allocator of no blocks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over one more block of `len` bytes (rounded down to whole nodes) and returns its number.
    pub fn add_block(&mut self, len: u64) -> usize {
        let pages = len / NODE;
        self.blocks.push(Block { tree: Tree::new(pages), len: pages * NODE });
        self.blocks.len() - 1
    }

    /// Lets go of a block that nothing is held in; whether that is so. The others keep their numbers, and nobody gets this one.
    pub fn remove_block(&mut self, block: usize) -> bool {
        let empty = self.used_of(block) == 0;
        if empty {
            self.blocks[block] = Block { tree: Tree::new(0), len: 0 };
        }
        empty
    }

    /// Bytes taken of a block, in whole nodes.
    pub fn used_of(&self, block: usize) -> u64 {
        self.held.range((block, 0)..(block + 1, 0)).map(|(_, held)| held.len.next_multiple_of(NODE)).sum()
    }

    /// How many blocks there are, those that are gone included.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Takes `len` bytes at a multiple of `align` in the first block that has room. `name` says for what, in the books.
    ///
    /// Alignments above [`NODE`] count from the block's start.
    pub fn allocate(&mut self, name: &str, len: u64, align: u64) -> Result<Range, AllocError> {
        if !align.is_power_of_two() {
            return Err(AllocError::Alignment { name: name.into(), align });
        }
        if len == 0 || len > u64::MAX - NODE {
            return Err(AllocError::Length { name: name.into(), len });
        }
        let range = self.first_fit(len, align).ok_or_else(|| AllocError::NoRoom {
            name: name.into(),
            needed: len,
            free: self.account().free(),
            longest: self.longest_run(),
        })?;
        self.hold(range, Held { name: name.into(), len, align });
        Ok(range)
    }

    /// Gives a range back.
    pub fn deallocate(&mut self, range: Range) -> Result<(), AllocError> {
        self.let_go(range).map(drop)
    }

    /// 1 - longest free run / all that is free; 0 where nothing is free. Blocks count as apart.
    pub fn fragmentation(&self) -> f64 {
        match self.account().free() {
            0 => 0.0,
            free => 1.0 - self.longest_run() as f64 / free as f64,
        }
    }

    /// The books, in bytes.
    pub fn account(&self) -> Account {
        Account::of(self.blocks.iter().map(|b| b.len).sum(), self.held.values().map(|h| (&*h.name, h.len)))
    }

    /// Who still holds something, or `None` when all is given back.
    pub fn leaks(&self) -> Option<LeakReport> {
        LeakReport::of(self.account())
    }

    /// Bytes in the longest free run of any block.
    pub fn longest_run(&self) -> u64 {
        self.blocks.iter().map(|b| b.tree.longest_run()).max().unwrap_or(0) * NODE
    }

    pub(super) fn first_fit(&self, len: u64, align: u64) -> Option<Range> {
        let (pages, align) = (len.div_ceil(NODE), (align / NODE).max(1));
        let fit = |(block, b): (usize, &Block)| {
            b.tree.first_fit(pages, align).map(|page| Range { block, offset: page * NODE, len })
        };
        self.blocks.iter().enumerate().find_map(fit)
    }

    pub(super) fn hold(&mut self, range: Range, held: Held) {
        self.blocks[range.block].tree.take(range.pages());
        self.held.insert((range.block, range.offset), held);
    }

    pub(super) fn let_go(&mut self, range: Range) -> Result<Held, AllocError> {
        let key = (range.block, range.offset);
        if self.held.get(&key).is_none_or(|held| held.len != range.len) {
            return Err(AllocError::NotHeld(range));
        }
        let held = self.held.remove(&key).ok_or(AllocError::NotHeld(range))?;
        self.blocks[range.block].tree.free(range.pages());
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn packs_of_an_odd_size_fill_a_block() {
        let pack = 16 * MIB + 300 * 1024;
        let mut a = FractalMemoryAllocator::new();
        a.add_block(pack * 5);
        for i in 0..5 {
            assert_eq!(a.allocate("pack", pack, 256), Ok(Range { block: 0, offset: i * pack, len: pack }));
        }
        assert_eq!(a.account().free(), 0);
        assert_eq!(a.fragmentation(), 0.0);
    }

    #[test]
    fn less_than_a_node_is_wasted() {
        let mut a = FractalMemoryAllocator::new();
        a.add_block(MIB);
        a.allocate("x", NODE + 1, 1).unwrap();
        let account = a.account();
        assert_eq!((account.asked, account.used), (NODE + 1, 2 * NODE));
    }

    #[test]
    fn impossible_requests_are_named() {
        let mut a = FractalMemoryAllocator::new();
        a.add_block(MIB);
        assert!(matches!(a.allocate("x", 0, 1), Err(AllocError::Length { .. })));
        assert!(matches!(a.allocate("x", u64::MAX, 1), Err(AllocError::Length { .. })));
        assert!(matches!(a.allocate("x", 1, 3), Err(AllocError::Alignment { .. })));
        let held = a.allocate("half", MIB / 2, 1).unwrap();
        assert_eq!(
            a.allocate("whole", MIB, 1).unwrap_err().to_string(),
            "whole needs 1 MiB (1048576 bytes) in one piece; 512 KiB are free, 512 KiB of them in one piece"
        );
        a.deallocate(held).unwrap();
        assert_eq!(a.deallocate(held), Err(AllocError::NotHeld(held)));
        assert!(matches!(a.deallocate(Range { block: 7, offset: 0, len: 1 }), Err(AllocError::NotHeld(_))));
    }

    #[test]
    fn large_alignments_hold_and_leave_the_gap_free() {
        let mut a = FractalMemoryAllocator::new();
        a.add_block(8 * MIB);
        a.allocate("small", 1, 1).unwrap();
        assert_eq!(a.allocate("large", MIB, 2 * MIB).unwrap().offset, 2 * MIB);
        assert_eq!(a.allocate("gap", 2 * MIB - NODE, 1).unwrap().offset, NODE);
    }

    #[test]
    fn an_empty_block_goes_and_the_others_stay() {
        let mut a = FractalMemoryAllocator::new();
        assert_eq!([(); 3].map(|()| a.add_block(MIB)), [0, 1, 2]);
        let first = a.allocate("first", MIB, 1).unwrap();
        let second = a.allocate("second", MIB, 1).unwrap();
        assert_eq!((a.used_of(1), a.remove_block(1)), (MIB, false));
        a.deallocate(first).unwrap();
        assert!(a.remove_block(0));
        assert_eq!((a.account().capacity, a.longest_run()), (2 * MIB, MIB));
        assert_eq!(a.allocate("third", 1, 1).unwrap().block, 2);
        a.deallocate(second).unwrap();
    }

    #[test]
    fn books_and_leaks_go_by_name() {
        let mut a = FractalMemoryAllocator::new();
        a.add_block(4 * MIB);
        let kv = a.allocate("kv cache", MIB, 1).unwrap();
        a.allocate("pack", 2 * MIB, 1).unwrap();
        assert_eq!(a.account().holders["kv cache"].bytes, MIB);
        a.deallocate(kv).unwrap();
        assert_eq!(a.leaks().unwrap().to_string(), "1 range of 2 MiB was never given back: pack 2 MiB (1)");
        let pack = Range { block: 0, offset: MIB, len: 2 * MIB };
        a.deallocate(pack).unwrap();
        assert!(a.leaks().is_none());
    }
}
