//! Codecs on 64 MiB of gaussian bf16, beside a plain copy. Throughput counts bytes of the source.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use symbiote_format::codec::Shape;
use symbiote_format::{Codec, Dtype};

const SHAPE: Shape = Shape { dtype: Dtype::Bf16, rows: 8192, columns: 4096 };

/// Weights of a standard deviation of 0.02, in bf16, from a generator that is the same everywhere.
fn gaussian(count: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    // The sum of twelve uniform numbers has a variance of 1.
    let weights = (0..count).map(|_| ((0..12).map(|_| uniform()).sum::<f32>() - 6.0) * 0.02);
    weights.flat_map(|weight| half::bf16::from_f32(weight).to_le_bytes()).collect()
}

fn codecs(c: &mut Criterion) {
    let raw = gaussian(SHAPE.rows as usize * SHAPE.columns as usize);
    let mut group = c.benchmark_group("bf16");
    group.throughput(Throughput::Bytes(raw.len() as u64));
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let mut back = vec![0u8; raw.len()];
    group.bench_function("memcpy", |b| b.iter(|| black_box(&mut back[..]).copy_from_slice(black_box(&raw))));
    for codec in [Codec::P12, Codec::P11, Codec::Zstd] {
        if !codec.takes(SHAPE.dtype) {
            continue;
        }
        let mut coded = Vec::new();
        codec.encode(SHAPE, &raw, &mut coded).expect("it takes bf16");
        println!("{codec}: {:.3} bits a weight", coded.len() as f64 * 16.0 / raw.len() as f64);
        group.bench_function(format!("{codec} encode"), |b| {
            b.iter(|| {
                coded.clear();
                codec.encode(SHAPE, black_box(&raw), &mut coded)
            })
        });
        group.bench_function(format!("{codec} check"), |b| b.iter(|| codec.check(SHAPE, black_box(&coded))));
        group.bench_function(format!("{codec} decode"), |b| {
            b.iter(|| codec.decode(SHAPE, black_box(&coded), black_box(&mut back)))
        });
        assert!(back == raw, "{codec}");
    }
}

criterion_group!(benches, codecs);
criterion_main!(benches);
