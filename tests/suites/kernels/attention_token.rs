//! Attention of one token, from q, k and v as their product leaves them.

use symbiote_format::RopeLayout::{Halves, Interleaved};
use symbiote_shaders::AttentionTokenArgs;
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::KernelRig;
use symbiote_tests::kv_rows;

use super::expected::{Expected, Worst};
use super::heads::Staged::{Biases, Both, Norms, Nothing};
use super::heads::{self, Bounded, EPS, NORM_OFFSET, Vectors, stored};

/// Of sum p |v|, times 1 + the greatest sum |q| |k|: as in `attention`.
const TOLERANCE: f64 = 1e-6;

/// Heads, and how their keys are shared out.
#[derive(Clone, Copy, Debug)]
struct Shape {
    heads: heads::Shape,
    /// Heads of a workgroup.
    queries: usize,
    subgroups: u32,
    /// Keys a stretch.
    stretch: usize,
    /// Keys that the token sees.
    window: usize,
    cap: f32,
}

const fn shape(heads: heads::Shape, queries: usize, subgroups: u32, stretch: usize) -> Shape {
    Shape { heads, queries, subgroups, stretch, window: usize::MAX, cap: 0.0 }
}

const fn seeing(shape: Shape, window: usize, cap: f32) -> Shape {
    Shape { window, cap, ..shape }
}

const SHAPES: &[Shape] = &[
    // as the engine has them: the first token, one stretch, several
    shape(heads::shape((8, 2, 128), (128, Halves), (1, 0, 1), Nothing), 4, 8, 256),
    shape(heads::shape((8, 2, 128), (128, Halves), (1, 200, 210), Nothing), 4, 8, 256),
    shape(heads::shape((8, 2, 128), (128, Halves), (1, 700, 710), Both), 4, 8, 256),
    shape(heads::shape((9, 3, 64), (64, Interleaved), (1, 256, 257), Biases), 3, 8, 256),
    shape(heads::shape((9, 3, 64), (64, Interleaved), (1, 255, 256), Norms), 3, 8, 256),
    shape(heads::shape((2, 1, 256), (64, Halves), (1, 70, 80), Both), 2, 4, 32),
    shape(heads::shape((4, 2, 80), (20, Halves), (1, 37, 40), Norms), 2, 2, 256),
    shape(heads::shape((2, 2, 16), (0, Halves), (1, 33, 40), Nothing), 1, 1, 5),
    shape(heads::shape((1, 1, 8), (8, Interleaved), (1, 3, 9), Both), 1, 3, 2),
    // more heads than a workgroup takes, the last of them fewer
    shape(heads::shape((22, 2, 24), (24, Halves), (1, 100, 128), Nothing), 6, 4, 30),
    // windows and caps
    seeing(shape(heads::shape((4, 2, 32), (32, Halves), (1, 300, 301), Nothing), 2, 4, 16), 50, 30.0),
    seeing(shape(heads::shape((2, 1, 64), (64, Halves), (1, 90, 91), Nothing), 2, 8, 256), 1, 0.0),
    seeing(shape(heads::shape((3, 1, 96), (96, Interleaved), (1, 20, 64), Nothing), 3, 2, 8), 4096, 5.0),
];

#[test]
fn every_head_size_and_stretch() {
    let rig = KernelRig::open();
    for (kv_bytes, name) in [(4, "f32"), (2, "f16"), (1, "bytes")] {
        let mut worst = Worst::new(format!("attention of one token over {name}"));
        for shape in SHAPES {
            check(&rig, shape, kv_bytes, &mut worst);
        }
        worst.report();
    }
    rig.finish();
}

/// Rows of a cache, as they can be stored.
struct Cache {
    bytes: Vec<u8>,
    /// `[kv heads][position][head size]`.
    values: Vec<f32>,
}

impl Cache {
    /// Random before `position`, and poison from there on.
    fn random(h: &heads::Shape, kv_bytes: usize, random: &mut Random) -> Self {
        let mut cache = Self { bytes: Vec::new(), values: Vec::new() };
        let poison = if kv_bytes == 2 { KernelRig::POISON_F16 } else { KernelRig::POISON }.to_le_bytes();
        let row_bytes = kv_rows::row_bytes(h.head_dim, kv_bytes);
        for _ in 0..h.kv_heads {
            for _ in 0..h.position {
                let (bytes, values) = kv_rows::store(&random.normals(h.head_dim), kv_bytes);
                cache.bytes.extend(bytes);
                cache.values.extend(values);
            }
            cache.bytes.extend(poison.repeat((h.capacity - h.position) * row_bytes / 4));
        }
        cache
    }

    /// Compares what the device has of it with the rows that were there, and with the token's.
    fn check(&self, h: &heads::Shape, kv_bytes: usize, got: &[u32], own: &[Vec<Bounded>], case: &str) {
        let row_bytes = kv_rows::row_bytes(h.head_dim, kv_bytes);
        let got: &[u8] = bytemuck::cast_slice(got);
        for (i, (got, before)) in got.chunks_exact(row_bytes).zip(self.bytes.chunks_exact(row_bytes)).enumerate() {
            let (head, position) = (i / h.capacity, i % h.capacity);
            if position != h.position {
                assert!(got == before, "{case}: head {head}, position {position} has changed");
                continue;
            }
            let values: Vec<f64> = match kv_bytes {
                4 => got.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
                2 => got.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f64()).collect(),
                _ => kv_rows::load_bytes(got, h.head_dim),
            };
            for ((value, (own, bound)), loss) in values.iter().zip(&own[head]).zip(stored(&own[head], kv_bytes)) {
                // so written that NaN fails
                let close = (value - own).abs() <= bound + loss;
                assert!(close, "{case}: head {head} has {value} in the cache, not {own}");
            }
        }
    }
}

/// softmax(q k scale) v over the rows of a cache and the token's own, and the bound.
fn attend(
    s: &Shape,
    q: &[Bounded],
    [keys, values]: [&[f32]; 2],
    own: [&[Bounded]; 2],
    kv_bytes: usize,
) -> Vec<Bounded> {
    let d = s.heads.head_dim;
    let scale = f64::from(scale(&s.heads));
    let cap = f64::from(s.cap);
    let exact = |row: &[f32]| -> Vec<Bounded> { row.iter().map(|v| (f64::from(*v), 0.0)).collect() };
    let lossy = |row: &[Bounded]| -> Vec<Bounded> {
        row.iter().zip(stored(row, kv_bytes)).map(|((v, bound), loss)| (*v, bound + loss)).collect()
    };
    let rows = |cached: &[f32], own: &[Bounded]| -> Vec<Vec<Bounded>> {
        cached.chunks_exact(d).map(exact).chain([lossy(own)]).collect()
    };
    let (keys, values) = (rows(keys, own[0]), rows(values, own[1]));
    // a score, the sum of its terms' magnitudes, what errors of q and k make of it
    let scores: Vec<[f64; 3]> = keys
        .iter()
        .map(|k| {
            let terms = q.iter().zip(k).map(|((q, q_bound), (k, k_bound))| {
                let error = q_bound * (k.abs() + k_bound) + q.abs() * k_bound;
                [q * k * scale, (q * k * scale).abs(), error * scale]
            });
            let [sum, magnitude, error] = terms.fold([0.0; 3], |a, b| [a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
            if s.cap == 0.0 { [sum, magnitude, error] } else { [cap * (sum / cap).tanh(), magnitude + cap, error] }
        })
        .collect();
    let top = scores.iter().map(|s| s[0]).fold(f64::NEG_INFINITY, f64::max);
    let magnitude = scores.iter().map(|s| s[1]).fold(0.0, f64::max);
    let total: f64 = scores.iter().map(|s| (s[0] - top).exp()).sum();
    let p: Vec<f64> = scores.iter().map(|s| (s[0] - top).exp() / total).collect();
    // what errors of the scores make of all p together, in proportion
    let shift: f64 = p.iter().zip(&scores).map(|(p, s)| p * s[2].exp_m1()).sum();
    (0..d)
        .map(|i| {
            let mut out = (0.0, 0.0);
            for ((p, s), v) in p.iter().zip(&scores).zip(&values) {
                let (v, v_bound) = v[i];
                out.0 += p * v;
                out.1 += p * v.abs() * ((1.0 + magnitude) * TOLERANCE + s[2].exp_m1() + shift) + p * v_bound;
            }
            out
        })
        .collect()
}

fn scale(h: &heads::Shape) -> f32 {
    1.0 / (h.head_dim as f32).sqrt()
}

fn check(rig: &KernelRig, s: &Shape, kv_bytes: usize, worst: &mut Worst) {
    let h = &s.heads;
    let mut random = Random::new(8);
    let (d, group) = (h.head_dim, h.heads / h.kv_heads);
    let qkv = random.normals(h.width());
    let angles = (0..h.rope_dims / 2).map(|_| (random.unit() * 1000.0).sin_cos());
    let turns: Vec<f32> = angles.flat_map(|(sin, cos)| [cos as f32, sin as f32]).collect();
    let vectors = Vectors::new(rig, h, &mut random);
    let [k, v] = [0, 1].map(|_| Cache::random(h, kv_bytes, &mut random));

    let rows: Vec<Vec<Bounded>> = qkv
        .chunks_exact(d)
        .enumerate()
        .map(|(i, head)| {
            let staged = vectors.staged(h, i, head);
            if i < h.heads + h.kv_heads { h.turned(&staged, &turns) } else { staged }
        })
        .collect();
    let (own_k, own_v) = rows[h.heads..].split_at(h.kv_heads);
    let seen = (h.position + 1).min(s.window);
    let first = h.position + 1 - seen;
    let mut expected = Expected::untouched((h.heads + 1) * d);
    for (head, q) in rows[..h.heads].iter().enumerate() {
        let of = head / group;
        let cached = (of * h.position + first) * d..(of + 1) * h.position * d;
        let cached = [&k.values[cached.clone()], &v.values[cached]];
        let y = attend(s, q, cached, [&own_k[of], &own_v[of]], kv_bytes);
        y.into_iter().enumerate().for_each(|(i, (value, bound))| expected.set(head * d + i, value, bound));
    }

    let stretches = seen.div_ceil(s.stretch);
    let turns = rig.upload("turns", &turns);
    for subgroup in rig.subgroups() {
        let subgroups = s.subgroups.min(rig.gpu.info().max_workgroup_invocations / subgroup);
        let x = rig.upload("qkv", &qkv);
        let (cache_k, cache_v) = (rig.upload("k", &k.bytes), rig.upload("v", &v.bytes));
        let y = rig.poisoned("y", (h.heads + 1) * d);
        let arrivals = h.heads.next_multiple_of(4);
        let mut words = vec![KernelRig::POISON; arrivals + stretches * h.heads * (d + 2) + 4];
        words[..arrivals].fill(0);
        let left = rig.upload("left", &words);
        let [q_bias, k_bias, v_bias, q_norm, k_norm] = vectors.args;
        let args = AttentionTokenArgs {
            qkv: x.address(),
            k: cache_k.address(),
            v: cache_v.address(),
            turns: turns.address(),
            packs: vectors.packs.address(),
            y: y.address(),
            left: left.address(),
            q_bias,
            k_bias,
            v_bias,
            q_norm,
            k_norm,
            capacity: h.capacity as u32,
            position: h.position as u32,
            first: first as u32,
            stretch: s.stretch as u32,
            scale: scale(h),
            cap: s.cap,
            eps: EPS,
            norm_offset: NORM_OFFSET,
        };
        let constants = [
            subgroup * subgroups,
            kv_bytes as u32,
            d as u32,
            s.queries as u32,
            subgroup,
            subgroups,
            group as u32,
            0,
            h.rope_dims as u32,
            (h.layout == Interleaved).into(),
            (h.staged != Nothing).into(),
        ];
        let kernel = rig.kernel("attention_token", &constants, Some(subgroup));
        let groups = [h.kv_heads, group.div_ceil(s.queries), stretches].map(|n| n as u32);
        let case = format!("{s:?} subgroup {subgroup}");
        // again, as arrivals are counted from 0 once more
        for _ in 0..2 {
            rig.run(&kernel, &args, groups);
            worst.check(&case, &rig.elements(&y), &expected);
        }
        let words = rig.words(&left);
        assert!(words[..arrivals].iter().all(|arrived| *arrived == 0), "{case}: arrivals are left");
        assert!(words[words.len() - 4..].iter().all(|word| *word == KernelRig::POISON), "{case}: written beyond");
        k.check(h, kv_bytes, &rig.words(&cache_k), own_k, &case);
        v.check(h, kv_bytes, &rig.words(&cache_v), own_v, &case);
    }
}
