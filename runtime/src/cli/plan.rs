//! `symbiote-run plan`: what will be where and how fast that can be, before anything is loaded.

use std::time::Duration;

use serde_json::{Value, json};
use symbiote_runtime::engine::{MemoryPlan, OpenOptions, SymbioteEngine, measure_wires};
use symbiote_runtime::memory::ByteSize;
use symbiote_runtime::pak::PakFile;
use symbiote_runtime::residency::{Forecast, MemoryTier, Wire, Wires};

use super::args::{PlanArgs, WireArgs};
use super::open::sentence;
use super::output::{Failure, print};

/// How long wires are measured.
const MEASURE: Duration = Duration::from_secs(2);

/// Plans and prints.
pub fn run(args: &PlanArgs) -> Result<(), Failure> {
    let options = args.engine.options();
    let wires = wires(&args.model, &options, &args.wires)?;
    let memory = SymbioteEngine::plan(&args.model, &options, wires).map_err(|e| sentence(&args.model, &e))?;
    if args.json {
        return print(format!("{}\n", describe(&memory, wires)));
    }
    print(text(&memory, wires))
}

/// Wires as given, and measured where they are not.
pub fn wires(model: &std::path::Path, options: &OpenOptions, given: &WireArgs) -> Result<Wires, Failure> {
    let bytes = |gigabytes: f64| gigabytes * 1e9;
    if let (Some(disk), Some(link), Some(vram)) = (given.disk_gbps, given.link_gbps, given.vram_gbps) {
        return Ok(Wires { disk: bytes(disk), link: bytes(link), vram: bytes(vram) });
    }
    let pak = PakFile::open(model).map_err(|e| e.to_string())?;
    let measured = measure_wires(&pak, &options.gpu, MEASURE).map_err(|e| sentence(model, &e))?;
    Ok(Wires {
        disk: given.disk_gbps.map_or(measured.disk, bytes),
        link: given.link_gbps.map_or(measured.link, bytes),
        vram: given.vram_gbps.map_or(measured.vram, bytes),
    })
}

/// Packs and bytes in a tier, by the plan.
fn share(memory: &MemoryPlan, tier: MemoryTier) -> (usize, u64) {
    let inside = memory.traffic.iter().zip(&memory.plan.homes).filter(|(pack, home)| **home == tier && pack.len > 0);
    inside.fold((0, 0), |(packs, bytes), (pack, _)| (packs + 1, bytes + pack.len))
}

fn text(memory: &MemoryPlan, wires: Wires) -> String {
    let forecast = memory.plan.forecast(&memory.traffic, wires);
    let mut text = String::new();
    for tier in &MemoryTier::ALL[..3] {
        let (packs, bytes) = share(memory, *tier);
        text += &format!("{tier:<5} {:>10} in {packs} packs\n", ByteSize(bytes).to_string());
    }
    let p = &memory.plan;
    if p.slots > 0 {
        text += &format!("ring: {} slots of {} in VRAM", p.slots, ByteSize(p.slot_bytes));
        text += &format!(", {} of {} for reads\n", p.staging, ByteSize(p.staging_bytes));
    }
    if p.expert_bytes > 0 {
        let in_ram = if p.warm_cache > 0 { format!(", and {} in RAM", p.warm_cache) } else { String::new() };
        let [experts, bytes] = [p.cache.to_string(), ByteSize(p.expert_bytes).to_string()];
        text += &format!("experts take turns in {experts} places of {bytes} in VRAM{in_ram}\n");
    }
    for wire in Wire::ALL {
        let rate = wires.rate(wire);
        if rate.is_finite() {
            let load = forecast.load(wire);
            let binding = if wire == forecast.binding() { "  <- binding" } else { "" };
            let (bytes, ms) = (ByteSize(load.bytes).to_string(), load.seconds * 1e3);
            text += &format!("{wire:<5} {:7.2} GB/s: {bytes:>10} a token, {ms:9.2} ms{binding}\n", rate / 1e9);
        }
    }
    text + &format!("at most {:.2} tokens/s\n", forecast.tokens_per_second())
}

/// The plan as JSON.
pub fn describe(memory: &MemoryPlan, wires: Wires) -> Value {
    let forecast = memory.plan.forecast(&memory.traffic, wires);
    let bytes = |tier| share(memory, tier).1;
    let p = &memory.plan;
    json!({
        "vram_bytes": bytes(MemoryTier::VramHot), "ram_bytes": bytes(MemoryTier::RamWarm),
        "disk_bytes": bytes(MemoryTier::DiskCold), "unified": p.unified,
        "slots": p.slots, "slot_bytes": p.slot_bytes, "staging": p.staging, "staging_bytes": p.staging_bytes,
        "expert_places": p.cache, "expert_places_in_ram": p.warm_cache, "expert_bytes": p.expert_bytes,
        "wires": wires_json(wires), "forecast": forecast_json(&forecast),
    })
}

fn wires_json(wires: Wires) -> Value {
    // JSON has no infinity: a unified device has no link
    let gigabytes = |rate: f64| rate.is_finite().then_some(rate / 1e9);
    json!({
        "disk_gbps": gigabytes(wires.disk), "link_gbps": gigabytes(wires.link), "vram_gbps": gigabytes(wires.vram),
    })
}

fn forecast_json(forecast: &Forecast) -> Value {
    let bytes = |wire| forecast.load(wire).bytes;
    json!({
        "tokens_per_second": forecast.tokens_per_second(), "binding": forecast.binding().to_string(),
        "disk_bytes": bytes(Wire::Disk), "link_bytes": bytes(Wire::Link), "vram_bytes": bytes(Wire::Vram),
    })
}
