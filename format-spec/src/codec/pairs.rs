//! The units of a block on their way from words to rows.

use super::block::{Block, UNITS};
use super::packed::Packing;

/// Two fields, as they lie in a word.
pub(super) type Pair = [u8; 4];

/// Four slots of a row: for each q, two pairs of each.
pub(super) type Row = [[u8; 32]; 8];

/// Pair i of every unit of a block, for each i. No vector of them lies in two cache lines.
#[repr(align(64))]
pub(super) struct Pairs(pub [[Pair; UNITS]; 16]);

/// How strips of four slots are put into rows.
pub(super) trait Transpose: Copy {
    /// Row t of strip `p`, for each t.
    fn strip(self, pairs: &Pairs, p: usize, rows: [&mut Row; 4]);
}

/// On any machine.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Transpose for Portable {
    #[inline(always)]
    fn strip(self, pairs: &Pairs, p: usize, rows: [&mut Row; 4]) {
        for (t, row) in rows.into_iter().enumerate() {
            pairs.row(4, p, t, row.as_flattened_mut());
        }
    }
}

impl Pairs {
    pub fn new() -> Self {
        Self([[[0; 4]; UNITS]; 16])
    }

    /// Takes those of a block with these bytes; units that it does not have are 0.
    #[inline(always)]
    pub fn unpack<P: Packing>(&mut self, bytes: &[u8]) {
        let words: &[Pair] = bytes.as_chunks().0;
        // Nearly all blocks are whole: compilers make better vectors of constant lengths.
        if words.len() == P::WORDS * UNITS {
            return self.unpack_whole::<P>(words.as_chunks().0);
        }
        let mut whole = [[[0; 4]; UNITS]; 12];
        let units = words.len() / P::WORDS;
        for (whole, words) in whole.iter_mut().zip(words.chunks_exact(units)) {
            whole[..units].copy_from_slice(words);
        }
        self.unpack_whole::<P>(&whole);
    }

    #[inline(always)]
    fn unpack_whole<P: Packing>(&mut self, words: &[[Pair; UNITS]]) {
        let words = &words[..P::WORDS];
        for unit in 0..UNITS {
            let words = std::array::from_fn(|w| if w < P::WORDS { u32::from_le_bytes(words[w][unit]) } else { 0 });
            for (all, pair) in self.0.iter_mut().zip(P::unpack(&words)) {
                all[unit] = pair.to_le_bytes();
            }
        }
    }

    /// All fields, in no order that matters.
    #[inline(always)]
    pub fn fields_mut(&mut self) -> &mut [[u8; 2]] {
        self.0.as_flattened_mut().as_flattened_mut().as_chunks_mut().0
    }

    /// Puts the rows of `block` into those of its tile, each of which starts `stride` bytes after the last.
    #[inline(always)]
    pub fn scatter<T: Transpose>(&self, block: &Block, transpose: T, tile: &mut [u8], stride: usize) {
        let (mut quarters, len) = (tile.chunks_mut(block.run * stride), block.slots * 64);
        let mut next = || quarters.next().unwrap_or_default();
        let (a, b, c, d) = (next(), next(), next(), next());
        for p in 0..block.run {
            let start = p * stride + block.column * 2;
            let row = start..start + len;
            // Not in an array: compilers would make one in memory, which takes longer than the rest.
            match (
                whole(&mut a[row.clone()]),
                whole(&mut b[row.clone()]),
                whole(&mut c[row.clone()]),
                whole(&mut d[row.clone()]),
            ) {
                (Some(a), Some(b), Some(c), Some(d)) => transpose.strip(self, p, [a, b, c, d]),
                _ => {
                    for (t, quarter) in [&mut *a, &mut *b, &mut *c, &mut *d].into_iter().enumerate() {
                        self.row(block.slots, p, t, &mut quarter[row.clone()]);
                    }
                }
            }
        }
    }

    /// Row `t` of strip `p`: for each q, two pairs of each slot.
    #[inline(always)]
    fn row(&self, slots: usize, p: usize, t: usize, row: &mut [u8]) {
        for (pairs, row) in self.0.as_chunks().0.iter().zip(row.chunks_exact_mut(slots * 8)) {
            let [even, odd]: &[_; 2] = pairs;
            for (slot, quad) in row.as_chunks_mut().0.iter_mut().enumerate() {
                let unit = (p * slots + slot) * 4 + t;
                let ([a, b, c, d], [e, f, g, h]) = (even[unit], odd[unit]);
                *quad = [a, b, c, d, e, f, g, h];
            }
        }
    }
}

fn whole(row: &mut [u8]) -> Option<&mut Row> {
    row.as_chunks_mut().0.try_into().ok()
}
