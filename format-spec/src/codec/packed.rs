//! What p12 and p11 share: blocks of packed fields, in the order in which a kernel's lanes load them.

use std::ops::RangeInclusive;

use super::exceptions::{self, Trailer, Writer};
use super::grid::{Grid, Strip, WINDOW};
use super::{CodecError, Shape, element};

/// Columns of a unit. Whole units are coded; the rest of a row is its tail.
const UNIT: usize = 32;
/// Columns of a whole chunk: four units of each row.
const CHUNK: usize = 4 * UNIT;
/// A field that no weight has: the low three bits of a field are 0.
pub(super) const EXCEPTION: u16 = 1;

/// How a unit of 32 fields lies in words.
pub(super) trait Packing {
    /// Words of a unit.
    const WORDS: usize;
    /// Exponent codes; a weight's exponent field is the base and its code.
    const CODES: RangeInclusive<u16>;
    /// What a base may be: every exponent is that of a normal number.
    const BASES: RangeInclusive<u16>;

    /// The field of a bf16 weight, or [`EXCEPTION`].
    fn field(value: u16, base: u16) -> u16;
    /// The bf16 weight of a field, or [`element::NONE`].
    fn value(field: u16, base: u16) -> u16;
    /// Sixteen pairs of fields in words; those beyond [`WORDS`](Self::WORDS) are 0.
    fn pack(pairs: &[u32; 16]) -> [u32; 12];
    /// The inverse.
    fn unpack(words: &[u32; 12]) -> [u32; 16];
}

/// The rows of a strip, in bf16 or as fields.
type Rows = [[u16; WINDOW]; 4];
/// A word of each of sixteen units, which lie one behind the other: unit s of row t is number 4 s + t.
type Lanes = [u32; 16];

/// Where the bytes of a part are.
struct Layout {
    shape: Shape,
    grid: Grid,
    /// Bytes of an element.
    element: usize,
    blocks_len: usize,
    /// Bytes of a row that are not coded.
    tail: usize,
}

/// The bytes of a part.
struct Coded<'a> {
    blocks: &'a [u8],
    trailer: Trailer<'a>,
    tail: &'a [u8],
}

impl Layout {
    fn new<P: Packing>(shape: Shape) -> Result<Self, CodecError> {
        let grid = Grid::new(shape, UNIT)?;
        let element = shape.dtype.block_bytes() as usize;
        let blocks_len = grid.rows.div_ceil(4) * (grid.columns / UNIT) * P::WORDS * 16;
        Ok(Self { shape, grid, element, blocks_len, tail: shape.row_bytes() - grid.columns * element })
    }

    /// Bytes of a part without exceptions.
    fn least(&self) -> usize {
        self.blocks_len + exceptions::fixed_len(&self.grid) + self.grid.rows * self.tail
    }

    fn parse<'a, P: Packing>(&self, coded: &'a [u8]) -> Result<Coded<'a>, CodecError> {
        let (found, least) = (coded.len() as u64, self.least() as u64);
        if found < least {
            return Err(CodecError::Short { found, least });
        }
        let (blocks, rest) = coded.split_at(self.blocks_len);
        let (trailer, tail) = rest.split_at(rest.len() - self.grid.rows * self.tail);
        Ok(Coded { blocks, trailer: Trailer::parse(&self.grid, self.element, P::BASES, trailer)?, tail })
    }

    /// Where the coded elements of row `t` of `strip` are in the source; `None` below the last row.
    fn source(&self, strip: &Strip, t: usize) -> Option<std::ops::Range<usize>> {
        let start = strip.row(t) * self.shape.row_bytes() + strip.columns.start * self.element;
        (strip.row(t) < self.grid.rows).then_some(start..start + strip.columns.len() * self.element)
    }

    /// The chunks of `strip`, in order.
    fn chunks<P: Packing>(&self, strip: &Strip) -> impl Iterator<Item = Chunk> {
        let words = P::WORDS * 4;
        // Tiles before this one are whole: eight strips.
        let tile = strip.tile * 8 * (self.grid.columns / UNIT) * words * 4;
        let (run, p, start, end) = (strip.run, strip.p, strip.columns.start, strip.columns.end);
        (start..end).step_by(CHUNK).map(move |column| {
            let slots = (end - column).min(CHUNK) / UNIT;
            let before = run * (column / UNIT) * words * 4;
            Chunk { column: column - start, slots, at: tile + before + p * slots * 16, stride: run * slots * 16 }
        })
    }
}

/// The units of one strip in one chunk.
struct Chunk {
    /// Its first column, in the strip.
    column: usize,
    /// Units of each row.
    slots: usize,
    /// Where the first words of its units are.
    at: usize,
    /// The bytes from one word of a unit to the next.
    stride: usize,
}

impl Chunk {
    #[inline(always)]
    fn write<P: Packing>(&self, fields: &Rows, blocks: &mut [u8]) {
        // Said once as a constant, for a loop that is all constants.
        let pairs = if self.slots == 4 { self.pairs(fields, 4) } else { self.pairs(fields, self.slots) };
        let mut words = [[0; 16]; 12];
        for lane in 0..16 {
            let unit = P::pack(&std::array::from_fn(|i| pairs[i][lane]));
            (0..12).for_each(|w| words[w][lane] = unit[w]);
        }
        for (w, lanes) in words[..P::WORDS].iter().enumerate() {
            let to = &mut blocks[self.at + w * self.stride..][..16 * self.slots];
            to.as_chunks_mut().0.iter_mut().zip(lanes).for_each(|(to, word)| *to = word.to_le_bytes());
        }
    }

    #[inline(always)]
    fn pairs(&self, fields: &Rows, slots: usize) -> [Lanes; 16] {
        let mut pairs = [[0; 16]; 16];
        for (t, row) in fields.iter().enumerate() {
            let row = &row[self.column..][..slots * UNIT];
            for (q, columns) in row.chunks_exact(4 * slots).enumerate() {
                for (s, quad) in columns.as_chunks::<4>().0.iter().enumerate() {
                    pairs[2 * q][4 * s + t] = u32::from(quad[0]) | u32::from(quad[1]) << 16;
                    pairs[2 * q + 1][4 * s + t] = u32::from(quad[2]) | u32::from(quad[3]) << 16;
                }
            }
        }
        pairs
    }

    #[inline(always)]
    fn read<P: Packing>(&self, blocks: &[u8], fields: &mut Rows) {
        let mut words = [[0; 16]; 12];
        for (w, lanes) in words[..P::WORDS].iter_mut().enumerate() {
            let from = &blocks[self.at + w * self.stride..][..16 * self.slots];
            lanes.iter_mut().zip(from.as_chunks().0).for_each(|(word, from)| *word = u32::from_le_bytes(*from));
        }
        let mut pairs = [[0; 16]; 16];
        for lane in 0..16 {
            let unit = P::unpack(&std::array::from_fn(|w| words[w][lane]));
            (0..16).for_each(|i| pairs[i][lane] = unit[i]);
        }
        if self.slots == 4 { self.set_pairs(&pairs, fields, 4) } else { self.set_pairs(&pairs, fields, self.slots) }
    }

    #[inline(always)]
    fn set_pairs(&self, pairs: &[Lanes; 16], fields: &mut Rows, slots: usize) {
        for (t, row) in fields.iter_mut().enumerate() {
            let row = &mut row[self.column..][..slots * UNIT];
            for (q, columns) in row.chunks_exact_mut(4 * slots).enumerate() {
                for (s, quad) in columns.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    let [a, b, ..] = halves(pairs[2 * q][4 * s + t]);
                    let [c, d, ..] = halves(pairs[2 * q + 1][4 * s + t]);
                    *quad = [a, b, c, d];
                }
            }
        }
    }
}

#[inline(always)]
fn halves(pair: u32) -> [u16; 2] {
    let [a, b, c, d] = pair.to_le_bytes();
    [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])]
}

#[inline(always)]
pub(super) fn encode<P: Packing>(shape: Shape, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    let layout = Layout::new::<P>(shape)?;
    let base = best_base::<P>(&layout, raw);
    let start = out.len();
    out.resize(start + layout.blocks_len, 0);
    let blocks = &mut out[start..];
    let mut trailer = Writer::new(&layout.grid, layout.element);
    let mut fields = [[0; WINDOW]; 4];
    for strip in layout.grid.strips() {
        for (t, fields) in fields.iter_mut().enumerate() {
            let fields = &mut fields[..strip.columns.len()];
            match layout.source(&strip, t) {
                Some(source) => {
                    let raw = &raw[source];
                    element::narrow(shape.dtype, raw, fields);
                    fields.iter_mut().for_each(|field| *field = P::field(*field, base));
                    take_exceptions(&strip, t, raw, fields, &mut trailer);
                }
                None => fields.fill(0),
            }
        }
        trailer.end(&strip);
        layout.chunks::<P>(&strip).for_each(|chunk| chunk.write::<P>(&fields, blocks));
    }
    trailer.write(base, out);
    for row in raw.chunks_exact(shape.row_bytes()) {
        out.extend_from_slice(&row[row.len() - layout.tail..]);
    }
    Ok(())
}

/// Moves what no field holds to the trailer.
#[inline(always)]
fn take_exceptions(strip: &Strip, t: usize, raw: &[u8], fields: &mut [u16], trailer: &mut Writer) {
    let element = raw.len() / fields.len();
    for (i, group) in fields.chunks_mut(UNIT).enumerate() {
        if group.iter().fold(0, |any, field| any | field) & EXCEPTION == 0 {
            continue;
        }
        for (j, field) in group.iter_mut().enumerate().filter(|(_, field)| **field == EXCEPTION) {
            let column = i * UNIT + j;
            trailer.push(strip, t, column, element::bits(&raw[column * element..][..element]));
            *field = 0;
        }
    }
}

/// The base that makes the fewest exceptions; the lowest of them.
#[inline(always)]
fn best_base<P: Packing>(layout: &Layout, raw: &[u8]) -> u16 {
    // Four, so that a run of equal exponents does not wait for itself.
    let mut counts = [[0u32; 256]; 4];
    let mut values = [0; WINDOW];
    for strip in layout.grid.strips() {
        for source in (0..4).filter_map(|t| layout.source(&strip, t)) {
            let values = &mut values[..strip.columns.len()];
            element::narrow(layout.shape.dtype, &raw[source], values);
            for four in values.as_chunks::<4>().0 {
                for (counts, value) in counts.iter_mut().zip(four) {
                    counts[usize::from(value >> 7 & 0xFF)] += 1;
                }
            }
        }
    }
    let count = |exponent: u16| -> u64 { counts.iter().map(|c| u64::from(c[usize::from(exponent)])).sum() };
    let covered = |base: u16| -> u64 { P::CODES.map(|code| count(base + code)).sum() };
    // Of equals, this takes the last.
    P::BASES.rev().max_by_key(|base| covered(*base)).unwrap_or(*P::BASES.start())
}

pub(super) fn check<P: Packing>(shape: Shape, coded: &[u8]) -> Result<(), CodecError> {
    Layout::new::<P>(shape)?.parse::<P>(coded).map(drop)
}

#[inline(always)]
pub(super) fn decode<P: Packing>(shape: Shape, coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
    let layout = Layout::new::<P>(shape)?;
    let Coded { blocks, trailer, tail } = layout.parse::<P>(coded)?;
    let base = trailer.base;
    let nothing = P::value(0, base);
    let mut values = [[0; WINDOW]; 4];
    for strip in layout.grid.strips() {
        let refuse =
            |t: usize, column: usize| CodecError::Field { row: strip.row(t), column: strip.columns.start + column };
        layout.chunks::<P>(&strip).for_each(|chunk| chunk.read::<P>(blocks, &mut values));
        for values in &mut values {
            values[..strip.columns.len()].iter_mut().for_each(|field| *field = P::value(*field, base));
        }
        for exception in trailer.of(&strip) {
            let value = &mut values[exception.t][exception.column];
            if *value != nothing {
                return Err(refuse(exception.t, exception.column));
            }
            // Which every type has.
            *value = 0;
        }
        for (t, values) in values.iter().enumerate() {
            let values = &values[..strip.columns.len()];
            match layout.source(&strip, t) {
                Some(source) => {
                    element::widen(shape.dtype, values, &mut raw[source]).map_err(|column| refuse(t, column))?;
                }
                None => match values.iter().position(|value| *value != nothing) {
                    Some(column) => return Err(refuse(t, column)),
                    None => {}
                },
            }
        }
        for exception in trailer.of(&strip) {
            let row = layout.source(&strip, exception.t).unwrap_or_default();
            let at = row.start + exception.column * layout.element;
            raw[at..][..layout.element].copy_from_slice(&exception.bits.to_le_bytes()[..layout.element]);
        }
    }
    if layout.tail > 0 {
        for (row, tail) in raw.chunks_exact_mut(shape.row_bytes()).zip(tail.chunks_exact(layout.tail)) {
            let at = row.len() - layout.tail;
            row[at..].copy_from_slice(tail);
        }
    }
    Ok(())
}
