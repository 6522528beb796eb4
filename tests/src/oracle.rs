//! A plain forward pass in f64 on the CPU, straight from the archive's bytes: the oracle for every kernel.
//!
//! It reads top to bottom like the paper and shares with the runtime only the block decoding of `symbiote-format` (which has
//! golden vectors of its own) and the rotary frequencies (which are checked against transformers through the logits).

use std::collections::HashMap;

use symbiote_format::codec::Shape;
use symbiote_format::{Archive, Codec, Dtype, ModelConfig, NO_LAYER, RopeLayout, TensorKind, dequant::dequantize};
use symbiote_runtime::engine::Rope;

/// A matrix `[rows, columns]`, row after row.
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f32>,
}

impl Matrix {
    pub fn row(&self, r: usize) -> &[f32] {
        &self.values[r * self.columns..][..self.columns]
    }

    /// `W x`.
    pub fn times(&self, x: &[f64]) -> Vec<f64> {
        (0..self.rows).map(|r| self.row(r).iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum()).collect()
    }
}

/// Every tensor of `archive`, decoded.
pub fn tensors(archive: &Archive<'_>) -> HashMap<(TensorKind, u32), Matrix> {
    let index = archive.index();
    let mut bytes: Vec<Vec<u8>> = vec![Vec::new(); index.tensors.len()];
    for pack in index.packs.iter() {
        let first = pack.first_part.to_native() as usize;
        for part in &index.parts[first..first + pack.part_count.to_native() as usize] {
            let start = part.offset.to_native() as usize;
            let coded = &archive.segment(pack)[start..start + part.coded_len.to_native() as usize];
            let (tensor, rows) = (part.tensor.to_native() as usize, part.rows.to_native());
            let of = &index.tensors[tensor];
            let columns = of.shape.last().unwrap().to_native() as u32;
            let shape = Shape { dtype: Dtype::from_code(of.dtype.to_native()).unwrap(), rows, columns };
            let mut raw = vec![0; shape.raw_len()];
            Codec::from_code(part.codec).unwrap().decode(shape, coded, &mut raw).unwrap();
            bytes[tensor].extend(raw);
        }
    }
    index
        .tensors
        .iter()
        .zip(bytes)
        .map(|(t, bytes)| {
            let shape: Vec<usize> = t.shape.iter().map(|d| d.to_native() as usize).collect();
            let (columns, outer) = shape.split_last().unwrap();
            let rows = outer.iter().product();
            let mut values = vec![0.0; rows * columns];
            dequantize(Dtype::from_code(t.dtype.to_native()).unwrap(), &bytes, &mut values);
            let kind = TensorKind::from_code(t.kind.to_native()).unwrap();
            ((kind, t.layer.to_native()), Matrix { rows, columns: *columns, values })
        })
        .collect()
}

/// Logits `[tokens][vocabulary]` of a llama model.
pub fn forward(archive: &Archive<'_>, tokens: &[u32]) -> Vec<Vec<f64>> {
    let c = archive.config();
    let w = tensors(archive);
    let rope_factors = w.get(&(TensorKind::RopeFactors, NO_LAYER)).map_or(&[][..], |m| &m.values);
    let rope = Rope::new(c, c.context_length, rope_factors);
    let get = |kind, layer| &w[&(kind, layer)];

    let embedding = get(TensorKind::TokenEmbedding, NO_LAYER);
    let mut x: Vec<Vec<f64>> =
        tokens.iter().map(|t| embedding.row(*t as usize).iter().map(|v| f64::from(*v)).collect()).collect();
    for l in 0..c.layer_count {
        let (mut q, mut k, mut v) = (Vec::new(), Vec::new(), Vec::new());
        for (position, x) in (0u32..).zip(&x) {
            let n = rmsnorm(x, get(TensorKind::AttentionNorm, l), c.norm_eps);
            q.push(turn(c, &rope, position, get(TensorKind::Query, l).times(&n)));
            k.push(turn(c, &rope, position, get(TensorKind::Key, l).times(&n)));
            v.push(get(TensorKind::Value, l).times(&n));
        }
        for (t, x) in x.iter_mut().enumerate() {
            let attended = attend(c, &q[t], &k[..=t], &v[..=t]);
            add(x, &get(TensorKind::AttentionOutput, l).times(&attended));
            let n = rmsnorm(x, get(TensorKind::FfnNorm, l), c.norm_eps);
            let gate = get(TensorKind::FfnGate, l).times(&n);
            let up = get(TensorKind::FfnUp, l).times(&n);
            let h: Vec<f64> = gate.iter().zip(&up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
            add(x, &get(TensorKind::FfnDown, l).times(&h));
        }
    }
    let head = if c.tied_embeddings { embedding } else { get(TensorKind::Output, NO_LAYER) };
    x.iter().map(|x| head.times(&rmsnorm(x, get(TensorKind::OutputNorm, NO_LAYER), c.norm_eps))).collect()
}

pub fn rmsnorm(x: &[f64], w: &Matrix, eps: f32) -> Vec<f64> {
    let mean = x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64;
    let r = 1.0 / (mean + f64::from(eps)).sqrt();
    x.iter().zip(&w.values).map(|(x, w)| x * r * f64::from(*w)).collect()
}

fn turn(c: &ModelConfig, rope: &Rope, position: u32, mut heads: Vec<f64>) -> Vec<f64> {
    let mut turns = Vec::new();
    rope.turns(position, &mut turns);
    let half = c.rope_dims as usize / 2;
    for head in heads.chunks_exact_mut(c.head_dim as usize) {
        for p in 0..half {
            let (i, j) = match c.rope_layout {
                RopeLayout::Interleaved => (2 * p, 2 * p + 1),
                RopeLayout::Halves => (p, p + half),
            };
            let (cos, sin) = (f64::from(turns[2 * p]), f64::from(turns[2 * p + 1]));
            (head[i], head[j]) = (head[i] * cos - head[j] * sin, head[i] * sin + head[j] * cos);
        }
    }
    heads
}

/// Softmax(q k / sqrt(head size)) v for every head; `k` and `v` are `[keys][kv heads * head size]`.
pub fn attend(c: &ModelConfig, q: &[f64], k: &[Vec<f64>], v: &[Vec<f64>]) -> Vec<f64> {
    let (d, group) = (c.head_dim as usize, (c.head_count / c.kv_head_count) as usize);
    let mut out = vec![0.0; q.len()];
    for (h, out) in out.chunks_exact_mut(d).enumerate() {
        let (q, at) = (&q[h * d..][..d], h / group * d);
        let score = |k: &Vec<f64>| q.iter().zip(&k[at..]).map(|(q, k)| q * k).sum::<f64>() / (d as f64).sqrt();
        let scores: Vec<f64> = k.iter().map(score).collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|s| (s - top).exp()).sum();
        for (s, v) in scores.iter().zip(v) {
            let p = (s - top).exp() / total;
            out.iter_mut().zip(&v[at..]).for_each(|(o, v)| *o += p * v);
        }
    }
    out
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}
