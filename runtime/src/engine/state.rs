//! Device memory that a sequence needs beside the weights: activations, the KV cache, small tables.

use symbiote_format::{Experts, Latent, ModelConfig};

use super::forward::ranks;
use super::kernels::{PACKED_TILE, WIDE};
use super::{EngineError, KvType};
use crate::gpu::{Buffer, Gpu, Memory};

/// Activations of one pass, all f32. A buffer's rows are tokens.
pub struct Activations {
    /// Ids of the tokens `[batch]` u32, written by the host, and behind them their positions.
    pub tokens: Buffer,
    /// cos and sin of the positions `[batch][rope dims / 2][2]`, written by the host; behind them those of local turns, where the
    /// model has such.
    pub turns: Buffer,
    /// Residual stream `[batch][hidden]`.
    pub x: Buffer,
    /// Normed residual, or what is going to be added to it `[batch][hidden]`.
    pub normed: Buffer,
    /// q, k, v `[batch][(heads + 2 kv heads) * head size]`; of latent attention q, and behind it what keys and values are made of
    /// where queries are made of the hidden state.
    pub qkv: Buffer,
    /// Attention's result `[batch][heads * value size]`.
    pub attended: Buffer,
    /// gate, up `[batch][2 * ffn]`; up alone `[batch][ffn]` where there is no gate.
    pub up: Buffer,
    /// activation(gate) * up `[batch][ffn]`.
    pub hidden: Buffer,
    /// x of a product as cooperative matrices take it, see [`split_bytes`].
    pub halves: Buffer,
    /// Sums of squares of the residual stream, of each workgroup of the product that wrote it.
    pub squares: Buffer,
    /// Attention in stretches: arrivals `[heads rounded up to 4]` u32, 0 between dispatches, and what stretches leave
    /// `[splits][heads][value size + 2]`.
    pub partial: Buffer,
    /// Logits `[logit rows][vocabulary]`.
    pub logits: Buffer,
    /// Logits as the host reads them.
    pub readback: Buffer,
    /// What latent attention needs besides.
    pub latent: Option<LatentActivations>,
    /// What a mixture of experts needs besides.
    pub experts: Option<ExpertActivations>,
}

/// Activations of a mixture of experts. Rows of experts come in groups of one expert: of one row where a pass has one token, else
/// of [`WIDE`].
pub struct ExpertActivations {
    /// The router's `[batch][experts + 1]`.
    pub logits: Buffer,
    /// The experts of each token `[batch][used]` u32, and behind them their weights `[batch][used]` f32.
    pub chosen: Buffer,
    /// The same, as the host reads it.
    pub seen: Buffer,
    /// Written by the host: the expert of each group `[batch * used]`, the rows of each token `[batch][used]`, the token of each row,
    /// all u32.
    pub table: Buffer,
    /// x of the experts' rows, and then what they made of it `[rows][hidden]`.
    pub rows: Buffer,
    /// gate, up `[rows][2 * ffn]`.
    pub up: Buffer,
    /// activation(gate) * up `[rows][ffn]`.
    pub hidden: Buffer,
    /// What the shared network makes `[batch][hidden]`.
    pub shared: Buffer,
    /// For a later layer's router, run early on one token: its normed residual `[hidden]`, its logits `[experts + 1]`, the experts
    /// that it ranks first, u32, and their weights; and the experts as the host reads them.
    pub ahead_normed: Buffer,
    /// See `ahead_normed`.
    pub ahead_logits: Buffer,
    /// See `ahead_normed`.
    pub ahead_chosen: Buffer,
    /// See `ahead_normed`.
    pub ahead_seen: Buffer,
}

/// Activations of latent attention.
pub struct LatentActivations {
    /// The vector of queries, that of keys and values, and what is rotated of keys `[batch][query rank + kv rank + rope dims]`.
    pub vectors: Buffer,
    /// The first of them, normed `[batch][query rank]`.
    pub query: Buffer,
    /// The second, normed `[batch][kv rank]`.
    pub kv: Buffer,
    /// What is not rotated of keys `[batch][heads * (head size - rope dims)]`, where values are made without them.
    pub keys: Buffer,
    /// Values, or of each head first what is not rotated of its key `[batch][heads * (head size - rope dims + value size)]`.
    pub values: Buffer,
    /// Transposed weights of keys in f32 `[heads * kv rank][head size - rope dims]`.
    pub unpacked: Buffer,
}

/// Groups of rows that the experts of `tokens` tokens take, at most.
pub fn expert_groups(e: &Experts, tokens: u32) -> u32 {
    let pairs = tokens * e.used;
    pairs.min(e.count + pairs.div_ceil(WIDE))
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

/// Name, bytes and place of each of the buffers of [`Activations`], in the order of its fields.
pub type ActivationSizes = Vec<(&'static str, u64, Memory)>;

/// Bytes that `split.comp` makes of [`WIDE`] tokens of `columns`.
pub fn split_bytes(columns: u32) -> u64 {
    u64::from(columns.div_ceil(128)) * 4096 + 32
}

/// Bytes of the arrivals before what stretches of attention leave.
fn arrivals(c: &ModelConfig) -> u64 {
    u64::from(c.head_count).next_multiple_of(4) * 4
}

impl Activations {
    /// What passes of up to `batch` tokens need; `splits` is the most stretches of attention.
    /// Products run on cooperative matrices where `matrices` says so.
    pub fn sizes(c: &ModelConfig, batch: u32, splits: u32, matrices: bool) -> ActivationSizes {
        let experts = c.design.experts.as_ref();
        let ffn = c.ffn_size.max(experts.map_or(0, |e| e.ffn_size.max(e.shared_ffn_size)));
        let latent = c.design.latent.as_ref();
        let widest = c.hidden_size.max(c.query_rows()).max(c.attended_rows()).max(ffn);
        let widest = widest.max(latent.map_or(0, |latent| latent.kv_rank.max(latent.query_rank)));
        let groups = batch.div_ceil(WIDE).max(experts.map_or(0, |e| expert_groups(e, batch)));
        let halves = if matrices { u64::from(groups) * split_bytes(widest) } else { 4 };
        let rows = |name, width| (name, rows_bytes(batch, width), Memory::Device);
        let logits = u64::from(LOGIT_ROWS) * u64::from(stride(c.vocab_size)) * 4;
        let partial = arrivals(c) + u64::from(splits) * u64::from(c.head_count) * u64::from(c.value_dim() + 2) * 4;
        // a row a workgroup at the worst, or some lanes of a tile of packed rows
        let squares = u64::from(c.hidden_size) * u64::from(PACKED_TILE) * 4;
        let sets = 1 + u64::from(c.design.local_rope_base.is_some());
        let mut sizes = vec![
            ("tokens", 2 * u64::from(batch) * 4, Memory::Host),
            ("turns", sets * u64::from(batch) * u64::from(c.rope_dims) * 4, Memory::Host),
            rows("x", c.hidden_size),
            rows("normed", c.hidden_size),
            rows("qkv", c.query_rows() + latent.map_or(2 * c.kv_rows(), |latent| latent.kv_rank + c.rope_dims)),
            rows("attended", c.attended_rows()),
            rows("up", (1 + u32::from(c.design.gated)) * ffn),
            rows("hidden", ffn),
            ("halves", halves, Memory::Device),
            ("squares", squares, Memory::Device),
            ("partial", partial, Memory::Device),
            ("logits", logits, Memory::Device),
            ("readback", logits, Memory::Host),
        ];
        sizes.extend(latent.into_iter().flat_map(|latent| LatentActivations::sizes(c, latent, batch)));
        sizes.extend(experts.into_iter().flat_map(|e| ExpertActivations::sizes(c, e, batch)));
        sizes
    }

    /// Buffers of these sizes.
    pub fn new(gpu: &Gpu, sizes: &ActivationSizes) -> Result<Self, EngineError> {
        let mut buffers = sizes.iter().map(|&(name, bytes, memory)| gpu.buffer(name, bytes, memory));
        let has = |first| sizes.iter().any(|(name, ..)| *name == first);
        let missing = || EngineError::Activations;
        let mut next = || Ok::<_, EngineError>(buffers.next().ok_or_else(missing)??);
        let activations = Self {
            tokens: next()?,
            turns: next()?,
            x: next()?,
            normed: next()?,
            qkv: next()?,
            attended: next()?,
            up: next()?,
            hidden: next()?,
            halves: next()?,
            squares: next()?,
            partial: next()?,
            logits: next()?,
            readback: next()?,
            latent: if has(LATENT) { Some(LatentActivations::new(&mut next)?) } else { None },
            experts: if has(ROUTER) { Some(ExpertActivations::new(next)?) } else { None },
        };
        let mut recorder = gpu.recorder("no arrivals")?;
        recorder.fill(&activations.partial, 0, activations.partial.len(), 0);
        gpu.submit(&recorder.finish()?)?;
        Ok(activations)
    }

    /// Where stretches leave what they have.
    pub fn stretches(&self, c: &ModelConfig) -> u64 {
        self.partial.address() + arrivals(c)
    }
}

/// The first buffers of latent attention and of experts.
const LATENT: &str = "latent vectors";
const ROUTER: &str = "router";

impl LatentActivations {
    /// In the order of the fields.
    fn sizes(c: &ModelConfig, latent: &Latent, batch: u32) -> [(&'static str, u64, Memory); 6] {
        let rows = |name, count, width| (name, rows_bytes(count, width).max(4), Memory::Device);
        let unrotated = c.head_dim - c.rope_dims;
        // where queries have no vector, all is in qkv
        let all = if latent.query_rank == 0 { 0 } else { latent.query_rank + latent.kv_rank + c.rope_dims };
        [
            rows(LATENT, batch, all),
            rows("latent queries", batch, latent.query_rank),
            rows("latent keys and values", batch, latent.kv_rank),
            rows("keys", batch, c.head_count * unrotated),
            rows("values", batch, c.head_count * unrotated + c.attended_rows()),
            rows("key weights", c.head_count * latent.kv_rank, unrotated),
        ]
    }

    fn new(mut next: impl FnMut() -> Result<Buffer, EngineError>) -> Result<Self, EngineError> {
        Ok(Self { vectors: next()?, query: next()?, kv: next()?, keys: next()?, values: next()?, unpacked: next()? })
    }
}

impl ExpertActivations {
    /// In the order of the fields.
    fn sizes(c: &ModelConfig, e: &Experts, batch: u32) -> [(&'static str, u64, Memory); 12] {
        let (groups, pairs) = (expert_groups(e, batch), u64::from(batch) * u64::from(e.used));
        let rows = |name, width| (name, rows_bytes(groups * WIDE, width), Memory::Device);
        let table = 4 * (2 * pairs + u64::from(groups * WIDE));
        [
            (ROUTER, rows_bytes(batch, e.count + 1), Memory::Device),
            ("chosen", pairs * 8, Memory::Device),
            ("chosen, seen", pairs * 8, Memory::Host),
            ("expert table", table, Memory::Host),
            rows("expert rows", c.hidden_size),
            rows("expert up", (1 + u32::from(c.design.gated)) * e.ffn_size),
            rows("expert hidden", e.ffn_size),
            ("shared", rows_bytes(batch, c.hidden_size), Memory::Device),
            ("ahead, normed", rows_bytes(1, c.hidden_size), Memory::Device),
            ("ahead, router", rows_bytes(1, e.count + 1), Memory::Device),
            ("ahead, chosen", u64::from(ranks(e)) * 8, Memory::Device),
            ("ahead, seen", u64::from(ranks(e)) * 4, Memory::Host),
        ]
    }

    fn new(mut next: impl FnMut() -> Result<Buffer, EngineError>) -> Result<Self, EngineError> {
        Ok(Self {
            logits: next()?,
            chosen: next()?,
            seen: next()?,
            table: next()?,
            rows: next()?,
            up: next()?,
            hidden: next()?,
            shared: next()?,
            ahead_normed: next()?,
            ahead_logits: next()?,
            ahead_chosen: next()?,
            ahead_seen: next()?,
        })
    }
}

/// Keys and values of the sequence so far: a layer is K `[kv heads][capacity]` rows of a head's size, then V likewise, of a head of
/// values.
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
    /// Bytes of one layer with `capacity` positions.
    pub fn layer_bytes(c: &ModelConfig, capacity: u32, kv_type: KvType) -> u64 {
        Self::halves(c, capacity, kv_type).iter().sum()
    }

    /// Bytes of K and of V.
    fn halves(c: &ModelConfig, capacity: u32, kv_type: KvType) -> [u64; 2] {
        let rows = u64::from(c.kv_head_count) * u64::from(capacity);
        [c.head_dim, c.value_dim()].map(|dim| (rows * u64::from(kv_type.row_bytes(dim))).next_multiple_of(256))
    }

    /// For `capacity` positions.
    pub fn new(gpu: &Gpu, c: &ModelConfig, capacity: u32, kv_type: KvType) -> Result<Self, EngineError> {
        let [half, values] = Self::halves(c, capacity, kv_type);
        let bytes = half + values;
        let layer = |l| gpu.buffer(&format!("kv {l}"), bytes, Memory::Device);
        let layers = (0..c.layer_count).map(layer).collect::<Result<_, _>>()?;
        Ok(Self { layers, half, capacity, kv_type })
    }

    /// Where K and V of layer `l` lie.
    pub fn addresses(&self, l: usize) -> (u64, u64) {
        let k = self.layers[l].address();
        (k, k + self.half)
    }
}

/// A run of bytes of the cache that positions before some number take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvRun {
    /// The layer.
    pub layer: usize,
    /// Where it begins in the layer's buffer.
    pub offset: u64,
    /// Its bytes.
    pub len: u64,
}

impl KvCache {
    /// What the first `positions` take: K of each head, then V, layer by layer.
    pub fn runs(&self, c: &ModelConfig, positions: u32) -> impl Iterator<Item = KvRun> + use<> {
        let row = |dim| u64::from(self.kv_type.row_bytes(dim));
        let (capacity, positions, heads) = (u64::from(self.capacity), u64::from(positions), u64::from(c.kv_head_count));
        let parts = [(0, row(c.head_dim)), (self.half, row(c.value_dim()))];
        (0..self.layers.len()).flat_map(move |layer| {
            parts.into_iter().flat_map(move |(start, row)| {
                (0..heads).map(move |h| KvRun { layer, offset: start + h * capacity * row, len: positions * row })
            })
        })
    }

    /// Where layer `l` lies.
    pub fn buffer(&self, l: usize) -> &Buffer {
        &self.layers[l]
    }
}
