//! One tile of one chunk: the words of its units, and the fields that they hold.

use std::ops::Range;

use super::grid::{TILE, WINDOW};
use super::packed::{CHUNK, Packing, UNIT};

/// Units of a whole block.
pub(super) const UNITS: usize = TILE * CHUNK / UNIT;
/// What a unit has of one row before it goes on: four fields of two bytes.
type Quad = [u8; 8];

/// The fields of a tile in one window, by row and column.
pub(super) struct Tile(Box<[[Quad; Self::QUADS]; TILE]>);

impl Tile {
    /// A cache line more than a window: rows that lie a power of two apart would share their place in the cache.
    const QUADS: usize = WINDOW / 4 + 8;

    pub fn new() -> Self {
        Self(Box::new([[[0; 8]; Self::QUADS]; TILE]))
    }

    pub fn row_mut(&mut self, row: usize, columns: usize) -> &mut [[u8; 2]] {
        &mut self.0[row].as_flattened_mut().as_chunks_mut().0[..columns]
    }
}

/// A block on its way from rows to bytes.
pub(super) struct Scratch {
    /// Every word of every unit: a copy, so that memory is read from front to back.
    words: [[[u8; 4]; UNITS]; 12],
    /// What every unit has of four columns, for each q.
    quads: [[u64; UNITS]; 8],
}

impl Scratch {
    pub fn new() -> Self {
        Self { words: [[[0; 4]; UNITS]; 12], quads: [[0; UNITS]; 8] }
    }
}

/// Where a block is.
pub(super) struct Block {
    /// Strips of its tile.
    pub run: usize,
    /// Units of a row.
    pub slots: usize,
    /// Its first column, in its window.
    pub column: usize,
    /// Its bytes in the part.
    pub bytes: Range<usize>,
}

impl Block {
    fn units(&self) -> usize {
        self.run * self.slots * 4
    }

    #[inline(always)]
    pub fn write<P: Packing>(&self, tile: &Tile, scratch: &mut Scratch, blocks: &mut [u8]) {
        // Said as a constant, because nearly all are like that: compilers unroll it.
        if self.slots == 4 {
            self.gather(tile, scratch, 4)
        } else {
            self.gather(tile, scratch, self.slots)
        }
        for unit in 0..UNITS {
            let mut pairs = [0; 16];
            for (q, quads) in scratch.quads.iter().enumerate() {
                let [a, b, c, d, e, f, g, h] = quads[unit].to_le_bytes();
                pairs[2 * q] = u32::from_le_bytes([a, b, c, d]);
                pairs[2 * q + 1] = u32::from_le_bytes([e, f, g, h]);
            }
            let words = P::pack(&pairs);
            for (all, word) in scratch.words[..P::WORDS].iter_mut().zip(words) {
                all[unit] = word.to_le_bytes();
            }
        }
        let bytes = blocks[self.bytes.clone()].as_chunks_mut().0;
        for (words, bytes) in scratch.words.iter().zip(bytes.chunks_exact_mut(self.units())) {
            bytes.copy_from_slice(&words[..self.units()]);
        }
    }

    #[inline(always)]
    fn gather(&self, tile: &Tile, scratch: &mut Scratch, slots: usize) {
        for (p, t) in (0..self.run).flat_map(|p| (0..4).map(move |t| (p, t))) {
            let row = &tile.0[p + self.run * t][self.column / 4..][..8 * slots];
            for slot in 0..slots {
                let unit = (p * slots + slot) * 4 + t;
                for (q, quads) in scratch.quads.iter_mut().enumerate() {
                    quads[unit] = u64::from_le_bytes(row[q * slots + slot]);
                }
            }
        }
    }

    /// The field in row `t` of strip `p`, `column` columns from the block's left.
    pub fn field<P: Packing>(&self, blocks: &[u8], p: usize, t: usize, column: usize) -> u16 {
        let (q, slot) = (column / 4 / self.slots, column / 4 % self.slots);
        let unit = (p * self.slots + slot) * 4 + t;
        let words: &[[u8; 4]] = blocks[self.bytes.clone()].as_chunks().0;
        let word = |w| if w < P::WORDS { u32::from_le_bytes(words[w * self.units() + unit]) } else { 0 };
        let pair = P::unpack(&std::array::from_fn(word))[2 * q + column % 4 / 2].to_le_bytes();
        u16::from_le_bytes(pair.as_chunks().0[column % 2])
    }
}
