//! Budgets of device memory and RAM: logits are the same bits under all of them, and the caps hold.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use symbiote_format::Codec;
use symbiote_packer::{Choice, ConvertOptions, Policy, Target, convert};
use symbiote_runtime::engine::{EngineError, Link, OpenOptions, SymbioteEngine};
use symbiote_runtime::gpu::GpuOptions;
use symbiote_runtime::memory::Room;
use symbiote_runtime::residency::MemoryTier;
use symbiote_runtime::residency::experts::OracleKind;
use symbiote_tests::fixtures;

const MIB: u64 = 1 << 20;

/// Dense and of experts, coded and not.
const MODELS: [(&str, Codec); 8] = [
    ("tiny-llama-bf16-tied", Codec::P12),
    ("tiny-llama", Codec::Raw),
    ("tiny-llama/tiny-llama-q8_0.gguf", Codec::Raw),
    ("tiny-qwen3moe", Codec::Raw),
    ("tiny-qwen2moe", Codec::Raw),
    ("tiny-qwen3moe-fp8", Codec::Raw),
    ("tiny-gpt-oss", Codec::Raw),
    ("tiny-deepseek2-lite/tiny-deepseek2-lite.gguf", Codec::P12),
];

/// How a device's memory is treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Machine {
    /// As this one's is: where that is a CPU, RAM.
    Own,
    /// As memory that the host does not reach: packs go there through pinned memory, by copies. Kernels are a GPU's.
    Discrete,
}

/// What a run is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    pub machine: Machine,
    pub vram: Option<u64>,
    pub ram: Option<u64>,
    pub link: Link,
}

fn options(caps: Caps) -> OpenOptions {
    let gpu = GpuOptions {
        validation: true,
        vram_cap: caps.vram,
        force_staging: caps.machine == Machine::Discrete,
        ..GpuOptions::default()
    };
    OpenOptions {
        gpu,
        ram_cap: caps.ram,
        // other tests take and give memory meanwhile
        ram_held: Some(0),
        link: caps.link,
        like_gpu: caps.machine == Machine::Discrete,
        context: Some(64),
        batch: Some(16),
        verify: true,
        ..OpenOptions::default()
    }
}

fn open(pak: &Path, caps: Caps) -> Result<SymbioteEngine, EngineError> {
    SymbioteEngine::open(pak, &options(caps))
}

/// The bits of the logits of a prompt in two passes, all of its rows, then of tokens one by one.
fn logits(engine: &mut SymbioteEngine) -> Vec<u32> {
    let mut bits = Vec::new();
    let prompt: Vec<u32> = (0..24).map(|i| i * 7 % 96).collect();
    engine.forward_from(&prompt, 0, &mut |_, row| bits.extend(row.iter().map(|v| v.to_bits()))).unwrap();
    for token in 0..6 {
        bits.extend(engine.forward(&[token * 11]).unwrap().iter().map(|v| v.to_bits()));
    }
    // a prompt of which only the last row is wanted skips the head
    engine.truncate(0);
    bits.extend(engine.forward(&prompt).unwrap().iter().map(|v| v.to_bits()));
    assert_eq!(engine.gpu().validation_errors(), 0, "{:#?}", engine.gpu().validation_messages());
    bits
}

/// An archive of many small packs.
pub fn archive(folder: &Path, fixture: &str, codec: Codec) -> PathBuf {
    let pak = folder.join(format!("{}-{codec}.pak", fixture.replace('/', "-")));
    let policy = Policy::new(Target::Run, Choice::Only(codec)).unwrap();
    let options = ConvertOptions { policy, pack_size: 4096, force: true, ..ConvertOptions::default() };
    convert(&fixtures::path(fixture), &pak, &options, &()).unwrap();
    pak
}

/// The least device memory and RAM that are accepted.
pub fn least(pak: &Path, machine: Machine) -> (u64, u64) {
    let vram = match open(pak, Caps { machine, vram: Some(0), ram: None, link: Link::Copy }) {
        Err(EngineError::Memory { need, .. }) => need.bytes(),
        other => panic!("{:?}", other.err()),
    };
    let ram = match open(pak, Caps { machine, vram: Some(vram), ram: Some(0), link: Link::Copy }) {
        Err(EngineError::Ram { needed, .. }) => needed,
        other => panic!("{:?}", other.err()),
    };
    (vram, ram)
}

#[test]
fn logits_are_the_same_bits_under_every_budget() {
    let folder = tempfile::tempdir().unwrap();
    for (fixture, codec) in MODELS {
        let pak = archive(folder.path(), fixture, codec);
        for machine in [Machine::Own, Machine::Discrete] {
            let (vram, ram) = least(&pak, machine);
            let mut whole = open(&pak, Caps { machine, vram: None, ram: None, link: Link::Copy }).unwrap();
            let expected = logits(&mut whole);
            let all = whole.gpu().memory_used().device;
            assert!(all > vram, "{all} {vram}");
            let mut streamed = 0;
            for part in 0..=5 {
                let cap = vram + (all - vram) * part / 5;
                let vram = Some(cap);
                for (ram, link) in [(None, Link::Copy), (None, Link::Direct), (Some(ram + MIB), Link::Copy)] {
                    let caps = Caps { machine, vram, ram, link };
                    let mut engine = open(&pak, caps).unwrap_or_else(|e| panic!("{caps:?}: {e}"));
                    assert!(logits(&mut engine) == expected, "{fixture} {codec} {caps:?}");
                    let used = engine.gpu().memory_used().device;
                    assert!(used <= cap, "{used} of {caps:?}");
                    let shares = engine.packs().distribution();
                    streamed += shares.iter().filter(|s| s.tier != MemoryTier::VramHot).map(|s| s.packs).sum::<usize>();
                }
            }
            assert!(streamed > 50, "{streamed}");
        }
    }
}

#[test]
fn logits_are_the_same_bits_under_every_policy() {
    let folder = tempfile::tempdir().unwrap();
    let pak = archive(folder.path(), "tiny-qwen3moe", Codec::Raw);
    for machine in [Machine::Own, Machine::Discrete] {
        let (vram, ram) = least(&pak, machine);
        let mut whole = open(&pak, Caps { machine, vram: None, ram: None, link: Link::Copy }).unwrap();
        let expected = logits(&mut whole);
        let all = whole.gpu().memory_used().device;
        let some = Some(vram + (all - vram) / 2);
        for ram in [None, Some(ram + MIB / 8)] {
            let caps = Caps { machine, vram: some, ram, link: Link::Copy };
            for oracle in OracleKind::value_variants() {
                for no_prefetch in [false, true] {
                    let options = OpenOptions { oracle: *oracle, no_prefetch, ..options(caps) };
                    let mut engine = SymbioteEngine::open(&pak, &options).unwrap();
                    assert!(logits(&mut engine) == expected, "{oracle:?}, {caps:?}");
                    let counters = engine.experts().unwrap();
                    assert!(counters.uses > 0 && counters.hits < counters.uses, "{counters}");
                }
            }
        }
    }
}

/// What an engine computes, step by step, from its state so far: a prompt of two passes, then tokens one by one.
fn steps(engine: &mut SymbioteEngine, mut between: impl FnMut(&mut SymbioteEngine, usize)) -> Vec<Vec<f32>> {
    let prompt: Vec<u32> = (0..24).map(|i| i * 7 % 96).collect();
    let tokens = (0..12).map(|token| vec![token * 11 % 96]);
    let passes = [prompt].into_iter().chain(tokens).enumerate();
    let found = passes.map(|(step, tokens)| {
        between(engine, step);
        engine.forward(&tokens).unwrap()
    });
    let found = found.collect();
    assert_eq!(engine.gpu().validation_errors(), 0, "{:#?}", engine.gpu().validation_messages());
    found
}

fn bits(rows: &[Vec<f32>]) -> Vec<u32> {
    rows.iter().flatten().map(|v| v.to_bits()).collect()
}

#[test]
fn budgets_that_change_in_use_change_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    for (fixture, codec) in MODELS {
        let pak = archive(folder.path(), fixture, codec);
        for machine in [Machine::Own, Machine::Discrete] {
            let (vram, ram) = least(&pak, machine);
            let whole = Caps { machine, vram: None, ram: None, link: Link::Copy };
            let expected = steps(&mut open(&pak, whole).unwrap(), |_, _| {});
            for link in [Link::Copy, Link::Direct] {
                let mut engine = open(&pak, Caps { link, ..whole }).unwrap();
                let mut all = 0;
                let found = steps(&mut engine, |engine, step| {
                    all = all.max(engine.gpu().memory_used().device);
                    let part = [8, 8, 7, 6, 6, 4, 2, 0, 0, 3, 8, 8, 1][step];
                    let cap = vram + all.saturating_sub(vram) * part / 8;
                    let ram = if step % 2 == 0 { ram + MIB } else { u64::MAX };
                    if step > 0 {
                        engine.set_budgets(cap, ram).unwrap_or_else(|e| panic!("{machine:?} {cap} {ram}: {e}"));
                        let used = engine.gpu().memory_used().device;
                        assert!(used <= cap, "{used} of {cap}, step {step}, {machine:?}");
                    }
                    // too little is refused, and nothing changes
                    assert!(matches!(engine.set_budgets(vram - 1, u64::MAX), Err(EngineError::Memory { .. })));
                    assert!(matches!(engine.set_budgets(u64::MAX, 1), Err(EngineError::Ram { .. })));
                });
                assert!(bits(&found) == bits(&expected), "{fixture} {codec} {machine:?} {link:?}");
            }
        }
    }
}

#[test]
fn memory_that_others_take_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let pak = archive(folder.path(), "tiny-llama", Codec::Raw);
    for machine in [Machine::Own, Machine::Discrete] {
        let caps = Caps { machine, vram: None, ram: None, link: Link::Copy };
        let expected = steps(&mut open(&pak, caps).unwrap(), |_, _| {});
        let (least, _) = least(&pak, machine);
        let mut engine = open(&pak, caps).unwrap();
        let mut after = Vec::new();
        let found = steps(&mut engine, |engine, step| {
            let used = engine.gpu().memory_used().device;
            after.push(used);
            let taken = match step {
                3 => (used - least) / 4,
                6 => (used - least) / 2,
                9 => u64::MAX,
                _ => return,
            };
            engine.ask_meter(Box::new(move |_| [Some(Room { budget: 0, usage: taken }), None]));
        });
        assert!(bits(&found) == bits(&expected), "{machine:?}");
        let all = after[3];
        assert!(after[4] <= all - (all - least) / 4 && after[4] > least, "{after:?}, {least} at least");
        assert!(after[7] <= after[6] - (after[6] - least) / 2, "{after:?}, {least} at least");
        // it goes on with what it needs
        assert_eq!(after[10], least);
        assert!(engine.memory().plan.slots > 0);
    }
}
