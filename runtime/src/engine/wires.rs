//! How fast this machine's wires are, measured as the engine uses them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytemuck::bytes_of;
use symbiote_format::Dtype;
use symbiote_shaders::{MatmulArgs, PartArgs};

use super::EngineError;
use super::kernels::{Batch, Kernels, Probed};
use super::shader_source::BuiltIn;
use super::weights::Form;
use crate::gpu::{Buffer, Gpu, GpuOptions, Memory, QueueKind, ShaderCache};
use crate::pak::{PakFile, PrefetchOptions, measure};
use crate::residency::Wires;

/// Bytes of one copy: a pack, as a rule.
const COPY: u64 = 16 << 20;
/// Columns of the matrix that is multiplied.
const COLUMNS: u32 = 8192;
/// Its rows, as many as fit.
const ROWS: u32 = 16_384;

/// Measures each wire of the device that `options` name for a part of `time`: reads of the archive, copies of packs into the
/// device's memory, a product over weights there.
pub fn measure_wires(pak: &PakFile, options: &GpuOptions, time: Duration) -> Result<Wires, EngineError> {
    // without the cap: what is measured with is gone before a model is loaded
    let gpu = Gpu::open(&GpuOptions { vram_cap: None, validation: false, ..options.clone() })?;
    let disk = measure(pak, time / 2, PrefetchOptions::default())?;
    let link = if gpu.is_unified() { f64::INFINITY } else { link(&gpu, time / 4)? };
    Ok(Wires { disk, link, vram: vram(&gpu, time / 4)? })
}

/// Copies from pinned memory, several under way.
fn link(gpu: &Gpu, time: Duration) -> Result<f64, EngineError> {
    let source = gpu.buffer("link source", COPY, Memory::Host)?;
    let target = gpu.buffer("link target", COPY, Memory::Device)?;
    source.write(0, &vec![1; 4096])?;
    let round = || -> Result<(), EngineError> {
        for _ in 0..8 {
            let mut recorder = gpu.transfer_recorder("link")?;
            recorder.copy(&source, 0, &target, 0, COPY);
            gpu.submit_after(&recorder.finish()?, &[])?;
        }
        Ok(gpu.wait(gpu.latest(QueueKind::Transfer))?)
    };
    rate(8 * COPY, time, round)
}

/// The product that decoding consists of, over f32 weights.
fn vram(gpu: &Gpu, time: Duration) -> Result<f64, EngineError> {
    let cache = ShaderCache::new(gpu, BuiltIn, None)?;
    let kernels = Kernels::new(cache, gpu.info(), Probed::default(), false);
    let row = u64::from(COLUMNS) * 4;
    let fit = (gpu.memory_available() / 4).min(gpu.info().max_buffer_bytes) / row;
    let rows = ROWS.min(u32::try_from(fit).unwrap_or(ROWS)).max(64);
    let buffer = |name, len| gpu.buffer(name, len, Memory::Device);
    let weights = buffer("vram weights", u64::from(rows) * row)?;
    let (x, y) = (buffer("vram x", row)?, buffer("vram y", u64::from(rows) * 4 + 256)?);
    let (table, parts) = (buffer("vram table", 8)?, buffer("vram parts", size_of::<PartArgs>() as u64)?);
    let part = PartArgs { pack: 0, offset: 0, rows, first_row: 0, first_tile: 0 };
    gpu.upload(&table, 0, bytes_of(&weights.address()))?;
    gpu.upload(&parts, 0, bytes_of(&part))?;
    clear(gpu, &[&weights, &x])?;
    let args = MatmulArgs {
        packs: table.address(),
        parts: parts.address(),
        x: x.address(),
        y: y.address(),
        part_count: 1,
        columns: COLUMNS,
        tokens: 1,
        x_stride: COLUMNS,
        y_stride: rows,
        add: 0,
        halves: x.address(),
        ..MatmulArgs::default()
    };
    let form = Form::Plain(Dtype::F32);
    let tile_rows = kernels.tile_rows(form);
    let multiply = kernels.product(form, Batch::Tokens(1), (rows.div_ceil(tile_rows), tile_rows), COLUMNS)?;
    let kept = Arc::new((weights, x, y, table, parts));
    let round = || -> Result<(), EngineError> {
        let mut recorder = gpu.recorder("vram")?;
        for _ in 0..4 {
            recorder.dispatch(&multiply.kernel, bytes_of(&args), multiply.groups).barrier();
        }
        recorder.keep(Arc::clone(&kept));
        let ticket = gpu.submit(&recorder.finish()?)?;
        Ok(gpu.wait(ticket)?)
    };
    rate(4 * u64::from(rows) * row, time, round)
}

fn clear(gpu: &Gpu, buffers: &[&Buffer]) -> Result<(), EngineError> {
    let mut recorder = gpu.recorder("clear")?;
    for buffer in buffers {
        recorder.fill(buffer, 0, buffer.len(), 0x3C00_3C00);
    }
    let ticket = gpu.submit(&recorder.finish()?)?;
    Ok(gpu.wait(ticket)?)
}

/// Bytes a second of the fastest round; the first warms up.
fn rate(bytes: u64, time: Duration, round: impl Fn() -> Result<(), EngineError>) -> Result<f64, EngineError> {
    round()?;
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed() < time || best.is_infinite() {
        let start = Instant::now();
        round()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
    Ok(bytes as f64 / best)
}
