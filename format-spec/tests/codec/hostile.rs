//! Bytes made to do harm: nothing panics, and what is refused does not depend on more than the bytes.

use proptest::prelude::*;
use symbiote_format::codec::Shape;
use symbiote_format::{Codec, Dtype};

use crate::weights::{Random, gaussian, round_trip};

/// Checks and decodes; what is good to decode is good to check.
fn read(codec: Codec, shape: Shape, coded: &[u8]) {
    let decoded = codec.decode(shape, coded, &mut vec![0; shape.raw_len()]);
    assert!(codec.check(shape, coded).is_ok() || decoded.is_err());
}

/// Every codec, with a type that it takes and rows in it.
fn parts(rows: u32, columns: u32) -> impl Iterator<Item = (Codec, Shape, Vec<u8>)> {
    let types = [Dtype::F32, Dtype::F16, Dtype::Bf16];
    let pairs = Codec::ALL.iter().flat_map(move |codec| types.map(|dtype| (*codec, dtype)));
    pairs.filter(|(codec, dtype)| codec.takes(*dtype)).map(move |(codec, dtype)| {
        let shape = Shape { dtype, rows, columns };
        (codec, shape, round_trip(codec, shape, &gaussian(shape, 6)))
    })
}

#[test]
fn parts_cut_off_anywhere() {
    for (codec, shape, coded) in parts(5, 70) {
        (0..coded.len()).for_each(|len| {
            read(codec, shape, &coded[..len]);
            assert!(codec.decode(shape, &coded[..len], &mut vec![0; shape.raw_len()]).is_err(), "{codec} at {len}");
        });
    }
}

#[test]
fn parts_with_a_bit_changed_anywhere() {
    for (codec, shape, coded) in parts(5, 70) {
        for bit in 0..8 * coded.len() {
            let mut spoilt = coded.clone();
            spoilt[bit / 8] ^= 1 << (bit % 8);
            read(codec, shape, &spoilt);
        }
    }
}

#[test]
fn parts_with_many_bytes_changed() {
    let mut random = Random(11);
    for (codec, shape, coded) in parts(40, 300) {
        for _ in 0..500 {
            let mut spoilt = coded.clone();
            for _ in 0..=random.below(20) {
                let at = random.next() as usize % spoilt.len();
                spoilt[at] = random.next().to_le_bytes()[0];
            }
            read(codec, shape, &spoilt);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(which in 0usize..7, dtype in 0usize..11, rows in 1u32..70, blocks in 1u32..140, bytes: Vec<u8>) {
        let dtype = Dtype::ALL[dtype];
        read(Codec::ALL[which], Shape { dtype, rows, columns: blocks * dtype.block_len() }, &bytes);
    }

    /// The length is right, so that what is left are the rules of the bytes.
    #[test]
    fn any_bytes_of_the_right_length(which in 0usize..7, rows in 1u32..40, columns in 1u32..200, seed: u64, ones: bool) {
        let (codec, shape) = (Codec::ALL[which], Shape { dtype: Dtype::F32, rows, columns });
        let mut random = Random(seed);
        let coded = round_trip(codec, shape, &gaussian(shape, 6));
        let bytes = random.bytes(coded.len());
        read(codec, shape, &if ones { vec![0xFF; coded.len()] } else { bytes });
    }
}
