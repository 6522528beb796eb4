//! What a pass of one token runs on a GPU: fewer dispatches, as each waits for the one before it.

use std::sync::Arc;

use symbiote_format::{ModelConfig, RopeLayout, Turn};

use super::{Kernels, MOST_STRETCHES};
use crate::engine::weights::Form;
use crate::engine::{EngineError, KvType};
use crate::gpu::Pipeline;

/// Heads that a workgroup of attention takes at the most: it keeps queries and sums in registers.
const MOST_QUERIES: u32 = 8;
/// Subgroups that share out its keys, at most.
const ATTENTION_SUBGROUPS: u32 = 16;
/// Shared memory that it takes at most, in bytes: what devices have, mostly.
const ATTENTION_SHARED: u32 = 40 << 10;
/// Keys that one workgroup goes through sooner than several could agree on.
const LEAST_STRETCH: u32 = 256;

impl Kernels {
    /// Products of one token over weights of this form take on what lies beside them: of an RMSNorm the weights go to the product
    /// before it and the factor to the one after it, and a gate to the product that makes its two sides.
    pub fn fuses(&self, form: Form) -> bool {
        match form {
            Form::Packed { .. } => self.subgroups > 1,
            Form::Plain(dtype) => self.of_quants(dtype),
            Form::Narrowed(_) | Form::Scaled { .. } => false,
        }
    }

    /// One token's attention takes heads of this size in one dispatch.
    pub fn attends_at_once(&self, config: &ModelConfig) -> bool {
        self.subgroups > 1 && config.head_dim.is_multiple_of(8) && config.value_dim() == config.head_dim
    }

    /// Keys a stretch, of one token that sees so many.
    pub fn token_stretch(&self, keys: u32) -> u32 {
        keys.div_ceil(MOST_STRETCHES).max(LEAST_STRETCH)
    }

    /// Heads that a workgroup of one token's attention takes, of `group` that share a key-value head.
    pub fn token_queries(&self, group: u32) -> u32 {
        group.div_ceil(group.div_ceil(MOST_QUERIES))
    }

    /// Attention of one token; `staged` where q, k or v have biases or norms.
    pub fn attention_token(
        &self,
        config: &ModelConfig,
        kv: KvType,
        turn: Turn,
        staged: bool,
    ) -> Result<Arc<Pipeline>, EngineError> {
        let (s, group) = (self.subgroup, config.head_count / config.kv_head_count);
        let queries = self.token_queries(group);
        let shared = self.shared.min(ATTENTION_SHARED) / 4;
        let room = shared.saturating_sub((queries + 2) * config.head_dim + 1) / (queries * (config.head_dim + 2));
        let subgroups = ATTENTION_SUBGROUPS.min(room).min(self.most / s).max(1);
        let rope_dims = if turn == Turn::Not { 0 } else { config.rope_dims };
        let interleaved = config.rope_layout == RopeLayout::Interleaved;
        let constants = vec![
            s * subgroups,
            kv.bytes(),
            config.head_dim,
            queries,
            s,
            subgroups,
            group,
            0,
            rope_dims,
            interleaved.into(),
            staged.into(),
        ];
        self.get("attention_token", constants, Some(s))
    }
}
