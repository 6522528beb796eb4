//! Time of the matrix kernels at one shape: `matmul_speed DTYPE ROWS COLUMNS TOKENS LOCAL WIDE ROWS_PER_SUBGROUP`.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::time::Instant;

use symbiote_format::Dtype;
use symbiote_runtime::gpu::{Gpu, GpuOptions};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::{DeviceMatrix, KernelRig};

fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let n = |i: usize| a[i].parse::<usize>().unwrap();
    let dtype = Dtype::ALL.into_iter().find(|d| d.name() == a[0]).unwrap();
    let (rows, columns, tokens, local, wide, per) = (n(1), n(2), n(3), n(4), n(5), n(6));
    let rig = KernelRig { gpu: Gpu::open(&GpuOptions::default()).unwrap() };
    let s = rig.gpu.info().subgroup as usize;
    let tile = local / s * per;
    let mut random = Random::new(1);
    let bytes = random.rows(dtype, rows, columns);
    let m = DeviceMatrix::new(&rig, dtype, columns, &bytes, &[rows], 0, tile as u32);
    let x = rig.upload("x", &random.normals(tokens.next_multiple_of(wide) * columns));
    let y = rig.poisoned("y", tokens.next_multiple_of(wide) * rows);
    let kernel = rig.kernel(&format!("matmul_{}", a[0]), &[local as u32, wide as u32, per as u32], Some(s as u32));
    let args = m.args(&x, &y, tokens);
    let groups = [m.tiles, tokens.div_ceil(wide) as u32, 1];
    let t = Instant::now();
    rig.run(&kernel, &args, groups);
    let first = t.elapsed();
    const REPEATS: usize = 20;
    let mut r = rig.gpu.recorder("speed").unwrap();
    for _ in 0..REPEATS {
        r.dispatch(&kernel, bytemuck::bytes_of(&args), groups).barrier();
    }
    let commands = r.finish().unwrap();
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < 0.7 {
        let t = Instant::now();
        rig.gpu.wait(rig.gpu.submit(&commands).unwrap()).unwrap();
        times.push(t.elapsed().as_secs_f64() / REPEATS as f64);
    }
    times.sort_by(f64::total_cmp);
    let t = times[times.len() / 2];
    println!(
        "{} {rows}x{columns} tokens {tokens} local {local} wide {wide} per {per}: {:.3} ms (first {:.0}), {:.2} Gw/s, {:.2} GFMA/s, {:.0} GB/s",
        a[0],
        t * 1e3,
        first.as_secs_f64() * 1e3,
        (rows * columns) as f64 / t / 1e9,
        (rows * columns * tokens) as f64 / t / 1e9,
        bytes.len() as f64 / t / 1e9
    );
}
