//! Push constants and tables as the GPU reads them. Field order is that of the GLSL blocks; addresses are device addresses.

use bytemuck::{Pod, Zeroable};

/// Rows of one tensor inside a pack (`Part` in `common.glsl`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct PartArgs {
    /// Index into the pack table.
    pub pack: u32,
    /// Bytes from the start of the pack.
    pub offset: u32,
    /// Rows here.
    pub rows: u32,
    /// The first of them, as a row of the operation's output.
    pub first_row: u32,
    /// Workgroups of the operation before this part.
    pub first_tile: u32,
}

/// Where the factors of the rows of one tensor of a product are (`scales.glsl`). A table of them starts with a u32: how many each
/// expert has, or how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct ScaleArgs {
    /// The factors.
    pub factors: VectorArgs,
    /// The first of the rows, as a row of the operation's output; the tables of an expert are in their order.
    pub first_row: u32,
    /// Rows that share factors.
    pub rows: u32,
    /// Columns that share one, as a power of two.
    pub columns_log2: u32,
    /// Factors of those rows.
    pub across: u32,
}

impl ScaleArgs {
    /// Number of the specialisation constant that says how factors are spread.
    pub const SCALES: u32 = 5;
    /// A row has one factor.
    pub const ROWS: u32 = 0;
    /// They are of blocks, and the rows of a tile have the same.
    pub const TILE: u32 = 1;
    /// They are of blocks, and rows of a tile may have others.
    pub const BLOCKS: u32 = 2;
}

/// `embed.comp`: groups (tokens, 1, 1).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct EmbedArgs {
    /// Pack table: a u64 address a pack.
    pub packs: u64,
    /// Parts of the embedding; `first_tile` is the part's first row.
    pub parts: u64,
    /// `[tokens]` u32; 0: rows one after another.
    pub tokens: u64,
    /// `[tokens][x_stride]` f32, written.
    pub x: u64,
    /// Number of parts.
    pub part_count: u32,
    /// Hidden size.
    pub columns: u32,
    /// f32 a row of x.
    pub x_stride: u32,
    /// The first row where `tokens` is 0.
    pub first: u32,
    /// `embed.comp` only: the grid that the stored type refers to, two bytes a point; or the table of its scales.
    pub grid: u64,
}

/// `matmul.comp`: groups (tiles, tokens / TOKENS, 1).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct MatmulArgs {
    /// Pack table.
    pub packs: u64,
    /// Parts of the operation.
    pub parts: u64,
    /// `[tokens rounded up to TOKENS][x_stride]` f32.
    pub x: u64,
    /// `[tokens][y_stride]` f32, written or added to.
    pub y: u64,
    /// Number of parts.
    pub part_count: u32,
    /// Columns of the weight.
    pub columns: u32,
    /// Tokens.
    pub tokens: u32,
    /// f32 a row of x; a multiple of 4.
    pub x_stride: u32,
    /// f32 a row of y.
    pub y_stride: u32,
    /// 1: added to y; 0: y is replaced.
    pub add: u32,
    /// `matmul_matrix.comp`: what `split.comp` has made of x; `matmul.comp`: the grid that the stored type refers to, two bytes a
    /// point, or the table of its scales.
    pub halves: u64,
    /// With [`EXPERTS`](Self::EXPERTS): the expert of each [`group_rows`](Self::group_rows) rows of x and y, a u32, or `u32::MAX` for
    /// rows that are not computed.
    pub experts: u64,
    /// Rows of x and y that belong to one expert: a multiple of TOKENS.
    pub group_rows: u32,
    /// How many `squares` there are.
    pub squares_count: u32,
    /// `[squares_count]` f32. Of a product that [`BEGINS`](Self::BEGINS), written: of each workgroup's rows of y the sum of squares.
    /// Of one that [`ENDS`](Self::ENDS), read: those sums.
    pub squares: u64,
    /// y times the weight of its norm `[rows]` f32, written by a product that begins.
    pub begun: u64,
    /// That weight `[rows]`.
    pub norm: VectorArgs,
    /// Added to it.
    pub norm_offset: f32,
    /// The norm's epsilon, for a product that ends.
    pub eps: f32,
    /// What a product of one token by packed weights or quants does besides, in bits.
    pub fused: u32,
    /// Unused.
    pub pad: u32,
}

impl MatmulArgs {
    /// Number of the specialisation constant, true where the parts are `[experts][part_count]`: those of an expert cover tiles
    /// from 0 on, as those of a plain product do, and a part of no rows is nowhere. An x_stride of 0 gives all rows the same x.
    pub const EXPERTS: u32 = 20;
    /// Number of the specialisation constant for the activation of a product that is gated.
    pub const ACTIVATION: u32 = 21;
    /// The RMSNorm of y is begun.
    pub const BEGINS: u32 = 1;
    /// x is what a product that begins has left: what it lacks is one factor.
    pub const ENDS: u32 = 2;
    /// Parts are `[2][part_count]`, of W and of V, alike in rows and tiles, and y = activation(W x) * (V x). A tile of quants is half
    /// as many rows of each.
    pub const GATED: u32 = 4;
}

/// `route.comp`: groups (tokens, 1, 1). Chooses experts by the router's logits: see `symbiote_format::Experts`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct RouteArgs {
    /// Pack table.
    pub packs: u64,
    /// `[tokens][logits_stride]` f32, the first `experts` of a row.
    pub logits: u64,
    /// `[tokens][used]` u32, written: as they are chosen, the best first; of equals the smaller number first.
    pub chosen: u64,
    /// `[tokens][used]` f32, written.
    pub weights: u64,
    /// `[experts]`, added to the logits.
    pub bias: VectorArgs,
    /// `[experts]`, added to the scores that experts are chosen by.
    pub score_bias: VectorArgs,
    /// Experts.
    pub experts: u32,
    /// Experts that a token goes through.
    pub used: u32,
    /// f32 a row of logits.
    pub logits_stride: u32,
    /// Groups of experts.
    pub groups: u32,
    /// Groups that are chosen from.
    pub groups_used: u32,
    /// Factor on the weights.
    pub scale: f32,
}

/// `gather.comp`: groups (width / local size, rows, 1). y[i] = x[source[i]]; a source of `u32::MAX` is left out.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct GatherArgs {
    /// `[][stride]` f32.
    pub x: u64,
    /// `[rows][stride]` f32, written.
    pub y: u64,
    /// `[rows]` u32.
    pub source: u64,
    /// Width.
    pub width: u32,
    /// f32 a row of x and y.
    pub stride: u32,
}

/// `combine.comp`: groups (width / local size, tokens, 1). x[t] += scale * (sum over a token's experts of
/// weight * (y[row] + bias of the expert) + gate * shared[t]), gate being sigmoid(shared_logits[t]), or 1 without these.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct CombineArgs {
    /// Pack table.
    pub packs: u64,
    /// `[tokens][stride]` f32, added to.
    pub x: u64,
    /// `[rows][stride]` f32: what experts made.
    pub y: u64,
    /// `[tokens][used]` u32: rows of y; 0: row t * used + i.
    pub rows: u64,
    /// `[tokens][used]` f32.
    pub weights: u64,
    /// `[tokens][used]` u32: the experts, for their biases.
    pub chosen: u64,
    /// `[tokens][stride]` f32; 0: none.
    pub shared: u64,
    /// f32, `shared_stride` apart; 0: none.
    pub shared_logits: u64,
    /// `[experts * width]`, or absent.
    pub bias: VectorArgs,
    /// Width.
    pub width: u32,
    /// f32 a row of x, y and shared.
    pub stride: u32,
    /// Experts that a token goes through.
    pub used: u32,
    /// f32 from one token's shared logit to the next.
    pub shared_stride: u32,
    /// Factor.
    pub scale: f32,
    /// Unused.
    pub pad: u32,
}

/// `split.comp`: groups (8, tokens / 8, 1).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct SplitArgs {
    /// `[tokens][x_stride]` f32.
    pub x: u64,
    /// Of every eight tokens 4 KiB for 128 columns, and 32 bytes; written.
    pub halves: u64,
    /// Columns.
    pub columns: u32,
    /// Tokens.
    pub tokens: u32,
    /// f32 a row of x; a multiple of 4.
    pub x_stride: u32,
    /// Unused.
    pub pad: u32,
}

/// `matrix_layout.comp`: groups (1, 1, 1).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct MatrixLayoutArgs {
    /// `[16][16]` f16: 0, 1, 2, ..
    pub numbered: u64,
    /// `[2][32 lanes][8 elements]` f32, written: the numbers that the lanes hold of a left and of a right factor.
    pub held: u64,
}

/// A vector of weights, or none (`vector.glsl`).
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct VectorArgs {
    /// Its pack.
    pub pack: u32,
    /// Bytes from the start of the pack, below 2^30, and how it is stored in the two bits above.
    pub place: u32,
}

impl VectorArgs {
    /// No vector.
    pub const ABSENT: Self = Self { pack: u32::MAX, place: 0 };
    /// Stored as f32, f16 and bf16.
    pub const F32: u32 = 0;
    /// See [`F32`](Self::F32).
    pub const F16: u32 = 1;
    /// See [`F32`](Self::F32).
    pub const BF16: u32 = 2;

    /// The vector at `offset` bytes of `pack`, stored as one of the three types.
    pub fn new(pack: u32, offset: u32, stored: u32) -> Self {
        debug_assert!(offset < 1 << 30 && stored <= Self::BF16, "a pack is at most 1 GiB long");
        Self { pack, place: offset | stored << 30 }
    }
}

impl Default for VectorArgs {
    fn default() -> Self {
        Self::ABSENT
    }
}

/// `norm.comp`: groups (tokens, 1, 1).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct NormArgs {
    /// Pack table.
    pub packs: u64,
    /// `[tokens][x_stride]` f32.
    pub x: u64,
    /// `[tokens][y_stride]` f32, written or added to.
    pub y: u64,
    /// `[columns]`.
    pub weight: VectorArgs,
    /// `[columns]`, of LayerNorm.
    pub bias: VectorArgs,
    /// Width.
    pub columns: u32,
    /// f32 a row of x.
    pub x_stride: u32,
    /// f32 a row of y.
    pub y_stride: u32,
    /// Added to the mean square.
    pub eps: f32,
    /// Added to the weights.
    pub offset: f32,
    /// Factor on what is added to y.
    pub scale: f32,
}

/// `heads.comp`: groups (heads + 2 key-value heads, tokens, 1).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct HeadsArgs {
    /// `[tokens][stride]` f32: q, k, v.
    pub qkv: u64,
    /// K cache of the layer.
    pub k: u64,
    /// V cache of the layer.
    pub v: u64,
    /// `[tokens][rope_dims / 2][2]` f32: cos, sin.
    pub turns: u64,
    /// Pack table.
    pub packs: u64,
    /// `[heads * head size]`.
    pub q_bias: VectorArgs,
    /// `[kv heads * head size]`.
    pub k_bias: VectorArgs,
    /// `[kv heads * head size]`.
    pub v_bias: VectorArgs,
    /// `[head size]`.
    pub q_norm: VectorArgs,
    /// `[head size]`.
    pub k_norm: VectorArgs,
    /// Query heads.
    pub heads: u32,
    /// Key-value heads.
    pub kv_heads: u32,
    /// Leading dimensions that are rotated; 0 rotates none.
    pub rope_dims: u32,
    /// Positions in the cache.
    pub capacity: u32,
    /// Position of the first token.
    pub position: u32,
    /// f32 a row of qkv.
    pub stride: u32,
    /// Epsilon of the norms.
    pub eps: f32,
    /// Added to the norms' weights.
    pub norm_offset: f32,
}

/// `latent_heads.comp`: groups (heads, tokens, 1).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct LatentHeadsArgs {
    /// `[tokens][q_stride]` f32, changed in place.
    pub q: u64,
    /// `[tokens][rotated_stride]` f32: what is rotated of all keys.
    pub rotated: u64,
    /// `[tokens][key_stride]` f32: what else keys have.
    pub keys: u64,
    /// `[tokens][value_stride]` f32.
    pub values: u64,
    /// `[tokens][rope_dims / 2][2]` f32: cos, sin.
    pub turns: u64,
    /// K cache of the layer.
    pub k: u64,
    /// V cache of the layer.
    pub v: u64,
    /// The last dimensions of a head, which are rotated.
    pub rope_dims: u32,
    /// Positions in the cache.
    pub capacity: u32,
    /// Position of the first token.
    pub position: u32,
    /// f32 a row of q.
    pub q_stride: u32,
    /// f32 from one token's to the next.
    pub rotated_stride: u32,
    /// f32 a row of keys.
    pub key_stride: u32,
    /// f32 from one head's to the next.
    pub key_step: u32,
    /// f32 a row of values.
    pub value_stride: u32,
    /// f32 from one head's to the next.
    pub value_step: u32,
    /// Unused.
    pub pad: u32,
}

/// `latent_keys.comp`: groups (heads, tokens / 4, 1).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct LatentKeysArgs {
    /// `[heads][rank][w_stride]` f32.
    pub w: u64,
    /// `[tokens rounded up to 4][x_stride]` f32.
    pub x: u64,
    /// `[tokens][y_stride]` f32, written: `[heads][width]`.
    pub y: u64,
    /// Width of x.
    pub rank: u32,
    /// Of a head of y.
    pub width: u32,
    /// Tokens.
    pub tokens: u32,
    /// f32 a row of w.
    pub w_stride: u32,
    /// f32 a row of x.
    pub x_stride: u32,
    /// f32 a row of y.
    pub y_stride: u32,
}

/// `attention.comp`: groups (key-value heads, pairs / QUERIES, splits).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct AttentionArgs {
    /// `[tokens][q_stride]` f32.
    pub q: u64,
    /// K cache of the layer.
    pub k: u64,
    /// V cache of the layer.
    pub v: u64,
    /// `[tokens][y_stride]` f32, or partial results; written.
    pub y: u64,
    /// Pack table.
    pub packs: u64,
    /// `[heads]`: scores that have no value.
    pub sinks: VectorArgs,
    /// Query heads.
    pub heads: u32,
    /// Key-value heads.
    pub kv_heads: u32,
    /// Positions in the cache.
    pub capacity: u32,
    /// Position of the first token.
    pub position: u32,
    /// Tokens.
    pub tokens: u32,
    /// f32 a row of q; a multiple of 4.
    pub q_stride: u32,
    /// f32 a row of y.
    pub y_stride: u32,
    /// Keys a stretch.
    pub split: u32,
    /// The first stretch's first key.
    pub first: u32,
    /// Keys that a query sees, the last of them its own.
    pub window: u32,
    /// Factor on the scores.
    pub scale: f32,
    /// Scores become `cap * tanh(score / cap)`; 0 leaves them.
    pub cap: f32,
}

/// `attention_token.comp`: groups (key-value heads, heads of one / QUERIES, stretches).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct AttentionTokenArgs {
    /// f32: q `[heads][head size]`, k `[kv heads][head size]`, v `[kv heads][head size]`.
    pub qkv: u64,
    /// K cache of the layer.
    pub k: u64,
    /// V cache of the layer.
    pub v: u64,
    /// `[rope dims / 2][2]` f32: cos, sin.
    pub turns: u64,
    /// Pack table.
    pub packs: u64,
    /// `[heads][head size]` f32, written.
    pub y: u64,
    /// `[heads rounded up to 4]` u32, 0 before and after; then `[stretches][heads][head size + 2]` f32.
    pub left: u64,
    /// `[heads * head size]`.
    pub q_bias: VectorArgs,
    /// `[kv heads * head size]`.
    pub k_bias: VectorArgs,
    /// `[kv heads * head size]`.
    pub v_bias: VectorArgs,
    /// `[head size]`.
    pub q_norm: VectorArgs,
    /// `[head size]`.
    pub k_norm: VectorArgs,
    /// Positions in the cache.
    pub capacity: u32,
    /// Position of the token.
    pub position: u32,
    /// The first key that it sees.
    pub first: u32,
    /// Keys a stretch.
    pub stretch: u32,
    /// Factor on the scores.
    pub scale: f32,
    /// Scores become `cap * tanh(score / cap)`; 0 leaves them.
    pub cap: f32,
    /// Epsilon of the norms.
    pub eps: f32,
    /// Added to the norms' weights.
    pub norm_offset: f32,
}

/// `attention_merge.comp`: groups (heads, tokens, 1).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct AttentionMergeArgs {
    /// `[splits][tokens][heads][head_dim + 2]` f32, the head being one of values.
    pub partial: u64,
    /// `[tokens][y_stride]` f32, written.
    pub y: u64,
    /// Stretches of keys.
    pub splits: u32,
    /// Tokens.
    pub tokens: u32,
    /// Query heads.
    pub heads: u32,
    /// Size of a head.
    pub head_dim: u32,
    /// f32 a row of y.
    pub y_stride: u32,
    /// Unused.
    pub pad: u32,
}

/// `activate.comp`: groups (width / local size, tokens, 1).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct ActivateArgs {
    /// Pack table.
    pub packs: u64,
    /// `[tokens][x_stride]` f32: gate, up; or up alone.
    pub x: u64,
    /// `[tokens][y_stride]` f32, written.
    pub y: u64,
    /// `[width]`; of gate and up where these take turns `[2 * width]`.
    pub gate_bias: VectorArgs,
    /// `[width]`.
    pub up_bias: VectorArgs,
    /// Width of gate, and of up.
    pub width: u32,
    /// f32 a row of x.
    pub x_stride: u32,
    /// f32 a row of y.
    pub y_stride: u32,
    /// Rows that belong to one expert, where biases are those of experts.
    pub group_rows: u32,
    /// The expert of each `group_rows` rows: a bias is then `[experts * width]`; 0 where it is everyone's.
    pub experts: u64,
}

/// `add.comp`: groups (width / local size, tokens, 1).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct AddArgs {
    /// Pack table.
    pub packs: u64,
    /// `[tokens][x_stride]` f32.
    pub x: u64,
    /// `[tokens][y_stride]` f32, written or added to.
    pub y: u64,
    /// `[width]`.
    pub bias: VectorArgs,
    /// Width.
    pub width: u32,
    /// f32 a row of x.
    pub x_stride: u32,
    /// f32 a row of y.
    pub y_stride: u32,
    /// Factor on x and bias.
    pub scale: f32,
}

/// `cap.comp`: groups (width / local size, tokens, 1).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct CapArgs {
    /// `[tokens][stride]` f32, changed in place.
    pub x: u64,
    /// Width.
    pub width: u32,
    /// f32 a row.
    pub stride: u32,
    /// Factor.
    pub scale: f32,
    /// Limit, after the factor; 0: none.
    pub cap: f32,
}
