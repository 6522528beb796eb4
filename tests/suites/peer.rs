//! llama.cpp as the peer: token ids, perplexity and greedy text on SmolLM2. `scripts/peer` made its answers.

use std::ops::ControlFlow;

use symbiote_format::{Sha256, hex};
use symbiote_runtime::engine::{GenerateOptions, OpenOptions, Sampling, SymbioteEngine};
use symbiote_runtime::pak::PakFile;
use symbiote_runtime::text::{EncodeOptions, Tokenizer};
use symbiote_tests::fixtures;

/// Two logits this close may change places between two correct programs.
const TIE: f64 = 0.02;

fn open() -> SymbioteEngine {
    let options = OpenOptions { context: Some(256), ..OpenOptions::default() };
    SymbioteEngine::open(fixtures::smollm2(), &options).unwrap()
}

fn peer() -> serde_json::Value {
    fixtures::json("smollm2/llamacpp.json")
}

fn ids(value: &serde_json::Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// 2,000 strings, each with special tokens as plain text and with special tokens read, from archives: llama.cpp's ids for
/// SmolLM2, those of Hugging Face for the tiny tokenizer. `ids.json` has their SHA-256; `text/tests/golden.rs` of the runtime
/// compares more tokenizers, and shows what differs.
#[test]
fn token_ids_equal_the_peers() {
    let strings = fixtures::json("tokenizer/strings.json");
    let golden = fixtures::json("tokenizer/ids.json");
    for (pak, name) in [(fixtures::smollm2(), "smollm2"), (fixtures::pak("tiny-llama"), "tiny-llama")] {
        let pak = PakFile::open(pak).unwrap();
        let archived = pak.archive().index().tokenizer.as_ref().unwrap();
        let tokenizer = Tokenizer::from_archive(archived, pak.config().vocab_size).unwrap();
        let mut digest = Sha256::default();
        for text in strings.as_array().unwrap() {
            for parse_special in [false, true] {
                let options = EncodeOptions { add_special: false, parse_special };
                let ids = tokenizer.encode(text.as_str().unwrap(), options).unwrap();
                ids.iter().chain([&u32::MAX]).for_each(|id| digest.update(&id.to_le_bytes()));
            }
        }
        assert_eq!(hex(&digest.finish()), golden[name]["sha256"], "{name}");
    }
}

#[test]
fn perplexity_is_within_half_a_percent_of_the_peers() {
    let text = String::from_utf8(fixtures::bytes("perplexity.txt")).unwrap();
    let result = open().perplexity(&text, 256, &mut |_, _, _| {}).unwrap();
    let peer = peer();
    assert_eq!(result.tokens, ids(&peer["text_ids"]).len());
    assert_eq!((result.windows, result.scored), (8, 8 * 127));
    let expected = peer["f16"]["perplexity"]["ppl"].as_f64().unwrap();
    let off = result.perplexity / expected - 1.0;
    println!("perplexity {:.4}, the peer's {expected:.4} ({:+.3} %)", result.perplexity, off * 100.0);
    assert!(off.abs() < 0.005);
    for (ours, theirs) in result.running.iter().zip(peer["f16"]["perplexity"]["running"].as_array().unwrap()) {
        assert!((ours / theirs.as_f64().unwrap() - 1.0).abs() < 0.005, "{:?}", result.running);
    }
}

#[test]
fn greedy_text_is_the_peers_or_parts_at_a_tie() {
    let mut engine = open();
    let tokenizer = engine.tokenizer().unwrap();
    let options = GenerateOptions {
        max_tokens: 48,
        sampling: Sampling::greedy(),
        ignore_stop: true,
        ..GenerateOptions::default()
    };
    for case in peer()["f16"]["greedy"].as_array().unwrap() {
        let prompt = case["prompt"].as_str().unwrap();
        let prompt_ids = tokenizer.encode(prompt, EncodeOptions { add_special: true, parse_special: false }).unwrap();
        assert_eq!(prompt_ids, ids(&case["prompt_ids"]), "{prompt}");
        let ours = engine.generate_from(&prompt_ids, &options, &mut |_| ControlFlow::Continue(())).unwrap().tokens;
        let top2: Vec<[(u32, f64); 2]> = case["top2"].as_array().unwrap().iter().map(best_two).collect();
        let theirs: Vec<u32> = top2.iter().map(|two| two[0].0).collect();
        assert_eq!(ours.len(), theirs.len());
        match ours.iter().zip(&theirs).position(|(a, b)| a != b) {
            None => println!("{prompt:?}: all {} tokens equal", ours.len()),
            Some(at) => {
                let [(first, a), (second, b)] = top2[at];
                println!("{prompt:?}: parts at token {at}, where the peer's best are {first} ({a}) and {second} ({b})");
                assert!(a - b <= TIE && ours[at] == second, "{prompt:?} parts at {at}: {ours:?}");
            }
        }
    }
}

/// The peer's five best logits after each of 64 tokens, in f32 throughout.
#[test]
fn logits_are_near_the_peers() {
    let peer = peer();
    let tokens = ids(&peer["text_ids"])[..64].to_vec();
    let mut worst = 0f64;
    open()
        .forward_from(&tokens, 0, &mut |i, row| {
            for entry in peer["f32"]["prefix_top5"][i].as_array().unwrap() {
                let expected = entry[1].as_f64().unwrap();
                worst = worst.max((f64::from(row[entry[0].as_u64().unwrap() as usize]) - expected).abs());
            }
        })
        .unwrap();
    println!("largest difference from the peer's best logits: {worst:.4}");
    assert!(worst < 0.05, "{worst}");
}

fn best_two(entry: &serde_json::Value) -> [(u32, f64); 2] {
    [0, 1].map(|i| (entry[i][0].as_u64().unwrap() as u32, entry[i][1].as_f64().unwrap()))
}
