//! A plain forward pass in f64 on the CPU, straight from the archive's bytes: the oracle for every kernel.
//!
//! It reads top to bottom like the paper and shares with the runtime only the block decoding of `symbiote-format` (which has
//! golden vectors of its own) and the rotary frequencies (which are checked against transformers through the logits).

use std::collections::HashMap;

use symbiote_format::codec::Shape;
use symbiote_format::{
    Activation, Archive, Codec, Dtype, ModelConfig, NO_LAYER, Norm, RopeLayout, ScaleBlocks, TensorKind,
    TensorKind as Kind, Turn, dequant::dequantize,
};
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

/// Every tensor of `archive` that something is computed with, decoded, and multiplied by its factors.
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
    let decode = |t: &symbiote_format::ArchivedTensor, bytes: &[u8]| {
        let shape: Vec<usize> = t.shape.iter().map(|d| d.to_native() as usize).collect();
        let (columns, outer) = shape.split_last().unwrap();
        let rows = outer.iter().product();
        let mut values = vec![0.0; rows * columns];
        dequantize(Dtype::from_code(t.dtype.to_native()).unwrap(), bytes, &mut values);
        Matrix { rows, columns: *columns, values }
    };
    let kind = |t: &symbiote_format::ArchivedTensor| TensorKind::from_code(t.kind.to_native()).unwrap();
    let mut found = HashMap::new();
    let mut last = None;
    for (t, bytes) in index.tensors.iter().zip(&bytes).filter(|(t, _)| kind(t) != Kind::Unused) {
        let key = (kind(t), t.layer.to_native());
        let matrix = decode(t, bytes);
        match last.replace(key).filter(|_| key.0 == Kind::Scale) {
            Some(weight) => multiply(found.get_mut(&weight).unwrap(), &matrix, archive.config().design.scale_block),
            None => drop(found.insert(key, matrix)),
        }
    }
    found
}

/// Multiplies each weight by its factor, in f32.
fn multiply(weight: &mut Matrix, factors: &Matrix, block: Option<[u32; 2]>) {
    let shape = |m: &Matrix| [m.rows as u32, m.columns as u32];
    let blocks = ScaleBlocks::new(shape(weight), shape(factors), block).unwrap();
    for (i, w) in weight.values.iter_mut().enumerate() {
        *w *= factors.values[blocks.factor((i / weight.columns) as u32, (i % weight.columns) as u32) as usize];
    }
}

/// A model's weights, decoded.
struct Model<'a> {
    config: &'a ModelConfig,
    weights: HashMap<(TensorKind, u32), Matrix>,
}

/// Logits `[tokens][vocabulary]`.
pub fn forward(archive: &Archive<'_>, tokens: &[u32]) -> Vec<Vec<f64>> {
    let c = archive.config();
    let m = Model { config: c, weights: tensors(archive) };
    let d = &c.design;
    let rope_factors = m.get(Kind::RopeFactors, NO_LAYER).map_or(&[][..], |m| &m.values);
    let main = Rope::new(c, c.context_length, rope_factors);
    let local = Rope::local(c, c.context_length);

    let embedding = m.at(Kind::TokenEmbedding, NO_LAYER);
    let mut x: Vec<Vec<f64>> = Vec::new();
    for (position, token) in tokens.iter().enumerate() {
        let mut row = widen(embedding.row(*token as usize));
        scale(&mut row, d.embedding_scale);
        if let Some(positions) = m.get(Kind::PositionEmbedding, NO_LAYER) {
            add(&mut row, &widen(positions.row(position)));
        }
        x.push(row);
    }
    for l in 0..c.layer_count {
        let rope = match d.turn(l) {
            Turn::Not => None,
            Turn::Main => Some(&main),
            Turn::Local => local.as_ref(),
        };
        let (mut q, mut k, mut v) = (Vec::new(), Vec::new(), Vec::new());
        for (position, x) in (0u32..).zip(&x) {
            let n = m.norm(x, [Kind::AttentionNorm, Kind::AttentionNormBias], l);
            let [q_row, k_row, v_row] = m.qkv(&n, l);
            q.push(turn(c, rope, position, m.head_norm(q_row, Kind::QueryNorm, l)));
            k.push(turn(c, rope, position, m.head_norm(k_row, Kind::KeyNorm, l)));
            v.push(v_row);
        }
        for (t, x) in x.iter_mut().enumerate() {
            let first = if d.window(l) == 0 { 0 } else { (t + 1).saturating_sub(d.window(l) as usize) };
            let attended = attend(c, &q[t], &k[first..=t], &v[first..=t]);
            let output = [Kind::AttentionOutput, Kind::AttentionOutputBias, Kind::PostAttentionNorm];
            m.residual(x, &attended, output, l);
            let n = m.norm(x, [Kind::FfnNorm, Kind::FfnNormBias], l);
            let h = m.feed_forward(&n, l);
            m.residual(x, &h, [Kind::FfnDown, Kind::FfnDownBias, Kind::PostFfnNorm], l);
        }
    }
    let head = if c.tied_embeddings { embedding } else { m.at(Kind::Output, NO_LAYER) };
    let logits = |x: &Vec<f64>| {
        let mut row = head.times(&m.norm(x, [Kind::OutputNorm, Kind::OutputNormBias], NO_LAYER));
        scale(&mut row, d.logit_scale);
        capped(&mut row, d.logit_softcap);
        row
    };
    x.iter().map(logits).collect()
}

impl Model<'_> {
    fn get(&self, kind: Kind, layer: u32) -> Option<&Matrix> {
        self.weights.get(&(kind, layer))
    }

    fn at(&self, kind: Kind, layer: u32) -> &Matrix {
        self.get(kind, layer).unwrap_or_else(|| panic!("no {kind} in layer {layer}"))
    }

    /// `W x + b`, the bias where it is there.
    fn product(&self, x: &[f64], [weight, bias]: [Kind; 2], layer: u32) -> Vec<f64> {
        let mut y = self.at(weight, layer).times(x);
        if let Some(bias) = self.get(bias, layer) {
            add(&mut y, &widen(&bias.values));
        }
        y
    }

    /// A norm of the residual stream, where it is there.
    fn norm(&self, x: &[f64], [weight, bias]: [Kind; 2], layer: u32) -> Vec<f64> {
        let Some(weight) = self.get(weight, layer) else { return x.to_vec() };
        if self.config.design.norm == Norm::Rms {
            return self.rmsnorm(x, weight);
        }
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let centred: Vec<f64> = x.iter().map(|x| x - mean).collect();
        let mut y = rmsnorm(&centred, weight, self.config.norm_eps, 0.0);
        if let Some(bias) = self.get(bias, layer) {
            add(&mut y, &widen(&bias.values));
        }
        y
    }

    fn rmsnorm(&self, x: &[f64], weight: &Matrix) -> Vec<f64> {
        rmsnorm(x, weight, self.config.norm_eps, self.config.design.norm_weight_offset)
    }

    fn qkv(&self, x: &[f64], layer: u32) -> [Vec<f64>; 3] {
        if self.get(Kind::QueryKeyValue, layer).is_some() {
            let q = self.product(x, [Kind::QueryKeyValue, Kind::QueryKeyValueBias], layer);
            let (queries, keys) = (self.config.query_rows() as usize, self.config.kv_rows() as usize);
            let [k, v] = [queries, queries + keys].map(|from| q[from..from + keys].to_vec());
            return [q[..queries].to_vec(), k, v];
        }
        let kinds = [[Kind::Query, Kind::QueryBias], [Kind::Key, Kind::KeyBias], [Kind::Value, Kind::ValueBias]];
        kinds.map(|kinds| self.product(x, kinds, layer))
    }

    /// RMSNorm of each head or of all together, as the weight is long.
    fn head_norm(&self, row: Vec<f64>, kind: Kind, layer: u32) -> Vec<f64> {
        let Some(weight) = self.get(kind, layer) else { return row };
        row.chunks_exact(weight.values.len()).flat_map(|part| self.rmsnorm(part, weight)).collect()
    }

    fn feed_forward(&self, x: &[f64], layer: u32) -> Vec<f64> {
        let d = &self.config.design;
        let act = |x: f64| activation(d.activation, x);
        if let Some(both) = self.get(Kind::FfnGateUp, layer) {
            let both = both.times(x);
            let (gate, up) = both.split_at(both.len() / 2);
            return gate.iter().zip(up).map(|(g, u)| act(*g) * u).collect();
        }
        let up = self.product(x, [Kind::FfnUp, Kind::FfnUpBias], layer);
        if !d.gated {
            return up.into_iter().map(act).collect();
        }
        let gate = self.product(x, [Kind::FfnGate, Kind::FfnGateBias], layer);
        gate.iter().zip(&up).map(|(g, u)| act(*g) * u).collect()
    }

    /// What a last product, its bias and its norm add to the residual stream.
    fn residual(&self, x: &mut [f64], y: &[f64], [weight, bias, norm]: [Kind; 3], layer: u32) {
        let mut added = self.product(y, [weight, bias], layer);
        if let Some(norm) = self.get(norm, layer) {
            added = self.rmsnorm(&added, norm);
        }
        scale(&mut added, self.config.design.residual_scale);
        add(x, &added);
    }
}

/// Of the clamped SwiGLU.
pub const CLAMPED_GAIN: f64 = 1.702;

/// An activation of the feed-forward network.
pub fn activation(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        // 1 + tanh(u) = 2 / (1 + e^-2u), which does not cancel
        Activation::GeluTanh => x / (1.0 + (-gelu_exponent(x)).exp()),
        Activation::GeluErf => 0.5 * x * (1.0 + erf(x / 2f64.sqrt())),
        // of a gate that is clamped already
        Activation::ClampedSwiglu => x / (1.0 + (-CLAMPED_GAIN * x).exp()),
    }
}

/// u of GELU by tanh, x / (1 + e^-u).
pub fn gelu_exponent(x: f64) -> f64 {
    (8.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))
}

/// By its series, which converges everywhere, or its limit.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

/// x / sqrt(mean(x^2) + eps) * (w + offset).
fn rmsnorm(x: &[f64], w: &Matrix, eps: f32, offset: f32) -> Vec<f64> {
    let mean = x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64;
    let r = 1.0 / (mean + f64::from(eps)).sqrt();
    x.iter().zip(&w.values).map(|(x, w)| x * r * (f64::from(*w) + f64::from(offset))).collect()
}

fn turn(c: &ModelConfig, rope: Option<&Rope>, position: u32, mut heads: Vec<f64>) -> Vec<f64> {
    let Some(rope) = rope else { return heads };
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

/// Softmax of the scaled and capped q k, times v, for every head; `k` and `v` are `[keys][kv heads * head size]`.
fn attend(c: &ModelConfig, q: &[f64], k: &[Vec<f64>], v: &[Vec<f64>]) -> Vec<f64> {
    let (d, group) = (c.head_dim as usize, (c.head_count / c.kv_head_count) as usize);
    let factor = c.design.attention_scale.map_or(1.0 / (d as f64).sqrt(), f64::from);
    let mut out = vec![0.0; q.len()];
    for (h, out) in out.chunks_exact_mut(d).enumerate() {
        let (q, at) = (&q[h * d..][..d], h / group * d);
        let score = |k: &Vec<f64>| q.iter().zip(&k[at..]).map(|(q, k)| q * k).sum::<f64>() * factor;
        let mut scores: Vec<f64> = k.iter().map(score).collect();
        capped(&mut scores, c.design.attention_softcap);
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|s| (s - top).exp()).sum();
        for (s, v) in scores.iter().zip(v) {
            let p = (s - top).exp() / total;
            out.iter_mut().zip(&v[at..]).for_each(|(o, v)| *o += p * v);
        }
    }
    out
}

fn widen(row: &[f32]) -> Vec<f64> {
    row.iter().map(|v| f64::from(*v)).collect()
}

fn scale(x: &mut [f64], factor: f32) {
    x.iter_mut().for_each(|x| *x *= f64::from(factor));
}

fn capped(x: &mut [f64], cap: Option<f32>) {
    if let Some(cap) = cap.map(f64::from) {
        x.iter_mut().for_each(|x| *x = cap * (*x / cap).tanh());
    }
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}
