//! Biases, norms and rotation of q and k, and the way of k and v into the cache.

use symbiote_format::RopeLayout::{self, Halves, Interleaved};
use symbiote_format::{Dtype, dequant::dequantize};
use symbiote_runtime::gpu::Buffer;
use symbiote_shaders::{HeadsArgs, VectorArgs};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::KernelRig;
use symbiote_tests::kv_rows;

use super::expected::{Expected, Worst};

/// Of |a cos| + |b sin|: two products and their sum.
const TOLERANCE: f64 = 1.5e-7;
/// Of a normed element: a sum of squares, a root, three products; of a sum with a bias.
const NORM_TOLERANCE: f64 = 1e-6;
pub(super) const EPS: f32 = 1e-5;
pub(super) const NORM_OFFSET: f32 = 0.5;

/// The heads, and what happens to them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    /// 0: nothing is turned.
    pub(super) rope_dims: usize,
    pub(super) layout: RopeLayout,
    pub(super) tokens: usize,
    pub(super) position: usize,
    pub(super) capacity: usize,
    pub(super) staged: Staged,
}

/// What is done before the rotation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Staged {
    Nothing,
    Biases,
    Norms,
    Both,
}
use Staged::{Biases, Both, Norms, Nothing};

pub(super) const fn shape(
    (heads, kv_heads, head_dim): (usize, usize, usize),
    (rope_dims, layout): (usize, RopeLayout),
    (tokens, position, capacity): (usize, usize, usize),
    staged: Staged,
) -> Shape {
    Shape { heads, kv_heads, head_dim, rope_dims, layout, tokens, position, capacity, staged }
}

const SHAPES: &[Shape] = &[
    shape((1, 1, 4), (4, Interleaved), (1, 0, 1), Nothing),
    shape((9, 3, 64), (64, Interleaved), (1, 0, 16), Nothing),
    shape((9, 3, 64), (64, Halves), (5, 11, 16), Both),
    shape((9, 3, 64), (32, Interleaved), (3, 2, 7), Biases),
    shape((8, 8, 80), (20, Halves), (2, 1, 4), Norms),
    shape((7, 1, 24), (24, Halves), (3, 0, 5), Both),
    shape((4, 2, 128), (128, Interleaved), (17, 100, 120), Norms),
    shape((4, 2, 128), (0, Halves), (2, 3, 9), Nothing),
    shape((2, 1, 256), (64, Halves), (1, 63, 64), Both),
    shape((2, 1, 32), (0, Halves), (1, 63, 64), Biases),
];

/// A value and the error that it may have.
pub(super) type Bounded = (f64, f64);

/// The vectors of a case: biases of q, k and v, norms of q and k, in turn of each type.
pub(super) struct Vectors {
    values: [Option<Vec<f32>>; 5],
    pub(super) args: [VectorArgs; 5],
    pub(super) packs: Buffer,
    _pack: Buffer,
}

impl Vectors {
    pub(super) fn new(rig: &KernelRig, s: &Shape, random: &mut Random) -> Self {
        let (d, kv) = (s.head_dim, s.kv_heads * s.head_dim);
        let biases = matches!(s.staged, Biases | Both);
        let norms = matches!(s.staged, Norms | Both);
        let lens = [(s.heads * d, biases), (kv, biases), (kv, biases), (d, norms), (d, norms)];
        let types = [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::Bf16, Dtype::F32];
        let (mut bytes, mut values, mut args) = (Vec::new(), [const { None }; 5], [VectorArgs::ABSENT; 5]);
        for (i, ((len, there), dtype)) in lens.into_iter().zip(types).enumerate() {
            if there {
                let row = random.rows(dtype, 1, len);
                let stored = [VectorArgs::F32, VectorArgs::F16, VectorArgs::BF16];
                let stored = stored[[Dtype::F32, Dtype::F16, Dtype::Bf16].iter().position(|t| *t == dtype).unwrap()];
                bytes.resize(bytes.len().next_multiple_of(256), 0xFF);
                args[i] = VectorArgs::new(1, bytes.len() as u32, stored);
                let mut floats = vec![0.0; len];
                dequantize(dtype, &row, &mut floats);
                values[i] = Some(floats);
                bytes.extend(row);
            }
        }
        let pack = rig.upload("vectors", &bytes);
        let packs = rig.upload("packs", &[0u64, pack.address()]);
        Self { values, args, packs, _pack: pack }
    }

    /// Head `h` of all q, k and v with its bias, normed.
    pub(super) fn staged(&self, s: &Shape, h: usize, head: &[f32]) -> Vec<Bounded> {
        let of = if h < s.heads { 0 } else { 1 + (h - s.heads) / s.kv_heads };
        let own = if of == 0 { h } else { (h - s.heads) % s.kv_heads };
        let mut out: Vec<Bounded> = head.iter().map(|x| (f64::from(*x), 0.0)).collect();
        if let Some(bias) = &self.values[of] {
            for (out, b) in out.iter_mut().zip(&bias[own * s.head_dim..]) {
                *out = (out.0 + f64::from(*b), (out.0.abs() + f64::from(b.abs())) * TOLERANCE);
            }
        }
        if let Some(norm) = self.values.get(3 + of).filter(|_| of < 2).and_then(Option::as_ref) {
            let mean = out.iter().map(|x| x.0 * x.0).sum::<f64>() / s.head_dim as f64;
            let r = 1.0 / (mean + f64::from(EPS)).sqrt();
            for (out, w) in out.iter_mut().zip(norm) {
                let factor = r * (f64::from(*w) + f64::from(NORM_OFFSET));
                let weight_error = (f64::from(w.abs()) + f64::from(NORM_OFFSET)) * r * TOLERANCE;
                let value = out.0 * factor;
                *out = (value, value.abs() * NORM_TOLERANCE + out.1 * factor.abs() + out.0.abs() * weight_error);
            }
        }
        out
    }
}

impl Shape {
    pub(super) fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Where (kv head, position, dimension) of a cache lies.
    fn cache_at(&self, head: usize, position: usize, d: usize) -> usize {
        (head * self.capacity + position) * self.head_dim + d
    }

    /// One head after its rotation.
    pub(super) fn turned(&self, head: &[Bounded], turns: &[f32]) -> Vec<Bounded> {
        let mut out = head.to_vec();
        let half = self.rope_dims / 2;
        for p in 0..half {
            let (i, j) = if self.layout == Halves { (p, p + half) } else { (2 * p, 2 * p + 1) };
            let ((a, a_error), (b, b_error)) = (head[i], head[j]);
            let (cos, sin) = (f64::from(turns[2 * p]), f64::from(turns[2 * p + 1]));
            let carried = |x: f64, y: f64| a_error * x.abs() + b_error * y.abs();
            out[i] = (a * cos - b * sin, ((a * cos).abs() + (b * sin).abs()) * TOLERANCE + carried(cos, sin));
            out[j] = (a * sin + b * cos, ((a * sin).abs() + (b * cos).abs()) * TOLERANCE + carried(sin, cos));
        }
        out
    }
}

/// How much further off values of a row may be in the cache. Vulkan leaves it to the device which way f16 rounds, and whether the
/// numbers below the normal ones become 0.
pub(super) fn stored(row: &[Bounded], kv_bytes: usize) -> Vec<f64> {
    let half = |value: f64| (value.abs() / 1024.0).max(f64::from(half::f16::MIN_POSITIVE));
    let block = |block: &[Bounded]| {
        let most = block.iter().map(|x| x.0.abs() + x.1).fold(0.0, f64::max);
        // half a step, as the scale is rounded
        vec![most / 127.0 * 0.502 + f64::from(half::f16::MIN_POSITIVE); block.len()]
    };
    match kv_bytes {
        4 => vec![0.0; row.len()],
        2 => row.iter().map(|x| half(x.0)).collect(),
        _ => row.chunks(32).flat_map(block).collect(),
    }
}

#[test]
fn every_layout() {
    let rig = KernelRig::open();
    for (kv_bytes, name) in [(1, "bytes"), (2, "f16"), (4, "f32")] {
        let mut worst = Worst::new(format!("heads into {name}"));
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
    let vectors = Vectors::new(rig, s, &mut random);

    let mut rows = Expected::untouched((s.tokens + 1) * stride);
    let cache_len = s.kv_heads * s.capacity * d;
    let (mut k, mut v) = (Expected::untouched(cache_len), Expected::untouched(cache_len));
    for t in 0..s.tokens {
        let turns = &turns[t * s.rope_dims..][..s.rope_dims];
        for (h, head) in qkv[t * width..][..width].chunks_exact(d).enumerate() {
            let staged = vectors.staged(s, h, head);
            let turned = if h < s.heads + s.kv_heads { s.turned(&staged, turns) } else { staged };
            let loss = stored(&turned, kv_bytes);
            for (i, (value, bound)) in turned.into_iter().enumerate() {
                // k and v stay as they are in the row
                let in_row = if h < s.heads { (value, bound) } else { (f64::from(head[i]), 0.0) };
                rows.set(t * stride + h * d + i, in_row.0, in_row.1);
                if let Some(h) = h.checked_sub(s.heads + s.kv_heads) {
                    v.set(s.cache_at(h, s.position + t, i), value, bound + loss[i]);
                } else if let Some(h) = h.checked_sub(s.heads) {
                    k.set(s.cache_at(h, s.position + t, i), value, bound + loss[i]);
                }
            }
        }
    }

    let turns = rig.upload("turns", &turns);
    let row_bytes = kv_rows::row_bytes(d, kv_bytes);
    for subgroup in rig.subgroups() {
        let x = rig.upload_rows("qkv", &qkv, width, stride, s.tokens + 1);
        let poison = if kv_bytes == 2 { KernelRig::POISON_F16 } else { KernelRig::POISON };
        let cache = |name| rig.upload(name, &vec![poison; s.kv_heads * s.capacity * row_bytes / 4]);
        let (cache_k, cache_v) = (cache("k"), cache("v"));
        let [q_bias, k_bias, v_bias, q_norm, k_norm] = vectors.args;
        let args = HeadsArgs {
            qkv: x.address(),
            k: cache_k.address(),
            v: cache_v.address(),
            turns: turns.address(),
            packs: vectors.packs.address(),
            q_bias,
            k_bias,
            v_bias,
            q_norm,
            k_norm,
            heads: s.heads as u32,
            kv_heads: s.kv_heads as u32,
            rope_dims: s.rope_dims as u32,
            capacity: s.capacity as u32,
            position: s.position as u32,
            stride: stride as u32,
            eps: EPS,
            norm_offset: NORM_OFFSET,
        };
        let constants =
            [subgroup, kv_bytes as u32, d as u32, (s.layout == Interleaved).into(), (s.staged != Nothing).into()];
        let kernel = rig.kernel("heads", &constants, Some(subgroup));
        rig.run(&kernel, &args, [(s.heads + 2 * s.kv_heads) as u32, s.tokens as u32, 1]);
        let case = format!("{s:?} subgroup {subgroup}");
        let contents = |cache: &Buffer| match kv_bytes {
            4 => rig.elements(cache),
            2 => rig.elements_f16(cache),
            _ => kv_rows::elements(&rig.words(cache), d, KernelRig::POISON),
        };
        worst.check(&format!("{case} q"), &rig.elements(&x), &rows);
        worst.check(&format!("{case} k"), &contents(&cache_k), &k);
        worst.check(&format!("{case} v"), &contents(&cache_v), &v);
    }
}
