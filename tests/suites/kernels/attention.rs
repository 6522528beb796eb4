//! Attention, whole and in stretches of keys that are merged.

use symbiote_runtime::gpu::Buffer;
use symbiote_shaders::{AttentionArgs, AttentionMergeArgs, VectorArgs};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::KernelRig;
use symbiote_tests::kv_rows;

use super::expected::{Expected, Worst};

/// Of sum p |v|, times 1 + the greatest sum |q| |k|. That is what the roundings of a score come to, and Vulkan lets exp(x) be
/// off by 3 + 2 |x| units in the last place.
const TOLERANCE: f64 = 1e-6;

/// Positions in the cache beyond the keys, poisoned.
const SPARE: usize = 3;

/// What is attended to: heads, and how they are shared out.
#[derive(Clone, Copy, Debug)]
struct Shape {
    head_dim: usize,
    /// Size of a head of values; 0 is that of keys.
    values: usize,
    /// Query heads a key-value head.
    group: usize,
    kv_heads: usize,
    tokens: usize,
    /// Queries of a workgroup.
    queries: u32,
    kv_bytes: usize,
    /// Keys a stretch, where there are several.
    split: Option<usize>,
    scores: Scores,
    /// Keys that a token sees; 0 is all.
    window: usize,
    /// Cap of the scores; 0 is none.
    cap: f32,
    /// Heads have sinks.
    sinks: bool,
}

/// How the scores run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scores {
    Normal,
    /// Ever greater ones, up to some hundreds, so that every step finds a new maximum.
    Rising,
}
use Scores::{Normal, Rising};

const fn shape(
    (head_dim, group, kv_heads): (usize, usize, usize),
    (tokens, queries): (usize, u32),
    kv_bytes: usize,
    split: Option<usize>,
    scores: Scores,
) -> Shape {
    Shape {
        head_dim,
        values: 0,
        group,
        kv_heads,
        tokens,
        queries,
        kv_bytes,
        split,
        scores,
        window: 0,
        cap: 0.0,
        sinks: false,
    }
}

const fn seeing(shape: Shape, window: usize, cap: f32) -> Shape {
    Shape { window, cap, ..shape }
}

const fn with_values(shape: Shape, values: usize) -> Shape {
    Shape { values, ..shape }
}

const fn sinking(shape: Shape) -> Shape {
    Shape { sinks: true, ..shape }
}

/// First the queries that the engine takes for such groups and tokens, with each head size, then others.
const SHAPES: &[Shape] = &[
    shape((64, 3, 3), (1, 3), 2, None, Normal),
    shape((64, 3, 3), (1, 3), 2, Some(256), Normal),
    shape((64, 3, 3), (5, 12), 2, None, Normal),
    shape((128, 8, 2), (1, 8), 2, None, Normal),
    shape((128, 8, 2), (1, 8), 2, Some(256), Rising),
    shape((128, 8, 2), (3, 8), 4, None, Normal),
    shape((80, 1, 4), (13, 12), 2, None, Normal),
    shape((256, 7, 1), (1, 7), 2, Some(256), Normal),
    shape((32, 2, 2), (7, 12), 2, None, Rising),
    shape((24, 1, 2), (1, 1), 4, None, Normal),
    shape((16, 7, 1), (3, 7), 2, None, Normal),
    // a last workgroup with fewer pairs than queries, queries across tokens, tokens that see none of the last stretch
    shape((16, 3, 2), (4, 2), 4, Some(16), Normal),
    shape((24, 7, 2), (3, 4), 2, Some(100), Rising),
    shape((32, 1, 3), (9, 2), 4, Some(7), Normal),
    shape((256, 2, 1), (2, 3), 4, None, Rising),
    shape((80, 8, 1), (2, 5), 2, Some(64), Normal),
    // keys and values in bytes
    shape((64, 3, 3), (1, 3), 1, Some(256), Normal),
    shape((80, 2, 2), (5, 12), 1, None, Normal),
    shape((24, 7, 1), (3, 4), 1, None, Rising),
    // windows narrower than a subgroup, of one key, wider than all; capped scores
    seeing(shape((64, 3, 2), (1, 3), 4, None, Normal), 5, 0.0),
    seeing(shape((64, 3, 2), (1, 3), 4, Some(16), Normal), 50, 30.0),
    seeing(shape((32, 2, 2), (7, 12), 2, None, Normal), 3, 0.0),
    seeing(shape((32, 1, 2), (13, 12), 4, None, Rising), 1, 0.0),
    seeing(shape((16, 4, 1), (9, 2), 4, None, Normal), 64, 5.0),
    seeing(shape((256, 2, 1), (3, 8), 2, None, Normal), 4096, 50.0),
    // values of another size than keys
    with_values(shape((192, 1, 2), (1, 1), 4, None, Normal), 128),
    with_values(shape((192, 1, 2), (1, 1), 2, Some(64), Normal), 128),
    with_values(shape((20, 1, 2), (5, 5), 1, None, Rising), 36),
    // sinks: whole and in stretches, below and far above all scores
    sinking(shape((64, 8, 2), (1, 8), 2, Some(64), Normal)),
    sinking(seeing(shape((64, 3, 2), (1, 3), 4, Some(16), Normal), 50, 0.0)),
    sinking(seeing(shape((32, 2, 2), (7, 12), 2, None, Rising), 3, 0.0)),
];

/// A layer's q, k and v, with what attention makes of them.
struct Problem {
    /// `[tokens][heads * head_dim]`.
    q: Vec<f32>,
    /// `[kv heads][keys][head_dim]`, as far as they can be stored.
    k: Vec<f32>,
    v: Vec<f32>,
    /// `[heads]`, where there are any.
    sinks: Vec<f32>,
    /// As q: the result and its bound.
    y: Vec<(f64, f64)>,
}

impl Shape {
    fn heads(&self) -> usize {
        self.group * self.kv_heads
    }

    fn value_dim(&self) -> usize {
        if self.values == 0 { self.head_dim } else { self.values }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// Random, with `keys` keys of which the last are those of the tokens.
    fn problem(&self, keys: usize) -> Problem {
        let mut random = Random::new(6);
        let (d, vd) = (self.head_dim, self.value_dim());
        let storable = |rows: &[f32], d: usize| {
            rows.chunks_exact(d).flat_map(|row| kv_rows::store(row, self.kv_bytes).1).collect()
        };
        let mut q = random.normals(self.tokens * self.heads() * d);
        let mut k = random.normals(self.kv_heads * keys * d);
        let v: Vec<f32> = storable(&random.normals(self.kv_heads * keys * vd), vd);
        if self.scores == Rising {
            // every key points the same way, and later ones further
            q.iter_mut().for_each(|q| *q += 4.0);
            for (j, key) in k.chunks_exact_mut(d).enumerate() {
                key.iter_mut().for_each(|k| *k += 4.0 * (j % keys) as f32 / keys as f32);
            }
        }
        let k = storable(&k, d);
        let sinks =
            if self.sinks { random.normals(self.heads()).iter().map(|s| 4.0 * s).collect() } else { Vec::new() };
        let mut problem = Problem { q, k, v, sinks, y: Vec::new() };
        for t in 0..self.tokens {
            let seen = keys - self.tokens + t + 1;
            for h in 0..self.heads() {
                let at = (t * self.heads() + h) * d;
                let first = h / self.group * keys;
                let unseen = if self.window == 0 { 0 } else { seen.saturating_sub(self.window) };
                let rows = |d: usize| (first + unseen) * d..(first + seen) * d;
                let sink = problem.sinks.get(h).map(|sink| f64::from(*sink));
                let y = self.attend(&problem.q[at..][..d], &problem.k[rows(d)], &problem.v[rows(vd)], sink);
                problem.y.extend(y);
            }
        }
        problem
    }

    /// softmax(q k / sqrt(d)) v of one head, and the bound. A sink takes part in the softmax.
    fn attend(&self, q: &[f32], k: &[f32], v: &[f32], sink: Option<f64>) -> Vec<(f64, f64)> {
        let scale = f64::from(self.scale());
        let score = |k: &[f32]| {
            let terms = q.iter().zip(k).map(|(q, k)| f64::from(*q) * f64::from(*k) * scale);
            let (sum, magnitude) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
            let cap = f64::from(self.cap);
            // what a cap does to a score, it does to the score's error at most; its own is that of numbers near the cap
            if cap == 0.0 { (sum, magnitude) } else { (cap * (sum / cap).tanh(), magnitude + cap) }
        };
        let scores: Vec<(f64, f64)> = k.chunks_exact(self.head_dim).map(score).collect();
        let top = scores.iter().map(|s| s.0).chain(sink).fold(f64::NEG_INFINITY, f64::max);
        let magnitude = scores.iter().map(|s| s.1).chain(sink.map(f64::abs)).fold(0.0, f64::max);
        let total: f64 = scores.iter().map(|s| s.0).chain(sink).map(|s| (s - top).exp()).sum();
        let mut out = vec![(0.0, 0.0); self.value_dim()];
        for (s, v) in scores.iter().zip(v.chunks_exact(self.value_dim())) {
            let p = (s.0 - top).exp() / total;
            for (out, v) in out.iter_mut().zip(v) {
                let v = f64::from(*v);
                *out = (out.0 + p * v, out.1 + p * v.abs() * (1.0 + magnitude) * TOLERANCE);
            }
        }
        out
    }
}

/// K or V as the cache has it, rows of `d`: `keys` positions of `capacity`, the rest poison.
fn cache(rig: &KernelRig, s: &Shape, values: &[f32], d: usize, keys: usize) -> Buffer {
    let row = kv_rows::row_bytes(d, s.kv_bytes);
    let poison = if s.kv_bytes == 2 { KernelRig::POISON_F16 } else { KernelRig::POISON };
    let words = vec![poison; s.kv_heads * (keys + SPARE) * row / 4];
    let mut bytes: Vec<u8> = bytemuck::cast_slice(&words).to_vec();
    let heads = bytes.chunks_exact_mut((keys + SPARE) * row).zip(values.chunks_exact(keys * d));
    for (to, from) in heads {
        for (to, from) in to.chunks_exact_mut(row).zip(from.chunks_exact(d)) {
            to.copy_from_slice(&kv_rows::store(from, s.kv_bytes).0);
        }
    }
    rig.upload("cache", &bytes)
}

/// Attends to `keys` keys, and compares.
fn check(rig: &KernelRig, s: &Shape, keys: usize, subgroup: u32, share_q: bool, worst: &mut Worst) {
    let case = format!("keys {keys} subgroup {subgroup}, q shared: {share_q}");
    let problem = s.problem(keys);
    let (heads, d, tokens) = (s.heads(), s.head_dim, s.tokens);
    let (width, vd) = (heads * d, s.value_dim());
    // rows of q go on with k and v
    let (q_stride, y_stride) = (width + 2 * s.kv_heads * d, heads * vd + 4);
    let q = rig.upload_rows("q", &problem.q, width, q_stride, tokens);
    let (k, v) = (cache(rig, s, &problem.k, d, keys), cache(rig, s, &problem.v, vd, keys));
    let y = rig.poisoned("y", (tokens + 1) * y_stride);
    let seen = if s.window == 0 || tokens > 1 { keys } else { keys.min(s.window) };
    let splits = s.split.map_or(1, |split| seen.div_ceil(split));
    let partial_len = splits * tokens * heads * (vd + 2);
    let partial = rig.poisoned("partial", partial_len + 4);
    let pack = rig.upload("sinks", if s.sinks { &problem.sinks[..] } else { &[0.0] });
    let packs = rig.upload("packs", &[pack.address()]);
    let mut args = AttentionArgs {
        q: q.address(),
        k: k.address(),
        v: v.address(),
        y: if s.split.is_some() { partial.address() } else { y.address() },
        packs: packs.address(),
        sinks: if s.sinks { VectorArgs::new(0, 0, VectorArgs::F32) } else { VectorArgs::ABSENT },
        heads: heads as u32,
        kv_heads: s.kv_heads as u32,
        capacity: (keys + SPARE) as u32,
        position: (keys - tokens) as u32,
        tokens: tokens as u32,
        q_stride: q_stride as u32,
        y_stride: y_stride as u32,
        split: s.split.unwrap_or(seen) as u32,
        first: (keys - seen) as u32,
        window: if s.window == 0 { u32::MAX } else { s.window as u32 },
        scale: s.scale(),
        cap: s.cap,
    };
    if s.split.is_some() {
        args.y_stride = u32::MAX; // not for partial results
    }
    let (partial_result, share_q) = (s.split.is_some().into(), share_q.into());
    let (kv_bytes, values) = (s.kv_bytes as u32, s.values as u32);
    let constants = [subgroup, kv_bytes, d as u32, s.queries, subgroup, partial_result, share_q, values];
    let kernel = rig.kernel("attention", &constants, Some(subgroup));
    let pairs = (tokens * s.group) as u32;
    rig.run(&kernel, &args, [s.kv_heads as u32, pairs.div_ceil(s.queries), splits as u32]);

    if s.split.is_some() {
        let left: Vec<bool> = rig.elements(&partial).iter().map(Option::is_some).collect();
        let (inside, beyond) = left.split_at(partial_len);
        assert!(inside.iter().all(|written| *written), "{s:?} {case}: partial results are missing");
        assert!(!beyond.contains(&true), "{s:?} {case}: written beyond the partial results");
        let args = AttentionMergeArgs {
            partial: partial.address(),
            y: y.address(),
            splits: splits as u32,
            tokens: tokens as u32,
            heads: heads as u32,
            head_dim: vd as u32,
            y_stride: y_stride as u32,
            pad: 0,
        };
        rig.run(&rig.kernel("attention_merge", &[64], None), &args, [heads as u32, tokens as u32, 1]);
    }
    let mut expected = Expected::untouched((tokens + 1) * y_stride);
    for (t, row) in problem.y.chunks_exact(heads * vd).enumerate() {
        for (i, (value, bound)) in row.iter().enumerate() {
            expected.set(t * y_stride + i, *value, *bound);
        }
    }
    worst.check(&case, &rig.elements(&y), &expected);
}

#[test]
fn every_head_size_and_group() {
    let rig = KernelRig::open();
    for s in SHAPES {
        let mut worst = Worst::new(format!("attention {s:?}"));
        for subgroup in rig.subgroups() {
            let lanes = subgroup as usize;
            // at the start of a sequence, then on
            let mut counts = vec![s.tokens, lanes - 1, lanes, lanes + 1, 100, 700];
            counts.retain(|keys| *keys >= s.tokens);
            for keys in counts {
                for share_q in [false, true] {
                    check(&rig, s, keys, subgroup, share_q, &mut worst);
                }
            }
        }
        worst.report();
    }
    rig.finish();
}
