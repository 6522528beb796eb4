//! Prints the table of what runs, as Markdown: every tiny model among the fixtures, from every source and in every type that it is
//! there in, with the largest relative error of its logits over 64 positions. Models of plain numbers, and of 8 bits, are compared
//! with transformers, those in blocks with a forward pass in f64. `coverage [NAME ..]`: only models whose name contains one of these.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::collections::BTreeSet;
use std::path::Path;

use symbiote_format::{Dtype, NO_LAYER, TensorKind};
use symbiote_runtime::engine::KvType;
use symbiote_runtime::pak::PakFile;
use symbiote_tests::golden::{ids, logits, open, open_for, widen, worst};
use symbiote_tests::{fixtures, oracle};

/// A model of one source.
struct Case {
    architecture: String,
    source: &'static str,
    /// Of the matrices in its layers.
    types: BTreeSet<&'static str>,
    quantised: bool,
}

impl Case {
    fn of(pak: &Path, source: &'static str) -> Self {
        let file = PakFile::open(pak).unwrap();
        let index = file.archive().index();
        let kinds = [TensorKind::Unused.code(), TensorKind::Scale.code()];
        let matrix = |t: &&symbiote_format::ArchivedTensor| {
            t.layer != NO_LAYER && t.shape.len() > 1 && !kinds.contains(&t.kind.to_native())
        };
        let types = index.tensors.iter().filter(matrix).map(|t| Dtype::from_code(t.dtype.to_native()).unwrap());
        let types: Vec<Dtype> = types.collect();
        Self {
            architecture: index.architecture.as_str().into(),
            source,
            types: types.iter().map(|dtype| dtype.name()).collect(),
            quantised: types.iter().any(|dtype| dtype.block_len() > 1),
        }
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let all = std::fs::read_dir(fixtures::path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = all.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| fixtures::path(&format!("{name}/golden.json")).exists());
    names.retain(|name| wanted.is_empty() || wanted.iter().any(|part| name.contains(part)));
    names.sort();
    println!("| architecture | model | source | type | compared with | relative error | keys and values in f16 |");
    println!("|---|---|---|---|---|---:|---:|");
    for name in names {
        let files = std::fs::read_dir(fixtures::path(&name)).unwrap().map(|entry| entry.unwrap().path());
        let mut ggufs: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "gguf")).collect();
        ggufs.sort();
        if fixtures::path(&format!("{name}/config.json")).exists() {
            row(&name, &fixtures::pak(&name), "safetensors");
        }
        for gguf in ggufs {
            let file = gguf.file_name().unwrap().to_str().unwrap();
            row(&name, &fixtures::pak(&format!("{name}/{file}")), "GGUF");
        }
    }
}

fn row(name: &str, pak: &Path, source: &'static str) {
    let case = Case::of(pak, source);
    let golden = fixtures::json(&format!("{name}/golden.json"));
    let tokens = ids(&golden["tokens"]);
    let vocab = golden["vocab"].as_u64().unwrap() as usize;
    let rows = |file: &str| -> Vec<Vec<f64>> {
        fixtures::f32s(&format!("{name}/{file}")).chunks_exact(vocab).map(widen).collect()
    };
    let (with, expected) = match case.quantised {
        true => ("f64", oracle::forward(PakFile::open(pak).unwrap().archive(), &tokens)),
        false => ("transformers", rows("golden.f32")),
    };
    let error = |kv_type| worst(&logits(&mut open(pak, kv_type, 64), &tokens), &expected);
    let model = name.trim_start_matches("tiny-");
    let types = case.types.iter().copied().collect::<Vec<_>>().join(", ");
    let print = |model: &str, plain: f64, halves: Option<f64>| {
        let halves = halves.map_or_else(String::new, |error| format!("{error:.1e}"));
        println!("| {} | {model} | {} | {types} | {with} | {plain:.1e} | {halves} |", case.architecture, case.source);
    };
    print(model, error(KvType::F32), Some(error(KvType::F16)));
    if let Some(short) = golden["short"].as_u64().filter(|_| !case.quantised) {
        let mut engine = open_for(pak, KvType::F32, 64, u32::try_from(short).ok());
        let found = worst(&logits(&mut engine, &tokens[..short as usize]), &rows("golden-short.f32"));
        print(&format!("{model}, {short} tokens of context"), found, None);
    }
}
