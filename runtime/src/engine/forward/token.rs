//! What a pass of one token does otherwise on a GPU, in fewer dispatches: norms and gates are the products' own, and attention is one.

use bytemuck::bytes_of;
use symbiote_format::Norm;
use symbiote_shaders::{AttentionTokenArgs, MatmulArgs};

use super::{Into, Pass};
use crate::engine::EngineError;
use crate::engine::kernels::Batch;
use crate::engine::stages::Stages;
use crate::engine::weights::{Dense, Layer, NormWeights, Operation, Vector};
use crate::gpu::Buffer;

/// A product of the residual stream under a norm.
#[derive(Clone, Copy)]
pub(super) struct Normed<'a> {
    /// The norm.
    pub norm: Option<NormWeights>,
    /// What goes through it.
    pub product: &'a Operation,
}

/// The residual stream is there times the weight of its RMSNorm too, and what the norm's factor is made of.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// Sums of squares.
    squares: u32,
}

impl Pass<'_> {
    /// The weight of the norm of `next`, where `product` can begin it and the products of `next` can end it.
    pub(super) fn begins(&self, product: &Operation, next: Normed<'_>) -> Option<Vector> {
        let norm = next.norm.filter(|norm| norm.kind == Norm::Rms && norm.bias.is_none())?;
        // sums of squares are numbered by the workgroups of one product
        let fused = self.tokens == 1 && product.products.len() == 1;
        let fused = fused && product.fuses(self.kernels) && next.product.fuses(self.kernels);
        fused.then_some(norm.weight)
    }

    /// x += W y, with the norm of that begun.
    pub(super) fn begin(
        &self,
        s: &mut Stages<'_>,
        operation: &Operation,
        y: &Buffer,
        weight: Vector,
    ) -> Result<Begun, EngineError> {
        let [norm] = self.vectors(s, [Some(weight)])?;
        let args = MatmulArgs {
            x: y.address(),
            y: self.act.x.address(),
            tokens: 1,
            add: 1,
            squares: self.act.squares.address(),
            begun: self.act.normed.address(),
            norm,
            norm_offset: self.config.design.norm_weight_offset,
            fused: MatmulArgs::BEGINS,
            ..MatmulArgs::default()
        };
        Ok(Begun { squares: self.products(s, operation, args, self.one(false))? })
    }

    fn one(&self, gated: bool) -> Batch {
        Batch::One { gated, activation: self.config.design.activation }
    }

    /// The first product of a feed-forward network, and whether it gates its result.
    pub(super) fn up<'w>(&self, ffn: &'w Dense) -> (&'w Operation, bool) {
        let gated = ffn.gated.as_ref().filter(|_| self.tokens == 1);
        (gated.unwrap_or(&ffn.up), gated.is_some())
    }

    /// y = W norm(x) of the residual stream, or, of a gated operation, activation(W norm(x)) * (V norm(x)).
    pub(super) fn product_of_normed(
        &self,
        s: &mut Stages<'_>,
        of: Normed<'_>,
        y: &Buffer,
        begun: Option<Begun>,
        gated: bool,
    ) -> Result<(), EngineError> {
        let x = if begun.is_some() { &self.act.normed } else { self.normed(s, of.norm)? };
        if begun.is_none() && !gated {
            return self.matmul(s, of.product, x, y, self.tokens, Into::Replace);
        }
        let args = MatmulArgs {
            x: x.address(),
            y: y.address(),
            tokens: 1,
            squares: self.act.squares.address(),
            squares_count: begun.map_or(0, |begun| begun.squares),
            eps: self.config.norm_eps,
            fused: u32::from(begun.is_some()) * MatmulArgs::ENDS + u32::from(gated) * MatmulArgs::GATED,
            ..MatmulArgs::default()
        };
        self.products(s, of.product, args, self.one(gated)).map(drop)
    }

    /// Attention of this layer is one dispatch.
    pub(super) fn attends_at_once(&self, layer: &Layer) -> bool {
        let plain = layer.sinks.is_none() && layer.latent.is_none();
        self.tokens == 1 && plain && self.kernels.attends_at_once(self.config)
    }

    /// From q, k and v to what attention makes of them; k and v go into the cache.
    pub(super) fn attention_token(&self, s: &mut Stages<'_>, l: u32, layer: &Layer) -> Result<(), EngineError> {
        let (c, a) = (self.config, self.act);
        let (k, v) = self.kv.addresses(l as usize);
        let own = self.norms_of_heads(s, layer)?;
        let staged = own.iter().any(Option::is_some);
        let [q_bias, k_bias, v_bias, q_norm, k_norm] = self.vectors(s, own)?;
        let keys = self.position + 1;
        let seen = keys.min(self.window(l));
        let stretch = self.kernels.token_stretch(seen);
        let turn = c.design.turn(l);
        let args = AttentionTokenArgs {
            qkv: a.qkv.address(),
            k,
            v,
            turns: self.turns(turn),
            packs: s.tables()[0],
            y: a.attended.address(),
            left: a.partial.address(),
            q_bias,
            k_bias,
            v_bias,
            q_norm,
            k_norm,
            capacity: self.kv.capacity,
            position: self.position,
            first: keys - seen,
            stretch,
            scale: self.score_scale(),
            cap: c.design.attention_softcap.unwrap_or(0.0),
            eps: c.norm_eps,
            norm_offset: c.design.norm_weight_offset,
        };
        let group = c.head_count / c.kv_head_count;
        let chunks = group.div_ceil(self.kernels.token_queries(group));
        let kernel = self.kernels.attention_token(c, self.kv.kv_type, turn, staged)?;
        s.dispatch(&kernel, bytes_of(&args), [c.kv_head_count, chunks, seen.div_ceil(stretch)]);
        Ok(())
    }
}
