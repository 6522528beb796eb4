//! Latent attention up to the softmax (MLA, arXiv 2405.04434): keys and values are expanded head by head, and cached as those of
//! ordinary heads are.

use bytemuck::bytes_of;
use symbiote_format::{Latent as Sizes, Norm, RopeLayout};
use symbiote_shaders::{EmbedArgs, LatentHeadsArgs, LatentKeysArgs, NormArgs, PartArgs};

use super::{Into, Pass, Rows};
use crate::engine::EngineError;
use crate::engine::stages::Stages;
use crate::engine::state::{LatentActivations, stride};
use crate::engine::weights::{Latent, Layer, Operation, Vector};
use crate::gpu::Buffer;

/// Rows that one dispatch unpacks: every device allows so many workgroups.
const ROWS: u32 = 1 << 15;

impl Pass<'_> {
    /// q of `n`, turned, in the activations; k and v in the cache.
    pub(super) fn latent(
        &self,
        s: &mut Stages<'_>,
        l: u32,
        (layer, latent): (&Layer, &Latent),
        n: &Buffer,
    ) -> Result<(), EngineError> {
        let (c, a) = (self.config, self.act);
        let (sizes, own) = c.design.latent.as_ref().zip(a.latent.as_ref()).ok_or(EngineError::Activations)?;
        let (first, down) = match sizes.query_rank {
            0 => (c.query_rows(), &a.qkv),
            rank => (rank, &own.vectors),
        };
        let part = |at: u32, width: u32| Rows {
            address: down.address() + u64::from(at) * 4,
            width,
            stride: stride(layer.qkv.rows),
        };
        self.matmul(s, &layer.qkv, n, down, self.tokens, Into::Replace)?; //    [tokens][query rank + kv rank + rope dims]
        if let Some((norm, product)) = &latent.query {
            self.normed_vector(s, sizes, *norm, part(0, first), &own.query)?;
            self.matmul(s, product, &own.query, &a.qkv, self.tokens, Into::Replace)?; // q [tokens][heads * head size]
        }
        self.normed_vector(s, sizes, latent.kv_norm, part(first, sizes.kv_rank), &own.kv)?;
        if let Some(keys) = &latent.keys {
            self.unpack(s, keys, &own.unpacked)?;
            self.transposed_keys(s, sizes, own)?; //                            keys [tokens][heads * (head size - rope dims)]
        }
        self.matmul(s, &latent.values, &own.kv, &own.values, self.tokens, Into::Replace)?; // values [tokens][heads * ..]
        let rotated = part(first + sizes.kv_rank, c.rope_dims);
        self.latent_heads(s, l, latent, own, rotated)
    }

    /// Where q is, and f32 from one token's to the next.
    pub(super) fn q_stride(&self) -> u32 {
        let c = self.config;
        match &c.design.latent {
            None => stride(c.query_rows() + 2 * c.kv_rows()),
            Some(Sizes { query_rank: 0, kv_rank, .. }) => stride(c.query_rows() + kv_rank + c.rope_dims),
            Some(_) => stride(c.query_rows()),
        }
    }

    fn normed_vector(
        &self,
        s: &mut Stages<'_>,
        sizes: &Sizes,
        norm: Vector,
        x: Rows,
        y: &Buffer,
    ) -> Result<(), EngineError> {
        let [weight] = self.vectors(s, [Some(norm)])?;
        let args = NormArgs {
            packs: s.tables()[0],
            x: x.address,
            y: y.address(),
            weight,
            columns: x.width,
            x_stride: x.stride,
            y_stride: stride(x.width),
            eps: sizes.norm_eps,
            scale: 1.0,
            ..NormArgs::default()
        };
        s.dispatch(&self.kernels.norm(Norm::Rms, x.width, false)?, bytes_of(&args), [self.tokens, 1, 1]);
        Ok(())
    }

    /// All rows of `table` in f32.
    fn unpack(&self, s: &mut Stages<'_>, table: &Operation, y: &Buffer) -> Result<(), EngineError> {
        for packs in s.groups(&table.packs) {
            s.need(packs)?;
            for product in &table.products {
                let kernel = self.kernels.embed(product.form)?;
                let row_bytes = u64::from(stride(product.columns)) * 4;
                let parts = product.parts.iter().enumerate().filter(|(_, part)| packs.contains(&(part.pack as usize)));
                for (at, part) in parts {
                    for first in (part.first_row..part.first_row + part.rows).step_by(ROWS as usize) {
                        let args = EmbedArgs {
                            packs: s.tables()[0],
                            parts: product.table + (at * size_of::<PartArgs>()) as u64,
                            x: y.address() + u64::from(first) * row_bytes,
                            part_count: 1,
                            columns: product.columns,
                            x_stride: stride(product.columns),
                            first,
                            grid: product.grid,
                            ..EmbedArgs::default()
                        };
                        let rows = (part.first_row + part.rows - first).min(ROWS);
                        s.recorder().dispatch(&kernel, bytes_of(&args), [rows, 1, 1]);
                    }
                }
            }
        }
        s.recorder().barrier();
        s.mark(|| "latent keys, unpacked".into());
        Ok(())
    }

    fn transposed_keys(&self, s: &mut Stages<'_>, sizes: &Sizes, own: &LatentActivations) -> Result<(), EngineError> {
        let (heads, width) = (self.config.head_count, self.config.head_dim - self.config.rope_dims);
        let args = LatentKeysArgs {
            w: own.unpacked.address(),
            x: own.kv.address(),
            y: own.keys.address(),
            rank: sizes.kv_rank,
            width,
            tokens: self.tokens,
            w_stride: stride(width),
            x_stride: stride(sizes.kv_rank),
            y_stride: stride(heads * width),
        };
        s.dispatch(&self.kernels.latent_keys()?, bytes_of(&args), [heads, self.tokens.div_ceil(4), 1]);
        Ok(())
    }

    fn latent_heads(
        &self,
        s: &mut Stages<'_>,
        l: u32,
        latent: &Latent,
        own: &LatentActivations,
        rotated: Rows,
    ) -> Result<(), EngineError> {
        let c = self.config;
        let (k, v) = self.kv.addresses(l as usize);
        let (width, value_dim) = (c.head_dim - c.rope_dims, c.value_dim());
        // keys and values of a head one after the other, or all keys and all values
        let values = (own.values.address(), stride(latent.values.rows));
        let (keys, key_step, value_step, first) = match latent.keys {
            None => (values, width + value_dim, width + value_dim, width),
            Some(_) => ((own.keys.address(), stride(c.head_count * width)), width, value_dim, 0),
        };
        let args = LatentHeadsArgs {
            q: self.act.qkv.address(),
            rotated: rotated.address,
            keys: keys.0,
            values: values.0 + u64::from(first) * 4,
            turns: self.act.turns.address(),
            k,
            v,
            rope_dims: c.rope_dims,
            capacity: self.kv.capacity,
            position: self.position,
            q_stride: self.q_stride(),
            rotated_stride: rotated.stride,
            key_stride: keys.1,
            key_step,
            value_stride: values.1,
            value_step,
            pad: 0,
        };
        let interleaved = c.rope_layout == RopeLayout::Interleaved;
        let kernel = self.kernels.latent_heads(c, self.kv.kv_type, interleaved)?;
        s.dispatch(&kernel, bytes_of(&args), [c.head_count, self.tokens, 1]);
        Ok(())
    }
}
