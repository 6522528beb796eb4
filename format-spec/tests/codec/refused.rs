//! One bad part a rule: every variant of [`CodecError`] is asked for, with its fields.

use symbiote_format::codec::{CodecError, Shape};
use symbiote_format::{Codec, Dtype};

use crate::weights::{bytes, gaussian, round_trip};

const SMALL: Shape = Shape { dtype: Dtype::Bf16, rows: 6, columns: 70 };
/// Where its trailer is: behind 2 times 2 times 4 units of 12 words.
const TRAILER: usize = 768;
const FIRST: usize = TRAILER + 16;
const STARTS: usize = FIRST + 8;
const ENTRIES: usize = STARTS + 16;

/// [`SMALL`] in p12, with exceptions at (0, 5), (0, 9), (3, 10) and (5, 63). Its tile is two rows in height, so that rows 3
/// and 5 are those of p = 1 with t = 1 and 2.
fn small(dtype: Dtype) -> Vec<u8> {
    let odd = [(0, 5), (0, 9), (3, 10), (5, 63)].map(|(row, column)| row * 70 + column);
    let values = (0..420).map(|i| if odd.contains(&i) { f32::INFINITY } else { 0.5 });
    round_trip(Codec::P12, Shape { dtype, ..SMALL }, &bytes(dtype, values))
}

/// What check says of changed bytes; decoding says the same.
fn checked(codec: Codec, shape: Shape, coded: &[u8]) -> CodecError {
    let error = codec.check(shape, coded).unwrap_err();
    assert_eq!(codec.decode(shape, coded, &mut vec![0; shape.raw_len()]), Err(error.clone()));
    error
}

/// What only decoding finds.
fn decoded(codec: Codec, shape: Shape, coded: &[u8]) -> CodecError {
    codec.check(shape, coded).unwrap();
    codec.decode(shape, coded, &mut vec![0; shape.raw_len()]).unwrap_err()
}

/// What check says of [`small`] with `new` at `at`.
fn spoilt(at: usize, new: &[u8]) -> CodecError {
    let mut coded = small(Dtype::Bf16);
    coded[at..][..new.len()].copy_from_slice(new);
    checked(Codec::P12, SMALL, &coded)
}

#[test]
fn types() {
    for codec in Codec::ALL.iter().copied() {
        for dtype in Dtype::all().filter(|dtype| !codec.takes(*dtype)) {
            let (shape, error) = (Shape { dtype, rows: 1, columns: 256 }, CodecError::Type { codec, dtype });
            assert_eq!(codec.encode(shape, &vec![0; shape.raw_len()], &mut Vec::new()), Err(error.clone()));
            assert_eq!(checked(codec, shape, &[0; 300]), error);
        }
    }
}

#[test]
fn lengths() {
    let raw = gaussian(SMALL, 9);
    let error = CodecError::Length { found: 839, expected: 840 };
    assert_eq!(checked(Codec::Raw, SMALL, &raw[1..]), error);
    for codec in Codec::ALL.iter().copied().filter(|codec| codec.takes(Dtype::Bf16)) {
        assert_eq!(codec.encode(SMALL, &raw[1..], &mut Vec::new()), Err(error.clone()));
        let coded = round_trip(codec, SMALL, &raw);
        assert_eq!(codec.decode(SMALL, &coded, &mut [0; 839]), Err(error.clone()));
    }
    let coded = small(Dtype::Bf16);
    let least = (ENTRIES + 6 * 6 * 2) as u64;
    assert_eq!(coded.len() as u64, least + 4 * 4);
    let (found, short) = (least - 1, &coded[17..]);
    assert_eq!(checked(Codec::P12, SMALL, short), CodecError::Short { found, least });
    assert_eq!(checked(Codec::P12, SMALL, &coded[1..]), CodecError::Entries { bytes: 15, entry: 4 });
    let wide = Shape { dtype: Dtype::F32, ..SMALL };
    let coded = round_trip(Codec::Bf16, wide, &gaussian(wide, 9));
    assert!(matches!(checked(Codec::Bf16, wide, &coded[4..]), CodecError::Entries { entry: 8, .. }));
    assert_eq!(checked(Codec::Bf16, wide, &[]), CodecError::Short { found: 0, least: 840 + 40 });
    assert_eq!(checked(Codec::Zstd, SMALL, &[0; 9]), CodecError::Short { found: 9, least: 10 });
}

#[test]
fn sizes() {
    for codec in [Codec::P12, Codec::P11, Codec::Zfp, Codec::F16, Codec::Bf16] {
        for (rows, columns) in [(1 << 16, 1 << 16), (u32::MAX, u32::MAX), (0, 5), (5, 0)] {
            let weights = u64::from(rows) * u64::from(columns);
            let shape = Shape { dtype: Dtype::F32, rows, columns };
            assert_eq!(codec.check(shape, &[0; 64]), Err(CodecError::Size { weights }));
        }
    }
}

#[test]
fn bases() {
    let error = |found, least, most| CodecError::Base { found, least, most };
    assert_eq!(spoilt(TRAILER, &[240]), error(240, 0, 239));
    assert_eq!(spoilt(TRAILER + 2, &[1]), error(0x1_0000 + 111, 0, 239));
    let raw = gaussian(SMALL, 9);
    let mut coded = round_trip(Codec::P11, SMALL, &raw);
    for (found, base) in [0, 248].into_iter().enumerate() {
        coded[704] = base;
        assert_eq!(checked(Codec::P11, SMALL, &coded), error([0, 248][found], 1, 247));
    }
    let wide = Shape { dtype: Dtype::F32, rows: 1, columns: 3 };
    let mut coded = round_trip(Codec::F16, wide, &[0; 12]);
    coded[8] = 1;
    assert_eq!(checked(Codec::F16, wide, &coded), error(1, 0, 0));
    assert_eq!(spoilt(TRAILER + 4, &[1]), CodecError::Reserved);
    assert_eq!(spoilt(TRAILER + 15, &[1]), CodecError::Reserved);
}

#[test]
fn lists() {
    let bounds = |list, start, end| CodecError::ListBounds { list, start, end };
    assert_eq!(spoilt(FIRST, &[1]), bounds(0, 1, 4));
    assert_eq!(spoilt(FIRST + 4, &[5]), bounds(0, 0, 5));
    let mut longer = small(Dtype::Bf16);
    longer.splice(ENTRIES + 16..ENTRIES + 16, [0; 4]);
    assert_eq!(checked(Codec::P12, SMALL, &longer), bounds(1, 4, 5));
    // The second of two tiles.
    let shape = Shape { rows: 40, ..SMALL };
    let mut coded = round_trip(Codec::P12, shape, &gaussian(shape, 4));
    let first = 10 * 2 * 12 * 16 + 16;
    let start = u32::from_le_bytes(*coded[first + 4..].first_chunk().unwrap()) as usize;
    coded[first + 8..][..4].fill(0);
    assert_eq!(checked(Codec::P12, shape, &coded), bounds(1, start, 0));

    let starts = |p| CodecError::ListStarts { list: 0, p };
    assert_eq!(spoilt(STARTS, &[1]), starts(0));
    assert_eq!(spoilt(STARTS + 2, &[5]), starts(0));
    assert_eq!(spoilt(STARTS + 4, &[1]), starts(1));
    assert_eq!(spoilt(STARTS + 4, &[3]), starts(2));
    assert_eq!(spoilt(STARTS + 14, &[3]), starts(6));
}

#[test]
fn entries() {
    let place = |t: u16, p: u16, column: u16| t << 14 | p << 11 | column;
    let at = |entry: usize, place: u16| spoilt(ENTRIES + 4 * entry, &place.to_le_bytes());
    let row = |entry, place: u16| CodecError::EntryRow { entry, place: place.into() };
    let column = |entry, place: u16| CodecError::EntryColumn { entry, place: place.into() };
    let order = |entry, place: u16| CodecError::EntryOrder { entry, place: place.into() };
    assert_eq!(at(0, place(0, 1, 5)), row(0, place(0, 1, 5)));
    assert_eq!(at(2, place(1, 0, 10)), row(2, place(1, 0, 10)));
    assert_eq!(at(3, place(3, 1, 63)), row(3, place(3, 1, 63)));
    assert_eq!(at(3, place(2, 1, 64)), column(3, place(2, 1, 64)));
    assert_eq!(at(1, place(0, 0, 5)), order(1, place(0, 0, 5)));
    assert_eq!(at(3, place(0, 1, 63)), order(3, place(0, 1, 63)));
    // The entry of one strip in another.
    assert_eq!(spoilt(STARTS + 2, &[3]), row(2, place(1, 1, 10)));
    // A place of more than 16 bits.
    let wide = Shape { dtype: Dtype::F32, ..SMALL };
    let mut coded = small(Dtype::F32);
    coded[ENTRIES + 2] = 1;
    let error = CodecError::EntryRow { entry: 0, place: 0x1_0005 };
    assert_eq!(checked(Codec::P12, wide, &coded), error);
}

#[test]
fn fields() {
    let field = |row, column| CodecError::Field { row, column };
    let with = |at: usize, keep: u8, set: u8| {
        let mut coded = small(Dtype::Bf16);
        coded[at] = coded[at] & keep | set;
        decoded(Codec::P12, SMALL, &coded)
    };
    // Of row 0, column 5 is the upper half of the first word of unit (0, 1, 0).
    assert_eq!(with(19, 0xFF, 4), field(0, 5));
    // A mantissa without an exponent: 0.5 has code 15.
    let mut coded = small(Dtype::Bf16);
    (coded[0], coded[1]) = (coded[0] & 7 | 8, coded[1] & 0x40);
    assert_eq!(decoded(Codec::P12, SMALL, &coded), field(0, 0));
    // Row 6, which the part does not have, is unit (0, 0, 3).
    assert_eq!(with(12, 0xFF, 8), field(6, 0));

    // Weights that f16 does not have: 0.5 with a base so low, or so high.
    for base in [60, 139] {
        let mut coded = small(Dtype::F16);
        coded[TRAILER] = base;
        assert_eq!(decoded(Codec::P12, Shape { dtype: Dtype::F16, ..SMALL }, &coded), field(0, 0));
    }
    // To p11, a zero is an exception, and its field the least weight there is.
    let shape = Shape { dtype: Dtype::F16, rows: 1, columns: 32 };
    let mut coded = round_trip(Codec::P11, shape, &[0; 64]);
    let entries = 11 * 16 + 16 + 8 + 16;
    assert_eq!(coded.len(), entries + 32 * 4);
    coded.drain(entries + 7 * 4..entries + 8 * 4);
    coded[11 * 16 + 16 + 4] = 31;
    coded[11 * 16 + 24 + 2..][..14].chunks_exact_mut(2).for_each(|start| start[0] = 31);
    assert_eq!(decoded(Codec::P11, shape, &coded), field(0, 7));

    let shape = Shape { dtype: Dtype::F32, rows: 1, columns: 3 };
    let raw = bytes(Dtype::F32, [1.0, 1.000_000_1, 2.0]);
    let mut coded = round_trip(Codec::Bf16, shape, &raw);
    coded[3] = 0x3F;
    assert_eq!(decoded(Codec::Bf16, shape, &coded), field(0, 1));
    (coded[3], coded[7]) = (0, 1);
    assert_eq!(checked(Codec::Bf16, shape, &coded), CodecError::Padding);
}

#[test]
fn zstd_frames() {
    let raw = gaussian(SMALL, 9);
    let coded = round_trip(Codec::Zstd, SMALL, &raw);
    let len = coded.len() as u64;
    let frame = |bytes| CodecError::Frame { bytes };
    assert_eq!(checked(Codec::Zstd, SMALL, &coded[..coded.len() - 1]), frame(len - 1));
    assert_eq!(checked(Codec::Zstd, SMALL, &coded.repeat(2)), frame(2 * len));
    assert_eq!(checked(Codec::Zstd, SMALL, &raw), frame(840));
    let other = Shape { rows: 7, ..SMALL };
    assert_eq!(checked(Codec::Zstd, other, &coded), CodecError::Content { found: 840, expected: 980 });
    // A frame that declares nothing: magic, a window of 1 KiB, a last block of one raw byte.
    let silent = [0x28, 0xB5, 0x2F, 0xFD, 0, 0, 9, 0, 0, 7];
    assert_eq!(checked(Codec::Zstd, SMALL, &silent), frame(10));
    // A whole frame with nonsense in it.
    let mut nonsense = coded.clone();
    nonsense[12..40].fill(0xFF);
    assert!(matches!(decoded(Codec::Zstd, SMALL, &nonsense), CodecError::Zstd { .. }));
}

#[test]
fn zfp_streams() {
    let shape = Shape { dtype: Dtype::F32, rows: 6, columns: 70 };
    let coded = round_trip(Codec::Zfp, shape, &gaussian(shape, 9));
    // 2 times 18 blocks of at most 542 bits.
    let words = |found| CodecError::Words { found, most: 305 };
    assert_eq!(checked(Codec::Zfp, shape, &[]), words(0));
    assert_eq!(checked(Codec::Zfp, shape, &coded[1..]), words(coded.len() as u64 - 1));
    assert_eq!(checked(Codec::Zfp, shape, &[0; 306 * 8]), words(306 * 8));
    let (cut, long) = (&coded[..coded.len() - 8], [&coded[..], &[0; 8]].concat());
    assert!(matches!(decoded(Codec::Zfp, shape, cut), CodecError::StreamEnd { .. }));
    let (found, expected) = (coded.len() as u64, coded.len() as u64 + 8);
    assert_eq!(decoded(Codec::Zfp, shape, &long), CodecError::StreamEnd { found, expected });
}

/// Fails to compile when a variant is added, so that it gets its bad part above.
#[allow(dead_code)]
fn every_variant_has_its_bad_part(error: CodecError) {
    use CodecError as E;
    match error {
        E::Type { .. } => types(),
        E::Length { .. } | E::Short { .. } | E::Entries { .. } => lengths(),
        E::Size { .. } => sizes(),
        E::Base { .. } | E::Reserved => bases(),
        E::ListBounds { .. } | E::ListStarts { .. } => lists(),
        E::EntryRow { .. } | E::EntryColumn { .. } | E::EntryOrder { .. } => entries(),
        E::Field { .. } | E::Padding => fields(),
        E::Frame { .. } | E::Content { .. } | E::Zstd { .. } => zstd_frames(),
        E::Words { .. } | E::StreamEnd { .. } => zfp_streams(),
        // An encoder's error: no weights are known that zfp changes.
        E::Changed { .. } => {}
    }
}
