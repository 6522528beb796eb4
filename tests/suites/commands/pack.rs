//! convert, repack, inspect, verify and extract: what comes out is what went in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::f16;
use serde_json::{Value, json};
use symbiote_format::Dtype;
use symbiote_tests::fixtures;
use symbiote_tests::gguf::Gguf;
use symbiote_tests::near_halves;
use symbiote_tests::program::{PACK, done};
use tempfile::TempDir;

/// A tensor of a safetensors file, or of several.
#[derive(Clone, Debug, PartialEq)]
struct Stored {
    dtype: String,
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

/// The tensors of a safetensors file by name, and its metadata.
fn read_safetensors(path: &Path) -> (BTreeMap<String, Stored>, Value) {
    let file = std::fs::read(path).unwrap();
    let (len, rest) = file.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(len.try_into().unwrap()) as usize);
    let mut header: serde_json::Map<String, Value> = serde_json::from_slice(header).unwrap();
    let metadata = header.remove("__metadata__").unwrap_or_default();
    let numbers = |v: &Value| v.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect::<Vec<_>>();
    let tensors = header.into_iter().map(|(name, about)| {
        let range = numbers(&about["data_offsets"]);
        let bytes = data[range[0] as usize..range[1] as usize].to_vec();
        (name, Stored { dtype: about["dtype"].as_str().unwrap().into(), shape: numbers(&about["shape"]), bytes })
    });
    (tensors.collect(), metadata)
}

/// Takes `source` through all commands, shipped and repacked to run on the way, and returns what `extract` wrote and what
/// `inspect --json` said.
fn round_trip(source: &Path, folder: &TempDir) -> (BTreeMap<String, Stored>, Value, Value) {
    let run = |args: &[&str]| done(PACK, folder.path(), args);
    let said = run(&["convert", source.to_str().unwrap(), "-o", "m.pak", "--force", "--pack-size", "64KiB"]);
    assert!(said.starts_with("m.pak: llama, "), "{said}");
    let text = run(&["inspect", "m.pak"]);
    assert!(text.starts_with("m.pak: llama, ") && text.contains("SHA-256"), "{text}");
    let json: Value = serde_json::from_str(&run(&["inspect", "m.pak", "--json"])).unwrap();
    run(&["repack", "m.pak", "-o", "ship.pak", "--target", "ship", "--force"]);
    for pak in ["m.pak", "ship.pak"] {
        assert!(run(&["verify", pak]).ends_with("all intact\n"));
    }
    let extract = |pak: &str| {
        run(&["extract", pak, "-o", "m.safetensors", "--force"]);
        read_safetensors(&folder.path().join("m.safetensors"))
    };
    let (tensors, metadata) = extract("ship.pak");
    assert!(extract("m.pak") == (tensors.clone(), metadata.clone()));
    let files = || ["m.pak", "ship.pak"].map(|pak| std::fs::read(folder.path().join(pak)).unwrap());
    let [to_run, to_ship] = files();
    assert!(to_ship.len() <= to_run.len());
    run(&["repack", "ship.pak", "-o", "m.pak", "--force"]);
    assert!(files()[0] == to_run, "there and back");
    assert_eq!(json["tensors"].as_array().unwrap().len(), tensors.len());
    (tensors, metadata, json)
}

fn with_extension(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
    paths.sort();
    paths
}

/// The fixtures that are Hugging Face folders of whole models, with a tokenizer. The packer's own tests have the others.
fn folders() -> Vec<PathBuf> {
    let paths = std::fs::read_dir(fixtures::path("")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> =
        paths.filter(|p| p.join("tokenizer.json").is_file() && p.join("config.json").is_file()).collect();
    folders.sort();
    folders
}

#[test]
fn every_folder_comes_back_bit_for_bit() {
    let temporary = tempfile::tempdir().unwrap();
    let folders = folders();
    assert!(folders.len() >= 5, "{folders:?}");
    let mut shards = 0;
    for folder in folders {
        let files = with_extension(&folder, "safetensors");
        shards = shards.max(files.len());
        let source: BTreeMap<_, _> = files.iter().flat_map(|file| read_safetensors(file).0).collect();
        let (extracted, _, json) = round_trip(&folder, &temporary);
        assert!(extracted == source, "{}", folder.display());

        let config: Value = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
        assert_eq!(json["config"]["hidden_size"], config["hidden_size"]);
        assert_eq!(json["config"]["layer_count"], config["num_hidden_layers"]);
        assert!(json["provenance"]["sources"].as_array().unwrap().len() >= files.len());
        assert_eq!(json["tokenizer"]["kind"], "tokenizer.json");
    }
    assert!(shards > 1, "one of them is sharded");
}

fn gguf_comes_back(path: &Path, tensors: Option<usize>) {
    let (extracted, notes, json) = round_trip(path, &tempfile::tempdir().unwrap());
    let source = Gguf::read(path);
    assert_eq!(extracted.len(), source.tensors.len());
    assert_eq!(tensors.unwrap_or(source.tensors.len()), source.tensors.len());
    for t in &source.tensors {
        let found = &extracted[&t.name];
        // tensors are padded to the file's alignment
        let (stored, padding) = source.bytes[t.data.clone()].split_at(found.bytes.len());
        assert!(found.bytes == stored && padding.len() < 32, "{}: {}", path.display(), t.name);
        let dtype = Dtype::from_code(t.ty as u16).unwrap();
        if dtype.block_len() == 1 {
            assert_eq!((found.dtype.as_str(), &found.shape), (dtype.name(), &t.shape));
        } else {
            let note: Value = serde_json::from_str(notes[&t.name].as_str().unwrap()).unwrap();
            assert_eq!(note, json!({ "dtype": dtype.name(), "shape": t.shape }));
            assert_eq!(found.dtype, "U8");
        }
    }
    assert_eq!(json["provenance"]["source_format"], "gguf");
}

#[test]
fn every_gguf_comes_back_bit_for_bit() {
    let files: Vec<_> = folders().iter().flat_map(|folder| with_extension(folder, "gguf")).collect();
    assert!(files.len() >= 7, "{files:?}");
    files.iter().for_each(|file| gguf_comes_back(file, None));
}

#[test]
fn smollm2_comes_back_bit_for_bit() {
    gguf_comes_back(&fixtures::smollm2_gguf(), Some(272));
}

/// f32 weights that are exact in f16 but for some are stored in two bytes; `inspect --codecs` foretells it.
#[test]
fn nearly_f16_weights_are_narrowed_and_come_back_bit_for_bit() {
    let temporary = tempfile::tempdir().unwrap();
    let model = near_halves::tiny_llama(temporary.path(), |w| f16::from_f32(w).to_f32());
    let source = read_safetensors(&model.join("model.safetensors")).0;
    let (extracted, _, json) = round_trip(&model, &temporary);
    assert!(extracted == source);
    let parts = |codec: &str| {
        let all = json["packs"].as_array().unwrap().iter().flat_map(|pack| pack["parts"].as_array().unwrap());
        all.filter(|part| part["codec"] == codec).count()
    };
    assert_eq!([parts("f16"), parts("raw")], [18, 5], "matrices, two of them in two packs, and norms");

    let text = done(PACK, temporary.path(), &["inspect", "--codecs", model.to_str().unwrap()]);
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap();
    let [head, k] = ["lm_head.weight", "layers.0.self_attn.k_proj.weight"].map(line);
    // of 20,480 weights every 499th and the last
    assert!(head.contains(", f16 43 (0.21 %)"), "{head}");
    assert!(k.contains(", f16 0 (0.0 %)"), "{k}");
    let run = text.lines().find(|line| line.contains("--target run")).unwrap();
    assert!(run.ends_with(" of the source  raw 0.31 %, f16 99.7 %"), "{run}");
}

/// The same source gives the same archive, and none but the asked-for file appears.
#[test]
fn conversion_is_deterministic_and_tidy() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixtures::path("tiny-llama");
    for output in ["a.pak", "b.pak"] {
        done(PACK, folder.path(), &["convert", source.to_str().unwrap(), "-o", output]);
    }
    let read = |name| std::fs::read(folder.path().join(name)).unwrap();
    assert!(read("a.pak") == read("b.pak"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// What `inspect --codecs` says of a file is what `convert` makes of it, and every encoding is proven on the way.
#[test]
fn codecs_are_measured_before_a_model_is_converted() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixtures::path("tiny-llama-bf16-tied");
    let source = source.to_str().unwrap();
    let json = |args: &[&str]| -> Value { serde_json::from_str(&done(PACK, folder.path(), args)).unwrap() };
    let measured = json(&["inspect", "--codecs", source, "--json", "--chart", "m.svg"]);
    for target in ["run", "ship"] {
        let report = json(&["convert", source, "-o", "m.pak", "--force", "--json", "--target", target]);
        assert_eq!(measured["total"]["source_bytes"], report["weights"]["source_bytes"]);
        let [found, expected] = [&report["weights"]["coded_bytes"], &measured["total"][target]["bytes"]];
        let [found, expected] = [found, expected].map(|n| n.as_f64().unwrap());
        // the parts are not the same
        assert!((found / expected - 1.0).abs() < 0.02, "{target}: {found}, {expected}");
    }
    let bits = measured["total"]["run"]["bits_per_weight"].as_f64().unwrap();
    assert!(bits < 12.5 && bits > measured["total"]["floor_bits_per_weight"].as_f64().unwrap());
    let picture = std::fs::read_to_string(folder.path().join("m.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("p12"));
}
