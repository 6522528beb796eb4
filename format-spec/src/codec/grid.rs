//! How the weights of a part are walked: in strips of four rows, in tiles, in windows.

use std::ops::Range;

use super::{CodecError, Shape};

/// Rows of a whole tile.
pub(super) const TILE: usize = 32;
/// Columns of a whole window.
pub(super) const WINDOW: usize = 2048;

/// The rows of a part, and those of its columns that are coded.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub rows: usize,
    pub columns: usize,
}

/// Those (up to) four rows of a tile that a kernel's lane reads at once, in one window.
pub(super) struct Strip {
    /// Its tile and window: the list that its exceptions are in.
    pub list: usize,
    pub tile: usize,
    /// Its first row in the tile.
    pub p: usize,
    /// The distance of its rows, and the number of strips in the tile.
    pub run: usize,
    pub columns: Range<usize>,
}

impl Grid {
    /// The first columns of `shape`, as far as they are whole multiples of `unit`.
    ///
    /// # Errors
    /// [`CodecError::Size`]: beyond it, sums of what follows might overflow.
    pub fn new(shape: Shape, unit: usize) -> Result<Self, CodecError> {
        let weights = u64::from(shape.rows) * u64::from(shape.columns);
        if weights == 0 || weights > u32::MAX.into() {
            return Err(CodecError::Size { weights });
        }
        let columns = shape.columns as usize;
        Ok(Self { rows: shape.rows as usize, columns: columns - columns % unit })
    }

    /// Strips of a tile; only the last tile has less than eight.
    pub fn run(&self, tile: usize) -> usize {
        (self.rows - tile * TILE).min(TILE).div_ceil(4)
    }

    pub fn windows(&self) -> usize {
        self.columns.div_ceil(WINDOW)
    }

    /// Lists of exceptions: one a tile and window.
    pub fn lists(&self) -> usize {
        self.rows.div_ceil(TILE) * self.windows()
    }

    /// The strips of all lists, in order.
    pub fn strips(&self) -> impl Iterator<Item = Strip> {
        let grid = *self;
        (0..grid.lists()).flat_map(move |list| grid.strips_of(list))
    }

    /// The strips of a list.
    pub fn strips_of(&self, list: usize) -> impl Iterator<Item = Strip> + use<> {
        let grid = *self;
        (0..grid.run(list / grid.windows())).map(move |p| grid.strip(list, p))
    }

    pub fn strip(&self, list: usize, p: usize) -> Strip {
        let (tile, window) = (list / self.windows(), list % self.windows());
        let start = window * WINDOW;
        Strip { list, tile, p, run: self.run(tile), columns: start..self.columns.min(start + WINDOW) }
    }
}

impl Strip {
    /// The number of row `t` (0..4) in the part; it may be one that the part does not have.
    pub fn row(&self, t: usize) -> usize {
        self.tile * TILE + self.p + self.run * t
    }
}
