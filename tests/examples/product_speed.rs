//! Time of the matrix products on this machine's device, side by side: `product_speed ROWSxCOLUMNS:TOKENS[,..] CONFIG[,..]`.
//!
//! A CONFIG is `FORM/SUBGROUPS/ROWS/WIDE`: FORM one of `bf16`, `f16`, `q8_0`, .. (stored types as they are), `p12`, `p11`
//! (packed bf16), `m12`, `m11` (packed, on cooperative matrices), `f16~N`, `bf16~N` (f32 narrowed, one in N an exception);
//! subgroups a workgroup; rows a subgroup (stored types) or tiles a workgroup (matrices); tokens at once. `quant-q8_0`, .. are the
//! quants (and `quant-f8_e4m3`, with a factor for 128 x 128) by `matmul_quant.comp`, with rows a workgroup and rows on their way at once in the last two places; `read` reads what
//! bf16 would and does nothing with it: the ceiling. `FORM@FOLDER` takes the kernel from the GLSL sources in a folder, which
//! may have been edited since this was built. Weights are gaussian, in parts of 16 MiB as the packer cuts them, and larger than
//! any cache: dispatches take turns over copies. Each line has the median time of a dispatch back to back, and with a barrier
//! after each, and how much faster that is than the first CONFIG's.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytemuck::bytes_of;
use half::f16;
use symbiote_format::{Codec, Dtype};
use symbiote_runtime::gpu::{Buffer, DeviceKind, Pipeline, Timestamps};
use symbiote_shaders::ScaleArgs;
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::{DeviceMatrix, KernelRig, Spread, split_args};

/// Bytes of weights that the dispatches of a measurement take turns over, on a GPU and on a CPU.
const AT_LEAST: (usize, usize) = (1600 << 20, 256 << 20);
/// More are not worth their buffers, where a matrix is small.
const MOST_COPIES: usize = 400;
const PART: usize = 16 << 20;
const SAMPLES: usize = 15;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Multiply,
    Matrix,
    Quant,
    Read,
}

struct Config {
    name: String,
    dtype: Dtype,
    codec: Codec,
    /// One weight in so many is exact in no half.
    odd: Option<usize>,
    way: Way,
    subgroups: u32,
    rows: u32,
    wide: u32,
    folder: Option<PathBuf>,
}

impl Config {
    fn parse(text: &str) -> Self {
        let f: Vec<&str> = text.rsplitn(4, '/').collect();
        let [wide, rows, subgroups, form] = f[..] else { panic!("{text}: FORM/SUBGROUPS/ROWS/WIDE") };
        let (form, folder) = form.split_once('@').map_or((form, None), |(form, folder)| (form, Some(folder.into())));
        let n = |s: &str| s.parse().unwrap();
        let (form, quant) = form.strip_prefix("quant-").map_or((form, false), |form| (form, true));
        let plain = Dtype::all().find(|d| d.name().eq_ignore_ascii_case(form));
        let (form, odd) = form.split_once('~').map_or((form, None), |(form, odd)| (form, Some(n(odd) as usize)));
        let (codec, way) = match form {
            "f16" if odd.is_some() => (Codec::F16, Way::Multiply),
            "bf16" if odd.is_some() => (Codec::Bf16, Way::Multiply),
            "p12" => (Codec::P12, Way::Multiply),
            "p11" => (Codec::P11, Way::Multiply),
            "m12" => (Codec::P12, Way::Matrix),
            "m11" => (Codec::P11, Way::Matrix),
            "read" => (Codec::Raw, Way::Read),
            _ if quant => (Codec::Raw, Way::Quant),
            _ => (Codec::Raw, Way::Multiply),
        };
        let dtype = if odd.is_some() { Dtype::F32 } else { plain.unwrap_or(Dtype::Bf16) };
        let (subgroups, rows, wide) = (n(subgroups), n(rows), n(wide));
        Self { name: text.into(), dtype, codec, odd, way, subgroups, rows, wide, folder }
    }

    /// The type that a kernel for stored types reads.
    fn plain(&self) -> Option<Dtype> {
        match self.codec {
            Codec::Raw => Some(self.dtype),
            Codec::F16 => Some(Dtype::F16),
            Codec::Bf16 => Some(Dtype::Bf16),
            _ => None,
        }
    }

    fn kernel(&self, rig: &KernelRig) -> Arc<Pipeline> {
        let s = rig.gpu.info().subgroup;
        let local = s * self.subgroups;
        let (name, mut constants) = match (self.plain(), self.way) {
            (_, Way::Read) => ("read".into(), vec![local, self.rows]),
            (_, Way::Quant) => {
                (format!("matmul_quant_{}", self.dtype), vec![local, s, self.subgroups, self.rows, self.wide])
            }
            (Some(dtype), _) => {
                let touch = u32::from(std::env::var_os("TOUCH").is_some());
                let source = if self.odd.is_some() { 2 } else { 3 };
                (format!("matmul_{dtype}"), vec![local, self.wide, self.rows, touch, source])
            }
            (_, Way::Multiply) => (format!("matmul_{}", self.codec), vec![local, self.wide, s, self.subgroups, 0]),
            _ => (format!("matrix_{}", self.codec), vec![local, self.wide, s, self.subgroups, 0, self.rows]),
        };
        if self.dtype.is_scaled() && self.way != Way::Read {
            constants.push(ScaleArgs::TILE);
        }
        match &self.folder {
            Some(folder) => rig.kernel_in(folder, &name, &constants, Some(s)),
            None => rig.kernel(&name, &constants, Some(s)),
        }
    }

    /// Rows of a tile, and workgroups that share it.
    fn tile(&self, rig: &KernelRig) -> (u32, u32) {
        match (self.plain(), self.way) {
            (_, Way::Quant | Way::Read) => (self.rows, 1),
            (Some(_), _) => (self.subgroups * self.rows, 1),
            (_, Way::Multiply) => (32, 32u32.div_ceil(rig.gpu.info().subgroup)),
            _ => (32 * self.rows, 1),
        }
    }
}

/// A configuration, ready to run.
struct Prepared {
    config: Config,
    copies: Vec<DeviceMatrix>,
    kernel: Arc<Pipeline>,
    y: Buffer,
    halves: Buffer,
}

/// Weights by how they are stored, each made once: copies that together are larger than any cache.
type Made = HashMap<(Dtype, Codec, Option<usize>), Vec<DeviceMatrix>>;

fn make(rig: &KernelRig, config: &Config, rows: usize, columns: usize) -> Vec<DeviceMatrix> {
    let (dtype, codec) = (config.dtype, config.codec);
    let row_bytes = dtype.row_bytes(columns as u64).unwrap() as usize;
    let per = (PART / row_bytes / 64 * 64).clamp(64.min(rows), rows);
    let cuts: Vec<usize> = (0..rows).step_by(per).map(|r| per.min(rows - r)).collect();
    let mut random = Random::new(1);
    let mut bytes = random.rows(dtype, 64, columns);
    if let Some(odd) = config.odd {
        // seven bits of the mantissa are left, as both halves have them
        for weight in bytes.as_chunks_mut::<4>().0 {
            let exact = f16::from_f32(f32::from_le_bytes(*weight)).to_f32().to_bits() & 0xFFFF_0000;
            *weight = (exact | u32::from(random.below(odd) == 0)).to_le_bytes();
        }
    }
    let bytes = bytes.repeat(rows.div_ceil(64));
    let first =
        DeviceMatrix::spread(rig, dtype, columns, &bytes, Spread { codec, cuts: &cuts, lead: 0, gap: 0, tile: 1 });
    let at_least = if rig.gpu.info().kind == DeviceKind::Cpu { AT_LEAST.1 } else { AT_LEAST.0 };
    let mut copies: Vec<DeviceMatrix> =
        (1..at_least.div_ceil(bytes.len()).min(MOST_COPIES)).map(|_| first.copy(rig)).collect();
    copies.push(first);
    copies
}

impl Prepared {
    fn new(rig: &KernelRig, config: Config, (rows, columns): (usize, usize), tokens: usize, made: &mut Made) -> Self {
        let key = (config.dtype, config.codec, config.odd);
        let copies = made.entry(key).or_insert_with(|| make(rig, &config, rows, columns));
        let tile = config.tile(rig).0;
        let copies = copies.iter().map(|m| m.retile(rig, tile)).collect();
        let y = rig.poisoned("y", tokens.next_multiple_of(8) * rows);
        let halves = rig.poisoned("halves", tokens.div_ceil(8) * (columns.div_ceil(128) * 1024 + 8));
        Self { kernel: config.kernel(rig), copies, y, halves, config }
    }

    /// y, of one dispatch.
    fn result(&self, rig: &KernelRig, stamps: &Timestamps, x: &Buffer, tokens: usize) -> Vec<f32> {
        self.run(rig, stamps, x, tokens, 1, false);
        rig.download(&self.y)
    }

    /// Microseconds a dispatch, of `repeats`.
    fn run(
        &self,
        rig: &KernelRig,
        stamps: &Timestamps,
        x: &Buffer,
        tokens: usize,
        repeats: usize,
        barriers: bool,
    ) -> f64 {
        let split = rig.split_kernel();
        let mut r = rig.gpu.recorder("speed").unwrap();
        r.timestamp(stamps, 0);
        for i in 0..repeats {
            let matrix = &self.copies[i % self.copies.len()];
            let mut args = matrix.args(x, &self.y, tokens);
            if self.config.way == Way::Matrix {
                args.halves = self.halves.address();
                r.dispatch(&split, bytes_of(&split_args(&args)), [8, tokens.div_ceil(8) as u32, 1]);
                if barriers {
                    r.barrier();
                }
            }
            let wide = if matches!(self.config.way, Way::Quant | Way::Read) { 1 } else { self.config.wide };
            let groups = [matrix.tiles * self.config.tile(rig).1, tokens.div_ceil(wide as usize) as u32, 1];
            r.dispatch(&self.kernel, bytes_of(&args), groups);
            if barriers {
                r.barrier();
            }
        }
        r.timestamp(stamps, 1);
        rig.gpu.wait(rig.gpu.submit(&r.finish().unwrap()).unwrap()).unwrap();
        stamps.nanoseconds(0, 1).unwrap() / 1e3 / repeats as f64
    }
}

fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let rig = KernelRig::open_unchecked();
    println!("{}", rig.gpu.info().name);
    let stamps = rig.gpu.timestamps(2).unwrap();
    let (mut made, mut last) = (Made::new(), String::new());
    for shape in a[0].split(',') {
        let (shape, tokens) = shape.split_once(':').unwrap();
        let (rows, columns) = shape.split_once('x').unwrap();
        let (rows, columns, tokens): (usize, usize, usize) =
            (rows.parse().unwrap(), columns.parse().unwrap(), tokens.parse().unwrap());
        let x = rig.upload("x", &Random::new(2).normals(tokens.next_multiple_of(8) * columns));
        let configs = a[1].split(',').map(Config::parse);
        if shape != last {
            (made, last) = (Made::new(), shape.to_owned());
        }
        let all: Vec<Prepared> = configs.map(|c| Prepared::new(&rig, c, (rows, columns), tokens, &mut made)).collect();
        let gpu = rig.gpu.info().subgroup > 16;
        let repeats = ((if gpu { 8e9 } else { 2e8 }) / (2 * rows * columns) as f64).ceil().max(4.0) as usize;
        // clocks fall while weights are made: work until they are up again
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(if gpu { 400 } else { 0 }) {
            all[0].run(&rig, &stamps, &x, tokens, repeats, false);
        }
        // configurations take turns, so that what disturbs one disturbs all
        let mut times = vec![[Vec::new(), Vec::new()]; all.len()];
        for _ in 0..SAMPLES {
            for (p, times) in all.iter().zip(&mut times) {
                times[0].push(p.run(&rig, &stamps, &x, tokens, repeats, false));
                times[1].push(p.run(&rig, &stamps, &x, tokens, repeats, true));
            }
        }
        let times: Vec<[f64; 2]> = times.into_iter().map(|kinds| kinds.map(median)).collect();
        let results: Vec<Vec<f32>> = all.iter().map(|p| p.result(&rig, &stamps, &x, tokens)).collect();
        for (i, (p, [back, apart])) in all.iter().zip(&times).enumerate() {
            // what the first kernel over the same weights says
            let same = |q: &Prepared| (q.config.dtype, q.config.codec) == (p.config.dtype, p.config.codec);
            let other = &results[all.iter().position(same).unwrap()];
            let largest = other.iter().map(|y| y.abs()).filter(|y| y.is_finite()).fold(0.0, f32::max);
            let error = |(a, b): (&f32, &f32)| if a.is_finite() { (a - b).abs() } else { f32::INFINITY };
            let apart_by = results[i].iter().zip(other).take(rows).map(error).fold(0.0, f32::max) / largest;
            println!(
                "{rows}x{columns} tokens {tokens} {:12} {back:8.2} us {:5.0} GB/s {:5.3}x   with barriers {apart:8.2} us {:5.3}x  {apart_by:.0e}",
                p.config.name,
                p.copies[0].bytes() as f64 / back / 1e3,
                times[0][0] / back,
                times[0][1] / apart,
            );
        }
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
