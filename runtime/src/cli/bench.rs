//! `symbiote-run bench`: how fast a model runs under its budgets, beside what the wires allow.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use symbiote_runtime::engine::{EngineError, ExpertCounters, OpenOptions, SymbioteEngine};
use symbiote_runtime::memory::{ByteSize, peak_resident_bytes};
use symbiote_runtime::residency::{Counters, Wire, Wires};

use super::args::BenchArgs;
use super::chart::{Chart, Line};
use super::open::{check_validation, print_profile, sentence};
use super::output::{Failure, note, print};
use super::plan;
use super::script::TraceScript;

/// Measures and prints.
pub fn run(args: &BenchArgs) -> Result<(), Failure> {
    let options = OpenOptions { crossings: args.crossings, ..args.plan.engine.options() };
    let wires = plan::wires(&args.plan.model, &options, &args.plan.wires)?;
    if args.sweep > 0 {
        return sweep(args, &options, wires);
    }
    let (result, engine) = measure(args, &options, wires)?;
    if args.plan.json {
        print(format!("{}\n", result.json()))?;
    } else {
        print(result.text())?;
    }
    print_profile(&engine);
    check_validation(&engine)
}

/// One measurement.
struct Measured {
    forecast: f64,
    plan: Value,
    wires: Wires,
    device: String,
    /// Seconds from the start to the first token, everything loaded on the way.
    first_token: f64,
    prompt_tokens: usize,
    prompt: f64,
    passes: usize,
    decode: f64,
    counters: Counters,
    vram_used: u64,
    peak_rss: u64,
    /// Where not all experts stay.
    experts: Option<ExpertCounters>,
}

fn measure(args: &BenchArgs, options: &OpenOptions, wires: Wires) -> Result<(Measured, SymbioteEngine), Failure> {
    let fail = |e: EngineError| sentence(&args.plan.model, &e);
    let start = Instant::now();
    let mut engine = SymbioteEngine::open_with(&args.plan.model, options, wires).map_err(fail)?;
    if let Some(file) = &args.routes {
        engine.follow_script(Box::new(TraceScript::read(file, engine.config(), args.early_recall)?));
    }
    let measured = decode(args, wires, &mut engine, start).map_err(fail)?;
    Ok((measured, engine))
}

fn decode(
    args: &BenchArgs,
    wires: Wires,
    engine: &mut SymbioteEngine,
    start: Instant,
) -> Result<Measured, EngineError> {
    let vocabulary = engine.config().vocab_size;
    let ids = |count: usize, seed: u32| -> Vec<u32> {
        let id = |i: u32| (seed.wrapping_add(i)).wrapping_mul(2_654_435_761) % vocabulary;
        (0..u32::try_from(count).unwrap_or(0)).map(id).collect()
    };
    let room = engine.context() as usize;
    let prompt_tokens = args.prompt_tokens.clamp(1, room.saturating_sub(args.tokens + 2).max(1));
    engine.forward(&ids(prompt_tokens, 0))?;
    let first_token = start.elapsed().as_secs_f64();
    // once more, with everything in its place
    engine.settle()?;
    engine.truncate(0);
    let start = Instant::now();
    engine.forward(&ids(prompt_tokens, 1))?;
    let prompt = start.elapsed().as_secs_f64();
    engine.forward(&ids(1, 2))?;
    let passes = args.tokens.min(room.saturating_sub(prompt_tokens + 1)).max(1);
    let before = engine.packs().counters();
    let experts = engine.experts();
    let start = Instant::now();
    for id in ids(passes, 3) {
        engine.forward(&[id])?;
    }
    let decode = start.elapsed().as_secs_f64();
    let memory = engine.memory();
    let experts = engine.experts().zip(experts).map(|(now, before)| now.since(&before));
    Ok(Measured {
        forecast: memory.plan.forecast(&memory.traffic, wires).tokens_per_second(),
        plan: plan::describe(memory, wires),
        wires,
        device: engine.device().name.clone(),
        first_token,
        prompt_tokens,
        prompt,
        passes,
        decode,
        counters: engine.packs().counters().since(&before),
        vram_used: engine.gpu().memory_used().device,
        peak_rss: peak_resident_bytes(),
        experts,
    })
}

#[allow(clippy::cast_precision_loss)] // bytes and tokens, far fewer than 2^53
impl Measured {
    fn tokens_per_second(&self) -> f64 {
        self.passes as f64 / self.decode
    }

    /// GB/s that a wire carried while decoding.
    fn gigabytes(&self, wire: Wire) -> f64 {
        let used: u64 = self.counters.used_bytes.iter().sum();
        let bytes = match wire {
            Wire::Disk => self.counters.read_bytes,
            Wire::Link => self.counters.copied_bytes,
            Wire::Vram => used,
        };
        bytes as f64 / self.decode / 1e9
    }

    fn stall(&self) -> f64 {
        self.counters.stall.as_secs_f64() / self.passes as f64
    }

    fn text(&self) -> String {
        let tps = self.tokens_per_second();
        let mut text = format!(
            "{}\nfirst token after {:.2} s\nprompt {:.1} tokens/s over {} tokens\ndecode {tps:.2} tokens/s over {}, forecast {:.2}: {:.0} %\n",
            self.device,
            self.first_token,
            self.prompt_tokens as f64 / self.prompt,
            self.prompt_tokens,
            self.passes,
            self.forecast,
            tps / self.forecast * 100.0
        );
        for wire in Wire::ALL {
            let peak = self.wires.rate(wire);
            if peak.is_finite() {
                text += &format!("{wire:<5} {:8.2} GB/s of {:.2}\n", self.gigabytes(wire), peak / 1e9);
            }
        }
        let [vram, ram, disk] = self.counters.shares().map(|share| share * 100.0);
        text += &format!(
            "from VRAM {vram:.1} %, RAM {ram:.1} %, disk {disk:.1} %; waited {:.2} ms a token\n",
            self.stall() * 1e3
        );
        text += &self.experts.map_or_else(String::new, |experts| format!("{experts}\n"));
        text += &format!("VRAM {}, peak RSS {}\n", ByteSize(self.vram_used), ByteSize(self.peak_rss));
        text
    }

    fn json(&self) -> Value {
        let [vram, ram, disk] = self.counters.shares();
        json!({
            "device": self.device, "plan": self.plan, "first_token_seconds": self.first_token,
            "prompt_tokens": self.prompt_tokens, "prompt_tokens_per_second": self.prompt_tokens as f64 / self.prompt,
            "passes": self.passes, "decode_tokens_per_second": self.tokens_per_second(),
            "forecast_tokens_per_second": self.forecast,
            "disk_gbps": self.gigabytes(Wire::Disk), "link_gbps": self.gigabytes(Wire::Link),
            "vram_gbps": self.gigabytes(Wire::Vram), "from_vram": vram, "from_ram": ram, "from_disk": disk,
            "stall_seconds_a_token": self.stall(), "vram_used": self.vram_used, "peak_rss": self.peak_rss,
            "experts": self.experts.map(|e| json!({
                "uses": e.uses, "hits": e.hits, "warm": e.warm, "bypassed": e.bypassed, "brought_ahead": e.prefetched,
                "useful": e.useful,
            })),
        })
    }
}

/// Decoding over budgets of VRAM, from the least to all that is needed.
fn sweep(args: &BenchArgs, options: &OpenOptions, wires: Wires) -> Result<(), Failure> {
    let (least, most) = extent(&args.plan.model, options, wires)?;
    let mut rows = Vec::new();
    let steps = u64::from(args.sweep.max(2)) - 1;
    for step in 0..=steps {
        let cap = least + (most - least) * step / steps;
        let mut options = options.clone();
        options.gpu.vram_cap = Some(cap);
        let (measured, _) = measure(args, &options, wires)?;
        if !args.plan.json {
            let (found, forecast) = (measured.tokens_per_second(), measured.forecast);
            note(format!("--vram {:>10}: {found:8.2} tokens/s, forecast {forecast:8.2}", ByteSize(cap).to_string()));
        }
        rows.push((cap, measured));
    }
    if let Some(file) = &args.chart {
        #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
        let line = |name, of: fn(&Measured) -> f64| Line {
            name,
            points: rows.iter().map(|(cap, m)| (*cap as f64 / (1u64 << 30) as f64, of(m))).collect(),
        };
        let lines = vec![line("measured", Measured::tokens_per_second), line("forecast", |m| m.forecast)];
        let title = format!("{} on {}", args.plan.model.display(), rows.first().map_or("", |(_, m)| m.device.as_str()));
        Chart { title, x: "GiB of VRAM", y: "tokens/s", lines }.write(file)?;
    }
    if args.plan.json {
        let rows: Vec<Value> = rows.iter().map(|(cap, m)| json!({ "vram": cap, "measured": m.json() })).collect();
        print(format!("{}\n", Value::from(rows)))?;
    }
    Ok(())
}

/// The least device memory that is accepted, and the most that is of use.
fn extent(model: &Path, options: &OpenOptions, wires: Wires) -> Result<(u64, u64), Failure> {
    let fail = |e: EngineError| sentence(model, &e);
    let mut none = options.clone();
    none.gpu.vram_cap = Some(0);
    let least = match SymbioteEngine::plan(model, &none, wires) {
        Err(EngineError::Memory { need, .. }) => need.bytes(),
        Err(e) => return Err(fail(e)),
        Ok(memory) => memory.need.bytes(),
    };
    let mut free = options.clone();
    free.gpu.vram_cap = None;
    let memory = SymbioteEngine::plan(model, &free, wires).map_err(fail)?;
    let all =
        memory.need.bytes() + memory.traffic.iter().map(symbiote_runtime::residency::PackTraffic::room).sum::<u64>();
    Ok((least, all.max(least)))
}
