//! Ids by llama.cpp and Hugging Face, for real vocabularies. These are large and not kept here, so each test runs where a
//! variable says they are:
//!
//! - `SYMBIOTE_VOCAB_DIR`: a folder of `ggml-vocab-*.gguf` with their `.inp` and `.out`, such as llama.cpp's `models`
//! - `SYMBIOTE_SMOLLM2_GGUF`: SmolLM2-135M-Instruct in GGUF

use std::path::Path;

use super::gguf;
use super::*;
use crate::text::EncodeOptions;

fn from_gguf(path: &Path) -> Option<Tokenizer> {
    let tables = gguf::read(path)?;
    let vocab_size = u32::try_from(tables.tokens.len()).unwrap();
    Some(tokenizer(&tables, vocab_size).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

#[test]
#[ignore = "needs SYMBIOTE_VOCAB_DIR"]
fn vocabularies_give_the_ids_of_llama_cpp() {
    let folder = std::env::var("SYMBIOTE_VOCAB_DIR").expect("SYMBIOTE_VOCAB_DIR names the folder of vocabularies");
    let mut failures = 0;
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "gguf") && path.with_extension("gguf.inp").exists());
    paths.sort();
    assert!(!paths.is_empty(), "the folder has no vocabularies with golden ids");
    for path in paths {
        let Some(t) = from_gguf(&path) else {
            println!("{}: another kind of tokenizer", path.display());
            continue;
        };
        let read = |extension: &str| std::fs::read_to_string(path.with_extension(extension)).unwrap();
        let (input, output) = (read("gguf.inp"), read("gguf.out"));
        let inputs: Vec<&str> = input.split("\n__ggml_vocab_test__\n").collect();
        let (mut equal, texts) = (0, output.lines().count());
        // A separator also follows the last text.
        assert!(inputs.len() - texts <= 1);
        for (text, line) in inputs.into_iter().zip(output.lines()) {
            let expected: Vec<u32> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
            let found = t.encode(text, EncodeOptions::default()).unwrap();
            if found == expected {
                equal += 1;
            } else {
                println!("{text:?}\n  expected {expected:?}\n  found    {found:?}");
            }
            let decoded = t.decode(&found);
            if decoded != text {
                println!("{text:?}\n  decoded as {decoded:?}");
            }
        }
        println!("{}: {equal} of {texts} equal", path.display());
        failures += texts - equal;
    }
    assert_eq!(failures, 0);
}

/// Ids for every string of `strings.json`: with special tokens as plain text, then with special tokens as such.
fn compare(t: &Tokenizer, golden: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tokenizer");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let strings: Vec<String> = serde_json::from_str(&read("strings.json")).unwrap();
    let golden: Vec<[Vec<u32>; 2]> = serde_json::from_str(&read(golden)).unwrap();
    assert_eq!(strings.len(), golden.len());
    let mut failures = 0;
    for (text, expected) in strings.iter().zip(golden) {
        for (parse_special, expected) in [false, true].into_iter().zip(expected) {
            let found = t.encode(text, EncodeOptions { add_special: false, parse_special }).unwrap();
            if found != expected {
                println!("{text:?}, parse_special {parse_special}\n  expected {expected:?}\n  found    {found:?}");
                failures += 1;
            }
        }
    }
    assert_eq!(failures, 0);
}

#[test]
#[ignore = "needs SYMBIOTE_SMOLLM2_GGUF"]
fn smollm2_gives_the_ids_of_llama_cpp() {
    let path = std::env::var("SYMBIOTE_SMOLLM2_GGUF").expect("SYMBIOTE_SMOLLM2_GGUF names the model");
    compare(&from_gguf(Path::new(&path)).unwrap(), "smollm2.json");
}

#[test]
fn tiny_llama_gives_the_ids_of_hugging_face() {
    let mut tables = empty(TokenizerKind::HuggingFace);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tiny-llama/tokenizer.json");
    tables.json = std::fs::read_to_string(path).unwrap();
    compare(&tokenizer(&tables, 320).unwrap(), "tiny-llama.json");
}
