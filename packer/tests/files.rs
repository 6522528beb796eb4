//! Files appear whole or not at all; archives that are not whole are named for it.
#![allow(clippy::unwrap_used)] // in helpers of tests too, a failure is a panic

mod support;

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use support::{Bench, gguf};
use symbiote_packer::{ConvertOptions, Monitor, Problem, convert, extract};

fn model(bench: &Bench) {
    bench.write("m.gguf", gguf::llama().build());
}

#[test]
fn an_existing_output_is_replaced_only_when_asked() {
    let bench = Bench::new();
    model(&bench);
    bench.write("m.pak", "precious");
    assert!(bench.refused(&["convert", "m.gguf"]).contains("--force"));
    assert_eq!(std::fs::read(bench.path("m.pak")).unwrap(), b"precious");
    assert!(bench.done(&["convert", "m.gguf", "--force"]).starts_with("m.pak: llama, 30 tensors in"));
    bench.write("m.safetensors", "precious");
    assert!(bench.refused(&["extract", "m.pak", "-o", "m.safetensors"]).contains("--force"));
    bench.done(&["extract", "m.pak", "-o", "m.safetensors", "--force"]);
    assert_eq!(bench.files(), ["m.gguf", "m.pak", "m.safetensors"]);
}

#[test]
fn outputs_that_cannot_be_are_refused() {
    let bench = Bench::new();
    model(&bench);
    assert!(bench.refused(&["convert", "m.gguf", "-o", ".", "--force"]).contains("cannot be the output"));
    assert!(bench.refused(&["convert", "m.gguf", "-o", "m.gguf", "--force"]).contains("the source itself"));
    assert!(bench.refused(&["convert", "m.gguf", "-o", "no/such/folder.pak"]).contains("no such file or folder"));
    assert!(bench.refused(&["convert", "m.gguf", "--pack-size", "1"]).contains("from 4096"));
    assert!(bench.refused(&["convert", "gone.gguf"]).contains("no such file or folder"));
    assert_eq!(bench.files(), ["m.gguf"]);
}

#[test]
fn wrong_usage_is_code_2() {
    let bench = Bench::new();
    for args in [&["convert"][..], &["melt", "x"], &["convert", "x", "--pack-size", "big"], &[]] {
        assert_eq!(bench.run(args).status.code(), Some(2), "{args:?}");
    }
    assert_eq!(bench.run(&["convert", "--help"]).status.code(), Some(0));
}

#[test]
fn a_write_that_fails_leaves_the_old_output_and_nothing_else() {
    let bench = Bench::new();
    model(&bench);
    bench.write("m.pak", "precious");
    // the limit on a file's size stands in for a full disk
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$0\" convert m.gguf --force";
    let out = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_symbiote-pack")])
        .current_dir(bench.0.path())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stderr).starts_with("symbiote-pack: m.pak: "));
    assert_eq!(std::fs::read(bench.path("m.pak")).unwrap(), b"precious");
    assert_eq!(bench.files(), ["m.gguf", "m.pak"]);
}

/// Says stop after so many questions.
struct StopAfter(AtomicU64);

impl Monitor for StopAfter {
    fn interrupted(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err()
    }
}

#[test]
fn an_interrupted_run_leaves_no_file() {
    let bench = Bench::new();
    model(&bench);
    let options = ConvertOptions { pack_size: 8192, ..ConvertOptions::default() };
    let (input, output) = (bench.path("m.gguf"), bench.path("m.pak"));
    for patience in [0, 1, 5, 20] {
        let error = convert(&input, &output, &options, &StopAfter(patience.into())).unwrap_err();
        assert!(matches!(error.problem, Problem::Interrupted));
        assert_eq!(bench.files(), ["m.gguf"]);
    }
    convert(&input, &output, &options, &()).unwrap();
    let error = extract(&output, &bench.path("x"), false, &StopAfter(3.into())).unwrap_err();
    assert!(matches!(error.problem, Problem::Interrupted));
    assert_eq!(bench.files(), ["m.gguf", "m.pak"]);
}

#[test]
fn verify_names_the_corrupt_segment() {
    let bench = Bench::new();
    model(&bench);
    bench.done(&["convert", "m.gguf", "--pack-size", "64KiB"]);
    let good = std::fs::read(bench.path("m.pak")).unwrap();
    let mut bad = good.clone();
    bad[4096] ^= 1;
    bench.write("m.pak", &bad);
    let error = bench.refused(&["verify", "m.pak"]);
    assert!(error.starts_with("pack 0 (embedding, no layer) is corrupt"), "{error}");
    bad[200_000] ^= 1;
    bench.write("m.pak", &bad);
    let error = bench.refused(&["verify", "m.pak"]);
    assert!(error.starts_with("pack 0") && error.ends_with("(1 more packs are corrupt too)"), "{error}");

    bench.write("m.pak", &good[..good.len() - 1]);
    for command in [&["verify", "m.pak"][..], &["inspect", "m.pak"], &["extract", "m.pak", "-o", "x"]] {
        assert!(bench.refused(command).contains("cut off"));
    }
    bench.write("m.pak", b"something else");
    assert!(bench.refused(&["inspect", "m.pak"]).contains("not a .pak archive"));
    assert!(bench.refused(&["verify", "."]).contains("not a regular file"));
    assert!(bench.refused(&["verify", "gone"]).contains("no such file"));
}

#[test]
fn inspect_shows_people_and_programs_the_same() {
    let bench = Bench::new();
    model(&bench);
    bench.done(&["convert", "m.gguf"]);
    let text = bench.done(&["inspect", "m.pak"]);
    for word in ["llama", "3 layers", "attention-heads", "Q4_K", "m.gguf", "gguf-bpe (smollm)", "stops at 2, 7"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let json: serde_json::Value = serde_json::from_str(&bench.done(&["inspect", "m.pak", "--json"])).unwrap();
    assert_eq!(json["config"]["hidden_size"], 256);
    assert_eq!(json["tensors"].as_array().unwrap().len(), 30);
    assert_eq!(json["tokenizer"]["stop"], serde_json::json!([2, 7]));
    assert_eq!(json["metadata"]["general.name"], "a test");
}
