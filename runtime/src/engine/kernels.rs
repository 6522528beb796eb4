//! Which kernel variant does what on this device, and with how many invocations.

use std::sync::Arc;

use symbiote_format::{Dtype, ModelConfig, RopeLayout};

use super::{EngineError, KernelFamily, KvType};
use crate::gpu::{DeviceInfo, DeviceKind, KernelKey, Pipeline, ShaderCache};

/// Tokens that the wide variant of a matrix product takes at once.
pub const WIDE: u32 = 8;

/// The kernels of one model on one device.
pub struct Kernels {
    cache: ShaderCache,
    family: KernelFamily,
    /// The device's subgroup size.
    subgroup: u32,
    /// Invocations a workgroup of the matrix products.
    matmul_local: u32,
    /// Rows a subgroup of the matrix products, in the subgroup family.
    rows: u32,
    /// Invocations a workgroup of the elementwise kernels.
    local: u32,
}

impl Kernels {
    /// Chooses for `device`; `family` overrules the choice of matrix kernels.
    pub fn new(cache: ShaderCache, device: &DeviceInfo, family: Option<KernelFamily>) -> Self {
        let cpu = device.kind == DeviceKind::Cpu;
        let family = family.unwrap_or(if cpu { KernelFamily::Lane } else { KernelFamily::Subgroup });
        let subgroup = device.subgroup;
        // Four subgroups hide latency on a GPU; on a CPU a workgroup is a unit of scheduling, so it should be neither tiny
        // nor so large that the cores end at different times.
        let matmul_local = match family {
            KernelFamily::Lane => 32,
            KernelFamily::Subgroup => 4 * subgroup,
        };
        let local = if cpu { 64 } else { 4 * subgroup.max(16) };
        let fits = |n: u32| n.min(device.max_workgroup_invocations);
        Self { cache, family, subgroup, matmul_local: fits(matmul_local), rows: 2, local: fits(local) }
    }

    /// Rows that a workgroup of the matrix products takes.
    pub fn tile_rows(&self) -> u32 {
        match self.family {
            KernelFamily::Lane => self.matmul_local,
            KernelFamily::Subgroup => self.matmul_local / self.subgroup * self.rows,
        }
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

    /// Keys a stretch of attention, where the keys of a pass over few tokens are shared out for more parallelism.
    pub fn attention_split(&self, keys: u32, tokens: u32) -> Option<u32> {
        const STRETCH: u32 = 256;
        (self.family == KernelFamily::Subgroup && tokens == 1 && keys > 2 * STRETCH).then_some(STRETCH)
    }

    /// Reads the weights of tokens.
    pub fn embed(&self, dtype: Dtype) -> Result<Arc<Pipeline>, EngineError> {
        self.get(format!("embed_{dtype}"), vec![self.local], None)
    }

    /// `y = W x`, or `y += W x`, for one token or for [`WIDE`].
    pub fn matmul(&self, dtype: Dtype, wide: bool, accumulate: bool) -> Result<Arc<Pipeline>, EngineError> {
        let (name, subgroup) = match self.family {
            KernelFamily::Lane => ("matmul_lane", None),
            KernelFamily::Subgroup => ("matmul_subgroup", Some(self.subgroup)),
        };
        let tokens = if wide { WIDE } else { 1 };
        let constants = vec![self.matmul_local, tokens, self.rows, accumulate.into()];
        self.get(format!("{name}_{dtype}"), constants, subgroup)
    }

    /// RMSNorm with a weight stored as `dtype`.
    pub fn rmsnorm(&self, dtype: Dtype) -> Result<Arc<Pipeline>, EngineError> {
        // one subgroup on a CPU: its barriers cost more than they save
        let many = self.family == KernelFamily::Subgroup;
        let local = if many { self.matmul_local } else { self.subgroup };
        let brain = u32::from(dtype == Dtype::Bf16);
        self.get("rmsnorm".into(), vec![local, many.into(), dtype.block_bytes(), brain], Some(self.subgroup))
    }

    /// Rotation of q and k, and the store of k and v.
    pub fn rope(&self, config: &ModelConfig, kv: KvType) -> Result<Arc<Pipeline>, EngineError> {
        let interleaved = config.rope_layout == RopeLayout::Interleaved;
        self.get("rope".into(), vec![self.local, kv.bytes(), interleaved.into()], None)
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
        let constants = vec![s, kv.bytes(), config.head_dim, queries, s, partial.into()];
        self.get("attention".into(), constants, Some(s))
    }

    /// The end of attention in stretches.
    pub fn attention_merge(&self) -> Result<Arc<Pipeline>, EngineError> {
        self.get("attention_merge".into(), vec![self.local], None)
    }

    /// silu(gate) * up.
    pub fn swiglu(&self) -> Result<Arc<Pipeline>, EngineError> {
        self.get("swiglu".into(), vec![self.local], None)
    }

    /// Takes over changed sources; see [`ShaderCache::reload_changed`].
    pub fn cache(&mut self) -> &mut ShaderCache {
        &mut self.cache
    }

    fn get(&self, name: String, constants: Vec<u32>, subgroup: Option<u32>) -> Result<Arc<Pipeline>, EngineError> {
        Ok(self.cache.get(&KernelKey { name, constants, subgroup })?)
    }
}
