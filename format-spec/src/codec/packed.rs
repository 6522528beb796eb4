//! What p12 and p11 share: blocks of packed fields, in the order in which a kernel's lanes load them.

use std::marker::PhantomData;
use std::ops::{Range, RangeInclusive};

use pulp::{Arch, Simd, WithSimd};

use super::block::{Block, Scratch, Tile};
use super::exceptions::{self, Trailer, Writer};
use super::grid::{Grid, Strip};
use super::{CodecError, Shape, element};
use crate::Dtype;

/// Columns of a unit. Whole units are coded; the rest of a row is its tail.
pub(super) const UNIT: usize = 32;
/// Columns of a whole chunk: four units of each row.
pub(super) const CHUNK: usize = 4 * UNIT;
/// A field that no weight has: the low three bits of a field are 0.
pub(super) const EXCEPTION: u16 = 1;

/// How a unit of 32 fields lies in words.
pub(super) trait Packing {
    /// Words of a unit.
    const WORDS: usize;
    /// Exponent codes; a weight's exponent field is the base and its code.
    const CODES: RangeInclusive<u16>;
    /// Fields of less magnitude are of no weight, but for 0.
    const LEAST: u16;
    /// What a base may be: every exponent is that of a normal number.
    const BASES: RangeInclusive<u16>;

    /// The field of a bf16 weight, or [`EXCEPTION`].
    fn field(value: u16, base: u16) -> u16;
    /// The bf16 weight of a field that is one's.
    fn value(field: u16, base: u16) -> u16;
    /// Whether a field is a weight's.
    fn is_weight(field: u16) -> bool {
        let magnitude = field & 0x7FFF;
        magnitude == 0 || magnitude >= Self::LEAST
    }
    /// Sixteen pairs of fields in words; those beyond [`WORDS`](Self::WORDS) are 0.
    fn pack(pairs: &[u32; 16]) -> [u32; 12];
    /// The inverse.
    fn unpack(words: &[u32; 12]) -> [u32; 16];
}

/// Where the bytes of a part are.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub shape: Shape,
    pub grid: Grid,
    /// Bytes of an element.
    pub element: usize,
    blocks_len: usize,
    /// Bytes of a row that are not coded.
    pub tail: usize,
}

/// The bytes of a part.
pub(super) struct Coded<'a> {
    pub blocks: &'a [u8],
    pub trailer: Trailer<'a>,
    pub tail: &'a [u8],
}

impl Layout {
    pub fn new<P: Packing>(shape: Shape) -> Result<Self, CodecError> {
        let grid = Grid::new(shape, UNIT)?;
        let element = shape.dtype.block_bytes() as usize;
        let blocks_len = grid.rows.div_ceil(4) * (grid.columns / UNIT) * P::WORDS * 16;
        Ok(Self { shape, grid, element, blocks_len, tail: shape.row_bytes() - grid.columns * element })
    }

    /// Bytes of a part without exceptions.
    fn least(&self) -> usize {
        self.blocks_len + exceptions::fixed_len(&self.grid) + self.grid.rows * self.tail
    }

    /// Splits coded bytes, of which there are enough.
    pub fn parse<'a, P: Packing>(&self, coded: &'a [u8]) -> Result<Coded<'a>, CodecError> {
        let (blocks, rest) = coded.split_at(self.blocks_len);
        let (trailer, tail) = rest.split_at(rest.len() - self.grid.rows * self.tail);
        Ok(Coded { blocks, trailer: Trailer::parse(&self.grid, self.element, P::BASES, trailer)?, tail })
    }

    /// Where the coded elements of row `t` of `strip` are in the source; `None` below the last row.
    pub fn source(&self, strip: &Strip, t: usize) -> Option<Range<usize>> {
        let start = strip.row(t) * self.shape.row_bytes() + strip.columns.start * self.element;
        (strip.row(t) < self.grid.rows).then_some(start..start + strip.columns.len() * self.element)
    }

    /// Where the blocks of a list's tile and window are.
    pub fn list_bytes<P: Packing>(&self, list: usize) -> Range<usize> {
        let Strip { tile, run, columns, .. } = self.grid.strip(list, 0);
        // Tiles before this one are whole: eight strips.
        let tile = tile * 8 * (self.grid.columns / UNIT) * P::WORDS * 16;
        let unit = run * P::WORDS * 16;
        tile + columns.start / UNIT * unit..tile + columns.end / UNIT * unit
    }

    /// These blocks, in order.
    pub fn blocks<P: Packing>(&self, list: usize) -> impl Iterator<Item = Block> {
        let Strip { run, columns, .. } = self.grid.strip(list, 0);
        let list = self.list_bytes::<P>(list).start;
        columns.clone().step_by(CHUNK).map(move |column| {
            let slots = (columns.end - column).min(CHUNK) / UNIT;
            let start = list + run * ((column - columns.start) / UNIT) * P::WORDS * 16;
            Block { run, slots, column: column - columns.start, bytes: start..start + run * slots * P::WORDS * 16 }
        })
    }
}

pub(super) fn encode<P: Packing>(shape: Shape, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    // No closure: that would not be inlined into the function that may use the vectors of this machine.
    struct Encode<'a, P>(Shape, &'a [u8], &'a mut Vec<u8>, PhantomData<P>);
    impl<P: Packing> WithSimd for Encode<'_, P> {
        type Output = Result<(), CodecError>;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> Self::Output {
            encode_vectors::<P>(self.0, self.1, self.2)
        }
    }
    Arch::new().dispatch(Encode::<P>(shape, raw, out, PhantomData))
}

#[inline(always)]
fn encode_vectors<P: Packing>(shape: Shape, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    let layout = Layout::new::<P>(shape)?;
    let base = best_base::<P>(&layout, raw);
    let start = out.len();
    out.resize(start + layout.blocks_len, 0);
    let blocks = &mut out[start..];
    let (mut tile, mut scratch) = (Tile::new(), Scratch::new());
    let mut trailer = Writer::new(&layout.grid, layout.element);
    for strip in layout.grid.strips() {
        for t in 0..4 {
            let fields = tile.row_mut(strip.p + strip.run * t, strip.columns.len());
            let Some(source) = layout.source(&strip, t) else {
                fields.fill([0; 2]);
                continue;
            };
            let units = raw[source].chunks_exact(UNIT * layout.element).zip(fields.as_chunks_mut().0);
            for (unit, (raw, fields)) in units.enumerate() {
                if to_fields::<P>(shape.dtype, raw, base, fields) {
                    continue;
                }
                let exceptions = fields.iter_mut().zip(raw.chunks_exact(layout.element)).enumerate();
                for (i, (field, element)) in exceptions.filter(|(_, (field, _))| **field == EXCEPTION.to_le_bytes()) {
                    trailer.push(&strip, t, unit * UNIT + i, element::bits(element));
                    *field = [0; 2];
                }
            }
        }
        trailer.end(&strip);
        if strip.p + 1 == strip.run {
            for block in layout.blocks::<P>(strip.list) {
                block.write::<P>(&tile, &mut scratch, blocks);
            }
        }
    }
    trailer.write(base, out);
    for row in raw.chunks_exact(shape.row_bytes()) {
        out.extend_from_slice(&row[row.len() - layout.tail..]);
    }
    Ok(())
}

/// The base that makes the fewest exceptions; the lowest of them.
#[inline(always)]
fn best_base<P: Packing>(layout: &Layout, raw: &[u8]) -> u16 {
    // Eight, so that equal exponents do not wait for each other.
    let mut counts = [[0u32; 256]; 8];
    let (mut values, mut exponents) = ([0; UNIT], [0u8; UNIT]);
    for strip in layout.grid.strips() {
        for source in (0..4).filter_map(|t| layout.source(&strip, t)) {
            for raw in raw[source].chunks_exact(UNIT * layout.element) {
                element::narrow(layout.shape.dtype, raw, &mut values);
                for (exponent, value) in exponents.iter_mut().zip(values) {
                    *exponent = (value << 1).to_le_bytes()[1];
                }
                for (i, exponent) in exponents.into_iter().enumerate() {
                    let count = &mut counts[i % 8][usize::from(exponent)];
                    *count = count.wrapping_add(1);
                }
            }
        }
    }
    let count = |exponent: u16| -> u64 { counts.iter().map(|c| u64::from(c[usize::from(exponent)])).sum() };
    let covered = |base: u16| -> u64 { P::CODES.map(|code| count(base + code)).sum() };
    // Of equals, this takes the last.
    P::BASES.rev().max_by_key(|base| covered(*base)).unwrap_or(*P::BASES.start())
}

/// Whether all have one.
#[inline(always)]
fn to_fields<P: Packing>(dtype: Dtype, raw: &[u8], base: u16, fields: &mut [[u8; 2]; UNIT]) -> bool {
    let mut values = [0; UNIT];
    element::narrow(dtype, raw, &mut values);
    let mut any = 0;
    for (field, value) in fields.iter_mut().zip(values) {
        let found = P::field(value, base);
        any |= found;
        *field = found.to_le_bytes();
    }
    any & EXCEPTION == 0
}

pub(super) fn check_len<P: Packing>(shape: Shape, len: u64) -> Result<(), CodecError> {
    let layout = Layout::new::<P>(shape)?;
    exceptions::check_len(layout.least(), layout.element, len)
}

/// Bytes of a part without exceptions, and of an exception.
pub(super) fn least_len<P: Packing>(shape: Shape) -> Option<(u64, u64)> {
    let layout = Layout::new::<P>(shape).ok()?;
    Some((layout.least() as u64, exceptions::entry_len(layout.element) as u64))
}

pub(super) fn check<P: Packing>(shape: Shape, coded: &[u8]) -> Result<(), CodecError> {
    Layout::new::<P>(shape)?.parse::<P>(coded).map(drop)
}
