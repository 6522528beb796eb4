//! The allocator against a model that cannot be wrong: one flag a page, one byte a page.

use proptest::prelude::*;

use super::tree::Tree;
use super::{AllocError, FractalMemoryAllocator, NODE, Range};

fn nodes(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(NODE)).unwrap()
}

/// Blocks as arrays: which allocation holds a page.
struct Naive(Vec<Vec<Option<u64>>>);

impl Naive {
    fn first_fit(&self, len: u64, align: u64) -> Option<Range> {
        let (pages, step) = (nodes(len), nodes(align));
        self.0.iter().enumerate().find_map(|(block, owners)| {
            (0..owners.len())
                .step_by(step)
                .find(|&at| owners.get(at..at + pages).is_some_and(|run| run.iter().all(Option::is_none)))
                .map(|at| Range { block, offset: at as u64 * NODE, len })
        })
    }

    fn pages(&mut self, r: &Range) -> &mut [Option<u64>] {
        &mut self.0[r.block][nodes(r.offset)..][..nodes(r.len)]
    }

    fn free(&self) -> u64 {
        self.0.iter().flatten().filter(|owner| owner.is_none()).count() as u64 * NODE
    }

    fn longest_run(&self) -> u64 {
        let runs = self.0.iter().flat_map(|block| block.split(Option::is_some));
        runs.map(|run| run.len() as u64).max().unwrap_or(0) * NODE
    }
}

#[derive(Clone, Debug)]
enum Step {
    Allocate { len: u64, align: u64 },
    Free(prop::sample::Index),
    Defragment { pinned: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![1..=NODE, 1..=20 * NODE, (1u64..=40).prop_map(|n| n * NODE)];
    let align = prop_oneof![4 => 0u32..13, 1 => 13u32..17].prop_map(|n| 1u64 << n);
    let step = prop_oneof![
        6 => (len, align).prop_map(|(len, align)| Step::Allocate { len, align }),
        5 => any::<prop::sample::Index>().prop_map(Step::Free),
        1 => (1u64..6).prop_map(|pinned| Step::Defragment { pinned }),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_step_agrees_with_the_model(sizes in prop::collection::vec(0u64..150, 1..4), steps in steps()) {
        let mut tested = FractalMemoryAllocator::new();
        let mut naive = Naive(Vec::new());
        for &pages in &sizes {
            tested.add_block(pages * NODE + pages % NODE);
            naive.0.push(vec![None; nodes(pages * NODE)]);
        }
        let mut live: Vec<(Range, u64)> = Vec::new();
        for (id, step) in (0u64..).zip(steps) {
            match step {
                Step::Allocate { len, align } => {
                    let expected = naive.first_fit(len, align);
                    match tested.allocate("x", len, align) {
                        Ok(range) => {
                            prop_assert_eq!(Some(range), expected);
                            prop_assert!(range.offset.is_multiple_of(align));
                            naive.pages(&range).fill(Some(id));
                            live.push((range, id));
                        }
                        Err(AllocError::NoRoom { .. }) => prop_assert_eq!(None, expected),
                        Err(other) => return Err(TestCaseError::fail(other.to_string())),
                    }
                }
                Step::Free(which) if !live.is_empty() => {
                    let (range, _) = live.swap_remove(which.index(live.len()));
                    tested.deallocate(range).unwrap();
                    naive.pages(&range).fill(None);
                }
                Step::Free(_) => {}
                Step::Defragment { pinned } => defragment(&mut tested, &mut naive, &mut live, pinned)?,
            }
            prop_assert_eq!(tested.account().free(), naive.free());
            prop_assert_eq!(tested.longest_run(), naive.longest_run());
        }
        for (range, _) in live {
            tested.deallocate(range).unwrap();
        }
        prop_assert!(tested.leaks().is_none());
        // Every block is what it was when it was new.
        for (block, &pages) in tested.blocks.iter().zip(&sizes) {
            prop_assert_eq!(block.tree.leaves(), Tree::new(pages).leaves());
            prop_assert_eq!(block.tree.longest_run(), pages);
        }
    }
}

/// Plays a plan on the model's bytes and checks that every allocation still reads what it wrote; each `pinned`th stays.
fn defragment(
    tested: &mut FractalMemoryAllocator,
    naive: &mut Naive,
    live: &mut [(Range, u64)],
    pinned: u64,
) -> Result<(), TestCaseError> {
    let before = (tested.fragmentation(), tested.account());
    let stays = |range: &Range| (range.offset / NODE).is_multiple_of(pinned) && pinned > 1;
    for step in tested.defragment(|range| !stays(range)) {
        prop_assert!(!stays(&step.from) && step.from.len == step.to.len);
        prop_assert!((step.to.block, step.to.offset) < (step.from.block, step.from.offset));
        let bytes = naive.pages(&step.from).to_vec();
        naive.pages(&step.from).fill(None);
        prop_assert!(naive.pages(&step.to).iter().all(Option::is_none), "a move goes where something lies");
        naive.pages(&step.to).copy_from_slice(&bytes);
        tested.moved(&step).unwrap();
        live.iter_mut().filter(|(range, _)| *range == step.from).for_each(|(range, _)| *range = step.to);
    }
    for (range, id) in live {
        prop_assert!(naive.pages(range).iter().all(|owner| *owner == Some(*id)), "{range:?} lost its bytes");
    }
    prop_assert_eq!(&tested.account(), &before.1);
    if pinned == 1 && naive.0.len() == 1 {
        // Nothing is pinned and alignments below a node do not count: one hole is left, if any.
        let aligned = tested.held.values().all(|held| held.align <= NODE);
        prop_assert!(!aligned || tested.fragmentation() == 0.0, "from {}", before.0);
    }
    Ok(())
}
