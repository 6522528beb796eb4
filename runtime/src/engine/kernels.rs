//! Which kernel variant does what on this device, and with how many invocations.

use std::borrow::Cow;
use std::sync::Arc;

use symbiote_format::{Dtype, ModelConfig, RopeLayout};

use super::{EngineError, KvType};
use crate::gpu::{DeviceInfo, DeviceKind, KernelKey, Pipeline, ReloadReport, ShaderCache};

/// Tokens that the wide variant of a matrix product takes at once.
pub const WIDE: u32 = 8;

/// Stretches of keys that are worth their merge.
const MOST_STRETCHES: u32 = 64;

/// The kernels of one model on one device.
pub struct Kernels {
    cache: ShaderCache,
    /// The device's subgroup size.
    subgroup: u32,
    /// Subgroups a workgroup, where a kernel has the choice.
    subgroups: u32,
    /// Rows a subgroup of the matrix products.
    rows: u32,
    /// Invocations a workgroup of the elementwise kernels.
    local: u32,
}

impl Kernels {
    /// Chooses for `device`.
    pub fn new(cache: ShaderCache, device: &DeviceInfo) -> Self {
        let subgroup = device.subgroup;
        // A GPU hides latency with subgroups, four of them a workgroup. A CPU has none to hide, pays for barriers, and has to
        // load x lane by lane, so that the more rows a load serves the better.
        let (subgroups, rows) = if device.kind == DeviceKind::Cpu { (1, 16) } else { (4, 2) };
        let subgroups = subgroups.min(device.max_workgroup_invocations / subgroup).max(1);
        Self { cache, subgroup, subgroups, rows, local: (subgroup * subgroups).max(64) }
    }

    /// Rows that a workgroup of the matrix products takes.
    pub fn tile_rows(&self) -> u32 {
        self.subgroups * self.rows
    }

    /// Invocations a workgroup of rope and swiglu.
    pub fn local(&self) -> u32 {
        self.local
    }

    /// Queries that a workgroup of attention takes, of `pairs` (token, head) pairs in groups of `group` heads.
    pub fn attention_queries(&self, pairs: u32, group: u32) -> u32 {
        let most = if pairs == group { 8 } else { 12 };
        (1..=most.min(pairs)).rev().find(|n| group.is_multiple_of(*n) || n.is_multiple_of(group)).unwrap_or(1)
    }

    /// Keys a stretch of attention, where the keys of one token are shared out: else a GPU has a subgroup at work for every
    /// key-value head and no more.
    pub fn attention_split(&self, keys: u32, tokens: u32) -> Option<u32> {
        let stretch = keys.div_ceil(MOST_STRETCHES).next_multiple_of(self.subgroup);
        (self.subgroups > 1 && tokens == 1 && keys > 2 * stretch).then_some(stretch)
    }

    /// The most stretches that [`attention_split`](Self::attention_split) makes; 0 where it makes none.
    pub fn attention_splits(&self) -> u32 {
        if self.subgroups > 1 { MOST_STRETCHES } else { 0 }
    }

    /// Reads the weights of tokens.
    pub fn embed(&self, dtype: Dtype) -> Result<Arc<Pipeline>, EngineError> {
        self.get(format!("embed_{}", dtype.name()), vec![self.local], None)
    }

    /// `y = W x`, for one token or for [`WIDE`].
    pub fn matmul(&self, dtype: Dtype, wide: bool) -> Result<Arc<Pipeline>, EngineError> {
        let local = self.subgroup * self.subgroups;
        let constants = vec![local, if wide { WIDE } else { 1 }, self.rows, (self.subgroups == 1).into()];
        self.get(format!("matmul_{}", dtype.name()), constants, Some(self.subgroup))
    }

    /// RMSNorm with a weight stored as `dtype`.
    pub fn rmsnorm(&self, dtype: Dtype) -> Result<Arc<Pipeline>, EngineError> {
        let local = self.subgroup * self.subgroups;
        let brain = u32::from(dtype == Dtype::Bf16);
        let constants = vec![local, (self.subgroups > 1).into(), dtype.block_bytes(), brain];
        self.get("rmsnorm", constants, Some(self.subgroup))
    }

    /// Rotation of q and k, and the store of k and v.
    pub fn rope(&self, config: &ModelConfig, kv: KvType) -> Result<Arc<Pipeline>, EngineError> {
        let interleaved = config.rope_layout == RopeLayout::Interleaved;
        self.get("rope", vec![self.local, kv.bytes(), interleaved.into()], None)
    }

    /// Attention for `queries` at once, whole or in stretches.
    pub fn attention(
        &self,
        config: &ModelConfig,
        kv: KvType,
        queries: u32,
        partial: bool,
    ) -> Result<Arc<Pipeline>, EngineError> {
        let s = self.subgroup;
        let constants = vec![s, kv.bytes(), config.head_dim, queries, s, partial.into(), (self.subgroups == 1).into()];
        self.get("attention", constants, Some(s))
    }

    /// The end of attention in stretches.
    pub fn attention_merge(&self) -> Result<Arc<Pipeline>, EngineError> {
        self.get("attention_merge", vec![self.local], None)
    }

    /// silu(gate) * up.
    pub fn swiglu(&self) -> Result<Arc<Pipeline>, EngineError> {
        self.get("swiglu", vec![self.local], None)
    }

    /// Takes over changed sources; see [`ShaderCache::reload_changed`].
    pub fn reload_changed(&self) -> ReloadReport {
        self.cache.reload_changed()
    }

    fn get(
        &self,
        name: impl Into<Cow<'static, str>>,
        constants: Vec<u32>,
        subgroup: Option<u32>,
    ) -> Result<Arc<Pipeline>, EngineError> {
        Ok(self.cache.get(&KernelKey { name: name.into(), constants, subgroup })?)
    }
}
