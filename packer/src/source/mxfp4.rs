//! MXFP4 as gpt-oss is published: of a tensor NAME, `NAME_blocks` has the nibbles and `NAME_scales` an exponent for 32 of them, both
//! as bytes. An archive has ggml's blocks instead, which GGUF files have too; nothing is lost on the way there and back.
//!
//! In safetensors bytes hold weights next to each other, the first in the low nibble. In a block, which starts with its exponent, the
//! low nibbles are its first sixteen weights.

use std::collections::BTreeMap;

use symbiote_format::Dtype;

use super::{Place, StoredTensor};

/// What the names of nibbles and of exponents end with.
pub(crate) const SUFFIXES: [&str; 2] = ["_blocks", "_scales"];
/// Bytes of nibbles of a block.
pub(crate) const NIBBLES: usize = 16;
/// Bytes of a block.
const BLOCK: usize = NIBBLES + 1;

/// A tensor of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Bytes {
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<u64>,
    pub place: Place,
}

/// Makes one tensor of each two that belong together; the others are returned beside them.
pub(crate) fn pair(bytes: Vec<Bytes>) -> (Vec<StoredTensor>, Vec<Bytes>) {
    let (blocks, others): (Vec<Bytes>, Vec<Bytes>) = bytes.into_iter().partition(|b| b.name.ends_with(SUFFIXES[0]));
    let mut blocks: BTreeMap<String, Bytes> = blocks.into_iter().map(|b| (b.name.clone(), b)).collect();
    let (mut tensors, mut alone) = (Vec::new(), Vec::new());
    for scales in others {
        let name = scales.name.strip_suffix(SUFFIXES[1]);
        let key = name.map(|name| format!("{name}{}", SUFFIXES[0]));
        let fits = |b: &Bytes| b.shape.split_last() == Some((&(NIBBLES as u64), &scales.shape[..]));
        match (name, key.filter(|key| blocks.get(key).is_some_and(fits)).and_then(|key| blocks.remove(&key))) {
            (Some(name), Some(blocks)) => tensors.push(joined(name, &blocks, &scales)),
            _ => alone.push(scales),
        }
    }
    alone.extend(blocks.into_values());
    (tensors, alone)
}

fn joined(name: &str, blocks: &Bytes, scales: &Bytes) -> StoredTensor {
    let mut shape = scales.shape.clone();
    // the file has a byte for each of them
    let count: u64 = shape.iter().product();
    shape.iter_mut().next_back().into_iter().for_each(|columns| *columns *= 2 * NIBBLES as u64);
    let Place { file, offset } = blocks.place;
    let (len, scales) = (count * BLOCK as u64, Some(scales.place));
    StoredTensor { name: name.into(), dtype: Dtype::Mxfp4, shape, file, offset, len, scales }
}

/// ggml's blocks of nibbles as safetensors has them, and of exponents.
pub(crate) fn join(nibbles: &[u8], exponents: &[u8], blocks: &mut [u8]) {
    for ((block, from), exponent) in blocks.chunks_exact_mut(BLOCK).zip(nibbles.chunks_exact(NIBBLES)).zip(exponents) {
        let weight = |k: usize| from[k / 2] >> (k % 2 * 4) & 15;
        block[0] = *exponent;
        block[1..].iter_mut().enumerate().for_each(|(i, byte)| *byte = weight(i) | weight(i + NIBBLES) << 4);
    }
}

/// Appends the nibbles of `blocks` to `out`, as safetensors has them.
pub(crate) fn nibbles(blocks: &[u8], out: &mut Vec<u8>) {
    for block in blocks.chunks_exact(BLOCK) {
        let weight = |k: usize| block[1 + k % NIBBLES] >> (k / NIBBLES * 4) & 15;
        out.extend((0..NIBBLES).map(|j| weight(2 * j) | weight(2 * j + 1) << 4));
    }
}

/// Appends the exponents of `blocks` to `out`.
pub(crate) fn exponents(blocks: &[u8], out: &mut Vec<u8>) {
    out.extend(blocks.chunks_exact(BLOCK).map(|block| block[0]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_in_order_and_come_back() {
        // weight k of the first block is k mod 16
        let from: Vec<u8> = (0..2 * 16).map(|j: u8| if j < 16 { 0x10 + 0x22 * (j % 8) } else { j * 7 }).collect();
        let mut blocks = [0; 2 * 17];
        join(&from, &[120, 3], &mut blocks);
        let values: Vec<u8> = (0..16).collect();
        assert_eq!(blocks[0], 120);
        assert!(blocks[1..17].iter().zip(&values).all(|(byte, k)| *byte == k | k << 4), "{blocks:?}");
        let (mut back, mut scales) = (Vec::new(), Vec::new());
        nibbles(&blocks, &mut back);
        exponents(&blocks, &mut scales);
        assert_eq!((back, scales), (from, vec![120, 3]));
    }

    #[test]
    fn only_what_belongs_together_is_joined() {
        let bytes = |name: &str, shape: &[u64], offset| Bytes {
            name: name.into(),
            shape: shape.to_vec(),
            place: Place { file: 0, offset },
        };
        let (tensors, alone) = pair(vec![
            bytes("a_blocks", &[2, 3, 16], 10),
            bytes("a_scales", &[2, 3], 20),
            bytes("b_scales", &[2, 3], 30),
            bytes("b_blocks", &[2, 3, 16], 40),
            bytes("c_blocks", &[2, 3, 16], 50),
            bytes("c_scales", &[3, 2], 60),
            bytes("d", &[4], 70),
        ]);
        let mut found: Vec<_> = tensors.iter().map(|t| (t.name.as_str(), t.shape.clone(), t.len, t.offset)).collect();
        found.sort();
        assert_eq!(found, [("a", vec![2, 96], 102, 10), ("b", vec![2, 96], 102, 40)]);
        assert!(tensors.iter().all(|t| t.scales.is_some_and(|scales| [20, 30].contains(&scales.offset))));
        assert_eq!(alone.len(), 3);
    }
}
