//! The rotation of q and k, and the way of k and v into the cache.

use symbiote_format::RopeLayout::{self, Halves, Interleaved};
use symbiote_runtime::gpu::Buffer;
use symbiote_shaders::RopeArgs;
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::KernelRig;

use super::expected::{Expected, Worst};

/// Of |a cos| + |b sin|: two products and their sum.
const TOLERANCE: f64 = 1.5e-7;

/// Invocations of a workgroup.
const LOCALS: [u32; 2] = [64, 128];

/// The heads, and what is turned of them.
#[derive(Clone, Copy, Debug)]
struct Shape {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    rope_dims: usize,
    layout: RopeLayout,
    tokens: usize,
    position: usize,
    capacity: usize,
}

const fn shape(
    (heads, kv_heads, head_dim): (usize, usize, usize),
    (rope_dims, layout): (usize, RopeLayout),
    (tokens, position, capacity): (usize, usize, usize),
) -> Shape {
    Shape { heads, kv_heads, head_dim, rope_dims, layout, tokens, position, capacity }
}

const SHAPES: &[Shape] = &[
    shape((1, 1, 2), (2, Interleaved), (1, 0, 1)),
    shape((9, 3, 64), (64, Interleaved), (1, 0, 16)),
    shape((9, 3, 64), (64, Halves), (5, 11, 16)),
    shape((9, 3, 64), (32, Interleaved), (3, 2, 7)),
    shape((8, 8, 80), (20, Halves), (2, 1, 4)),
    shape((7, 1, 24), (24, Halves), (3, 0, 5)),
    shape((4, 2, 128), (128, Interleaved), (17, 100, 120)),
    shape((2, 1, 256), (64, Halves), (1, 63, 64)),
];

impl Shape {
    fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Where (kv head, position, dimension) of a cache lies.
    fn cache_at(&self, head: usize, position: usize, d: usize) -> usize {
        (head * self.capacity + position) * self.head_dim + d
    }

    /// One head after its rotation, each value with the error that it may have.
    fn turned(&self, head: &[f32], turns: &[f32]) -> Vec<(f64, f64)> {
        let mut out: Vec<_> = head.iter().map(|x| (f64::from(*x), 0.0)).collect();
        let half = self.rope_dims / 2;
        for p in 0..half {
            let (i, j) = if self.layout == Halves { (p, p + half) } else { (2 * p, 2 * p + 1) };
            let (a, b) = (f64::from(head[i]), f64::from(head[j]));
            let (cos, sin) = (f64::from(turns[2 * p]), f64::from(turns[2 * p + 1]));
            out[i] = (a * cos - b * sin, ((a * cos).abs() + (b * sin).abs()) * TOLERANCE);
            out[j] = (a * sin + b * cos, ((a * sin).abs() + (b * cos).abs()) * TOLERANCE);
        }
        out
    }
}

/// How much further off a value may be in the cache. Vulkan leaves it to the device which way f16 rounds, and whether the
/// numbers below the normal ones become 0.
fn stored(value: f64, kv_bytes: usize) -> f64 {
    if kv_bytes == 4 { 0.0 } else { (value.abs() / 1024.0).max(f64::from(half::f16::MIN_POSITIVE)) }
}

#[test]
fn every_layout() {
    let rig = KernelRig::open();
    for (kv_bytes, mut worst) in [(2, Worst::new("rope into f16")), (4, Worst::new("rope into f32"))] {
        for shape in SHAPES {
            check(&rig, shape, kv_bytes, &mut worst);
        }
        worst.report();
    }
    rig.finish();
}

fn check(rig: &KernelRig, s: &Shape, kv_bytes: usize, worst: &mut Worst) {
    let mut random = Random::new(5);
    let (width, d) = (s.width(), s.head_dim);
    let stride = width + 4;
    let qkv = random.normals(s.tokens * width);
    let angles = (0..s.tokens * s.rope_dims / 2).map(|_| (random.unit() * 1000.0).sin_cos());
    let turns: Vec<f32> = angles.flat_map(|(sin, cos)| [cos as f32, sin as f32]).collect();

    let mut rows = Expected::untouched((s.tokens + 1) * stride);
    let cache_len = s.kv_heads * s.capacity * d;
    let (mut k, mut v) = (Expected::untouched(cache_len), Expected::untouched(cache_len));
    for t in 0..s.tokens {
        let turns = &turns[t * s.rope_dims..][..s.rope_dims];
        for (h, head) in qkv[t * width..][..width].chunks_exact(d).enumerate() {
            let turned = s.turned(head, turns);
            for (i, (x, (value, bound))) in head.iter().zip(turned).enumerate() {
                let x = f64::from(*x);
                // k and v stay as they are in the row
                let in_row = if h < s.heads { (value, bound) } else { (x, 0.0) };
                rows.set(t * stride + h * d + i, in_row.0, in_row.1);
                if let Some(h) = h.checked_sub(s.heads + s.kv_heads) {
                    v.set(s.cache_at(h, s.position + t, i), x, stored(x, kv_bytes));
                } else if let Some(h) = h.checked_sub(s.heads) {
                    k.set(s.cache_at(h, s.position + t, i), value, bound + stored(value, kv_bytes));
                }
            }
        }
    }

    let turns = rig.upload("turns", &turns);
    for local in LOCALS {
        let x = rig.upload_rows("qkv", &qkv, width, stride, s.tokens + 1);
        let poison = if kv_bytes == 4 { KernelRig::POISON } else { KernelRig::POISON_F16 };
        let cache = |name| rig.upload(name, &vec![poison; cache_len * kv_bytes / 4]);
        let (cache_k, cache_v) = (cache("k"), cache("v"));
        let args = RopeArgs {
            qkv: x.address(),
            k: cache_k.address(),
            v: cache_v.address(),
            turns: turns.address(),
            heads: s.heads as u32,
            kv_heads: s.kv_heads as u32,
            head_dim: d as u32,
            rope_dims: s.rope_dims as u32,
            capacity: s.capacity as u32,
            position: s.position as u32,
            stride: stride as u32,
            pad: 0,
        };
        let kernel = rig.kernel("rope", &[local, kv_bytes as u32, (s.layout == Interleaved).into()], None);
        rig.run(&kernel, &args, [(width as u32 / 2).div_ceil(local), s.tokens as u32, 1]);
        let case = format!("{s:?} local {local}");
        let contents = |cache: &Buffer| if kv_bytes == 4 { rig.elements(cache) } else { rig.elements_f16(cache) };
        worst.check(&format!("{case} q"), &rig.elements(&x), &rows);
        worst.check(&format!("{case} k"), &contents(&cache_k), &k);
        worst.check(&format!("{case} v"), &contents(&cache_v), &v);
    }
}
