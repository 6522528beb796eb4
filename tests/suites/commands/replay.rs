//! trace and replay: from texts to a file of routes, and what caches would have done with it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use symbiote_runtime::engine::{OpenOptions, SymbioteEngine};
use symbiote_runtime::trace::Trace;
use symbiote_tests::fixtures;
use symbiote_tests::program::{PACK, RUN, assert_refusal, done, refused, run};

use super::coaccess::bench;

fn replay(folder: &Path, args: &[&str]) -> String {
    done(RUN, folder, &[&["replay"], args].concat())
}

fn refuse(folder: &Path, args: &[&str], expected: &[&str]) {
    refused(RUN, folder, args, expected);
}

/// Hit rate of a policy, by row.
fn rates(replayed: &Value, policy: &str) -> Vec<f64> {
    let rate = |row: &Value| {
        let results = row["results"].as_array().unwrap().iter();
        results.clone().find(|result| result["policy"] == policy).unwrap()["hit_rate"].as_f64().unwrap()
    };
    replayed["rows"].as_array().unwrap().iter().map(rate).collect()
}

#[test]
fn routes_go_from_texts_into_a_file() {
    let folder = bench();
    let at = folder.path();
    done(PACK, at, &["convert", "moe", "-o", "m.pak"]);
    let args = ["trace", "m.pak", "--text", "essay.txt", "--text", "code=main.rs", "--ctx", "50", "-o", "m.moetrc"];
    let said = done(RUN, at, &args);
    assert!(said.starts_with("m.moetrc: ") && said.contains(" tokens, "), "{said}");
    refuse(at, &args, &["m.moetrc: the file exists", "--force"]);

    let trace = Trace::parse(&std::fs::read(at.join("m.moetrc")).unwrap()).unwrap();
    assert_eq!(trace.domains, ["essay", "code"]);
    assert!(trace.expert_bytes > 0 && trace.vocabulary == 96);
    let (first, last) = (trace.tokens[0], *trace.tokens.last().unwrap());
    assert_eq!((first.sequence, first.position, first.domain, last.domain), (0, 0, 0, 1));
    assert_eq!((trace.tokens[50].sequence, trace.tokens[50].position), (1, 0));

    // token after token, the model goes the same ways
    let mut engine = SymbioteEngine::open(at.join("m.pak"), &OpenOptions::default()).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = heard.clone();
    engine.on_route(Box::new(move |routes| listener.lock().unwrap().extend_from_slice(routes.chosen)));
    trace.tokens[..20].iter().for_each(|token| drop(engine.forward(&[token.id]).unwrap()));
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard, trace.chosen[..heard.len()].iter().map(|&e| u32::from(e)).collect::<Vec<_>>());

    let replayed: Value = serde_json::from_str(&replay(at, &["m.moetrc", "--json", "--lookahead"])).unwrap();
    assert_eq!(replayed["tokens"], trace.tokens.len());
    assert!(rates(&replayed, "belady").iter().zip(rates(&replayed, "lru")).all(|(most, lru)| *most >= lru));
}

#[test]
fn policies_are_compared_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let trace = fixtures::path("routes/tiny-moe.moetrc");
    let args = [trace.to_str().unwrap(), "--policy", "next-use,lru", "--slots", "16,1x,64,4x", "--chart", "rates.svg"];
    let said = replay(folder.path(), &args);
    for part in ["8 layers of 32 experts, 4 a token; 640 tokens, 1 not counted", "hit rate", "next-use", "4.00"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let chart = std::fs::read_to_string(folder.path().join("rates.svg")).unwrap();
    assert_eq!((chart.matches("<polyline").count(), chart.ends_with("</svg>\n")), (2, true));
    let json = |more: &[&str]| -> Value {
        serde_json::from_str(&replay(folder.path(), &[&args[..5], &["--json"], more].concat())).unwrap()
    };
    let (alone, ahead) = (json(&[]), json(&["--lookahead"]));
    for row in 0..4 {
        assert!(rates(&alone, "next-use")[row] > rates(&alone, "lru")[row]);
        assert!(rates(&ahead, "next-use")[row] > rates(&alone, "next-use")[row]);
    }
    let dense: Value =
        serde_json::from_str(&replay(folder.path(), &["--synthetic", "dense", "--slots", "0.5x", "--json"])).unwrap();
    assert_eq!((rates(&dense, "lru"), rates(&dense, "next-use")), (vec![0.0], vec![0.5]));
}

#[test]
fn what_is_no_trace_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let good = fixtures::bytes("routes/tiny-moe.moetrc");
    for (name, bytes) in
        [("cut", &good[..good.len() - 1]), ("gz", &[0x1F, 0x8B, 8]), ("other", b"other"), ("none", b"")]
    {
        std::fs::write(at.join(name), bytes).unwrap();
    }
    refuse(at, &["replay", "cut"], &["cut: the trace is cut off"]);
    refuse(at, &["replay", "gz"], &["gz: this is compressed: gunzip it first"]);
    refuse(at, &["replay", "other"], &["other: this is no trace", "MOETRC01"]);
    refuse(at, &["replay", "none"], &["none: this is no trace"]);
    refuse(at, &["replay", "nobody"], &["nobody: there is no such file or folder"]);
    refuse(at, &["replay", "."], &[".: this is a folder, not a file"]);
    let pak = fixtures::pak("tiny-llama");
    let pak = pak.to_str().unwrap();
    refuse(at, &["trace", pak, "--text", "other", "-o", "no/where"], &["no/where: there is no such folder"]);
    refuse(at, &["trace", pak, "--text", "other", "-o", "out"], &["tiny-llama", "experts"]);
    for (args, expected) in [
        (&["replay"][..], "<TRACE>"),
        (&["replay", "cut", "--slots", "many"], "2x"),
        (&["replay", "cut", "--slots=-1x"], "2x"),
        (&["replay", "cut", "--policy", "best"], "next-use"),
        (&["replay", "cut", "--synthetic", "iid"], "cannot be used with"),
    ] {
        assert_refusal(RUN, &run(RUN, at, args), 2, &["--help", expected]);
    }
}
