//! What p12 and p11 share: blocks of packed fields, in the order in which a kernel's lanes load them.

use std::ops::RangeInclusive;

use super::exceptions::{Exceptions, Grid, TILE, Trailer};
use super::{CodecError, Shape, element};

/// Columns of a whole chunk.
const CHUNK: usize = 128;
/// Columns are coded in whole units of this many; the rest of a row is its tail.
const UNIT: usize = 32;

/// How 32 fields lie in words.
pub(super) trait Packing {
    /// One unit.
    type Words: AsRef<[u32]> + AsMut<[u32]> + Default;
    /// Words of a unit.
    const WORDS: usize;
    /// Exponent codes; a weight's exponent field is the base and its code.
    const CODES: RangeInclusive<u16>;
    /// What a base may be: the largest exponent stays finite.
    const BASES: RangeInclusive<u16>;

    /// The field of a bf16 weight; `None` for an exception.
    fn field(value: u16, base: u16) -> Option<u16>;
    /// The bf16 weight of a field; `None` if no weight has it.
    fn value(field: u16, base: u16) -> Option<u16>;
    /// Sixteen pairs of fields in words.
    fn pack(pairs: &[u32; 16]) -> Self::Words;
    /// The inverse.
    fn unpack(words: &Self::Words) -> [u32; 16];
}

/// The coded columns of a part, and where they lie.
struct Layout {
    grid: Grid,
    /// Columns of a row in the source.
    columns: usize,
    blocks_len: usize,
    tail_len: usize,
}

impl Layout {
    fn new<P: Packing>(shape: Shape) -> Result<Self, CodecError> {
        let columns = shape.columns as usize;
        let tail = columns % UNIT;
        let grid = Grid::new(shape, columns - tail);
        let blocks_len = grid.rows.div_ceil(4) * (grid.columns / UNIT) * P::WORDS * 16;
        Ok(Self { grid, columns, blocks_len, tail_len: grid.rows * tail * grid.element })
    }

    /// Splits coded bytes into blocks, trailer and tail.
    fn split<'a>(&self, coded: &'a [u8]) -> Result<(&'a [u8], &'a [u8], &'a [u8]), CodecError> {
        let expected = self.blocks_len + self.grid.fixed_len() + self.tail_len;
        if coded.len() < expected {
            return Err(CodecError::Length { found: coded.len() as u64, expected: expected as u64 });
        }
        let (blocks, rest) = coded.split_at(self.blocks_len);
        let (trailer, tail) = rest.split_at(rest.len() - self.tail_len);
        Ok((blocks, trailer, tail))
    }

    /// Calls `visit` with every unit: the byte of its first word, its stride in bytes, its row and its 32 columns.
    fn units<P: Packing>(
        &self,
        mut visit: impl FnMut(usize, usize, usize, [usize; 32]) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        let mut block = 0;
        for tile in 0..self.grid.tiles() {
            let run = self.grid.run(tile);
            for chunk in (0..self.grid.columns).step_by(CHUNK) {
                let slots = (self.grid.columns - chunk).min(CHUNK) / UNIT;
                for (p, s, t) in (0..run).flat_map(|p| (0..slots).flat_map(move |s| (0..4).map(move |t| (p, s, t)))) {
                    let columns = std::array::from_fn(|i| chunk + i / 4 * 4 * slots + 4 * s + i % 4);
                    let at = block + ((p * slots + s) * 4 + t) * 4;
                    visit(at, run * slots * 16, tile * TILE + p + run * t, columns)?;
                }
                block += run * slots * P::WORDS * 16;
            }
        }
        Ok(())
    }
}

pub(super) fn encode<P: Packing>(shape: Shape, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    let layout = Layout::new::<P>(shape)?;
    let base = best_base::<P>(shape, &layout, raw);
    let start = out.len();
    out.resize(start + layout.blocks_len, 0);
    let mut exceptions = Exceptions::default();
    let blocks = &mut out[start..];
    layout.units::<P>(|at, stride, row, columns| {
        if row >= layout.grid.rows {
            return Ok(());
        }
        let mut pairs = [0u32; 16];
        for (i, column) in columns.into_iter().enumerate() {
            let bits = element::get(shape.dtype, raw, row * layout.columns + column);
            match element::narrow(shape.dtype, bits).and_then(|value| P::field(value, base)) {
                Some(field) => pairs[i / 2] |= u32::from(field) << (16 * (i % 2)),
                None => exceptions.push(&layout.grid, row, column, bits),
            }
        }
        for (w, word) in P::pack(&pairs).as_ref().iter().enumerate() {
            blocks[at + w * stride..][..4].copy_from_slice(&word.to_le_bytes());
        }
        Ok(())
    })?;
    exceptions.write(&layout.grid, base.into(), out);
    let row_bytes = shape.row_bytes();
    for row in raw.chunks_exact(row_bytes) {
        out.extend_from_slice(&row[layout.grid.columns * layout.grid.element..]);
    }
    Ok(())
}

/// The base that makes the fewest exceptions; the lowest of them.
fn best_base<P: Packing>(shape: Shape, layout: &Layout, raw: &[u8]) -> u16 {
    let mut counts = [0u64; 256];
    for (row, column) in (0..layout.grid.rows).flat_map(|row| (0..layout.grid.columns).map(move |column| (row, column)))
    {
        let bits = element::get(shape.dtype, raw, row * layout.columns + column);
        if let Some(value) = element::narrow(shape.dtype, bits) {
            counts[usize::from(value >> 7 & 0xFF)] += 1;
        }
    }
    let covered = |base: u16| -> u64 { P::CODES.map(|code| counts[usize::from(base + code)]).sum() };
    P::BASES.rev().max_by_key(|base| covered(*base)).unwrap_or(*P::BASES.start())
}

pub(super) fn check<P: Packing>(shape: Shape, coded: &[u8]) -> Result<(), CodecError> {
    let layout = Layout::new::<P>(shape)?;
    let (_, trailer, _) = layout.split(coded)?;
    Trailer::parse(layout.grid, trailer, bases::<P>()).map(drop)
}

fn bases<P: Packing>() -> RangeInclusive<u32> {
    u32::from(*P::BASES.start())..=u32::from(*P::BASES.end())
}

pub(super) fn decode<P: Packing>(shape: Shape, coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
    let layout = Layout::new::<P>(shape)?;
    let (blocks, trailer, tail) = layout.split(coded)?;
    let trailer = Trailer::parse(layout.grid, trailer, bases::<P>())?;
    let base = u16::try_from(trailer.base).unwrap_or(*P::BASES.end());
    let mut fields = vec![0u16; layout.grid.rows * layout.grid.columns];
    layout.units::<P>(|at, stride, row, columns| {
        let mut words = P::Words::default();
        for (w, word) in words.as_mut().iter_mut().enumerate() {
            let at = at + w * stride;
            *word = u32::from_le_bytes([blocks[at], blocks[at + 1], blocks[at + 2], blocks[at + 3]]);
        }
        let pairs = P::unpack(&words);
        for (i, column) in columns.into_iter().enumerate() {
            let field = if i % 2 == 0 { pairs[i / 2] & 0xFFFF } else { pairs[i / 2] >> 16 };
            match u16::try_from(field) {
                Ok(field) if row < layout.grid.rows => fields[row * layout.grid.columns + column] = field,
                Ok(0) => {}
                _ => return Err(CodecError::Field { row, column }),
            }
        }
        Ok(())
    })?;
    for (i, field) in fields.iter().enumerate() {
        let (row, column) = (i / layout.grid.columns, i % layout.grid.columns);
        let bits = P::value(*field, base).and_then(|value| element::widen(shape.dtype, value));
        let is_exception = *field == 0; // which comes below, whatever this makes of it
        let bits = bits.or(is_exception.then_some(0)).ok_or(CodecError::Field { row, column })?;
        element::set(shape.dtype, raw, row * layout.columns + column, bits);
    }
    for (row, column, bits) in trailer.iter() {
        if fields[row * layout.grid.columns + column] != 0 {
            return Err(CodecError::Field { row, column });
        }
        element::set(shape.dtype, raw, row * layout.columns + column, bits);
    }
    let tail_row = layout.tail_len / layout.grid.rows;
    for (row, tail) in raw.chunks_exact_mut(shape.row_bytes()).zip(tail.chunks_exact(tail_row.max(1))) {
        let at = row.len() - tail_row;
        row[at..].copy_from_slice(tail);
    }
    Ok(())
}
