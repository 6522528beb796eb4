//! `--ram` and `--vram` are kept by the program, as the system counts.

use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use symbiote_tests::program::{Done, RUN, assert_refusal, command};

use super::{MIB, WIRES, asked_for, at, synthetic};

/// What a device takes varies so much from run to run. (The runs under `--vram` come first: a driver that has not yet compiled
/// these kernels needs a hundred MiB for that, which no budget covers.)
const NOISE: u64 = 6 * MIB;

/// Few tokens.
const BENCH: [&str; 10] = ["--prompt-tokens", "8", "-n", "3", "--ctx", "64", "--batch", "8", "--json", "--verify"];

/// The most RAM that the process holds until it ends, in bytes.
fn watch(child: &mut Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kibibytes = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = kibibytes.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = kibibytes.map_or(peak, |n| n * 1024);
        sleep(Duration::from_millis(2));
    }
    peak
}

/// Runs it to its end; its peak beside what it left behind.
fn watched(folder: &Path, args: &[&str]) -> (u64, Done) {
    let mut command = command(RUN, folder, args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let peak = watch(&mut child);
    (peak, child.wait_with_output().unwrap().into())
}

#[test]
fn what_a_bench_holds_is_below_its_caps() {
    let folder = tempfile::tempdir().unwrap();
    let pak = at(&folder, "large.pak");
    synthetic(&pak, 1024, 6, 4 << 20);
    let weights = std::fs::metadata(&pak).unwrap().len();
    assert!(weights > 140 * MIB, "{weights}");
    let folder = folder.path();
    let device = (0..3).map(|_| watched(folder, &["--list-devices"]).0).max().unwrap();

    for (flag, of) in [("--vram", "device memory"), ("--ram", "RAM")] {
        let bench = |cap: &str| watched(folder, &[&["bench", "large.pak", flag, cap], &WIRES[..], &BENCH[..]].concat());
        let least = asked_for(folder, &[&["bench", "large.pak", flag, "1B"], &WIRES[..], &BENCH[..]].concat(), of);
        for cap in [least, least + 60] {
            let (peak, done) = bench(&format!("{cap}MiB"));
            assert_eq!(done.code, Some(0), "{flag} {cap}MiB: {done:?}");
            let found: Value = serde_json::from_str(&done.stdout).unwrap();
            let used = found["vram_used"].as_u64().unwrap();
            assert!(flag == "--ram" || used <= cap * MIB, "{used} of {cap} MiB");
            assert!(flag == "--vram" || peak <= cap * MIB + device + NOISE, "{peak} of {cap} MiB beside {device}");
        }
        let (_, done) = bench(&format!("{}MiB", least - 1));
        assert_refusal(RUN, &done, 1, &[&format!("{least} MiB of {of} are needed"), &format!("raise {flag}")]);
    }
}
