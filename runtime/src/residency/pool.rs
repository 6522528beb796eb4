//! One tier's blocks: counted against a budget when a range finds no room, made when a range in them is first used.

use super::{Location, MAX_BLOCK, MemoryTier, PACK_ALIGN, PackStore, ResidencyError};
use crate::memory::{Account, AllocError, Budget, ByteSize, FractalMemoryAllocator, Move, NODE, OverBudget, Range};

/// What a tier's memory is made of.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    tier: MemoryTier,
    budget: Budget,
    /// Longest block to ask the store for; a longer range gets a block of its own.
    max_block: u64,
    places: FractalMemoryAllocator,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Block {
    /// 0 when it was given back.
    len: u64,
    /// Its device address, once it is made.
    base: Option<u64>,
}

impl Pool {
    pub fn new(tier: MemoryTier, budget: Budget, max_block: u64) -> Self {
        let max_block = max_block.min(MAX_BLOCK);
        Self { tier, budget, max_block, places: FractalMemoryAllocator::new(), blocks: Vec::new() }
    }

    /// Takes `len` bytes under a name. A block that is counted for them is long enough for the ranges of `coming` too, as many
    /// as fit.
    pub fn take(&mut self, name: &str, len: u64, coming: impl Iterator<Item = u64>) -> Result<Range, ResidencyError> {
        let room = len.next_multiple_of(NODE);
        match self.places.allocate(name, len, PACK_ALIGN) {
            Err(AllocError::NoRoom { free, longest, .. }) => {
                let available = self.budget.available() + free;
                if room > available {
                    let (what, cap) = (name.into(), self.budget.cap());
                    return Err(OverBudget { what, needed: room, available, cap }.into());
                }
                if room > self.budget.available() {
                    return Err(AllocError::NoRoom { name: name.into(), needed: room, free, longest }.into());
                }
            }
            done => return Ok(done?),
        }
        let most = self.max_block.min(self.budget.available());
        let mut block = room;
        for next in coming.map(|len| len.next_multiple_of(NODE)) {
            if block + next > most {
                break;
            }
            block += next;
        }
        self.budget.reserve("a block of packs", block)?;
        self.places.add_block(block);
        self.blocks.push(Block { len: block, base: None });
        Ok(self.places.allocate(name, len, PACK_ALIGN)?)
    }

    /// Where a range is in the store, whose block is made if it was not.
    pub fn locate<S: PackStore>(&mut self, store: &mut S, range: Range) -> Result<Location, ResidencyError> {
        let block = &mut self.blocks[range.block];
        if block.base.is_none() {
            let len = block.len;
            let failed = |error| ResidencyError::Store { doing: format!("make a block of {}", ByteSize(len)), error };
            let base = store.create_block(self.tier, range.block, len).map_err(failed)?;
            debug_assert!(base.is_multiple_of(PACK_ALIGN), "block at {base:#x}");
            block.base = Some(base);
        }
        Ok(self.found(range))
    }

    /// Where a range is whose block was made.
    pub fn found(&self, range: Range) -> Location {
        Location { tier: self.tier, range }
    }

    /// Device address of a range whose block was made.
    pub fn address(&self, range: Range) -> u64 {
        self.blocks[range.block].base.unwrap_or(0) + range.offset
    }

    /// The same blocks under another budget, if it has room for them.
    pub fn under(&self, mut budget: Budget) -> Result<Self, ResidencyError> {
        budget.reserve("blocks of packs", self.places.account().capacity)?;
        Ok(Self { budget, ..self.clone() })
    }

    /// The block that holds least, and how much that is.
    pub fn emptiest(&self) -> Option<(usize, u64)> {
        let there = (0..self.blocks.len()).filter(|&block| self.blocks[block].len > 0);
        there.map(|block| (block, self.places.used_of(block))).min_by_key(|&(_, used)| used)
    }

    /// Gives back a block that holds nothing.
    pub fn drop_block<S: PackStore>(&mut self, store: &mut S, block: usize) {
        if !self.places.remove_block(block) {
            return;
        }
        let Block { len, base } = std::mem::replace(&mut self.blocks[block], Block { len: 0, base: None });
        self.budget.release(len);
        if base.is_some() {
            store.drop_block(self.tier, block);
        }
    }

    pub fn give_back(&mut self, range: Range) -> Result<(), ResidencyError> {
        Ok(self.places.deallocate(range)?)
    }

    pub fn account(&self) -> Account {
        self.places.account()
    }

    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    pub fn fragmentation(&self) -> f64 {
        self.places.fragmentation()
    }

    /// See [`FractalMemoryAllocator::defragment`].
    pub fn defragment(&self, movable: impl Fn(&Range) -> bool) -> Vec<Move> {
        self.places.defragment(movable)
    }

    /// See [`FractalMemoryAllocator::moved`].
    pub fn moved(&mut self, step: &Move) -> Result<(), ResidencyError> {
        Ok(self.places.moved(step)?)
    }
}
