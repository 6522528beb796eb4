//! A tiny model whose f32 weights are exact in a type of two bytes, but for a few.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::fixtures;

/// The tiny f32 llama in a folder of its own below `parent`, its weights put through `round`; some are then made exact in no
/// type of two bytes, among them the first and the last of every tensor. Those of k stay exact.
pub fn tiny_llama(parent: &Path, round: impl Fn(f32) -> f32) -> PathBuf {
    let (source, folder) = (fixtures::path("tiny-llama"), parent.join("near-halves"));
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(source.join(name), folder.join(name)).unwrap();
    }
    let mut file = std::fs::read(source.join("model.safetensors")).unwrap();
    let (len, rest) = file.split_at_mut(8);
    let (header, data) = rest.split_at_mut(u64::from_le_bytes(len.try_into().unwrap()) as usize);
    let header: Map<String, Value> = serde_json::from_slice(header).unwrap();
    for (name, about) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        assert_eq!(about["dtype"], "F32");
        let [start, end] = [0, 1].map(|i| about["data_offsets"][i].as_u64().unwrap() as usize);
        let weights = data[start..end].as_chunks_mut::<4>().0;
        let last = weights.len() - 1;
        for (i, weight) in weights.iter_mut().enumerate() {
            let rounded = round(f32::from_le_bytes(*weight));
            let apart = !name.contains("k_proj") && (i % 499 == 0 || i == last);
            *weight = if apart { f32::from_bits(rounded.to_bits() | 1) } else { rounded }.to_le_bytes();
        }
    }
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
    folder
}
