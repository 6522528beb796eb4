//! `symbiote-run` with a prompt, and what needs no model.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;
use symbiote_tests::fixtures;
use symbiote_tests::program::{RUN, done, run};

/// The JSON that a run prints.
fn json(pak: &Path, args: &[&str]) -> Value {
    let args: Vec<&OsStr> = [pak.as_os_str()].into_iter().chain(args.iter().map(OsStr::new)).collect();
    serde_json::from_str(&done(RUN, Path::new("."), &args)).unwrap()
}

#[test]
fn an_answer_as_json_is_deterministic() {
    let pak = fixtures::pak("tiny-llama");
    let args = ["--raw", "-p", "the end", "-n", "8", "--temp", "0", "--ignore-stop", "--json"];
    let first = json(&pak, &args);
    let ids = |answer: &Value, key: &str| answer[key].as_array().unwrap().len();
    assert_eq!((ids(&first, "ids"), &first["stop"]), (8, &"MaxTokens".into()));
    assert_eq!(first["prompt_tokens"], ids(&first, "prompt_ids"));
    assert_eq!(first["decode_passes"], 7);
    for figure in ["prompt_seconds", "prompt_tokens_per_second", "decode_seconds", "decode_tokens_per_second"] {
        assert!(first[figure].as_f64().unwrap() > 0.0, "{figure}: {first}");
    }
    let second = json(&pak, &args);
    assert_eq!((&first["ids"], &first["text"]), (&second["ids"], &second["text"]));
}

#[test]
fn the_seed_decides_the_text() {
    let pak = fixtures::pak("tiny-llama");
    let text = |seed: &str| {
        let settings = ["--raw", "-p", "the end", "-n", "32", "--temp", "1", "--ignore-stop", "--json", "--seed", seed];
        json(&pak, &settings)["ids"].clone()
    };
    let first = text("1");
    assert_eq!(first, text("1"));
    assert_ne!(first, text("2"));
    let free = ["--raw", "-p", "the end", "-n", "32", "--temp", "1", "--ignore-stop", "--json"];
    assert_ne!(json(&pak, &free)["ids"], json(&pak, &free)["ids"], "without a seed the clock decides");
}

#[test]
fn smollm2_answers() {
    let pak = fixtures::smollm2();
    let settings = ["--temp", "0", "-n", "8", "--ctx", "256"];
    let question = ["-p", "What is the capital of France? Answer in one sentence."];
    let args: Vec<&OsStr> =
        [pak.as_os_str()].into_iter().chain(settings.iter().chain(&question).map(OsStr::new)).collect();
    let plain = run(RUN, Path::new("."), &args);
    assert!(plain.code == Some(0) && plain.stdout.contains("Paris"), "{plain:?}");
    assert!(plain.stdout.ends_with('\n'), "{plain:?}");
    // the figures are a line of their own, after the answer's
    assert!(plain.stderr.starts_with("first token after ") && plain.stderr.contains("; answer: "), "{plain:?}");
    assert_eq!(plain.stderr.matches('\n').count(), 1, "{plain:?}");

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("question"), question[1]).unwrap();
    let file = ["--prompt-file", "question", "--quiet"];
    let args: Vec<&OsStr> = [pak.as_os_str()].into_iter().chain(settings.iter().chain(&file).map(OsStr::new)).collect();
    let quiet = run(RUN, folder.path(), &args);
    assert_eq!((quiet.stdout, quiet.stderr.as_str()), (plain.stdout, ""));
}

#[test]
fn devices_are_listed() {
    let text = done(RUN, Path::new("."), &["--list-devices"]);
    let list: Value = serde_json::from_str(&done(RUN, Path::new("."), &["--list-devices", "--json"])).unwrap();
    let devices = list.as_array().unwrap();
    assert_eq!(text.lines().count(), devices.len());
    for (line, device) in text.lines().zip(devices) {
        let name = device["name"].as_str().unwrap();
        assert!(line.starts_with(&format!("{}: {name} (", device["index"])), "{line}");
        assert!(device["memory_bytes"].as_u64().unwrap() > 0 && device["subgroup"].as_u64().unwrap() > 0);
        assert_eq!(device["missing"].is_null(), !line.contains("cannot be used"), "{line}");
    }
}

#[test]
fn perplexity_as_json() {
    let pak = fixtures::smollm2();
    let text = fixtures::bytes("perplexity.txt");
    let folder = tempfile::tempdir().unwrap();
    // a part of it, for time's sake
    std::fs::write(folder.path().join("text"), &text[..700]).unwrap();
    let args: Vec<&OsStr> = ["perplexity".as_ref(), pak.as_os_str()]
        .into_iter()
        .chain(["--file", "text", "--ctx", "64", "--json"].map(OsStr::new))
        .collect();
    let found: Value = serde_json::from_str(&done(RUN, folder.path(), &args)).unwrap();
    let number = |key: &str| found[key].as_u64().unwrap();
    let running: Vec<f64> = found["running"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
    assert_eq!(number("ctx"), 64);
    assert_eq!(number("windows"), number("tokens") / 64);
    assert_eq!(number("scored"), number("windows") * 31, "the second half of a window, less the last token's guess");
    assert_eq!(running.len() as u64, number("windows"));
    assert_eq!(running.last().copied(), found["perplexity"].as_f64());
    assert!(running.iter().all(|p| (1.0..200.0).contains(p)), "{running:?}");
}
