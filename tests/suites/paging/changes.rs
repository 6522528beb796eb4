//! The archive's file changes while an engine reads it: never a wrong token, and one sentence that names the file.

use std::path::Path;
use std::time::{Duration, Instant};

use symbiote_format::Codec;
use symbiote_runtime::engine::{EngineError, Link, OpenOptions, SymbioteEngine};
use symbiote_runtime::gpu::GpuOptions;
use symbiote_runtime::residency::MemoryTier;

use super::{at, delete, overwrite, replace, truncate};
use crate::budgets::{Caps, Machine, archive, least};

/// Tokens whose rows are in different packs of the table.
const TOKENS: [u32; 6] = [5, 310, 100, 7, 200, 150];

/// The same, as far as a vocabulary has them.
fn token(engine: &SymbioteEngine, number: usize) -> u32 {
    TOKENS[number] % engine.config().vocab_size
}

/// More than a pass of so small a model ever takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn open(pak: &Path, caps: Caps) -> SymbioteEngine {
    let force_staging = caps.machine == Machine::Discrete;
    // as `least` opens it, or kernels are others and need another budget
    let gpu = GpuOptions { vram_cap: caps.vram, force_staging, validation: true, ..GpuOptions::default() };
    let (context, batch) = (Some(64), Some(16));
    let options = OpenOptions { gpu, ram_cap: caps.ram, ram_held: Some(0), context, batch, ..OpenOptions::default() };
    SymbioteEngine::open(pak, &options).unwrap()
}

fn step(engine: &mut SymbioteEngine, number: usize) -> Result<Vec<f32>, EngineError> {
    let start = Instant::now();
    let outcome = engine.forward(&[token(engine, number)]);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    outcome
}

fn all(engine: &mut SymbioteEngine) -> Vec<Vec<f32>> {
    (0..TOKENS.len()).map(|number| step(engine, number).unwrap()).collect()
}

/// A fresh copy of `pak` and an engine on it.
fn copy(pak: &Path, caps: Caps) -> (tempfile::TempDir, std::path::PathBuf, SymbioteEngine) {
    let folder = tempfile::tempdir().unwrap();
    let copy = at(&folder, "model.pak");
    std::fs::copy(pak, &copy).unwrap();
    let engine = open(&copy, caps);
    (folder, copy, engine)
}

/// The error says which file, and what is wrong with it.
fn assert_told(error: &EngineError, pak: &Path) {
    let said = error.to_string();
    assert!(said.contains(pak.to_str().unwrap()), "{said}");
    assert!(said.contains("was changed") || said.contains("was cut off"), "{said}");
}

/// Does `each` with the smallest budgets, then with none, on either kind of machine.
fn everywhere(each: impl Fn(&Path, Caps, &[Vec<f32>])) {
    let folder = tempfile::tempdir().unwrap();
    let packed = ("tiny-llama-bf16-tied", Codec::P12, Machine::Own);
    let (raw, experts) = (("tiny-llama", Codec::Raw), ("tiny-qwen3moe", Codec::Raw));
    let apart = [raw, experts].map(|(fixture, codec)| (fixture, codec, Machine::Discrete));
    for (fixture, codec, machine) in [packed].into_iter().chain(apart) {
        let pak = archive(folder.path(), fixture, codec);
        let free = Caps { machine, vram: None, ram: None, link: Link::Copy };
        let expected = all(&mut open(&pak, free));
        let (vram, ram) = least(&pak, machine);
        let smallest = Caps { machine, vram: Some(vram), ram: Some(ram), link: Link::Copy };
        assert!(open(&pak, smallest).memory().plan.homes.contains(&MemoryTier::DiskCold), "{smallest:?}");
        for caps in [smallest, free] {
            each(&pak, caps, &expected);
        }
    }
}

#[test]
fn a_file_that_is_cut_off_or_overwritten_gives_no_more_tokens() {
    everywhere(|pak, caps, expected| {
        for change in [truncate, overwrite] {
            for before in [0, 2] {
                let (_folder, pak, mut engine) = copy(pak, caps);
                for (number, logits) in expected.iter().enumerate().take(before) {
                    assert!(step(&mut engine, number).unwrap() == *logits);
                }
                change(&pak);
                let mut failed = false;
                for (number, right) in expected.iter().enumerate().skip(before) {
                    // what is all in memory goes on, and is right
                    match step(&mut engine, number) {
                        Ok(logits) => assert!(!failed && logits == *right, "{caps:?}, {before}, {number}"),
                        Err(error) => {
                            assert_told(&error, &pak);
                            let done = (0..engine.sequence().len()).map(|number| token(&engine, number));
                            assert!(engine.sequence().iter().copied().eq(done));
                            failed = true;
                        }
                    }
                }
                assert!(failed || caps.vram.is_none(), "{caps:?} after {before}");
                assert!(failed || before > 0, "nothing was read before the change: {caps:?}");
            }
        }
    });
}

#[test]
fn a_file_that_is_replaced_or_deleted_is_read_on() {
    everywhere(|pak, caps, expected| {
        for change in [replace, delete] {
            let (_folder, pak, mut engine) = copy(pak, caps);
            assert!(step(&mut engine, 0).unwrap() == expected[0]);
            change(&pak);
            for (number, logits) in expected.iter().enumerate().skip(1) {
                assert!(step(&mut engine, number).unwrap() == *logits, "{caps:?}");
            }
        }
    });
}

/// A file that was away for a while, such as one on a stick, is the same file if its bytes and its time are.
#[test]
fn a_file_that_is_whole_again_is_read_on() {
    everywhere(|pak, caps, expected| {
        let (_folder, copied, mut engine) = copy(pak, caps);
        let file = std::fs::OpenOptions::new().write(true).open(&copied).unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        assert!(step(&mut engine, 0).unwrap() == expected[0]);
        truncate(&copied);
        if let Err(error) = step(&mut engine, 1) {
            assert_told(&error, &copied);
        }
        engine.truncate(1);
        let bytes = std::fs::read(pak).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
        file.set_modified(time).unwrap();
        for (number, right) in expected.iter().enumerate().skip(1) {
            match step(&mut engine, number) {
                Ok(logits) => assert!(logits == *right, "{caps:?}"),
                // or it says that it has to be opened again
                Err(error) => assert_told(&error, &copied),
            }
        }
    });
}
