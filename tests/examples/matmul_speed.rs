//! Time of the matrix kernel on this machine's device, weights read from its memory:
//! `matmul_speed DTYPE ROWS COLUMNS [TOKENS,LOCAL,WIDE,ROWS_PER_SUBGROUP ...]`.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::time::Instant;

use symbiote_format::Dtype;
use symbiote_runtime::gpu::{Gpu, GpuOptions};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::{DeviceMatrix, KernelRig};

const REPEATS: usize = 20;

fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let dtype = Dtype::ALL.into_iter().find(|d| d.name() == a[0]).unwrap();
    let (rows, columns): (usize, usize) = (a[1].parse().unwrap(), a[2].parse().unwrap());
    let rig = KernelRig { gpu: Gpu::open(&GpuOptions::default()).unwrap() };
    let subgroup = rig.gpu.info().subgroup;
    let mut random = Random::new(1);
    // 64 random rows, again and again
    let bytes = random.rows(dtype, 64, columns).repeat(rows.div_ceil(64));
    for config in &a[3..] {
        let n: Vec<usize> = config.split(',').map(|n| n.parse().unwrap()).collect();
        let [tokens, local, wide, per] = n[..] else { panic!("{config}: four numbers") };
        let tile = local as u32 / subgroup * per as u32;
        let m = DeviceMatrix::new(&rig, dtype, columns, &bytes, &[rows], 0, tile);
        let x = rig.upload("x", &random.normals(tokens.next_multiple_of(wide) * columns));
        let y = rig.poisoned("y", tokens.next_multiple_of(wide) * rows);
        let touch = u32::from(std::env::var_os("TOUCH").is_some());
        let constants = [local as u32, wide as u32, per as u32, touch];
        let kernel = rig.kernel(&format!("matmul_{}", a[0]), &constants, Some(subgroup));
        let args = m.args(&x, &y, tokens);
        let groups = [m.tiles, tokens.div_ceil(wide) as u32, 1];
        let mut r = rig.gpu.recorder("speed").unwrap();
        for _ in 0..REPEATS {
            r.dispatch(&kernel, bytemuck::bytes_of(&args), groups).barrier();
        }
        let commands = r.finish().unwrap();
        let mut times = Vec::new();
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < 0.3 || times.len() < 3 {
            let t = Instant::now();
            rig.gpu.wait(rig.gpu.submit(&commands).unwrap()).unwrap();
            times.push(t.elapsed().as_secs_f64() / REPEATS as f64);
        }
        times.sort_by(f64::total_cmp);
        let t = times[times.len() / 2];
        println!(
            "{dtype} {rows}x{columns} tokens {tokens} local {local} wide {wide} rows {per}: {:9.1} us {:7.1} GFMA/s {:6.0} GB/s",
            t * 1e6,
            (rows * columns * tokens) as f64 / t / 1e9,
            bytes.len() as f64 / t / 1e9
        );
    }
}
