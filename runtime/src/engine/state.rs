//! Device memory that a sequence needs beside the weights: activations, the KV cache, small tables.

use symbiote_format::ModelConfig;

use super::kernels::WIDE;
use super::{EngineError, KvType};
use crate::gpu::{Buffer, Gpu, Memory};

/// Activations of one pass, all f32. A buffer's rows are tokens.
pub struct Activations {
    /// Ids of the tokens `[batch]` u32, written by the host.
    pub tokens: Buffer,
    /// cos and sin of the positions `[batch][rope dims / 2][2]`, written by the host.
    pub turns: Buffer,
    /// Residual stream `[batch][hidden]`.
    pub x: Buffer,
    /// Normed residual `[batch][hidden]`.
    pub normed: Buffer,
    /// q, k, v `[batch][(heads + 2 kv heads) * head size]`.
    pub qkv: Buffer,
    /// Attention's result `[batch][heads * head size]`.
    pub attended: Buffer,
    /// gate, up `[batch][2 * ffn]`.
    pub gate_up: Buffer,
    /// silu(gate) * up `[batch][ffn]`.
    pub hidden: Buffer,
    /// Attention in stretches `[splits][heads][head size + 2]`.
    pub partial: Buffer,
    /// Logits `[logit rows][vocabulary]`.
    pub logits: Buffer,
    /// Logits as the host reads them.
    pub readback: Buffer,
}

/// Rows of logits that one pass of the head gives.
pub const LOGIT_ROWS: u32 = 16;

/// f32 elements a row of `width` takes: rows start at 16-byte boundaries.
pub fn stride(width: u32) -> u32 {
    width.next_multiple_of(4)
}

/// Bytes of `rows` rows of `width` f32, with room for a whole last [`WIDE`] group.
fn rows_bytes(rows: u32, width: u32) -> u64 {
    u64::from(rows.next_multiple_of(WIDE)) * u64::from(stride(width)) * 4
}

impl Activations {
    /// For passes of up to `batch` tokens; `splits` is the most stretches of attention.
    pub fn new(gpu: &Gpu, c: &ModelConfig, batch: u32, splits: u32) -> Result<Self, EngineError> {
        let device = |name, width| gpu.buffer(name, rows_bytes(batch, width), Memory::Device);
        let logit_bytes = u64::from(LOGIT_ROWS) * u64::from(stride(c.vocab_size)) * 4;
        let partial = u64::from(splits) * u64::from(c.head_count) * u64::from(c.head_dim + 2) * 4;
        Ok(Self {
            tokens: gpu.buffer("tokens", u64::from(batch) * 4, Memory::Host)?,
            turns: gpu.buffer("turns", u64::from(batch) * u64::from(c.rope_dims) * 4, Memory::Host)?,
            x: device("x", c.hidden_size)?,
            normed: device("normed", c.hidden_size)?,
            qkv: device("qkv", c.query_rows() + 2 * c.kv_rows())?,
            attended: device("attended", c.query_rows())?,
            gate_up: device("gate_up", 2 * c.ffn_size)?,
            hidden: device("hidden", c.ffn_size)?,
            partial: gpu.buffer("partial", partial.max(4), Memory::Device)?,
            logits: gpu.buffer("logits", logit_bytes, Memory::Device)?,
            readback: gpu.buffer("readback", logit_bytes, Memory::Host)?,
        })
    }
}

/// Keys and values of the sequence so far: a layer is K `[kv heads][capacity][head size]`, then V likewise.
pub struct KvCache {
    layers: Vec<Buffer>,
    /// Bytes of one layer's K.
    half: u64,
    /// Positions that fit.
    pub capacity: u32,
    /// How elements are kept.
    pub kv_type: KvType,
}

impl KvCache {
    /// For `capacity` positions.
    pub fn new(gpu: &Gpu, c: &ModelConfig, capacity: u32, kv_type: KvType) -> Result<Self, EngineError> {
        let half = u64::from(c.kv_rows()) * u64::from(capacity) * u64::from(kv_type.bytes());
        let half = half.next_multiple_of(256);
        let layer = |l| gpu.buffer(&format!("kv {l}"), 2 * half, Memory::Device);
        let layers = (0..c.layer_count).map(layer).collect::<Result<_, _>>()?;
        Ok(Self { layers, half, capacity, kv_type })
    }

    /// Where K and V of layer `l` lie.
    pub fn addresses(&self, l: usize) -> (u64, u64) {
        let k = self.layers[l].address();
        (k, k + self.half)
    }

    /// The buffers, to be kept while the device uses them.
    pub fn buffers(&self) -> &[Buffer] {
        &self.layers
    }
}
