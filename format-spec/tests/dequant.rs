//! Decoding blocks, bit for bit as gguf-py does (`golden/make_blocks.py` wrote the files).

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use symbiote_format::dequant::dequantize;
use symbiote_format::{Dtype, Sha256, hex};

fn decode(dtype: Dtype, blocks: &[u8]) -> Vec<u32> {
    let (len, size) = (dtype.block_len() as usize, dtype.block_bytes() as usize);
    let mut values = vec![0.0; blocks.len() / size * len];
    dequantize(dtype, blocks, &mut values);
    values.into_iter().map(f32::to_bits).collect()
}

#[test]
fn every_type_agrees_with_gguf_py() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for dtype in Dtype::ALL {
        let name = format!("blocks-{}.bin", dtype.name().to_lowercase());
        let file = fs::read(folder.join(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (len, size) = (dtype.block_len() as usize, dtype.block_bytes() as usize);
        let (blocks, values) = file.split_at(file.len() / (size + 4 * len) * size);
        let expected: Vec<u32> =
            values.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).to_bits()).collect();
        assert!(blocks.len() / size >= 12, "{name} has {} blocks", blocks.len() / size);
        let found = decode(dtype, blocks);
        let differs = found.iter().zip(&expected).position(|(a, b)| a != b);
        assert_eq!((found.len(), differs), (expected.len(), None), "{name}");
    }
}

/// Against torch (`golden/make_float8.py`).
#[test]
fn numbers_of_8_bits_are_those_of_torch() {
    let file = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/float8.bin")).unwrap();
    let all: Vec<u8> = (0..=u8::MAX).collect();
    for (dtype, expected) in Dtype::FLOAT8.into_iter().zip(file.chunks_exact(4 * 256)) {
        let values = decode(dtype, &all).into_iter().map(f32::from_bits);
        for ((byte, found), expected) in all.iter().zip(values).zip(expected.as_chunks().0) {
            let expected = f32::from_le_bytes(*expected);
            assert_eq!(found.is_nan(), expected.is_nan(), "{dtype} {byte:#x}");
            assert!(found.is_nan() || found.to_bits() == expected.to_bits(), "{dtype} {byte:#x}: {found}");
        }
    }
}

/// Where the highest byte of each half-precision scale of a block is.
fn scale_tops(dtype: Dtype) -> &'static [usize] {
    match dtype {
        Dtype::Q4_1 | Dtype::Q5_1 | Dtype::Q4K | Dtype::Q5K => &[1, 3],
        Dtype::Q2K => &[81, 83],
        Dtype::Q3K => &[109],
        Dtype::Q6K => &[209],
        Dtype::Tq1_0 => &[53],
        Dtype::Tq2_0 => &[65],
        Dtype::Iq1M => &[55], // of which bits 10 and 11 are elsewhere
        Dtype::Mxfp4 => &[],
        _ => &[1],
    }
}

/// 1024 blocks, of the hashes that the script took.
fn stream(dtype: Dtype) -> Vec<u8> {
    let size = dtype.block_bytes() as usize;
    let hashes = (0..).flat_map(|i| Sha256::of(format!("{dtype} {i}").as_bytes()));
    let mut blocks: Vec<u8> = hashes.take(1024 * size).collect();
    for block in blocks.chunks_exact_mut(size) {
        for &at in scale_tops(dtype) {
            if block[at] & 0x7C == 0x7C || dtype == Dtype::Iq1M {
                block[at] &= 0xBF;
            }
        }
    }
    blocks
}

#[test]
fn a_thousand_blocks_of_every_type_agree_with_gguf_py() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/blocks.sha256");
    let text = fs::read_to_string(path).unwrap();
    let digests: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    for dtype in Dtype::ALL.into_iter().filter(|dtype| dtype.block_len() > 1) {
        let mut values = Sha256::default();
        decode(dtype, &stream(dtype)).iter().for_each(|v| values.update(&v.to_le_bytes()));
        assert_eq!(Some(&hex(&values.finish()).as_str()), digests.get(dtype.name()), "{dtype}");
    }
}

proptest! {
    /// Any bytes are blocks, scales that are infinite or no number included; blocks do not depend on each other.
    #[test]
    fn blocks_are_decoded_one_by_one(seed in prop::collection::vec(any::<u8>(), 840), which in 0..Dtype::ALL.len()) {
        let dtype = Dtype::ALL[which];
        let size = dtype.block_bytes() as usize;
        let blocks = &seed[..seed.len() / size * size];
        let apart: Vec<u32> = blocks.chunks_exact(size).flat_map(|block| decode(dtype, block)).collect();
        prop_assert_eq!(decode(dtype, blocks), apart);
    }
}

#[test]
#[should_panic(expected = "whole blocks of Q4_K")]
fn half_a_block_is_a_mistake_of_the_caller() {
    dequantize(Dtype::Q4K, &[0; 143], &mut [0.0; 256]);
}
