//! Ids by llama.cpp and Hugging Face for the 2,000 strings of `tests/fixtures/tokenizer/strings.json`, each with special
//! tokens as plain text and with special tokens read. The table `ids.json` holds one SHA-256 a tokenizer, what a sequence
//! begins and ends with, and the ids that end an answer. Real vocabularies are large and not kept here, so their tests run where a variable says they are:
//!
//! - `SYMBIOTE_VOCAB_DIR`: a folder of `ggml-vocab-*.gguf` with their `.inp` and `.out`, such as llama.cpp's `models`
//! - `SYMBIOTE_SMOLLM2_GGUF`: SmolLM2-135M-Instruct in GGUF
//! - `SYMBIOTE_IDS_DIR`: where `peer_ids.py` wrote all ids, so that a difference can be shown
//!
//! `scripts/peer --vocab` fetches the first and sets it; `scripts/peer` makes the table again.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::text::EncodeOptions;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn tables(path: &Path) -> Tables {
    symbiote_packer::read_tokenizer(path).unwrap_or_else(|e| panic!("{e}")).unwrap()
}

/// The tokenizer over an embedding that fits it.
fn build(tables: &Tables) -> Tokenizer {
    let rows = if tables.tokens.is_empty() { 1 << 20 } else { u32::try_from(tables.tokens.len()).unwrap() };
    tokenizer(tables, rows).unwrap_or_else(|e| panic!("{e}"))
}

/// Strings whose ids are not the peer's: none, or all of them where only the digests differ.
fn differences(tables: &Tables, name: &str) -> usize {
    let strings: Vec<String> = serde_json::from_value(json(&fixtures().join("tokenizer/strings.json"))).unwrap();
    assert_eq!(strings.len(), 2000);
    let golden = json(&fixtures().join("tokenizer/ids.json"));
    let golden = golden.get(name).unwrap_or_else(|| panic!("ids.json has no {name}"));
    let t = build(tables);
    let mut digest = Sha256::new();
    let ids: Vec<[Vec<u32>; 2]> = strings
        .iter()
        .map(|text| {
            [false, true].map(|parse_special| {
                let ids = t.encode(text, EncodeOptions { add_special: false, parse_special }).unwrap();
                ids.iter().chain([&u32::MAX]).for_each(|id| digest.update(id.to_le_bytes()));
                ids
            })
        })
        .collect();
    if golden.get("stop").is_some() {
        // -1 is none
        let id = |id: u32| if id == NO_ID { -1 } else { i64::from(id) };
        let rules = serde_json::json!({
            "bos": id(tables.bos), "eos": id(tables.eos), "add_bos": tables.add_bos, "add_eos": tables.add_eos,
            "stop": tables.stop, "sha256": golden["sha256"],
        });
        assert_eq!(golden, &rules, "{name}");
    }
    if symbiote_format::hex(digest.finalize().as_slice()) == golden["sha256"] {
        println!("{name}: the ids of all strings are equal");
        return 0;
    }
    let Ok(folder) = std::env::var("SYMBIOTE_IDS_DIR") else {
        println!("{name}: the ids differ; scripts/peer keeps the peer's, for SYMBIOTE_IDS_DIR");
        return strings.len();
    };
    let peer: Vec<[Vec<u32>; 2]> =
        serde_json::from_value(json(&Path::new(&folder).join(format!("{name}.json")))).unwrap();
    let mut differ = 0;
    for ((text, found), expected) in strings.iter().zip(&ids).zip(&peer).filter(|((_, a), b)| a != b) {
        differ += 1;
        if differ <= 5 {
            println!("{name} {text:?}\n  expected {expected:?}\n  found    {found:?}");
        }
    }
    println!("{name}: {differ} differ");
    assert!(differ > 0, "ids.json is not of the ids in {folder}");
    differ
}

fn vocabularies() -> Vec<(String, PathBuf)> {
    let folder = std::env::var("SYMBIOTE_VOCAB_DIR").expect("SYMBIOTE_VOCAB_DIR names the folder of vocabularies");
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|e| e == "gguf"));
    found.sort();
    assert!(!found.is_empty(), "the folder has no vocabularies");
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().trim_start_matches("ggml-vocab-").to_owned();
    found.into_iter().map(|path| (name(&path), path)).collect()
}

/// Lines of a vocabulary's `.out` that differ, and how many there are.
fn lines(path: &Path) -> (usize, usize) {
    let t = build(&tables(path));
    let read = |extension: &str| std::fs::read_to_string(path.with_extension(extension)).unwrap();
    let (input, output) = (read("gguf.inp"), read("gguf.out"));
    let inputs: Vec<&str> = input.split("\n__ggml_vocab_test__\n").collect();
    let (mut differ, texts) = (0, output.lines().count());
    // A separator also follows the last text.
    assert!(inputs.len() - texts <= 1);
    for (text, line) in inputs.into_iter().zip(output.lines()) {
        let expected: Vec<u32> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
        let found = t.encode(text, EncodeOptions::default()).unwrap();
        if found != expected {
            differ += 1;
            println!("{text:?}\n  expected {expected:?}\n  found    {found:?}");
        }
        assert_eq!(t.decode(&found), text);
    }
    (differ, texts)
}

#[test]
#[ignore = "needs SYMBIOTE_VOCAB_DIR"]
fn vocabularies_give_the_ids_of_llama_cpp() {
    let mut differ = 0;
    for (name, path) in vocabularies() {
        if let Err(error) = symbiote_packer::read_tokenizer(&path) {
            println!("{name}: {error}");
            assert!(name == "bert-bge" || name == "nomic-bert-moe", "{error}");
            continue;
        }
        if path.with_extension("gguf.inp").exists() {
            let (of, lines) = lines(&path);
            println!("{name}: {} of {lines} lines equal", lines - of);
            differ += of;
        }
        differ += differences(&tables(&path), &name);
    }
    assert_eq!(differ, 0);
}

/// The same merges under every set of rules that a GGUF file can name.
#[test]
#[ignore = "needs SYMBIOTE_VOCAB_DIR"]
fn every_pre_tokenizer_gives_the_ids_of_llama_cpp() {
    let (_, path) = vocabularies().into_iter().find(|(name, _)| name == "llama-bpe").unwrap();
    let mut tables = tables(&path);
    let golden = json(&fixtures().join("tokenizer/ids.json"));
    let names: Vec<&str> =
        golden.as_object().unwrap().keys().filter_map(|name| name.strip_prefix("llama-bpe, ")).collect();
    assert!(names.len() > 20, "{names:?}");
    let mut differ = 0;
    for name in names {
        tables.pre = name.into();
        differ += differences(&tables, &format!("llama-bpe, {name}"));
    }
    assert_eq!(differ, 0);
}

#[test]
#[ignore = "needs SYMBIOTE_SMOLLM2_GGUF"]
fn smollm2_gives_the_ids_of_llama_cpp() {
    let path = std::env::var("SYMBIOTE_SMOLLM2_GGUF").expect("SYMBIOTE_SMOLLM2_GGUF names the model");
    assert_eq!(differences(&tables(Path::new(&path)), "smollm2"), 0);
}

#[test]
fn tokenizer_json_gives_the_ids_of_hugging_face() {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(fixtures().join("tokenizer")).unwrap().map(|e| e.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.push(fixtures().join("tiny-llama"));
    assert!(folders.len() > 5);
    for folder in folders {
        let tables = tables(&folder);
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert_eq!(differences(&tables, name), 0);
        if name == "gemma" {
            // no file names the last two: special tokens are known by their text
            let ends = ["</s>", "<eos>", "<end_of_turn>"].map(|text| text.as_bytes());
            let t = build(&tables);
            let stop: Vec<&[u8]> = tables.stop.iter().map(|&id| t.token_bytes(id).unwrap()).collect();
            assert_eq!(stop, ends);
        }
    }
}

/// Text of every string of the corpus, from whole sequences and token by token, as Hugging Face decodes it.
#[test]
fn tokenizer_json_decodes_what_was_written() {
    for (folder, lossless) in [("tiny-llama", true), ("tokenizer/llama2", true), ("tokenizer/gemma", true)] {
        let t = build(&tables(&fixtures().join(folder)));
        let strings: Vec<String> = serde_json::from_value(json(&fixtures().join("tokenizer/strings.json"))).unwrap();
        for text in strings.iter().filter(|text| lossless && !text.contains('\u{2581}')) {
            let ids = t.encode(text, EncodeOptions::default()).unwrap();
            assert_eq!(t.decode(&ids), *text, "{folder}");
        }
    }
}
