//! `--prompt-cache`.

use std::ops::ControlFlow;
use std::path::Path;

use symbiote_runtime::engine::{
    EngineError, GenerateOptions, KvType, OpenOptions, PromptCacheError, Sampling, SymbioteEngine,
};
use symbiote_tests::fixtures;
use symbiote_tests::program::{RUN, assert_refusal, run};

use super::open;

fn saved(engine: &SymbioteEngine) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = engine.save_sequence(&mut bytes).unwrap();
    assert_eq!(length, bytes.len() as u64);
    bytes
}

fn ids(n: u32) -> Vec<u32> {
    (0..n).map(|i| (i * 37 + 11) % 320).collect()
}

#[test]
fn a_sequence_goes_on_to_the_bit_where_it_was_saved() {
    // values of the second are of another size than keys
    let models = [("tiny-llama", KvType::F32), ("tiny-llama", KvType::F16), ("tiny-deepseek2-lite", KvType::F16)];
    for (name, kv_type) in models {
        let options = OpenOptions { context: Some(64), batch: Some(16), kv_type, ..OpenOptions::default() };
        let mut engine = open(name, &options);
        let ids = |n| ids(n).iter().map(|id| id % 96).collect::<Vec<_>>();
        engine.forward(&ids(40)).unwrap();
        let bytes = saved(&engine);
        let expected = engine.forward(&[5, 6, 7]).unwrap();
        let mut other = open(name, &options);
        other.forward(&[9; 50]).unwrap();
        other.load_sequence(&mut bytes.as_slice()).unwrap();
        assert_eq!(other.sequence(), ids(40));
        assert_eq!(saved(&other), bytes);
        assert_eq!(other.forward(&[5, 6, 7]).unwrap(), expected, "{name} {kv_type:?}");
        // an empty one too
        engine.truncate(0);
        other.load_sequence(&mut saved(&engine).as_slice()).unwrap();
        assert!(other.sequence().is_empty());
    }
}

#[test]
fn every_flip_and_cut_is_refused_and_leaves_no_sequence() {
    let options = OpenOptions { context: Some(32), ..OpenOptions::default() };
    let mut engine = open("tiny-llama", &options);
    engine.forward(&ids(3)).unwrap();
    let bytes = saved(&engine);
    let mut load = |bytes: &[u8]| {
        let done = engine.load_sequence(&mut &*bytes);
        assert_eq!(engine.sequence().is_empty(), done.is_err());
        done
    };
    load(&bytes).unwrap();
    let places = (0..80).chain((80..bytes.len()).step_by(97)).chain([bytes.len() - 1]);
    for at in places {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x11;
        let error = load(&flipped).unwrap_err();
        assert!(matches!(error, EngineError::PromptCache(_)), "byte {at}: {error}");
        assert!(load(&bytes[..at]).is_err(), "cut at {at}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(load(&longer), Err(EngineError::PromptCache(PromptCacheError::Damaged))));
    assert!(matches!(load(b"GGUF"), Err(EngineError::PromptCache(PromptCacheError::NotOne))));

    let refuse = |fixture: &str, options: &OpenOptions| {
        open(fixture, options).load_sequence(&mut bytes.as_slice()).unwrap_err().to_string()
    };
    assert_eq!(refuse("tiny-llama-linear", &options), "this prompt cache was made with another model");
    let longer = OpenOptions { context: Some(33), ..options.clone() };
    assert_eq!(refuse("tiny-llama", &longer), "this prompt cache was made with --ctx 32; this run has 33");
    let half = OpenOptions { kv_type: KvType::F16, ..options };
    assert_eq!(refuse("tiny-llama", &half), "this prompt cache was made with --kv-type f32; this run has f16");
}

#[test]
fn smollm2_answers_the_same_with_what_was_kept() {
    let options = OpenOptions { context: Some(256), ..OpenOptions::default() };
    let fresh = || SymbioteEngine::open(fixtures::smollm2(), &options).unwrap();
    let greedy = GenerateOptions {
        max_tokens: 24,
        sampling: Sampling::greedy(),
        ignore_stop: true,
        ..GenerateOptions::default()
    };
    let answer = |engine: &mut SymbioteEngine, prompt: &str| {
        engine.generate(prompt, &greedy, &mut |_| ControlFlow::Continue(())).unwrap()
    };
    let first = "Once upon a time, in a small village by the sea, there lived a";
    let mut engine = fresh();
    let expected = answer(&mut engine, first);
    let bytes = saved(&engine);
    for prompt in [first, "Once upon a time, in a small village by the hills, there was no"] {
        let plain = answer(&mut fresh(), prompt);
        let mut engine = fresh();
        engine.load_sequence(&mut bytes.as_slice()).unwrap();
        let kept = answer(&mut engine, prompt);
        assert_eq!((&kept.tokens, &kept.text), (&plain.tokens, &plain.text), "{prompt}");
        assert!(kept.prompt_tokens < plain.prompt_tokens, "what they share is not computed again");
    }
    assert_eq!(answer(&mut fresh(), first).tokens, expected.tokens);
}

#[test]
fn the_program_keeps_a_sequence_between_runs() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let pak = fixtures::pak("tiny-llama");
    let ask = |prompt: &str, more: &[&str]| {
        let fixed = [pak.to_str().unwrap(), "--raw", "-p", prompt, "-n", "6", "--temp", "0", "--ignore-stop"];
        run(RUN, at, [&fixed, more].concat())
    };
    let kept = ["--prompt-cache", "c"];
    let plain = ask("the end of it", &["-q"]);
    let first = ask("the end of it", &kept);
    assert!(first.stderr.contains("prompt cache: ") && first.stderr.contains("written to c"), "{first:?}");
    let second = ask("the end of it", &kept);
    assert!(second.stderr.contains("tokens read from c") && second.stderr.contains("prompt: 1 token"), "{second:?}");
    assert_eq!((&plain.stdout, &plain.stdout), (&first.stdout, &second.stdout));
    assert_eq!(ask("the end of it", &["-q", "--prompt-cache", "c"]).stderr, "");
    assert_eq!(files(at), ["c"], "nothing else is left");

    let before = std::fs::read(at.join("c")).unwrap();
    let line = assert_refusal(
        RUN,
        &ask("a", &[&kept[..], &["--ctx", "64"]].concat()),
        1,
        &["c: ", "--ctx", "this run has 64"],
    );
    assert!(line.ends_with("name another file, or remove this one"), "{line}");
    assert_eq!(std::fs::read(at.join("c")).unwrap(), before, "what was refused is left alone");
    std::fs::write(at.join("text"), "no cache").unwrap();
    assert_refusal(RUN, &ask("a", &["--prompt-cache", "text"]), 1, &["text: this is not a prompt cache"]);
    std::fs::write(at.join("cut"), &before[..before.len() / 2]).unwrap();
    assert_refusal(RUN, &ask("a", &["--prompt-cache", "cut"]), 1, &["cut: this prompt cache is cut off"]);
    assert_refusal(RUN, &ask("a", &["--prompt-cache", "."]), 1, &["."]);
    let nowhere = ask("a", &["-q", "--prompt-cache", "no/where"]);
    assert!(
        nowhere.code == Some(1) && nowhere.stderr.contains("no/where: there is no such file or folder"),
        "{nowhere:?}"
    );
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
