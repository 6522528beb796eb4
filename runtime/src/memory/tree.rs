//! The binary tree of one block. A node halves itself when a part of it is taken, and two halves that are free, or two
//! that are used, become one node again; so the tree has as many nodes as the block has borders, not pages.

use std::ops::Range;

/// Which pages of a block are free.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: Node,
    /// The root's length: the block's, rounded up to a power of two. What lies behind the block is used, forever.
    span: u64,
}

#[derive(Clone, Debug)]
enum Node {
    Free,
    Used,
    Split(Box<Split>),
}

#[derive(Clone, Debug)]
struct Split {
    low: Node,
    high: Node,
    runs: Runs,
}

/// Lengths of runs of free pages in a node: the one it starts with, the one it ends with, and the longest.
#[derive(Clone, Copy, Debug)]
struct Runs {
    first: u64,
    last: u64,
    longest: u64,
}

impl Tree {
    /// A block of `pages` free pages.
    pub fn new(pages: u64) -> Self {
        let span = pages.next_power_of_two();
        let mut root = Node::Free;
        if pages < span {
            root.set(&(0..span), &(pages..span), &Node::Used);
        }
        Self { root, span }
    }

    /// Length of the longest run of free pages.
    pub fn longest_run(&self) -> u64 {
        self.root.runs(self.span).longest
    }

    /// The first page of the leftmost `len` free pages in a row that start at a multiple of `align`.
    pub fn first_fit(&self, len: u64, align: u64) -> Option<u64> {
        let mut run = 0..0;
        self.root.first_fit(&(0..self.span), len, align, &mut run)
    }

    /// True where all of `pages` are free.
    pub fn is_free(&self, pages: &Range<u64>) -> bool {
        pages.end <= self.span && self.root.is_free(&(0..self.span), pages)
    }

    /// Takes pages.
    pub fn take(&mut self, pages: Range<u64>) {
        self.root.set(&(0..self.span), &pages, &Node::Used);
    }

    /// Gives pages back.
    pub fn free(&mut self, pages: Range<u64>) {
        self.root.set(&(0..self.span), &pages, &Node::Free);
    }

    /// How many leaves the tree has.
    #[cfg(test)]
    pub fn leaves(&self) -> usize {
        self.root.leaves()
    }
}

fn halves(span: &Range<u64>) -> (Range<u64>, Range<u64>) {
    let middle = span.start + (span.end - span.start) / 2;
    (span.start..middle, middle..span.end)
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

impl Node {
    fn runs(&self, len: u64) -> Runs {
        match self {
            Self::Free => Runs { first: len, last: len, longest: len },
            Self::Used => Runs { first: 0, last: 0, longest: 0 },
            Self::Split(split) => split.runs,
        }
    }

    /// Makes `pages` of this node, which covers `span`, free or used.
    fn set(&mut self, span: &Range<u64>, pages: &Range<u64>, leaf: &Self) {
        if pages.start <= span.start && span.end <= pages.end {
            *self = leaf.clone();
            return;
        }
        let (low, high) = halves(span);
        let split = self.split(low.end - low.start);
        if overlap(&low, pages) {
            split.low.set(&low, pages, leaf);
        }
        if overlap(&high, pages) {
            split.high.set(&high, pages, leaf);
        }
        match (&split.low, &split.high) {
            (Self::Free, Self::Free) => *self = Self::Free,
            (Self::Used, Self::Used) => *self = Self::Used,
            _ => split.join(low.end - low.start),
        }
    }

    fn split(&mut self, half: u64) -> &mut Split {
        if !matches!(self, Self::Split(_)) {
            let (low, high, runs) = (self.clone(), self.clone(), self.runs(half));
            *self = Self::Split(Box::new(Split { low, high, runs }));
        }
        match self {
            Self::Split(split) => split,
            Self::Free | Self::Used => unreachable!("it was split above"),
        }
    }

    fn is_free(&self, span: &Range<u64>, pages: &Range<u64>) -> bool {
        match self {
            Self::Free => true,
            Self::Used => !overlap(span, pages),
            Self::Split(split) => {
                let (low, high) = halves(span);
                (!overlap(&low, pages) || split.low.is_free(&low, pages))
                    && (!overlap(&high, pages) || split.high.is_free(&high, pages))
            }
        }
    }

    #[cfg(test)]
    fn leaves(&self) -> usize {
        match self {
            Self::Free | Self::Used => 1,
            Self::Split(split) => split.low.leaves() + split.high.leaves(),
        }
    }

    /// Walks from left to right; `run` is the run of free pages that ends where the walk has come to.
    fn first_fit(&self, span: &Range<u64>, len: u64, align: u64, run: &mut Range<u64>) -> Option<u64> {
        match self {
            Self::Used => {
                *run = span.end..span.end;
                None
            }
            Self::Free => {
                run.end = span.end;
                let start = run.start.next_multiple_of(align);
                (start + len <= run.end).then_some(start)
            }
            Self::Split(split) => {
                let Runs { first, last, longest } = split.runs;
                if run.end - run.start + first < len && longest < len {
                    *run = span.end - last..span.end;
                    return None;
                }
                let (low, high) = halves(span);
                split.low.first_fit(&low, len, align, run).or_else(|| split.high.first_fit(&high, len, align, run))
            }
        }
    }
}

impl Split {
    fn join(&mut self, half: u64) {
        let (low, high) = (self.low.runs(half), self.high.runs(half));
        self.runs = Runs {
            first: if low.first == half { half + high.first } else { low.first },
            last: if high.last == half { half + low.last } else { high.last },
            longest: low.longest.max(high.longest).max(low.last + high.first),
        };
    }
}
