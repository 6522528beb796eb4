//! F32 weights that are exact in f16 or bf16, stored so: two bytes each, row after row; the others are exceptions.

use super::exceptions::{self, Exception, Trailer, Writer};
use super::grid::{Grid, Strip};
use super::{CodecError, Shape, element};

/// A type of two bytes.
pub(super) trait Half {
    /// The half of an f32's bits; any, if they are exact in none.
    fn narrow(single: u32) -> u16;
    /// The f32's bits of a half.
    fn widen(half: u16) -> u32;
}

/// IEEE 754 half precision.
pub(super) struct F16;

impl Half for F16 {
    fn narrow(single: u32) -> u16 {
        element::single_to_half(single)
    }

    fn widen(half: u16) -> u32 {
        element::half_to_single(half)
    }
}

/// The upper half of an f32.
pub(super) struct Bf16;

impl Half for Bf16 {
    fn narrow(single: u32) -> u16 {
        let [.., a, b] = single.to_le_bytes();
        u16::from_le_bytes([a, b])
    }

    fn widen(half: u16) -> u32 {
        u32::from(half) << 16
    }
}

/// Bytes of an F32 element, as the trailer asks.
const ELEMENT: usize = 4;

/// Bytes of all halves, and of the zeros behind them.
fn halves_len(grid: &Grid) -> usize {
    (2 * grid.rows * grid.columns).next_multiple_of(4)
}

/// Splits coded bytes, of which there are enough, into halves and trailer.
fn split<'a>(grid: &Grid, coded: &'a [u8]) -> Result<(&'a [[u8; 2]], Trailer<'a>), CodecError> {
    let (halves, trailer) = coded.split_at(halves_len(grid));
    let (halves, padding) = halves.as_chunks().0.split_at(grid.rows * grid.columns);
    if padding.iter().any(|bytes| *bytes != [0; 2]) {
        return Err(CodecError::Padding);
    }
    Ok((halves, Trailer::parse(grid, ELEMENT, 0..=0, trailer)?))
}

/// Where row `t` of `strip` is, in elements; `None` below the last row.
fn place(grid: &Grid, strip: &Strip, t: usize) -> Option<std::ops::Range<usize>> {
    let start = strip.row(t) * grid.columns + strip.columns.start;
    (strip.row(t) < grid.rows).then_some(start..start + strip.columns.len())
}

pub(super) fn encode<H: Half>(shape: Shape, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    let grid = Grid::new(shape, 1)?;
    let start = out.len();
    out.resize(start + halves_len(&grid), 0);
    let (singles, halves) = (raw.as_chunks().0, out[start..].as_chunks_mut().0);
    let mut trailer = Writer::new(&grid, ELEMENT);
    for strip in grid.strips() {
        for (t, place) in (0..4).filter_map(|t| place(&grid, &strip, t).map(|place| (t, place))) {
            let (singles, halves) = (&singles[place.clone()], &mut halves[place]);
            if narrow_all::<H>(singles, halves) {
                continue;
            }
            for (column, (single, half)) in singles.iter().zip(halves).enumerate() {
                let bits = u32::from_le_bytes(*single);
                if H::widen(u16::from_le_bytes(*half)) != bits {
                    trailer.push(&strip, t, column, bits);
                    *half = [0; 2];
                }
            }
        }
        trailer.end(&strip);
    }
    trailer.write(0, out);
    Ok(())
}

/// Whether all are exact.
fn narrow_all<H: Half>(singles: &[[u8; 4]], halves: &mut [[u8; 2]]) -> bool {
    let mut inexact = 0;
    for (single, half) in singles.iter().zip(halves) {
        let bits = u32::from_le_bytes(*single);
        let narrow = H::narrow(bits);
        inexact |= H::widen(narrow) ^ bits;
        *half = narrow.to_le_bytes();
    }
    inexact == 0
}

pub(super) fn check_len(shape: Shape, len: u64) -> Result<(), CodecError> {
    let grid = Grid::new(shape, 1)?;
    exceptions::check_len(halves_len(&grid) + exceptions::fixed_len(&grid), ELEMENT, len)
}

/// Bytes of a part without exceptions, and of an exception.
pub(super) fn least_len(shape: Shape) -> Option<(u64, u64)> {
    let grid = Grid::new(shape, 1).ok()?;
    Some(((halves_len(&grid) + exceptions::fixed_len(&grid)) as u64, exceptions::entry_len(ELEMENT) as u64))
}

pub(super) fn check<H: Half>(shape: Shape, coded: &[u8]) -> Result<(), CodecError> {
    split(&Grid::new(shape, 1)?, coded).map(drop)
}

pub(super) fn decode<H: Half>(shape: Shape, coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
    let grid = Grid::new(shape, 1)?;
    let (halves, trailer) = split(&grid, coded)?;
    let singles = raw.as_chunks_mut().0;
    for (single, half) in singles.iter_mut().zip(halves) {
        *single = H::widen(u16::from_le_bytes(*half)).to_le_bytes();
    }
    for strip in grid.strips() {
        for Exception { t, column, bits, .. } in trailer.of(&strip) {
            let at = strip.row(t) * grid.columns + strip.columns.start + column;
            if halves[at] != [0; 2] {
                return Err(CodecError::Field { row: strip.row(t), column: strip.columns.start + column });
            }
            singles[at] = bits.to_le_bytes();
        }
    }
    Ok(())
}
