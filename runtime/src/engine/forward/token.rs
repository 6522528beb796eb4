//! What a pass of one token does otherwise on a GPU: attention is one dispatch.

use bytemuck::bytes_of;
use symbiote_shaders::AttentionTokenArgs;

use super::Pass;
use crate::engine::EngineError;
use crate::engine::stages::Stages;
use crate::engine::weights::Layer;

impl Pass<'_> {
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
