//! Decoding blocks, bit for bit as gguf-py does (`golden/make_blocks.py` wrote the files).

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use symbiote_format::Dtype;
use symbiote_format::dequant::dequantize;

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

proptest! {
    /// Any bytes are blocks, scales that are infinite or no number included; blocks do not depend on each other.
    #[test]
    fn blocks_are_decoded_one_by_one(seed in prop::collection::vec(any::<u8>(), 840), which in 0usize..11) {
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
