//! The forward pass, as one page: it records the commands that turn token ids into logits.

use bytemuck::bytes_of;
use symbiote_shaders::{
    AttentionArgs, AttentionMergeArgs, EmbedArgs, MatmulArgs, PartArgs, RmsNormArgs, RopeArgs, SplitArgs, SwigluArgs,
};

use super::EngineError;
use super::kernels::{Kernels, WIDE};
use super::stages::Stages;
use super::state::{Activations, KvCache, stride};
use super::weights::{Form, Operation, Vector, Weights};
use crate::gpu::Buffer;
use symbiote_format::ModelConfig;

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
}

/// Whether a product replaces y or is added to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Into {
    Replace,
    Add,
}

impl Pass<'_> {
    /// Everything up to the last layer: token ids in, residual stream `x [tokens][hidden]` out.
    pub fn layers(&self, s: &mut Stages<'_>) -> Result<(), EngineError> {
        let (w, a) = (self.weights, self.act);
        self.embed(s)?;
        for (l, layer) in w.layers.iter().enumerate() {
            self.rmsnorm(s, &layer.attention_norm, &a.x, 0, self.tokens)?; //         normed [tokens][hidden]
            self.matmul(s, &layer.qkv, &a.normed, &a.qkv, self.tokens, Into::Replace)?; // qkv [tokens][q + k + v rows]
            self.rope(s, l)?; //                                                      q turned; k, v in the cache
            self.attention(s, l)?; //                                                 attended [tokens][q rows]
            self.matmul(s, &layer.output, &a.attended, &a.x, self.tokens, Into::Add)?;
            self.rmsnorm(s, &layer.ffn_norm, &a.x, 0, self.tokens)?;
            self.matmul(s, &layer.gate_up, &a.normed, &a.gate_up, self.tokens, Into::Replace)?; // [tokens][2 ffn]
            self.swiglu(s)?; //                                                       hidden [tokens][ffn]
            self.matmul(s, &layer.down, &a.hidden, &a.x, self.tokens, Into::Add)?;
        }
        Ok(())
    }

    /// The head over tokens `first..first + count` of the pass: `logits [count][vocabulary]`, copied for the host.
    pub fn head(&self, s: &mut Stages<'_>, first: u32, count: u32) -> Result<(), EngineError> {
        let (w, a) = (self.weights, self.act);
        self.rmsnorm(s, &w.output_norm, &a.x, first, count)?;
        self.matmul(s, &w.head, &a.normed, &a.logits, count, Into::Replace)?;
        let bytes = u64::from(count) * u64::from(stride(self.config.vocab_size)) * 4;
        s.recorder().copy(&a.logits, 0, &a.readback, 0, bytes);
        Ok(())
    }

    /// Looks up the rows of the tokens, in the packs that have them.
    fn embed(&self, s: &mut Stages<'_>) -> Result<(), EngineError> {
        for e in &self.weights.embedding.products {
            let kernel = self.kernels.embed(e.form)?;
            let mut args = EmbedArgs {
                packs: s.tables()[1],
                parts: e.table,
                tokens: self.act.tokens.address(),
                x: self.act.x.address(),
                part_count: 1,
                columns: e.columns,
                x_stride: stride(e.columns),
                pad: 0,
            };
            for part in &e.parts {
                if self.ids.iter().any(|id| (part.first_tile..part.first_tile + part.rows).contains(id)) {
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

    /// `normed[i] = norm(x[first + i]) * w`.
    fn rmsnorm(&self, s: &mut Stages<'_>, w: &Vector, x: &Buffer, first: u32, tokens: u32) -> Result<(), EngineError> {
        s.need(&[w.pack as usize])?;
        let columns = self.config.hidden_size;
        let row = stride(columns);
        let args = RmsNormArgs {
            packs: s.tables()[0],
            x: x.address() + u64::from(first) * u64::from(row) * 4,
            y: self.act.normed.address(),
            pack: w.pack,
            offset: w.offset,
            columns,
            x_stride: row,
            y_stride: row,
            eps: self.config.norm_eps,
        };
        s.dispatch(&self.kernels.rmsnorm(w.dtype, columns)?, bytes_of(&args), [tokens, 1, 1]);
        Ok(())
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
        self.split(s, operation, x, tokens)?;
        for packs in s.groups(&operation.packs) {
            s.need(packs)?;
            for product in &operation.products {
                let args = MatmulArgs {
                    packs: s.tables()[0],
                    parts: product.table,
                    x: x.address(),
                    y: y.address(),
                    part_count: count(&product.parts),
                    columns: product.columns,
                    tokens,
                    x_stride: stride(product.columns),
                    y_stride: stride(operation.rows),
                    add: u32::from(into == Into::Add),
                    halves: self.act.halves.address(),
                };
                let multiply =
                    self.kernels.product(product.form, tokens, (product.tiles, product.tile_rows), product.columns)?;
                let [x, y, z] = multiply.groups;
                let a_tile = x / product.tiles;
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
        Ok(())
    }

    /// Makes of x what the products of `operation` read where they run on cooperative matrices.
    fn split(&self, s: &mut Stages<'_>, operation: &Operation, x: &Buffer, tokens: u32) -> Result<(), EngineError> {
        let packed = operation.products.iter().find(|p| matches!(p.form, Form::Packed { .. }));
        let Some(product) = packed.filter(|_| tokens > 1 && self.kernels.matrices()) else { return Ok(()) };
        let args = SplitArgs {
            x: x.address(),
            halves: self.act.halves.address(),
            columns: product.columns,
            tokens,
            x_stride: stride(product.columns),
            pad: 0,
        };
        s.dispatch(&self.kernels.split()?, bytes_of(&args), [WIDE, tokens.div_ceil(WIDE), 1]);
        Ok(())
    }

    fn rope(&self, s: &mut Stages<'_>, layer: usize) -> Result<(), EngineError> {
        let c = self.config;
        let (k, v) = self.kv.addresses(layer);
        let rows = c.query_rows() + 2 * c.kv_rows();
        let args = RopeArgs {
            qkv: self.act.qkv.address(),
            k,
            v,
            turns: self.act.turns.address(),
            heads: c.head_count,
            kv_heads: c.kv_head_count,
            head_dim: c.head_dim,
            rope_dims: c.rope_dims,
            capacity: self.kv.capacity,
            position: self.position,
            stride: stride(rows),
            pad: 0,
        };
        let groups = [(rows / 2).div_ceil(self.kernels.local()), self.tokens, 1];
        s.dispatch(&self.kernels.rope(c, self.kv.kv_type)?, bytes_of(&args), groups);
        Ok(())
    }

    fn attention(&self, s: &mut Stages<'_>, layer: usize) -> Result<(), EngineError> {
        let c = self.config;
        let (k, v) = self.kv.addresses(layer);
        let keys = self.position + self.tokens;
        let split = self.kernels.attention_split(keys, self.tokens);
        let splits = split.map_or(1, |split| keys.div_ceil(split));
        let (a, y_stride) = (self.act, stride(c.query_rows()));
        let args = AttentionArgs {
            q: a.qkv.address(),
            k,
            v,
            y: if split.is_some() { a.partial.address() } else { a.attended.address() },
            heads: c.head_count,
            kv_heads: c.kv_head_count,
            capacity: self.kv.capacity,
            position: self.position,
            tokens: self.tokens,
            q_stride: stride(c.query_rows() + 2 * c.kv_rows()),
            y_stride,
            split: split.unwrap_or(keys),
            #[allow(clippy::cast_precision_loss)] // a head's size is small
            scale: 1.0 / (c.head_dim as f32).sqrt(),
            pad: 0,
        };
        let group = c.head_count / c.kv_head_count;
        let pairs = self.tokens * group;
        let queries = self.kernels.attention_queries(pairs, group);
        let kernel = self.kernels.attention(c, self.kv.kv_type, queries, split.is_some())?;
        s.dispatch(&kernel, bytes_of(&args), [c.kv_head_count, pairs.div_ceil(queries), splits]);
        if split.is_some() {
            let args = AttentionMergeArgs {
                partial: a.partial.address(),
                y: a.attended.address(),
                splits,
                tokens: self.tokens,
                heads: c.head_count,
                head_dim: c.head_dim,
                y_stride,
                pad: 0,
            };
            s.dispatch(&self.kernels.attention_merge()?, bytes_of(&args), [c.head_count, self.tokens, 1]);
        }
        Ok(())
    }

    fn swiglu(&self, s: &mut Stages<'_>) -> Result<(), EngineError> {
        let width = self.config.ffn_size;
        let args = SwigluArgs {
            x: self.act.gate_up.address(),
            y: self.act.hidden.address(),
            width,
            x_stride: stride(2 * width),
            y_stride: stride(width),
            pad: 0,
        };
        s.dispatch(&self.kernels.swiglu()?, bytes_of(&args), [width.div_ceil(self.kernels.local()), self.tokens, 1]);
        Ok(())
    }
}

/// The length of a table that a validated archive keeps far below 2^32.
fn count<T>(table: &[T]) -> u32 {
    u32::try_from(table.len()).unwrap_or(u32::MAX)
}
