//! The cap on device memory: kept, and refused in advance with what is needed.

use std::ffi::OsStr;
use std::path::Path;

use symbiote_runtime::engine::{EngineError, Need, OpenOptions, SymbioteEngine};
use symbiote_runtime::gpu::GpuOptions;
use symbiote_tests::fixtures;
use symbiote_tests::program::{RUN, done, refused};

const MIB: u64 = 1 << 20;

/// Opens `pak` under a cap.
fn open(pak: &Path, cap: u64) -> Result<SymbioteEngine, EngineError> {
    let gpu = GpuOptions { vram_cap: Some(cap), ..GpuOptions::default() };
    let options = OpenOptions { gpu, context: Some(128), batch: Some(32), ..OpenOptions::default() };
    SymbioteEngine::open(pak, &options)
}

/// What the error says is needed.
fn need(pak: &Path) -> Need {
    match open(pak, 0) {
        Err(EngineError::Memory { need, available: 0, capped: true, context: 128 }) => need,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("no memory is enough"),
    }
}

#[test]
fn the_smallest_cap_is_the_one_that_the_error_names() {
    for fixture in ["tiny-llama", "tiny-llama-bf16-tied", "tiny-llama/tiny-llama-q4_0.gguf"] {
        let pak = fixtures::pak(fixture);
        let needed = need(&pak).bytes();
        let (mut refused, mut accepted) = (0, 4 * needed);
        while refused + 1 < accepted {
            let middle = u64::midpoint(refused, accepted);
            match open(&pak, middle) {
                Ok(_) => accepted = middle,
                Err(EngineError::Memory { need, .. }) => {
                    assert_eq!(need.bytes(), needed);
                    refused = middle;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(accepted, needed, "{fixture}");
    }
}

#[test]
fn a_cap_just_large_enough_is_kept() {
    for pak in [fixtures::pak("tiny-llama"), fixtures::smollm2()] {
        let cap = need(&pak).bytes();
        let mut engine = open(&pak, cap).unwrap();
        let ids: Vec<u32> = (0..33).collect();
        engine.forward(&ids).unwrap();
        engine.forward(&[1]).unwrap();
        let used = engine.gpu().memory_used().device;
        assert!(used <= cap && used + MIB > cap, "{used} of {cap}");
    }
}

#[test]
fn the_program_names_a_size_that_will_do() {
    let pak = fixtures::smollm2();
    let run = |vram: &str| -> Vec<String> {
        let args = ["--ctx", "512", "--batch", "64", "--raw", "-p", "hi", "-n", "1", "--vram", vram];
        [pak.to_str().unwrap()].into_iter().chain(args).map(str::to_owned).collect()
    };
    let expected = ["of device memory are needed", "for the weights", "keys and values of 512 tokens", "raise --vram"];
    let said = refused(RUN, Path::new("."), run("1MiB"), &expected);
    let mebibytes = said.split(" MiB of device").next().unwrap().rsplit(' ').next().unwrap();
    let mebibytes: u64 = mebibytes.parse().unwrap();
    done(RUN, Path::new("."), &run(&format!("{mebibytes}MiB")));
    refused(RUN, Path::new("."), run(&format!("{}MiB", mebibytes - 1)), &expected);
    // half the context takes half the room for keys and values
    let args = ["--ctx", "256", "--batch", "64", "--raw", "-p", "hi", "-n", "1", "--vram"].map(OsStr::new);
    let less = format!("{}MiB", mebibytes - 5);
    let args: Vec<&OsStr> = [pak.as_os_str()].into_iter().chain(args).chain([OsStr::new(&less)]).collect();
    done(RUN, Path::new("."), &args);
}
