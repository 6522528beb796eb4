//! Targets, codecs and the way from one to the other.
#![allow(clippy::unwrap_used)] // in helpers of tests too, a failure is a panic

mod support;

use serde_json::Value;
use support::gguf::{self, Gguf};
use support::tamper::tamper;
use support::weights::with_trained_weights;
use support::{Bench, hugging_face, read_safetensors};
use symbiote_format::{Archive, Codec, Dtype, PackRole};
use symbiote_packer::{Choice, ConvertOptions, Monitor, Policy, Problem, RepackOptions, Target, convert, repack};

/// All that can be asked for.
const WISHES: [(&str, &str); 13] = [
    ("run", "auto"),
    ("run", "raw"),
    ("run", "p12"),
    ("run", "p11"),
    ("run", "f16"),
    ("run", "bf16"),
    ("ship", "auto"),
    ("ship", "raw"),
    ("ship", "p12"),
    ("ship", "p11"),
    ("ship", "zstd"),
    ("ship", "zfp"),
    ("ship", "f16"),
];

fn model() -> Gguf {
    with_trained_weights(gguf::llama())
}

fn plain_model() -> Gguf {
    with_trained_weights(gguf::llama_of(&[Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F32, Dtype::Bf16]))
}

fn inspect(bench: &Bench, pak: &str) -> Value {
    serde_json::from_str(&bench.done(&["inspect", pak, "--json"])).unwrap()
}

/// Every part of an archive: type, rows of its tensor, its bytes in the source and as coded, its codec.
fn parts(json: &Value) -> Vec<(String, u64, u64, u64, String)> {
    let packs = json["packs"].as_array().unwrap().iter();
    let parts = packs.flat_map(|pack| pack["parts"].as_array().unwrap());
    let about = |part: &Value| {
        let tensor = &json["tensors"][usize::try_from(part["tensor"].as_u64().unwrap()).unwrap()];
        let shape = tensor["shape"].as_array().unwrap();
        let rows = if shape.len() == 1 { 1 } else { shape[0].as_u64().unwrap() };
        let bytes = |key: &str| part[key].as_u64().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&tensor["dtype"]), rows, bytes("raw_bytes"), bytes("coded_bytes"), text(&part["codec"]))
    };
    parts.map(about).collect()
}

#[test]
fn every_type_comes_back_under_every_target_and_codec() {
    for model in [model(), plain_model()] {
        let bench = Bench::new();
        bench.write("m.gguf", model.build());
        for (target, codec) in WISHES {
            let wish = ["--target", target, "--codec", codec, "--force"];
            bench.done(&[&["convert", "m.gguf", "--pack-size", "100KiB"][..], &wish].concat());
            assert!(bench.done(&["verify", "m.pak"]).ends_with("all intact\n"), "{target} {codec}");
            bench.done(&["extract", "m.pak", "-o", "m.safetensors", "--force"]);
            let found = read_safetensors(&bench.path("m.safetensors"));
            assert_eq!(found.len(), model.tensors.len());
            for t in &model.tensors {
                let (.., data) = found.iter().find(|(name, ..)| *name == t.name).unwrap();
                assert!(*data == t.data, "{target} {codec}: {} differs", t.name);
            }
        }
    }
}

#[test]
fn codecs_are_where_they_may_be() {
    let bench = Bench::new();
    bench.write("m.gguf", model().build());
    for (target, wish) in WISHES {
        bench.done(&["convert", "m.gguf", "--target", target, "--codec", wish, "--force"]);
        for (dtype, rows, raw, coded, codec) in parts(&inspect(&bench, "m.pak")) {
            let codec = Codec::ALL.iter().find(|c| c.name() == codec).unwrap();
            let what = format!("{target} {wish}: {dtype}, {rows} rows, {codec}, {coded} of {raw}");
            assert!(coded < raw || *codec == Codec::Raw && coded == raw, "{what}");
            assert!(wish == "auto" || *codec == Codec::Raw || codec.name() == wish, "{what}");
            assert!(target == "ship" || codec.runs() && (rows > 1 || *codec == Codec::Raw), "{what}");
        }
    }
    let of = |target: &str, codec: &str| {
        bench.done(&["convert", "m.gguf", "--target", target, "--codec", codec, "--force"]);
        let parts = parts(&inspect(&bench, "m.pak"));
        let used = |dtype: &str| -> Vec<String> {
            let of_type = parts.iter().filter(|p| p.0 == dtype && p.1 > 1);
            let mut codecs: Vec<String> = of_type.map(|p| p.4.clone()).collect();
            codecs.sort();
            codecs.dedup();
            codecs
        };
        ["BF16", "F16", "Q4_0"].map(used)
    };
    assert_eq!(of("run", "auto"), [vec!["p12"], vec!["raw"], vec!["raw"]]);
    assert_eq!(of("run", "p11"), [vec!["p11"], vec!["raw"], vec!["raw"]]);
    assert_eq!(of("ship", "raw"), [vec!["raw"], vec!["raw"], vec!["raw"]]);
}

#[test]
fn archives_turn_into_each_other_and_back() {
    let bench = Bench::new();
    bench.write("m.gguf", model().build());
    hugging_face::llama().write(&bench.path("hf"), 2);
    for input in ["m.gguf", "hf"] {
        for (target, codec) in WISHES {
            let wish = ["--target", target, "--codec", codec, "--force"];
            let run = |args: &[&str]| bench.done(&[args, &wish].concat());
            run(&["convert", input, "-o", "direct.pak", "--pack-size", "64KiB"]);
            for from in ["run", "ship"] {
                bench.done(&["convert", input, "-o", "a.pak", "--pack-size", "64KiB", "--target", from, "--force"]);
                run(&["repack", "a.pak", "-o", "b.pak"]);
                assert!(bench.read("b.pak") == bench.read("direct.pak"), "{input}: {from} to {target} {codec}");
                bench.done(&["repack", "b.pak", "-o", "c.pak", "--target", from, "--force"]);
                assert!(bench.read("c.pak") == bench.read("a.pak"), "{input}: {target} {codec} back to {from}");
            }
        }
    }
}

#[test]
fn threads_change_nothing() {
    let bench = Bench::new();
    let (input, output) = (bench.write("m.gguf", model().build()), bench.path("m.pak"));
    for target in [Target::Run, Target::Ship] {
        let policy = Policy::new(target, Choice::Auto).unwrap();
        let files = [1, 2, 7].map(|threads| {
            let threads = Some(threads);
            convert(
                &input,
                &output,
                &ConvertOptions { policy, threads, force: true, pack_size: 20_000, profile: None },
                &(),
            )
            .unwrap();
            let converted = bench.read("m.pak");
            repack(&output, &bench.path("again.pak"), &RepackOptions { policy, threads, force: true }, &()).unwrap();
            assert!(bench.read("again.pak") == converted);
            converted
        });
        assert!(files[0] == files[1] && files[1] == files[2]);
    }
}

#[test]
fn reports_say_what_was_written() {
    let bench = Bench::new();
    bench.write("m.gguf", plain_model().build());
    let report = bench.done(&["convert", "m.gguf"]);
    assert!(report.starts_with("m.pak: llama, 30 tensors in ") && report.contains(", weights at 0."), "{report}");
    let json: Value = serde_json::from_str(&bench.done(&["repack", "m.pak", "-o", "r.pak", "--json"])).unwrap();
    assert_eq!((&json["archive"], &json["tensors"], &json["tokenizer"]), (&"r.pak".into(), &30.into(), &true.into()));
    assert_eq!(json["file_bytes"], bench.read("r.pak").len());
    let all = parts(&inspect(&bench, "r.pak"));
    let p12: Vec<_> = all.iter().filter(|p| p.4 == "p12").collect();
    assert_eq!(json["codecs"]["p12"]["parts"], p12.len());
    assert_eq!(json["codecs"]["p12"]["coded_bytes"], p12.iter().map(|p| p.3).sum::<u64>());
    assert_eq!(json["weights"]["source_bytes"], all.iter().map(|p| p.2).sum::<u64>());
    let text = bench.done(&["inspect", "r.pak"]);
    for word in ["source", "coded", "p12 raw", PackRole::MlpBlock.name()] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn what_a_target_cannot_use_is_wrong_usage() {
    let bench = Bench::new();
    bench.write("m.gguf", model().build());
    bench.done(&["convert", "m.gguf"]);
    for codec in ["zstd", "zfp"] {
        for args in [&["convert", "m.gguf"][..], &["repack", "m.pak"]] {
            let error = bench.misused(&[args, &["-o", "x.pak", "--codec", codec]].concat());
            let expected =
                format!("--target run cannot use {codec}: the GPU computes on the archive's bytes as they are");
            assert!(error.contains(&expected) && error.contains("--target ship"), "{error}");
        }
    }
    assert!(bench.misused(&["convert", "m.gguf", "--codec", "gzip"]).contains("'gzip'"));
    assert!(bench.misused(&["convert", "m.gguf", "--target", "moon"]).contains("'moon'"));
    assert!(bench.misused(&["repack", "m.pak"]).contains("--output"));
    assert_eq!(bench.files(), ["m.gguf", "m.pak"]);
}

#[test]
fn an_archive_is_not_repacked_onto_itself_nor_onto_another_unasked() {
    let bench = Bench::new();
    bench.write("m.gguf", model().build());
    bench.done(&["convert", "m.gguf"]);
    std::os::unix::fs::symlink("m.pak", bench.path("link.pak")).unwrap();
    let before = bench.read("m.pak");
    for (input, output) in [("m.pak", "m.pak"), ("m.pak", "./m.pak"), ("m.pak", "link.pak"), ("link.pak", "m.pak")] {
        let error = bench.refused(&["repack", input, "-o", output, "--target", "ship", "--force"]);
        assert!(error.contains("the source itself"), "{error}");
    }
    bench.write("there.pak", "precious");
    assert!(bench.refused(&["repack", "m.pak", "-o", "there.pak"]).contains("--force"));
    assert!(bench.refused(&["repack", "m.pak", "-o", "."]).contains("cannot be the output"));
    assert!(bench.refused(&["repack", "gone.pak", "-o", "x.pak"]).contains("no such file"));
    assert!(bench.refused(&["repack", "m.gguf", "-o", "x.pak"]).contains("not a .pak archive"));
    assert!(bench.read("m.pak") == before);
    assert_eq!(bench.read("there.pak"), b"precious");
    bench.done(&["repack", "m.pak", "-o", "there.pak", "--force"]);
    assert!(bench.read("there.pak") == before);
}

#[test]
fn a_corrupt_archive_is_not_repacked() {
    let bench = Bench::new();
    bench.write("m.gguf", model().build());
    bench.done(&["convert", "m.gguf", "--pack-size", "64KiB"]);
    let mut bad = bench.read("m.pak");
    bad[200_000] ^= 1;
    bench.write("m.pak", &bad);
    let error = bench.refused(&["repack", "m.pak", "-o", "x.pak", "--target", "ship"]);
    assert!(error.contains("is corrupt") && error.contains("do not match their SHA-256"), "{error}");
    assert!(bench.refused(&["inspect", "--codecs", "m.pak"]).contains("is corrupt"));
    assert_eq!(bench.files(), ["m.gguf", "m.pak"]);
}

/// The first part of an archive with that codec.
fn part_of(archive: &[u8], codec: Codec) -> usize {
    let archive = Archive::parse(archive).unwrap();
    archive.index().parts.iter().position(|part| part.codec == codec.code()).unwrap()
}

#[test]
fn coded_bytes_that_break_a_rule_are_named_although_their_hash_matches() {
    let bench = Bench::new();
    bench.write("m.gguf", plain_model().build());
    bench.done(&["convert", "m.gguf"]);
    let good = bench.read("m.pak");
    let part = part_of(&good, Codec::P12);
    type Change = fn(&mut Vec<u8>);
    // a base that no exponents start at, and a weight without an exponent
    let changes: [(Change, &str); 2] = [
        (|coded| coded[40 * 256 * 12 / 8..][..2].fill(0xFF), "exponent base 65535"),
        (|coded| coded[..4].copy_from_slice(&8u32.to_le_bytes()), "no weight is coded so"),
    ];
    for (change, rule) in changes {
        bench.write("bad.pak", tamper(&good, part, change, |_| ()));
        let commands: [&[&str]; 4] = [
            &["verify", "bad.pak"],
            &["extract", "bad.pak", "-o", "x"],
            &["repack", "bad.pak", "-o", "x"],
            &["inspect", "--codecs", "bad.pak"],
        ];
        for command in commands {
            let error = bench.refused(command);
            let named = error.starts_with("tensor token_embd.weight, part 0 (rows 0..40, p12): ");
            assert!(named && error.contains(rule) && error.ends_with("convert the model again"), "{error}");
        }
    }
    assert_eq!(bench.files(), ["bad.pak", "m.gguf", "m.pak"]);
    bench.write("bad.pak", tamper(&good, part, |_| (), |_| ()));
    assert!(bench.read("bad.pak") == good, "tampering itself changes nothing");
}

#[test]
fn a_few_bytes_that_claim_to_be_many_are_refused_before_memory_is_set_aside() {
    let bench = Bench::new();
    bench.write("m.gguf", plain_model().build());
    bench.done(&["convert", "m.gguf", "--target", "ship", "--codec", "zstd"]);
    let good = bench.read("m.pak");
    let part = part_of(&good, Codec::Zstd);
    let bomb = tamper(
        &good,
        part,
        |_| (),
        |index| {
            let tensor = index.parts[part].tensor as usize;
            let rows: u32 = 1 << 22;
            index.tensors[tensor].shape = vec![rows.into(), 256];
            (index.parts[part].rows, index.parts[part].raw_len) = (rows, u64::from(rows) * 512);
        },
    );
    bench.write("bomb.pak", bomb);
    for command in
        [&["verify", "bomb.pak"][..], &["extract", "bomb.pak", "-o", "x"], &["repack", "bomb.pak", "-o", "x"]]
    {
        let error = bench.refused(command);
        assert!(error.contains("is above the limit of"), "{error}");
    }
}

/// Says stop at once.
struct Stop;

impl Monitor for Stop {
    fn interrupted(&self) -> bool {
        true
    }
}

#[test]
fn an_interrupted_repack_leaves_no_file() {
    let bench = Bench::new();
    bench.write("m.gguf", model().build());
    bench.done(&["convert", "m.gguf"]);
    let error = repack(&bench.path("m.pak"), &bench.path("x.pak"), &RepackOptions::default(), &Stop).unwrap_err();
    assert!(matches!(error.problem, Problem::Interrupted));
    assert_eq!(bench.files(), ["m.gguf", "m.pak"]);
}
