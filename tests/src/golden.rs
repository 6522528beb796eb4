//! Logits that were computed for a fixture, and those of an engine beside them.

use std::path::Path;

use symbiote_runtime::engine::{KvType, OpenOptions, SymbioteEngine};
use symbiote_runtime::gpu::GpuOptions;

use crate::{fixtures, relative_error};

/// An engine under validation.
pub fn open(pak: &Path, kv_type: KvType, batch: u32) -> SymbioteEngine {
    open_for(pak, kv_type, batch, None)
}

/// The same, for sequences of at most `context` tokens.
pub fn open_for(pak: &Path, kv_type: KvType, batch: u32, context: Option<u32>) -> SymbioteEngine {
    let gpu = GpuOptions { validation: true, ..GpuOptions::default() };
    let options = OpenOptions { gpu, kv_type, batch: Some(batch), context, ..OpenOptions::default() };
    SymbioteEngine::open(pak, &options).unwrap()
}

/// The same, whose kernels are chosen as for a GPU, with passes of one token.
pub fn open_like_gpu(pak: &Path) -> SymbioteEngine {
    let gpu = GpuOptions { validation: true, ..GpuOptions::default() };
    let options = OpenOptions { gpu, kv_type: KvType::F32, batch: Some(1), like_gpu: true, ..OpenOptions::default() };
    SymbioteEngine::open(pak, &options).unwrap()
}

/// Logits after every token.
pub fn logits(engine: &mut SymbioteEngine, tokens: &[u32]) -> Vec<Vec<f32>> {
    let mut rows = Vec::new();
    engine.truncate(0);
    engine
        .forward_from(tokens, 0, &mut |i, row| {
            assert_eq!(i, rows.len(), "rows come in order");
            rows.push(row.to_vec());
        })
        .unwrap();
    assert_eq!(rows.len(), tokens.len());
    rows
}

/// The largest relative error over all positions.
pub fn worst(rows: &[Vec<f32>], expected: &[Vec<f64>]) -> f64 {
    assert_eq!(rows.len(), expected.len());
    let errors: Vec<f64> = rows.iter().zip(expected).map(|(a, b)| relative_error(a, b)).collect();
    assert!(errors.iter().all(|e| e.is_finite()), "NaN among the logits");
    errors.into_iter().fold(0.0, f64::max)
}

pub fn ids(value: &serde_json::Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

pub fn widen(row: &[f32]) -> Vec<f64> {
    row.iter().map(|v| f64::from(*v)).collect()
}

/// Both sources of a model, those that there are.
pub fn sources(name: &str) -> impl Iterator<Item = String> {
    let gguf = format!("{name}/{name}.gguf");
    let sources = [(name.to_owned(), format!("{name}/config.json")), (gguf.clone(), gguf)];
    sources.into_iter().filter(|(_, file)| fixtures::path(file).exists()).map(|(source, _)| source)
}
