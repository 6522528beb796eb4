//! Prints the table of what runs, as Markdown: every tiny model among the fixtures, from every source and in every type that it is
//! there in, with the largest relative error of its logits over 64 positions. They are compared with transformers', those of models
//! that were quantised afterwards with a forward pass in f64. Models that the engine does not run are named on stderr.
//! `coverage [NAME ..]`: only models whose name contains one of these.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::collections::BTreeSet;
use std::path::Path;

use symbiote_format::{ArchivedIndex, ArchivedTensor, Dtype, NO_LAYER, TensorKind};
use symbiote_runtime::engine::{KvType, OpenOptions, SymbioteEngine};
use symbiote_runtime::pak::PakFile;
use symbiote_tests::golden::{ids, logits, open, open_for, widen, worst};
use symbiote_tests::{fixtures, oracle};

/// Models that differ in their source alone.
struct Line {
    architecture: String,
    model: String,
    /// Of the matrices in its layers, but for routers.
    types: String,
    with: &'static str,
    /// From each source.
    errors: [Option<f64>; 2],
    /// With keys and values in f16, the larger.
    halves: Option<f64>,
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let all = std::fs::read_dir(fixtures::path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = all.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| fixtures::path(&format!("{name}/golden.json")).exists());
    names.retain(|name| wanted.is_empty() || wanted.iter().any(|part| name.contains(part)));
    names.sort();
    println!("| architecture | model | type | safetensors | GGUF | compared with | keys and values in f16 |");
    println!("|---|---|---|---:|---:|---|---:|");
    for name in names {
        let mut lines = Vec::new();
        if fixtures::path(&format!("{name}/config.json")).exists() {
            add(&mut lines, &name, &fixtures::pak(&name), 0, false);
        }
        let files = std::fs::read_dir(fixtures::path(&name)).unwrap().map(|entry| entry.unwrap().path());
        let mut ggufs: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "gguf")).collect();
        ggufs.sort();
        for gguf in ggufs {
            let file = gguf.file_name().unwrap().to_str().unwrap();
            // the golden logits are of the folder's weights, which files of other names have quantised
            let requantised = file != format!("{name}.gguf");
            add(&mut lines, &name, &fixtures::pak(&format!("{name}/{file}")), 1, requantised);
        }
        for Line { architecture, model, types, with, errors, halves } in lines {
            let shown = |error: Option<f64>| error.map_or_else(String::new, |error| format!("{error:.1e}"));
            let [safetensors, gguf] = errors.map(shown);
            println!("| {architecture} | {model} | {types} | {safetensors} | {gguf} | {with} | {} |", shown(halves));
        }
    }
}

/// Measures one source of a model.
fn add(lines: &mut Vec<Line>, name: &str, pak: &Path, source: usize, requantised: bool) {
    let file = PakFile::open(pak).unwrap();
    let archive = file.archive();
    let dtypes = types(archive.index());
    if let Err(error) = SymbioteEngine::open(pak, &OpenOptions::default()) {
        eprintln!("{name} does not run: {error}");
        return;
    }
    let golden = fixtures::json(&format!("{name}/golden.json"));
    let tokens = ids(&golden["tokens"]);
    let vocab = golden["vocab"].as_u64().unwrap() as usize;
    let rows = |file: &str| -> Vec<Vec<f64>> {
        fixtures::f32s(&format!("{name}/{file}")).chunks_exact(vocab).map(widen).collect()
    };
    let (with, expected) = match requantised {
        true => ("f64", oracle::forward(archive, &tokens)),
        false => ("transformers", rows("golden.f32")),
    };
    let error = |kv_type| worst(&logits(&mut open(pak, kv_type, 64), &tokens), &expected);
    let architecture = archive.index().architecture.as_str();
    let types = dtypes.iter().map(|dtype| dtype.name()).collect::<Vec<_>>().join(", ");
    let mut put = |model: &str, error: f64, halves: Option<f64>| {
        let same = |line: &&mut Line| line.model == model && line.types == types && line.errors[source].is_none();
        if let Some(line) = lines.iter_mut().find(same) {
            line.errors[source] = Some(error);
            line.halves = line.halves.zip(halves).map(|(a, b)| a.max(b));
            return;
        }
        let mut errors = [None; 2];
        errors[source] = Some(error);
        let (architecture, model, types) = (architecture.into(), model.into(), types.clone());
        lines.push(Line { architecture, model, types, with, errors, halves });
    };
    let model = name.trim_start_matches("tiny-");
    put(model, error(KvType::F32), Some(error(KvType::F16)));
    if let Some(short) = golden["short"].as_u64().filter(|_| !requantised) {
        let mut engine = open_for(pak, KvType::F32, 64, u32::try_from(short).ok());
        let found = worst(&logits(&mut engine, &tokens[..short as usize]), &rows("golden-short.f32"));
        put(&format!("{model}, {short} tokens of context"), found, None);
    }
}

/// The types of the matrices in layers, but for routers and the biases of experts, which stay as they were.
fn types(index: &ArchivedIndex) -> BTreeSet<Dtype> {
    let matrix = |t: &&ArchivedTensor| {
        let kind = TensorKind::from_code(t.kind.to_native()).unwrap();
        let other = matches!(kind, TensorKind::Unused | TensorKind::Scale | TensorKind::Router);
        t.layer != NO_LAYER && t.shape.len() > 1 && !other && !kind.name().ends_with(".bias")
    };
    index.tensors.iter().filter(matrix).map(|t| Dtype::from_code(t.dtype.to_native()).unwrap()).collect()
}
