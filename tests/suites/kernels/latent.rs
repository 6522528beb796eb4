//! Latent attention: keys by transposed weights; rotation, and the way of keys and values into the cache.

use symbiote_format::RopeLayout::{self, Halves, Interleaved};
use symbiote_runtime::gpu::Buffer;
use symbiote_shaders::{LatentHeadsArgs, LatentKeysArgs};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::KernelRig;
use symbiote_tests::kv_rows;

use super::expected::{Expected, Worst};

/// Of |a cos| + |b sin|: two products and their sum.
const TOLERANCE: f64 = 1.5e-7;

#[test]
fn keys_by_transposed_weights() {
    let rig = KernelRig::open();
    let mut worst = Worst::new("latent_keys");
    for (heads, rank, width, tokens) in [(1, 1, 1, 1), (4, 20, 12, 5), (3, 512, 128, 9), (2, 64, 70, 4)] {
        let mut random = Random::new(12);
        let (w_stride, x_stride, y_stride) = (width + 3, rank + 4, heads * width + 5);
        let (w, x) = (random.normals(heads * rank * width), random.normals(tokens * rank));
        let mut expected = Expected::untouched((tokens + 1) * y_stride);
        for (t, x) in x.chunks_exact(rank).enumerate() {
            for (h, w) in w.chunks_exact(rank * width).enumerate() {
                for i in 0..width {
                    let terms = w.chunks_exact(width).zip(x).map(|(row, x)| f64::from(row[i]) * f64::from(*x));
                    let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                    expected.set(t * y_stride + h * width + i, sum, size * rank as f64 * f64::from(f32::EPSILON));
                }
            }
        }
        let w = rig.upload_rows("w", &w, width, w_stride, heads * rank);
        let x = rig.upload_rows("x", &x, rank, x_stride, tokens.next_multiple_of(4));
        for local in [64, 256] {
            let y = rig.poisoned("y", (tokens + 1) * y_stride);
            let args = LatentKeysArgs {
                w: w.address(),
                x: x.address(),
                y: y.address(),
                rank: rank as u32,
                width: width as u32,
                tokens: tokens as u32,
                w_stride: w_stride as u32,
                x_stride: x_stride as u32,
                y_stride: y_stride as u32,
            };
            let groups = [heads as u32, (tokens as u32).div_ceil(4), 1];
            rig.run(&rig.kernel("latent_keys", &[local], None), &args, groups);
            let case = format!("{heads} heads, {rank} to {width}, {tokens} tokens, local {local}");
            worst.check(&case, &rig.elements(&y), &expected);
        }
    }
    worst.report();
    rig.finish();
}

/// Heads, and the dimensions of each: those of its key that are its own, those that are rotated, those of its value.
#[derive(Clone, Copy, Debug)]
struct Shape {
    heads: usize,
    own: usize,
    rotated: usize,
    values: usize,
    layout: RopeLayout,
    tokens: usize,
    position: usize,
    /// Keys and values of a head lie one after the other.
    together: bool,
}

const SHAPES: &[Shape] = &[
    Shape { heads: 1, own: 2, rotated: 2, values: 4, layout: Interleaved, tokens: 1, position: 0, together: true },
    Shape { heads: 4, own: 12, rotated: 8, values: 16, layout: Interleaved, tokens: 5, position: 3, together: false },
    Shape { heads: 3, own: 128, rotated: 64, values: 128, layout: Interleaved, tokens: 2, position: 9, together: true },
    Shape { heads: 2, own: 20, rotated: 12, values: 40, layout: Halves, tokens: 3, position: 1, together: false },
];

#[test]
fn every_layout() {
    let rig = KernelRig::open();
    for kv_bytes in [1, 2, 4] {
        let mut worst = Worst::new(format!("latent_heads into {kv_bytes} bytes"));
        for shape in SHAPES {
            for subgroup in rig.subgroups() {
                check(&rig, shape, kv_bytes, subgroup, &mut worst);
            }
        }
        worst.report();
    }
    rig.finish();
}

/// What a cache holds where `rows` were stored behind `position` of each head, with what rounding may do.
fn cached(s: &Shape, rows: &[Vec<(f64, f64)>], d: usize, capacity: usize, kv_bytes: usize) -> Expected {
    let mut expected = Expected::untouched(s.heads * capacity * d);
    for (n, row) in rows.iter().enumerate() {
        let (t, h) = (n / s.heads, n % s.heads);
        for (block, values) in row.chunks(32).enumerate() {
            let most = values.iter().map(|x| x.0.abs() + x.1).fold(0.0, f64::max);
            for (i, (value, bound)) in values.iter().enumerate() {
                let loss = match kv_bytes {
                    4 => 0.0,
                    2 => (value.abs() / 1024.0).max(f64::from(half::f16::MIN_POSITIVE)),
                    _ => most / 127.0 * 0.502 + f64::from(half::f16::MIN_POSITIVE),
                };
                expected.set((h * capacity + s.position + t) * d + 32 * block + i, *value, bound + loss);
            }
        }
    }
    expected
}

fn check(rig: &KernelRig, s: &Shape, kv_bytes: usize, subgroup: u32, worst: &mut Worst) {
    let mut random = Random::new(13);
    let (d, capacity) = (s.own + s.rotated, s.position + s.tokens + 2);
    let (q_stride, rotated_stride) = (s.heads * d + 4, s.rotated + 7);
    let (q, rotated) = (random.normals(s.tokens * s.heads * d), random.normals(s.tokens * s.rotated));
    let (keys, values) = (random.normals(s.tokens * s.heads * s.own), random.normals(s.tokens * s.heads * s.values));
    let angles = (0..s.tokens * s.rotated / 2).map(|_| (random.unit() * 1000.0).sin_cos());
    let turns: Vec<f32> = angles.flat_map(|(sin, cos)| [cos as f32, sin as f32]).collect();
    let turned = |t: usize, x: &[f32]| -> Vec<(f64, f64)> {
        let (half, mut out) = (s.rotated / 2, vec![(0.0, 0.0); s.rotated]);
        for p in 0..half {
            let (i, j) = if s.layout == Halves { (p, p + half) } else { (2 * p, 2 * p + 1) };
            let [cos, sin] = [0, 1].map(|part| f64::from(turns[t * s.rotated + 2 * p + part]));
            let (a, b) = (f64::from(x[i]), f64::from(x[j]));
            out[i] = (a * cos - b * sin, ((a * cos).abs() + (b * sin).abs()) * TOLERANCE);
            out[j] = (a * sin + b * cos, ((a * sin).abs() + (b * cos).abs()) * TOLERANCE);
        }
        out
    };
    let exact = |row: &[f32]| row.iter().map(|x| (f64::from(*x), 0.0)).collect::<Vec<_>>();
    let mut rows = Expected::untouched((s.tokens + 1) * q_stride);
    for (n, head) in q.chunks_exact(d).enumerate() {
        let (own, last) = head.split_at(s.own);
        let all = exact(own).into_iter().chain(turned(n / s.heads, last));
        let at = n / s.heads * q_stride + n % s.heads * d;
        all.enumerate().for_each(|(i, (value, bound))| rows.set(at + i, value, bound));
    }
    let key = |(n, own): (usize, &[f32])| -> Vec<(f64, f64)> {
        let t = n / s.heads;
        exact(own).into_iter().chain(turned(t, &rotated[t * s.rotated..][..s.rotated])).collect()
    };
    let k_rows: Vec<_> = keys.chunks_exact(s.own).enumerate().map(key).collect();
    let v_rows: Vec<_> = values.chunks_exact(s.values).map(exact).collect();

    // keys and values as products leave them
    let (key_step, value_step) = if s.together { (s.own + s.values, s.own + s.values) } else { (s.own, s.values) };
    let joined: Vec<f32> =
        keys.chunks_exact(s.own).zip(values.chunks_exact(s.values)).flat_map(|(k, v)| [k, v].concat()).collect();
    let width = [s.heads * key_step, s.heads * value_step];
    let (first, second) = if s.together { (&joined, &joined) } else { (&keys, &values) };
    let key_rows = rig.upload_rows("keys", first, width[0], width[0] + 1, s.tokens);
    let value_rows = rig.upload_rows("values", second, width[1], width[1] + 1, s.tokens);
    let x = rig.upload_rows("q", &q, s.heads * d, q_stride, s.tokens + 1);
    let rotated = rig.upload_rows("rotated", &rotated, s.rotated, rotated_stride, s.tokens);
    let turns = rig.upload("turns", &turns);
    let poison = if kv_bytes == 2 { KernelRig::POISON_F16 } else { KernelRig::POISON };
    let cache = |d| rig.upload("cache", &vec![poison; s.heads * capacity * kv_rows::row_bytes(d, kv_bytes) / 4]);
    let (k, v) = (cache(d), cache(s.values));
    let args = LatentHeadsArgs {
        q: x.address(),
        rotated: rotated.address(),
        keys: key_rows.address(),
        values: value_rows.address() + if s.together { 4 * s.own as u64 } else { 0 },
        turns: turns.address(),
        k: k.address(),
        v: v.address(),
        rope_dims: s.rotated as u32,
        capacity: capacity as u32,
        position: s.position as u32,
        q_stride: q_stride as u32,
        rotated_stride: rotated_stride as u32,
        key_stride: width[0] as u32 + 1,
        key_step: key_step as u32,
        value_stride: width[1] as u32 + 1,
        value_step: value_step as u32,
        pad: 0,
    };
    let interleaved = (s.layout == Interleaved).into();
    let constants = [subgroup, kv_bytes as u32, d as u32, interleaved, 0, 0, 0, s.values as u32];
    let kernel = rig.kernel("latent_heads", &constants, Some(subgroup));
    rig.run(&kernel, &args, [s.heads as u32, s.tokens as u32, 1]);
    let contents = |cache: &Buffer, d: usize| match kv_bytes {
        4 => rig.elements(cache),
        2 => rig.elements_f16(cache),
        _ => kv_rows::elements(&rig.words(cache), d, KernelRig::POISON),
    };
    let case = format!("{s:?} subgroup {subgroup}");
    worst.check(&format!("{case} q"), &rig.elements(&x), &rows);
    worst.check(&format!("{case} k"), &contents(&k, d), &cached(s, &k_rows, d, capacity, kv_bytes));
    worst.check(&format!("{case} v"), &contents(&v, s.values), &cached(s, &v_rows, s.values, capacity, kv_bytes));
}
