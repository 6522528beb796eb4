//! Closing the holes.

use super::{AllocError, FractalMemoryAllocator, Range};

/// One step of a plan that closes holes: the bytes of `from` go to `to`.
///
/// Steps are in an order in which every `to` is free when its turn comes. Inside one block bytes only ever move down, and
/// `to` may overlap `from`: copy such a step upwards in pieces of at most `from.offset - to.offset` bytes, each after the
/// one before, or through another buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where the bytes are.
    pub from: Range,
    /// Where they go.
    pub to: Range,
}

impl FractalMemoryAllocator {
    /// A plan that moves what is `movable` to the first place that it fits, in the order in which it lies now. Nothing
    /// changes here: the caller copies the bytes of each step and then says [`moved`](Self::moved).
    pub fn defragment(&self, movable: impl Fn(&Range) -> bool) -> Vec<Move> {
        let mut after = self.clone();
        let mut plan = Vec::new();
        for (&(block, offset), held) in &self.held {
            let from = Range { block, offset, len: held.len };
            if !movable(&from) || after.let_go(from).is_err() {
                continue;
            }
            // Its own place fits, so there is a first one.
            let to = after.first_fit(held.len, held.align).unwrap_or(from);
            after.hold(to, held.clone());
            if to != from {
                plan.push(Move { from, to });
            }
        }
        plan
    }

    /// Enters a step of a plan in the books, after its bytes were copied. A step of a plan that is out of date, whose
    /// places are held otherwise by now, is refused and changes nothing.
    pub fn moved(&mut self, step: &Move) -> Result<(), AllocError> {
        let held = self.let_go(step.from)?;
        let fits = self.blocks.get(step.to.block).is_some_and(|b| b.tree.is_free(&step.to.pages()));
        let place = if fits && step.to.len == step.from.len { step.to } else { step.from };
        self.hold(place, held);
        if place == step.to { Ok(()) } else { Err(AllocError::NotFree(step.to)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::NODE;
    use super::*;

    #[test]
    fn a_step_that_is_out_of_date_is_refused() {
        let mut a = FractalMemoryAllocator::new();
        a.add_block(4 * NODE);
        let hole = a.allocate("hole", NODE, 1).unwrap();
        let stays = a.allocate("stays", NODE, 1).unwrap();
        a.deallocate(hole).unwrap();
        let plan = a.defragment(|_| true);
        assert_eq!(plan, [Move { from: stays, to: hole }]);
        a.allocate("filler", NODE, 1).unwrap();
        let books = a.account();
        assert_eq!(a.moved(&plan[0]), Err(AllocError::NotFree(hole)));
        assert_eq!(a.account(), books);
        assert_eq!(a.moved(&Move { from: hole, to: stays }), Err(AllocError::NotFree(stays)));
        assert_eq!(a.defragment(|_| true), []);
    }
}
