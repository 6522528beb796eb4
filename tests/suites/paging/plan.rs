//! `symbiote-run plan`: what it says, as JSON and to people.

use std::path::Path;

use serde_json::Value;
use symbiote_format::Codec;
use symbiote_runtime::engine::{EngineError, OpenOptions, SymbioteEngine, USUAL_WIRES};
use symbiote_runtime::pak::PakFile;
use symbiote_tests::fixtures;
use symbiote_tests::program::{RUN, assert_refusal, done, refused, run};

use crate::budgets::archive;

/// What `plan` and `bench` say of wires like these, in GB/s.
fn wires(disk: f64, link: f64, vram: f64) -> Vec<String> {
    let flags = [("--disk-gbps", disk), ("--link-gbps", link), ("--vram-gbps", vram)];
    flags.iter().flat_map(|(flag, rate)| [(*flag).to_owned(), rate.to_string()]).collect()
}

fn plan(pak: &Path, wires: &[String], extra: &[&str]) -> String {
    let mut args: Vec<&str> = vec!["plan", pak.to_str().unwrap(), "--ctx", "64", "--batch", "16"];
    args.extend(wires.iter().map(String::as_str).chain(extra.iter().copied()));
    done(RUN, Path::new("."), &args)
}

/// Device memory from the least to more than all, in bytes.
fn caps(pak: &Path) -> [u64; 3] {
    let mut options = OpenOptions { context: Some(64), batch: Some(16), ..OpenOptions::default() };
    options.gpu.vram_cap = Some(0);
    let least = match SymbioteEngine::plan(pak, &options, USUAL_WIRES) {
        Err(EngineError::Memory { need, .. }) => need.bytes(),
        other => panic!("{:?}", other.err()),
    };
    let all = least + std::fs::metadata(pak).unwrap().len();
    [least, least + (all - least) / 3, all]
}

/// The load that takes longest, of what the JSON says of each wire: its name and seconds.
fn slowest<'a>(plan: &Value, [disk, link, vram]: [f64; 3]) -> (&'a str, f64) {
    let seconds = |key: &str, rate: f64| plan["forecast"][key].as_f64().unwrap() / rate / 1e9;
    let loads = [
        ("disk", seconds("disk_bytes", disk)),
        ("link", seconds("link_bytes", link)),
        ("VRAM", seconds("vram_bytes", vram)),
    ];
    loads.into_iter().reduce(|most, load| if load.1 > most.1 { load } else { most }).unwrap()
}

#[test]
fn the_forecast_is_that_of_the_slowest_wire() {
    let folder = tempfile::tempdir().unwrap();
    let pak = archive(folder.path(), "tiny-llama-bf16-tied", Codec::P12);
    let weights: u64 = PakFile::open(&pak).unwrap().archive().index().packs.iter().map(|p| p.len.to_native()).sum();
    let mut bound = std::collections::BTreeSet::new();
    for rates in [[0.5, 8.0, 100.0], [50.0, 8.0, 0.25]] {
        let [disk, link, vram] = rates;
        let wires = wires(disk, link, vram);
        for cap in caps(&pak) {
            let cap = format!("{cap}B");
            let json: Value = serde_json::from_str(&plan(&pak, &wires, &["--vram", &cap, "--json"])).unwrap();
            let number = |key: &str| json[key].as_u64().unwrap_or_else(|| panic!("{key}: {json}"));
            let tiers = ["vram_bytes", "ram_bytes", "disk_bytes"].map(number);
            assert_eq!(tiers.iter().sum::<u64>(), weights, "{json}");
            let longest = ["slots", "slot_bytes", "staging", "staging_bytes"].map(number);
            assert_eq!(json["wires"]["disk_gbps"], disk);
            assert_eq!(json["wires"]["link_gbps"], link);
            assert_eq!(json["wires"]["vram_gbps"], vram);
            let (name, seconds) = slowest(&json, rates);
            let found = json["forecast"]["tokens_per_second"].as_f64().unwrap();
            // kernels may wait for a row of the table besides: a pack from disk
            let row = if tiers[2] > 0 { longest[1].max(longest[3]) as f64 / disk / 1e9 } else { 0.0 };
            assert!(found <= 1.000001 / seconds && found >= 0.999999 / (seconds + row), "{found}, {seconds}: {json}");
            let binding = json["forecast"]["binding"].as_str().unwrap();
            assert!(binding == name || row > 0.0, "{json}");
            bound.insert(binding.to_owned());

            let text = plan(&pak, &wires, &["--vram", &cap]);
            let marked: Vec<&str> = text.lines().filter(|line| line.ends_with("<- binding")).collect();
            assert_eq!(marked.len(), 1, "{text}");
            assert!(marked[0].starts_with(binding), "{text}");
            assert!(text.ends_with(&format!("at most {found:.2} tokens/s\n")), "{text}");
        }
    }
    assert!(bound.contains("disk") && bound.contains("VRAM"), "{bound:?}");
}

/// Wires that are not given are measured.
#[test]
fn wires_are_measured() {
    let pak = fixtures::pak("tiny-llama");
    let json: Value =
        serde_json::from_str(&done(RUN, Path::new("."), &["plan", pak.to_str().unwrap(), "--json"])).unwrap();
    for wire in ["disk_gbps", "vram_gbps"] {
        let rate = json["wires"][wire].as_f64().unwrap();
        assert!(rate > 1e-3 && rate < 1e5, "{wire}: {rate}");
    }
    assert_eq!(json["unified"] == true, json["wires"]["link_gbps"].is_null(), "{json}");
    assert!(json["forecast"]["tokens_per_second"].as_f64().unwrap() > 0.0);
}

#[test]
fn bad_flags_and_missing_models() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &[&str]); 9] = [
        (&["plan"], &["<MODEL>"]),
        (&["bench"], &["<MODEL>"]),
        (&["plan", "m", "--disk-gbps", "0"], &["--disk-gbps", "above 0"]),
        (&["plan", "m", "--link-gbps=-1"], &["--link-gbps", "above 0"]),
        (&["bench", "m", "--vram-gbps", "inf"], &["--vram-gbps", "above 0"]),
        (&["bench", "m", "--disk-gbps", "fast"], &["--disk-gbps", "above 0"]),
        (&["bench", "m", "--chart", "x.svg"], &["--sweep"]),
        (&["bench", "m", "--sweep", "some"], &["--sweep", "some"]),
        (&["plan", "m", "--vram", "big"], &["--vram", "big"]),
    ];
    for (args, expected) in cases {
        assert_refusal(RUN, &run(RUN, folder.path(), args), 2, expected);
    }
    let given = wires(1.0, 1.0, 1.0);
    for command in ["plan", "bench"] {
        for wires in [&given[..], &[]] {
            let args = [command, "nothing.pak"].into_iter().chain(wires.iter().map(String::as_str));
            let said = refused(RUN, folder.path(), args, &["nothing.pak: there is no such file"]);
            assert_eq!(said.matches("nothing.pak").count(), 1, "{said}");
        }
    }
}
