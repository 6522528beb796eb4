//! Weights that a codec's fields cannot hold: their source bits, in lists by place. The trailer of a coded part.
//!
//! A list is of one tile and one window, in the order in which a kernel's workgroup reads them, so that it finds its
//! exceptions without a search.

use std::ops::{Range, RangeInclusive};

use super::CodecError;
use super::grid::{Grid, Strip};

/// The base, and three words of zeros.
const HEAD: usize = 16;
/// Starts of a list's strips.
const STARTS: usize = 16;

/// Bytes of a trailer without exceptions.
pub(super) fn fixed_len(grid: &Grid) -> usize {
    HEAD + 4 * (grid.lists() + 1) + STARTS * grid.lists()
}

/// Bytes of an exception of a type with `element` bytes.
pub(super) fn entry_len(element: usize) -> usize {
    if element == 4 { 8 } else { 4 }
}

/// A trailer in the making. Exceptions come in the order of [`Grid::strips`], those of a strip by row and column.
pub(super) struct Writer {
    element: usize,
    count: u32,
    first: Vec<u32>,
    starts: Vec<[u16; 8]>,
    entries: Vec<u8>,
}

impl Writer {
    pub fn new(grid: &Grid, element: usize) -> Self {
        Self { element, count: 0, first: vec![0], starts: vec![[0; 8]; grid.lists()], entries: Vec::new() }
    }

    /// The weight in row `t` of `strip`, `column` columns from its left, whose bits in the source are `bits`.
    pub fn push(&mut self, strip: &Strip, t: usize, column: usize, bits: u32) {
        let place = word(t << 14 | strip.p << 11 | column);
        match self.element {
            4 => self.entries.extend([place, bits].into_iter().flat_map(u32::to_le_bytes)),
            _ => self.entries.extend((place | bits << 16).to_le_bytes()),
        }
        self.count += 1;
    }

    /// All exceptions of `strip` have been pushed.
    pub fn end(&mut self, strip: &Strip) {
        // At most seven strips come before one, so that their exceptions can be counted in 16 bits.
        let len = u16::try_from(self.count - self.first[strip.list]).unwrap_or(u16::MAX);
        self.starts[strip.list][strip.p + 1..].fill(len);
        if strip.p + 1 == strip.run {
            self.first.push(self.count);
        }
    }

    /// Appends the trailer.
    pub fn write(self, base: u16, out: &mut Vec<u8>) {
        out.extend([u32::from(base), 0, 0, 0].into_iter().chain(self.first).flat_map(u32::to_le_bytes));
        out.extend(self.starts.into_iter().flatten().flat_map(u16::to_le_bytes));
        out.extend(self.entries);
    }
}

/// A trailer that has been checked.
pub(super) struct Trailer<'a> {
    element: usize,
    pub base: u16,
    first: &'a [[u8; 4]],
    starts: &'a [[u8; STARTS]],
    entries: &'a [[u8; 4]],
}

/// An exception: the row in its strip, the column from the strip's left, and its bits in the source.
pub(super) struct Exception {
    pub t: usize,
    pub column: usize,
    pub bits: u32,
    place: u32,
}

impl<'a> Trailer<'a> {
    /// Checks every rule of a trailer whose length has been checked.
    pub fn parse(grid: &Grid, element: usize, bases: RangeInclusive<u16>, bytes: &'a [u8]) -> Result<Self, CodecError> {
        let (head, rest) = bytes.split_at(HEAD);
        let (first, rest) = rest.split_at(4 * (grid.lists() + 1));
        let (starts, entries) = rest.split_at(STARTS * grid.lists());
        let found = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let base = u16::try_from(found).ok().filter(|base| bases.contains(base));
        let base = base.ok_or(CodecError::Base { found, least: *bases.start(), most: *bases.end() })?;
        if head[4..].iter().any(|byte| *byte != 0) {
            return Err(CodecError::Reserved);
        }
        let trailer = Self {
            element,
            base,
            first: first.as_chunks().0,
            starts: starts.as_chunks().0,
            entries: entries.as_chunks().0,
        };
        trailer.check_lists(grid)?;
        Ok(trailer)
    }

    fn check_lists(&self, grid: &Grid) -> Result<(), CodecError> {
        let count = self.entries.len() * 4 / entry_len(self.element);
        let mut end = 0;
        for list in 0..grid.lists() {
            let Range { start, end: next } = self.list(list);
            if start != end || next < start || next > count {
                return Err(CodecError::ListBounds { list, start, end: next });
            }
            end = next;
            for p in 0..8 {
                self.check_strip(grid, list, p)?;
            }
        }
        match end == count && self.first(grid.lists()) == end {
            true => Ok(()),
            false => Err(CodecError::ListBounds { list: grid.lists(), start: end, end: count }),
        }
    }

    /// Checks the exceptions of strip `p`; of one that the tile does not have there are none.
    fn check_strip(&self, grid: &Grid, list: usize, p: usize) -> Result<(), CodecError> {
        let entries = self.list(list);
        let Range { start, end } = self.strip_entries(list, p);
        let strip = grid.strip(list, p);
        let starts_late = p == 0 && start != entries.start;
        let is_none_but_has = p >= strip.run && start != entries.end;
        if starts_late || is_none_but_has || start > end || end > entries.end {
            return Err(CodecError::ListStarts { list, p });
        }
        let mut last = None;
        for entry in start..end {
            let Exception { t, column, place, .. } = self.entry(entry);
            if t >= 4 || (place >> 11 & 7) as usize != p || strip.row(t) >= grid.rows {
                return Err(CodecError::EntryRow { entry, place });
            }
            if column >= strip.columns.len() {
                return Err(CodecError::EntryColumn { entry, place });
            }
            // Within a strip, places are in the order of row and column.
            if last >= Some(place) {
                return Err(CodecError::EntryOrder { entry, place });
            }
            last = Some(place);
        }
        Ok(())
    }

    fn first(&self, list: usize) -> usize {
        u32::from_le_bytes(self.first[list]) as usize
    }

    fn list(&self, list: usize) -> Range<usize> {
        self.first(list)..self.first(list + 1)
    }

    fn strip_entries(&self, list: usize, p: usize) -> Range<usize> {
        let Range { start: first, end } = self.list(list);
        let start = |p: usize| first + usize::from(u16::from_le_bytes(self.starts[list].as_chunks().0[p]));
        start(p)..if p < 7 { start(p + 1) } else { end }
    }

    fn entry(&self, i: usize) -> Exception {
        let word = |i: usize| u32::from_le_bytes(self.entries[i]);
        let (place, bits) = match self.element {
            4 => (word(2 * i), word(2 * i + 1)),
            _ => (word(i) & 0xFFFF, word(i) >> 16),
        };
        Exception { t: (place >> 14) as usize, column: (place & 0x7FF) as usize, bits, place }
    }

    /// The exceptions of `strip`, by row and column.
    pub fn of(&self, strip: &Strip) -> impl Iterator<Item = Exception> {
        self.strip_entries(strip.list, strip.p).map(|i| self.entry(i))
    }
}

/// Checks the length of a part that has `least` bytes without exceptions.
pub(super) fn check_len(least: usize, element: usize, found: u64) -> Result<(), CodecError> {
    let (least, entry) = (least as u64, entry_len(element) as u64);
    let bytes = found.checked_sub(least).ok_or(CodecError::Short { found, least })?;
    match bytes.is_multiple_of(entry) {
        true => Ok(()),
        false => Err(CodecError::Entries { bytes, entry }),
    }
}

/// A number that 32 bits hold, because a [`Grid`] has fewer weights than that.
fn word(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
