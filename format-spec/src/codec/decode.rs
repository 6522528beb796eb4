//! Decoding of packed fields, tile after tile.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::exceptions::{Exception, Trailer};
use super::grid::{Strip, TILE, WINDOW};
use super::packed::{CHUNK, Coded, EXCEPTION, Layout, Packing};
use super::pairs::{Pairs, Portable, Transpose};
use super::{CodecError, Shape, element};
use crate::Dtype;

/// Windows that are decoded before they are copied to where they belong: few enough for a cache, and enough for long
/// pieces, which are written to memory without being read before.
const WINDOWS: usize = 4;
/// Bytes that are worth a copy of their own.
const LONG: usize = 8 << 10;
/// A cache line.
const PAD: usize = 64;

pub(super) fn decode<P: Packing>(shape: Shape, coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return Simd::vectorize(simd, Decode::<P, _>(shape, coded, raw, simd, PhantomData));
    }
    Arch::new().dispatch(Decode::<P, _>(shape, coded, raw, Portable, PhantomData))
}

/// No closure: that would not be inlined into the function that may use the vectors of this machine.
struct Decode<'a, P, T>(Shape, &'a [u8], &'a mut [u8], T, PhantomData<P>);

impl<P: Packing, T: Transpose> WithSimd for Decode<'_, P, T> {
    type Output = Result<(), CodecError>;
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let layout = Layout::new::<P>(self.0)?;
        let Coded { blocks, trailer, tail } = layout.parse::<P>(self.1)?;
        let mut decoder = Decoder::new(layout, blocks, trailer);
        for tile in 0..layout.grid.rows.div_ceil(TILE) {
            for first in (0..layout.grid.windows()).step_by(WINDOWS) {
                let windows = first..layout.grid.windows().min(first + WINDOWS);
                decoder.tile::<P, T>(tile, windows, self.3, self.2)?;
            }
        }
        if layout.tail > 0 {
            for (row, tail) in self.2.chunks_exact_mut(self.0.row_bytes()).zip(tail.chunks_exact(layout.tail)) {
                let at = row.len() - layout.tail;
                row[at..].copy_from_slice(tail);
            }
        }
        Ok(())
    }
}

struct Decoder<'a> {
    layout: Layout,
    blocks: &'a [u8],
    trailer: Trailer<'a>,
    /// The blocks of a window: a copy, because memory is read best in long pieces.
    window: Vec<u8>,
    pairs: Pairs,
    /// Rows of a tile.
    rows: Vec<u8>,
}

impl<'a> Decoder<'a> {
    fn new(layout: Layout, blocks: &'a [u8], trailer: Trailer<'a>) -> Self {
        let columns = layout.grid.columns.min(WINDOWS * WINDOW);
        Self {
            layout,
            blocks,
            trailer,
            window: Vec::new(),
            pairs: Pairs::new(),
            rows: vec![0; TILE * (columns * 2 + PAD)],
        }
    }

    #[inline(always)]
    fn tile<P: Packing, T: Transpose>(
        &mut self,
        tile: usize,
        windows: Range<usize>,
        transpose: T,
        raw: &mut [u8],
    ) -> Result<(), CodecError> {
        let Self { layout, .. } = *self;
        let left = windows.start * WINDOW;
        let columns = layout.grid.columns.min(windows.end * WINDOW) - left;
        // Rows a power of two apart would share their place in the cache; short ones are copied faster together.
        let stride = columns * 2 + if columns * 2 < LONG { 0 } else { PAD };
        let before = tile * layout.grid.windows();
        let lists = before + windows.start..before + windows.end;
        let mut all = true;
        for list in lists.clone() {
            all &= self.list::<P, T>(list, left, transpose, stride);
        }
        let row_bytes = layout.shape.row_bytes();
        let count = (layout.grid.rows - tile * TILE).min(TILE);
        let raw = &mut raw[tile * TILE * row_bytes..][..count * row_bytes];
        let (at, len) = (left * layout.element, columns * layout.element);
        if layout.shape.dtype == Dtype::F32 {
            for (raw, row) in raw.chunks_exact_mut(row_bytes).zip(self.rows.chunks_exact(stride)) {
                element::widen(row[..columns * 2].as_chunks().0, raw[at..][..len].as_chunks_mut().0);
            }
            for list in lists.clone() {
                all &= layout.place_exceptions::<P>(list, left, &self.trailer, &mut raw[at..], row_bytes);
            }
        } else {
            for list in lists.clone() {
                all &= layout.place_exceptions::<P>(list, left, &self.trailer, &mut self.rows, stride);
            }
            if stride == row_bytes {
                raw.copy_from_slice(&self.rows[..raw.len()]);
            } else {
                for (raw, row) in raw.chunks_exact_mut(row_bytes).zip(self.rows.chunks_exact(stride)) {
                    raw[at..][..len].copy_from_slice(&row[..len]);
                }
            }
        }
        if !all {
            for list in lists {
                layout.find_wrong::<P>(list, self.blocks, &self.trailer)?;
            }
        }
        Ok(())
    }

    /// Puts the values of a list into rows, which start at column `left`; whether all fields but those of exceptions are
    /// known to be right.
    #[inline(always)]
    fn list<P: Packing, T: Transpose>(&mut self, list: usize, left: usize, transpose: T, stride: usize) -> bool {
        let Self { layout, .. } = *self;
        let bytes = layout.list_bytes::<P>(list);
        self.window.clear();
        self.window.extend_from_slice(&self.blocks[bytes.clone()]);
        let Strip { columns, .. } = layout.grid.strip(list, 0);
        let left = (columns.start - left) * 2;
        let mut all = true;
        for block in layout.blocks::<P>(list) {
            self.pairs.unpack::<P>(&self.window[block.bytes.start - bytes.start..block.bytes.end - bytes.start]);
            all &= element::in_place::<P>(layout.shape.dtype, self.trailer.base, self.pairs.fields_mut());
            self.pairs.scatter(&block, transpose, &mut self.rows[left..], stride);
        }
        // Rows that nobody has.
        let zero = element::zero::<P>(layout.shape.dtype, self.trailer.base);
        for strip in layout.grid.strips_of(list) {
            for t in (0..4).filter(|t| layout.source(&strip, *t).is_none()) {
                let start = (strip.p + strip.run * t) * stride + left;
                all &= self.rows[start..][..columns.len() * 2].as_chunks().0.iter().all(|value| *value == zero);
            }
        }
        all
    }
}

impl Layout {
    /// Writes the exceptions of a list over what stands in their places of `rows`, the elements of its tile from column
    /// `left` on; whether that was everywhere a field of 0.
    #[inline(always)]
    fn place_exceptions<P: Packing>(
        &self,
        list: usize,
        left: usize,
        trailer: &Trailer<'_>,
        rows: &mut [u8],
        stride: usize,
    ) -> bool {
        let [low, high] = element::zero::<P>(self.shape.dtype, trailer.base);
        let zero = if self.element == 4 { [0, 0, low, high] } else { [low, high, 0, 0] };
        let mut all = true;
        for strip in self.grid.strips_of(list) {
            for Exception { t, column, bits, .. } in trailer.of(&strip) {
                let start = (strip.p + strip.run * t) * stride + (strip.columns.start - left + column) * self.element;
                let element = &mut rows[start..][..self.element];
                all &= *element == zero[..self.element];
                element.copy_from_slice(&bits.to_le_bytes()[..self.element]);
            }
        }
        all
    }

    /// The first field of a list that is wrong; there may be none.
    #[cold]
    fn find_wrong<P: Packing>(&self, list: usize, blocks: &[u8], trailer: &Trailer<'_>) -> Result<(), CodecError> {
        for strip in self.grid.strips_of(list) {
            for t in 0..4 {
                let fields = (0..strip.columns.len()).map(|column| self.field::<P>(&strip, t, column, blocks));
                self.find_wrong_in_row::<P>(&strip, t, fields.collect(), trailer)
                    .map_err(|column| CodecError::Field { row: strip.row(t), column: strip.columns.start + column })?;
            }
        }
        Ok(())
    }

    /// The error is a column.
    fn find_wrong_in_row<P: Packing>(
        &self,
        strip: &Strip,
        t: usize,
        fields: Vec<u16>,
        trailer: &Trailer<'_>,
    ) -> Result<(), usize> {
        let error = |place: Option<usize>| place.map_or(Ok(()), Err);
        if self.source(strip, t).is_none() {
            return error(fields.iter().position(|field| *field != 0));
        }
        let columns = || trailer.of(strip).filter(|exception| exception.t == t).map(|exception| exception.column);
        let mut exceptions = columns().peekable();
        error(fields.iter().enumerate().position(|(column, field)| {
            let is_exception = exceptions.next_if_eq(&column).is_some();
            let is_weight = P::is_weight(*field) && element::has(self.shape.dtype, P::value(*field, trailer.base));
            !is_exception && !is_weight
        }))?;
        error(columns().find(|column| fields[*column] != 0))
    }

    /// The field in row `t` of `strip`, `column` columns from its left.
    fn field<P: Packing>(&self, strip: &Strip, t: usize, column: usize, blocks: &[u8]) -> u16 {
        let block = self.blocks::<P>(strip.list).nth(column / CHUNK);
        block.map_or(EXCEPTION, |block| block.field::<P>(blocks, strip.p, t, column % CHUNK))
    }
}
