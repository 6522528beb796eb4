//! The forward pass, as one page: it records the commands that turn token ids into logits.

mod early_router;
mod latent;
mod mixture;
mod token;

use std::borrow::Cow;

pub(super) use early_router::ranks;

use bytemuck::bytes_of;
use symbiote_format::{ModelConfig, Norm, Turn};
use symbiote_shaders::{
    ActivateArgs, AddArgs, AttentionArgs, AttentionMergeArgs, CapArgs, EmbedArgs, HeadsArgs, MatmulArgs, NormArgs,
    PartArgs, SplitArgs, VectorArgs,
};

use super::EngineError;
use super::kernels::{Batch, Kernels, WIDE};
use super::stages::Stages;
use super::state::{Activations, KvCache, stride};
use super::weights::{Ffn, Form, HeadNorms, Layer, NormWeights, Operation, Output, Product, Vector, Weights, packs_of};
use crate::gpu::Buffer;
use token::Normed;

pub use token::Begun;

/// What one pass reads and writes.
pub struct Pass<'a> {
    /// The model's sizes.
    pub config: &'a ModelConfig,
    /// Where its weights are.
    pub weights: &'a Weights,
    /// The kernels.
    pub kernels: &'a Kernels,
    /// Activations.
    pub act: &'a Activations,
    /// Keys and values.
    pub kv: &'a KvCache,
    /// Position of the first token.
    pub position: u32,
    /// Tokens of this pass.
    pub tokens: u32,
    /// Ids of those tokens.
    pub ids: &'a [u32],
    /// Most tokens of a pass.
    pub batch: u32,
}

/// Rows of f32 on the device.
#[derive(Clone, Copy)]
struct Rows {
    address: u64,
    width: u32,
    /// f32 from one row to the next.
    stride: u32,
}

/// Whether a result replaces y or is added to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Into {
    Replace,
    Add,
}

impl Pass<'_> {
    /// Everything up to the last layer: token ids in, residual stream `x [tokens][hidden]` out, and whether its norm is begun.
    pub fn layers(&self, s: &mut Stages<'_>) -> Result<Option<Begun>, EngineError> {
        let (w, a) = (self.weights, self.act);
        self.embed(s)?;
        let mut begun = None;
        for (l, layer) in (0u32..).zip(&w.layers) {
            let at_once = self.attends_at_once(layer);
            match &layer.latent {
                None => {
                    let qkv = Normed { norm: layer.attention_norm, product: &layer.qkv };
                    self.product_of_normed(s, qkv, &a.qkv, begun, false)?; //    qkv [tokens][q + k + v rows]
                    if at_once {
                        self.attention_token(s, l, layer)?; //                   the next two steps in one
                    } else {
                        self.heads(s, l, layer)?; //                             q turned; k, v in the cache
                    }
                }
                Some(latent) => {
                    let n = self.normed(s, layer.attention_norm)?; //            n [tokens][hidden]
                    self.latent(s, l, (layer, latent), n)?; //                   the same
                }
            }
            if !at_once {
                self.attention(s, l, layer.sinks)?; //                           attended [tokens][heads * value size]
            }
            let next = match w.layers.get(l as usize + 1) {
                Some(next) => next.latent.is_none().then_some(Normed { norm: next.attention_norm, product: &next.qkv }),
                None => Some(Normed { norm: Some(w.output_norm), product: &w.head }),
            };
            begun = match &layer.ffn {
                Ffn::Dense(ffn) => {
                    let (up, gated) = self.up(ffn);
                    let up = Normed { norm: layer.ffn_norm, product: up };
                    let begun = self.residual(s, &layer.output, &a.attended, Some(up))?; // x + output(attended)
                    self.product_of_normed(s, up, if gated { &a.hidden } else { &a.up }, begun, gated)?;
                    if !gated {
                        let hidden = self.activated(&a.up, &a.hidden, self.config.ffn_size);
                        self.activate(s, ffn.up_bias, hidden, self.tokens, false)?; // hidden [tokens][ffn]
                    }
                    self.residual(s, &ffn.down, &a.hidden, next)? //             x + down(hidden)
                }
                Ffn::Mixture(mixture) => {
                    self.residual(s, &layer.output, &a.attended, None)?;
                    let n = self.normed(s, layer.ffn_norm)?; //                  n [tokens][hidden]
                    self.mixture(s, l, mixture, n)?; //                          x + weighted sum over experts
                    None
                }
            };
        }
        Ok(begun)
    }

    /// The head over tokens `first..first + count` of the pass: `logits [count][vocabulary]`, copied for the host.
    pub fn head(&self, s: &mut Stages<'_>, first: u32, count: u32, begun: Option<Begun>) -> Result<(), EngineError> {
        let (w, a, d) = (self.weights, self.act, &self.config.design);
        if begun.is_some() {
            let head = Normed { norm: Some(w.output_norm), product: &w.head };
            self.product_of_normed(s, head, &a.logits, begun, false)?;
        } else {
            let x = self.hidden(&a.x);
            let x = Rows { address: x.address + u64::from(first) * u64::from(x.stride) * 4, ..x };
            self.norm(s, w.output_norm, x, self.hidden(&a.normed), count, Into::Replace)?;
            self.matmul(s, &w.head, &a.normed, &a.logits, count, Into::Replace)?;
        }
        let width = self.config.vocab_size;
        if d.logit_scale != 1.0 || d.logit_softcap.is_some() {
            let (scale, cap) = (d.logit_scale, d.logit_softcap.unwrap_or(0.0));
            let args = CapArgs { x: a.logits.address(), width, stride: stride(width), scale, cap };
            s.dispatch(&self.kernels.cap()?, bytes_of(&args), [width.div_ceil(self.kernels.local()), count, 1]);
        }
        s.recorder().copy(&a.logits, 0, &a.readback, 0, u64::from(count) * u64::from(stride(width)) * 4);
        Ok(())
    }

    /// Rows of hidden size.
    fn hidden(&self, buffer: &Buffer) -> Rows {
        let width = self.config.hidden_size;
        Rows { address: buffer.address(), width, stride: stride(width) }
    }

    /// x of the tokens, and of their positions where these are learned.
    fn embed(&self, s: &mut Stages<'_>) -> Result<(), EngineError> {
        let (a, scale) = (self.act, self.config.design.embedding_scale);
        self.look_up(s, &self.weights.embedding, (a.tokens.address(), self.ids), &a.x)?;
        if scale != 1.0 {
            self.add(s, None, self.hidden(&a.x), self.hidden(&a.x), (scale, Into::Replace))?;
        }
        if let Some(table) = &self.weights.positions {
            let positions: Vec<u32> = (self.position..self.position + self.tokens).collect();
            self.look_up(s, table, (a.tokens.address() + u64::from(self.batch) * 4, &positions), &a.normed)?;
            self.add(s, None, self.hidden(&a.normed), self.hidden(&a.x), (1.0, Into::Add))?;
        }
        Ok(())
    }

    /// `y[i] = table[ids[i]]`, from the packs that have those rows; `address` is where the ids are.
    fn look_up(
        &self,
        s: &mut Stages<'_>,
        table: &Operation,
        (address, ids): (u64, &[u32]),
        y: &Buffer,
    ) -> Result<(), EngineError> {
        for scales in &table.scales {
            s.look_up(scales.pack as usize)?;
        }
        for e in &table.products {
            let kernel = self.kernels.embed(e.form)?;
            let mut args = EmbedArgs {
                packs: s.tables()[1],
                parts: e.table,
                tokens: address,
                x: y.address(),
                part_count: 1,
                columns: e.columns,
                x_stride: stride(e.columns),
                first: 0,
                grid: e.grid,
            };
            for part in &e.parts {
                if ids.iter().any(|id| (part.first_tile..part.first_tile + part.rows).contains(id)) {
                    s.look_up(part.pack as usize)?;
                    s.recorder().dispatch(&kernel, bytes_of(&args), [self.tokens, 1, 1]);
                }
                args.parts += size_of::<PartArgs>() as u64;
            }
        }
        s.recorder().barrier();
        s.mark(|| "embed".into());
        Ok(())
    }

    /// The residual stream under a norm, or as it is.
    fn normed(&self, s: &mut Stages<'_>, norm: Option<NormWeights>) -> Result<&Buffer, EngineError> {
        let a = self.act;
        let Some(norm) = norm else { return Ok(&a.x) };
        self.norm(s, norm, self.hidden(&a.x), self.hidden(&a.normed), self.tokens, Into::Replace)?;
        Ok(&a.normed)
    }

    /// `y = norm(x)`, or `y += residual scale * norm(x)`.
    fn norm(
        &self,
        s: &mut Stages<'_>,
        norm: NormWeights,
        x: Rows,
        y: Rows,
        tokens: u32,
        into: Into,
    ) -> Result<(), EngineError> {
        let (c, d) = (self.config, &self.config.design);
        let [weight, bias] = self.vectors(s, [Some(norm.weight), norm.bias])?;
        let args = NormArgs {
            packs: s.tables()[0],
            x: x.address,
            y: y.address,
            weight,
            bias,
            columns: x.width,
            x_stride: x.stride,
            y_stride: y.stride,
            eps: c.norm_eps,
            offset: if norm.kind == Norm::Rms { d.norm_weight_offset } else { 0.0 },
            scale: d.residual_scale,
        };
        s.dispatch(&self.kernels.norm(norm.kind, x.width, into == Into::Add)?, bytes_of(&args), [tokens, 1, 1]);
        Ok(())
    }

    /// `y = scale * (x + bias)`, or that added to y.
    fn add(
        &self,
        s: &mut Stages<'_>,
        bias: Option<Vector>,
        x: Rows,
        y: Rows,
        (scale, into): (f32, Into),
    ) -> Result<(), EngineError> {
        let [bias] = self.vectors(s, [bias])?;
        let args = AddArgs {
            packs: s.tables()[0],
            x: x.address,
            y: y.address,
            bias,
            width: x.width,
            x_stride: x.stride,
            y_stride: y.stride,
            scale,
        };
        let groups = [x.width.div_ceil(self.kernels.local()), self.tokens, 1];
        s.dispatch(&self.kernels.add(into == Into::Add)?, bytes_of(&args), groups);
        Ok(())
    }

    /// x += what `output` makes of `y`; whether the norm that comes `next` is begun.
    fn residual(
        &self,
        s: &mut Stages<'_>,
        output: &Output,
        y: &Buffer,
        next: Option<Normed<'_>>,
    ) -> Result<Option<Begun>, EngineError> {
        let (a, scale) = (self.act, self.config.design.residual_scale);
        if output.bias.is_none() && output.norm.is_none() && scale == 1.0 {
            if let Some(weight) = next.and_then(|next| self.begins(&output.product, next)) {
                return self.begin(s, &output.product, y, weight).map(Some);
            }
            self.matmul(s, &output.product, y, &a.x, self.tokens, Into::Add)?;
            return Ok(None);
        }
        let (added, x) = (self.hidden(&a.normed), self.hidden(&a.x));
        self.matmul(s, &output.product, y, &a.normed, self.tokens, Into::Replace)?;
        match output.norm {
            None => self.add(s, output.bias, added, x, (scale, Into::Add))?,
            Some(weight) => {
                if output.bias.is_some() {
                    self.add(s, output.bias, added, added, (1.0, Into::Replace))?;
                }
                self.norm(s, NormWeights::rms(weight), added, x, self.tokens, Into::Add)?;
            }
        }
        Ok(None)
    }

    /// Leases the packs of `vectors`, and says where they are.
    fn vectors<const N: usize>(
        &self,
        s: &mut Stages<'_>,
        vectors: [Option<Vector>; N],
    ) -> Result<[VectorArgs; N], EngineError> {
        let packs = packs_of(vectors.into_iter().flatten());
        if !packs.is_empty() {
            s.need(&packs)?;
        }
        Ok(vectors.map(|v| v.map_or(VectorArgs::ABSENT, Vector::args)))
    }

    fn matmul(
        &self,
        s: &mut Stages<'_>,
        operation: &Operation,
        x: &Buffer,
        y: &Buffer,
        tokens: u32,
        into: Into,
    ) -> Result<(), EngineError> {
        self.split(s, &operation.products, x.address(), tokens)?;
        let add = u32::from(into == Into::Add);
        let args = MatmulArgs { x: x.address(), y: y.address(), tokens, add, ..MatmulArgs::default() };
        self.products(s, operation, args, Batch::Tokens(tokens)).map(drop)
    }

    /// The products of an operation: `args` says of what, and where to. Workgroups of the last of them.
    fn products(
        &self,
        s: &mut Stages<'_>,
        operation: &Operation,
        args: MatmulArgs,
        batch: Batch,
    ) -> Result<u32, EngineError> {
        let mut workgroups = 0;
        let scales = packs_of(operation.scales.iter().copied());
        for packs in s.groups(&operation.packs) {
            s.need(&with(packs, &scales))?;
            for product in &operation.products {
                let args = MatmulArgs {
                    packs: s.tables()[0],
                    parts: product.table,
                    part_count: count(product.own_parts()),
                    columns: product.columns,
                    x_stride: stride(product.columns),
                    y_stride: stride(operation.rows),
                    halves: if product.grid == 0 { self.act.halves.address() } else { product.grid },
                    ..args
                };
                let tiles = (product.tiles, product.tile_rows);
                let multiply = self.kernels.product(product.form, batch, tiles, product.columns)?;
                let [x, y, z] = multiply.groups;
                let a_tile = x / product.tiles;
                workgroups = x;
                // products of one operation write different rows, so only the last is followed by a barrier
                for tiles in product.tiles_in(packs) {
                    let groups = [(tiles.end - tiles.start) * a_tile, y, z];
                    s.recorder().dispatch_from(&multiply.kernel, bytes_of(&args), tiles.start * a_tile, groups);
                }
            }
        }
        s.recorder().barrier();
        if let Some(product) = operation.products.last() {
            s.mark(|| format!("product {} {}x{}", product.form, operation.rows, product.columns));
        }
        Ok(workgroups)
    }

    /// Makes of x what those of `products` read that run on cooperative matrices.
    fn split<'p>(
        &self,
        s: &mut Stages<'_>,
        products: impl IntoIterator<Item = &'p Product>,
        x: u64,
        tokens: u32,
    ) -> Result<(), EngineError> {
        let packed = products.into_iter().find(|p| matches!(p.form, Form::Packed { .. }));
        let Some(product) = packed.filter(|_| tokens > 1 && self.kernels.matrices()) else { return Ok(()) };
        let args = SplitArgs {
            x,
            halves: self.act.halves.address(),
            columns: product.columns,
            tokens,
            x_stride: stride(product.columns),
            pad: 0,
        };
        s.dispatch(&self.kernels.split()?, bytes_of(&args), [WIDE, tokens.div_ceil(WIDE), 1]);
        Ok(())
    }

    /// Biases, norms and turns of q, k and v; k and v go into the cache.
    fn heads(&self, s: &mut Stages<'_>, l: u32, layer: &Layer) -> Result<(), EngineError> {
        let c = self.config;
        let (k, v) = self.kv.addresses(l as usize);
        let row_stride = stride(c.query_rows() + 2 * c.kv_rows());
        let own = self.norms_of_heads(s, layer)?;
        let staged = own.iter().any(Option::is_some);
        let [q_bias, k_bias, v_bias, q_norm, k_norm] = self.vectors(s, own)?;
        let turn = c.design.turn(l);
        let args = HeadsArgs {
            qkv: self.act.qkv.address(),
            k,
            v,
            turns: self.turns(turn),
            packs: s.tables()[0],
            q_bias,
            k_bias,
            v_bias,
            q_norm,
            k_norm,
            heads: c.head_count,
            kv_heads: c.kv_head_count,
            rope_dims: if turn == Turn::Not { 0 } else { c.rope_dims },
            capacity: self.kv.capacity,
            position: self.position,
            stride: row_stride,
            eps: c.norm_eps,
            norm_offset: c.design.norm_weight_offset,
        };
        let kernel = self.kernels.heads(c, self.kv.kv_type, staged)?;
        s.dispatch(&kernel, bytes_of(&args), [c.head_count + 2 * c.kv_head_count, self.tokens, 1]);
        Ok(())
    }

    /// What is left to do to heads of q, k and v one by one, when norms of all heads together are done: biases of q, k and v, norms
    /// of q and k.
    fn norms_of_heads(&self, s: &mut Stages<'_>, layer: &Layer) -> Result<[Option<Vector>; 5], EngineError> {
        let c = self.config;
        let mut biases = layer.qkv_bias;
        let norms = match layer.head_norms {
            HeadNorms::None => [None; 2],
            HeadNorms::Each(q, k) => [Some(q), Some(k)],
            HeadNorms::Together(q_norm, k_norm) => {
                let row_stride = stride(c.query_rows() + 2 * c.kv_rows());
                let q = Rows { address: self.act.qkv.address(), width: c.query_rows(), stride: row_stride };
                let k = Rows { address: q.address + u64::from(q.width) * 4, width: c.kv_rows(), ..q };
                for (rows, norm, bias) in [(q, q_norm, biases[0].take()), (k, k_norm, biases[1].take())] {
                    if bias.is_some() {
                        self.add(s, bias, rows, rows, (1.0, Into::Replace))?;
                    }
                    self.norm(s, NormWeights::rms(norm), rows, rows, self.tokens, Into::Replace)?;
                }
                [None; 2]
            }
        };
        let ([q_bias, k_bias, v_bias], [q_norm, k_norm]) = (biases, norms);
        Ok([q_bias, k_bias, v_bias, q_norm, k_norm])
    }

    /// Where cos and sin of a layer's turns are.
    fn turns(&self, turn: Turn) -> u64 {
        let set = u64::from(self.batch) * u64::from(self.config.rope_dims) * 4;
        self.act.turns.address() + if turn == Turn::Local { set } else { 0 }
    }

    /// The factor on a layer's scores.
    #[allow(clippy::cast_precision_loss)] // a head's size is small
    fn score_scale(&self) -> f32 {
        self.config.design.attention_scale.unwrap_or(1.0 / (self.config.head_dim as f32).sqrt())
    }

    /// Keys that a query of layer `l` sees, the last of them its own.
    fn window(&self, l: u32) -> u32 {
        Some(self.config.design.window(l)).filter(|window| *window != 0).unwrap_or(u32::MAX)
    }

    fn attention(&self, s: &mut Stages<'_>, l: u32, sinks: Option<Vector>) -> Result<(), EngineError> {
        let c = self.config;
        let [sinks] = self.vectors(s, [sinks])?;
        let (k, v) = self.kv.addresses(l as usize);
        let window = self.window(l);
        let keys = self.position + self.tokens;
        let seen = if self.tokens == 1 { keys.min(window) } else { keys };
        let split = self.kernels.attention_split(seen, self.tokens);
        let splits = split.map_or(1, |split| seen.div_ceil(split));
        let (a, y_stride) = (self.act, stride(c.attended_rows()));
        let args = AttentionArgs {
            q: a.qkv.address(),
            k,
            v,
            y: if split.is_some() { a.stretches(c) } else { a.attended.address() },
            packs: s.tables()[0],
            sinks,
            heads: c.head_count,
            kv_heads: c.kv_head_count,
            capacity: self.kv.capacity,
            position: self.position,
            tokens: self.tokens,
            q_stride: self.q_stride(),
            y_stride,
            split: split.unwrap_or(seen),
            first: keys - seen,
            window,
            scale: self.score_scale(),
            cap: c.design.attention_softcap.unwrap_or(0.0),
        };
        let group = c.head_count / c.kv_head_count;
        let pairs = self.tokens * group;
        let queries = self.kernels.attention_queries(pairs, group);
        let kernel = self.kernels.attention(c, self.kv.kv_type, queries, split.is_some())?;
        s.dispatch(&kernel, bytes_of(&args), [c.kv_head_count, pairs.div_ceil(queries), splits]);
        if split.is_some() {
            let args = AttentionMergeArgs {
                partial: a.stretches(c),
                y: a.attended.address(),
                splits,
                tokens: self.tokens,
                heads: c.head_count,
                head_dim: c.value_dim(),
                y_stride,
                pad: 0,
            };
            s.dispatch(&self.kernels.attention_merge()?, bytes_of(&args), [c.head_count, self.tokens, 1]);
        }
        Ok(())
    }

    /// Where activations of `width` come from, and where they go.
    fn activated(&self, x: &Buffer, y: &Buffer, width: u32) -> ActivateArgs {
        ActivateArgs {
            x: x.address(),
            y: y.address(),
            width,
            x_stride: stride((1 + u32::from(self.config.design.gated)) * width),
            y_stride: stride(width),
            ..ActivateArgs::default()
        }
    }

    /// activation(gate) * up, or activation(up), of `rows` rows, in which gate and up take turns if they are `interleaved`.
    fn activate(
        &self,
        s: &mut Stages<'_>,
        bias: [Option<Vector>; 2],
        args: ActivateArgs,
        rows: u32,
        interleaved: bool,
    ) -> Result<(), EngineError> {
        let d = &self.config.design;
        let [gate_bias, up_bias] = self.vectors(s, bias)?;
        let args = ActivateArgs { packs: s.tables()[0], gate_bias, up_bias, ..args };
        let kernel = self.kernels.activate(d.activation, d.gated, interleaved)?;
        s.dispatch(&kernel, bytes_of(&args), [args.width.div_ceil(self.kernels.local()), rows, 1]);
        Ok(())
    }
}

/// Packs and those of the factors of what is in them.
fn with<'p>(packs: &'p [usize], scales: &[usize]) -> Cow<'p, [usize]> {
    if scales.is_empty() { packs.into() } else { [packs, scales].concat().into() }
}

/// The length of a table that a validated archive keeps far below 2^32.
fn count<T>(table: &[T]) -> u32 {
    u32::try_from(table.len()).unwrap_or(u32::MAX)
}
