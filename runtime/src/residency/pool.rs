//! One tier's blocks: counted against a budget when a range finds no room, made when a range in them is first used.

use super::{Location, MAX_BLOCK, MemoryTier, PACK_ALIGN, PackStore, ResidencyError};
use crate::memory::{Account, AllocError, Budget, ByteSize, FractalMemoryAllocator, Move, NODE, OverBudget, Range};

/// What a tier's memory is made of.
#[derive(Debug)]
pub(super) struct Pool {
    tier: MemoryTier,
    budget: Budget,
    /// Longest block to ask the store for; a longer range gets a block of its own.
    max_block: u64,
    places: FractalMemoryAllocator,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    len: u64,
    made: Option<Made>,
}

/// A block that there is.
#[derive(Clone, Copy, Debug)]
struct Made {
    /// Its number in the store.
    number: usize,
    /// Its device address.
    base: u64,
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
        self.blocks.push(Block { len: block, made: None });
        Ok(self.places.allocate(name, len, PACK_ALIGN)?)
    }

    /// Where a range is in the store, whose block is made if it was not.
    pub fn locate<S: PackStore>(&mut self, store: &mut S, range: Range) -> Result<Location, ResidencyError> {
        let block = &mut self.blocks[range.block];
        if block.made.is_none() {
            let len = block.len;
            let failed = |error| ResidencyError::Store { doing: format!("make a block of {}", ByteSize(len)), error };
            let base = store.create_block(self.tier, len).map_err(failed)?;
            debug_assert!(base.is_multiple_of(PACK_ALIGN), "block at {base:#x}");
            let number = self.blocks.iter().filter(|b| b.made.is_some()).count();
            self.blocks[range.block].made = Some(Made { number, base });
        }
        Ok(self.found(range))
    }

    /// Where a range is whose block was made.
    pub fn found(&self, range: Range) -> Location {
        let number = self.blocks[range.block].made.map_or(range.block, |made| made.number);
        Location { tier: self.tier, range: Range { block: number, ..range } }
    }

    /// Device address of a range whose block was made.
    pub fn address(&self, range: Range) -> u64 {
        self.blocks[range.block].made.map_or(0, |made| made.base) + range.offset
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
