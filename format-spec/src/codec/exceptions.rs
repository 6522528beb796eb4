//! Weights that a codec's fields cannot hold: their source bits, in lists by place.
//!
//! A list is of one tile (32 rows) and one window (2048 columns), in the order in which a kernel's workgroup reads them, so
//! that the workgroup finds its exceptions without a search.

use super::{CodecError, Shape};
use crate::Dtype;

/// Rows of a whole tile.
pub(super) const TILE: usize = 32;
/// Columns of a whole window.
const WINDOW: usize = 2048;
/// The base, and three words of zeros.
const HEAD: usize = 16;

/// The matrix whose exceptions are listed: all rows, and the columns that are coded.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub rows: usize,
    pub columns: usize,
    /// Bytes of an element in the source.
    pub element: usize,
}

impl Grid {
    /// The first `columns` columns of `shape`.
    pub fn new(shape: Shape, columns: usize) -> Self {
        Self { rows: shape.rows as usize, columns, element: if shape.dtype == Dtype::F32 { 4 } else { 2 } }
    }

    /// Rows of a tile lie in four runs of this many; the last tile is only as high as it must be.
    pub fn run(&self, tile: usize) -> usize {
        (self.rows - tile * TILE).min(TILE).div_ceil(4)
    }

    pub fn tiles(&self) -> usize {
        self.rows.div_ceil(TILE)
    }

    fn windows(&self) -> usize {
        self.columns.div_ceil(WINDOW)
    }

    fn lists(&self) -> usize {
        self.tiles() * self.windows()
    }

    /// Bytes of a trailer without exceptions.
    pub fn fixed_len(&self) -> usize {
        HEAD + 4 * (self.lists() + 1) + 16 * self.lists()
    }

    /// Bytes of one exception.
    pub fn entry_len(&self) -> usize {
        if self.element == 4 { 8 } else { 4 }
    }
}

/// Exceptions found so far, in any order.
#[derive(Default)]
pub(super) struct Exceptions(Vec<Exception>);

struct Exception {
    list: usize,
    p: u32,
    /// As stored: `t << 14 | p << 11 | column in the window`. Among those of one p it has the order of (t, column).
    place: u32,
    bits: u32,
}

impl Exceptions {
    /// The weight at `row` and `column`, whose bits in the source are `bits`, is one.
    pub fn push(&mut self, grid: &Grid, row: usize, column: usize, bits: u32) {
        let (tile, window) = (row / TILE, column / WINDOW);
        let (t, p) = (row % TILE / grid.run(tile), row % TILE % grid.run(tile));
        let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let place = word(t << 14 | p << 11 | column % WINDOW);
        self.0.push(Exception { list: tile * grid.windows() + window, p: word(p), place, bits });
    }

    /// Appends the trailer.
    pub fn write(mut self, grid: &Grid, base: u32, out: &mut Vec<u8>) {
        self.0.sort_unstable_by_key(|e| (e.list, e.p, e.place));
        let mut word = |n: usize| out.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
        [base as usize, 0, 0, 0].into_iter().for_each(&mut word);
        let firsts: Vec<usize> = (0..=grid.lists()).map(|list| self.0.partition_point(|e| e.list < list)).collect();
        firsts.iter().copied().for_each(&mut word);
        for bounds in firsts.windows(2) {
            let list = &self.0[bounds[0]..bounds[1]];
            for p in 0..8 {
                // At most 7 runs of 4 rows of 2048 columns come before one.
                let start = list.partition_point(|e| e.p < p);
                out.extend_from_slice(&u16::try_from(start).unwrap_or(u16::MAX).to_le_bytes());
            }
        }
        for e in &self.0 {
            match grid.element {
                4 => out.extend([e.place, e.bits].into_iter().flat_map(u32::to_le_bytes)),
                _ => out.extend_from_slice(&(e.place | e.bits << 16).to_le_bytes()),
            }
        }
    }
}

/// A trailer that has been checked.
pub(super) struct Trailer<'a> {
    grid: Grid,
    pub base: u32,
    first: &'a [u8],
    entries: &'a [u8],
}

impl<'a> Trailer<'a> {
    /// Checks every rule of a trailer.
    pub fn parse(grid: Grid, bytes: &'a [u8], bases: std::ops::RangeInclusive<u32>) -> Result<Self, CodecError> {
        let expected = grid.fixed_len() as u64;
        let short = CodecError::Length { found: bytes.len() as u64, expected };
        let (head, rest) = bytes.split_at_checked(HEAD).ok_or(short.clone())?;
        let (first, rest) = rest.split_at_checked(4 * (grid.lists() + 1)).ok_or(short.clone())?;
        let (starts, entries) = rest.split_at_checked(16 * grid.lists()).ok_or(short)?;
        if entries.len() % grid.entry_len() != 0 {
            return Err(CodecError::Entries { bytes: entries.len() as u64, entry: grid.entry_len() as u64 });
        }
        let base = word(head, 0);
        if !bases.contains(&base) {
            return Err(CodecError::Base { found: base, least: *bases.start(), most: *bases.end() });
        }
        if head[4..].iter().any(|b| *b != 0) {
            return Err(CodecError::Reserved);
        }
        let trailer = Self { grid, base, first, entries };
        trailer.check_lists(starts)?;
        Ok(trailer)
    }

    fn check_lists(&self, starts: &[u8]) -> Result<(), CodecError> {
        let count = self.entries.len() / self.grid.entry_len();
        let mut end = 0;
        for list in 0..self.grid.lists() {
            let (start, next) = (word(self.first, list) as usize, word(self.first, list + 1) as usize);
            if start != end || next < start || next > count {
                return Err(CodecError::ListBounds { list, start, end: next });
            }
            end = next;
            self.check_list(list, start..next, &starts[16 * list..][..16])?;
        }
        if word(self.first, self.grid.lists()) as usize != end || end != count {
            return Err(CodecError::ListBounds { list: self.grid.lists(), start: end, end: count });
        }
        Ok(())
    }

    fn check_list(&self, list: usize, entries: std::ops::Range<usize>, starts: &[u8]) -> Result<(), CodecError> {
        let (tile, window) = (list / self.grid.windows(), list % self.grid.windows());
        let (run, len) = (self.grid.run(tile), entries.len());
        let start = |p: usize| usize::from(u16::from_le_bytes([starts[2 * p], starts[2 * p + 1]]));
        for p in 0..8 {
            let (from, to) = (start(p), if p < 7 { start(p + 1) } else { len });
            let outside = p >= run && from != len;
            if from > to || to > len || outside || p == 0 && from != 0 {
                return Err(CodecError::ListStarts { list, p });
            }
            let mut last = None;
            for i in entries.start + from..entries.start + to {
                let (place, _) = self.entry(i);
                let (t, column) = ((place >> 14) as usize, (place & 0x7FF) as usize);
                let row = tile * TILE + p + run * t;
                if t >= 4 || (place >> 11 & 7) as usize != p || row >= self.grid.rows {
                    return Err(CodecError::EntryRow { entry: i, place });
                }
                if window * WINDOW + column >= self.grid.columns {
                    return Err(CodecError::EntryColumn { entry: i, place });
                }
                if last >= Some(place) {
                    return Err(CodecError::EntryOrder { entry: i });
                }
                last = Some(place);
            }
        }
        Ok(())
    }

    /// Place and source bits of entry `i`.
    fn entry(&self, i: usize) -> (u32, u32) {
        match self.grid.element {
            4 => (word(self.entries, 2 * i), word(self.entries, 2 * i + 1)),
            _ => (word(self.entries, i) & 0xFFFF, word(self.entries, i) >> 16),
        }
    }

    /// Row, column and source bits of every exception.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize, u32)> {
        (0..self.grid.lists()).flat_map(move |list| {
            let (tile, window) = (list / self.grid.windows(), list % self.grid.windows());
            let run = self.grid.run(tile);
            (word(self.first, list) as usize..word(self.first, list + 1) as usize).map(move |i| {
                let (place, bits) = self.entry(i);
                let row = tile * TILE + (place >> 11 & 7) as usize + run * (place >> 14) as usize;
                (row, window * WINDOW + (place & 0x7FF) as usize, bits)
            })
        })
    }
}

/// The `i`th `u32`.
fn word(bytes: &[u8], i: usize) -> u32 {
    let at = 4 * i;
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
