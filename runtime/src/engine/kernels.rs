//! Which kernel variant does what on this device, and with how many invocations.

mod token;

use std::borrow::Cow;
use std::sync::Arc;

use symbiote_format::{Activation, ArchivedIndex, Dtype, Experts, GroupScore, ModelConfig, Norm, RopeLayout, Scoring};
use symbiote_shaders::{MatmulArgs, ScaleArgs};

use super::weights::{Form, Spread};
use super::{EngineError, KvType, half_denormals, matrix_layout};
use crate::gpu::{DeviceInfo, DeviceKind, Gpu, KernelKey, Pipeline, ReloadReport, ShaderCache};

/// Tokens that the wide variants of a matrix product take at once.
pub const WIDE: u32 = 8;

/// Rows of a tile of packed weights.
pub const PACKED_TILE: u32 = 32;

/// Stretches of keys that are worth their merge.
const MOST_STRETCHES: u32 = 64;

/// Subgroups that read packed weights at the same time, on a large device: a tile's chunks are shared out so that all tiles together
/// have so many at work.
const PACKED_AT_WORK: u32 = 4096;
/// Of a tile, at least and at most.
const PACKED_SUBGROUPS: [u32; 2] = [4, 32];
/// Subgroups that share a tile's chunks on matrices, where tiles are few and where they are [`MANY_TILES`].
const MATRIX_SUBGROUPS: [u32; 2] = [8, 4];
/// Most subgroups that share a row of a norm: what every device is found to allow, and half of what `reduce.glsl` adds up.
const REDUCED_SUBGROUPS: u32 = 32;
/// Columns that the subgroups of a tile of quants take at once; of few tiles, twice as many.
const QUANT_COLUMNS: u32 = 4096;
/// Those subgroups, at most, where tiles are few and where they are [`MANY_TILES`].
const QUANT_SUBGROUPS: [u32; 2] = [8, 4];
/// Columns of a lane's piece of numbers of 8 bits.
const FLOAT8_PIECE: u32 = 16;
/// Shared memory that one subgroup of `matmul_quant.comp` does with, whatever its size and the type.
const QUANT_SHARED: u32 = 32 << 10;
/// Tiles that fill a large device: four for each of some hundred cores.
const MANY_TILES: u32 = 512;

/// How a part's exceptions are stored, as kernels are told.
fn source_code(source: Dtype) -> u32 {
    match source {
        Dtype::Bf16 => 0,
        Dtype::F16 => 1,
        _ => 2,
    }
}

/// An activation, as kernels are told.
fn activation_code(activation: Activation) -> u32 {
    match activation {
        Activation::Silu => 0,
        Activation::GeluTanh => 1,
        Activation::GeluErf => 2,
        Activation::ClampedSwiglu => 3,
    }
}

/// There are no exceptions.
const NO_SOURCE: u32 = 3;

/// How factors are spread, where there are any, likewise.
fn spread_of(form: Form) -> Option<u32> {
    let Form::Scaled { spread, .. } = form else { return None };
    Some(match spread {
        Spread::Rows => ScaleArgs::ROWS,
        Spread::Tile => ScaleArgs::TILE,
        Spread::Blocks => ScaleArgs::BLOCKS,
    })
}

/// The rows of x and y that a product has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Those of so many tokens, all by the same weights.
    Tokens(u32),
    /// That of one token, with what lies beside it ([`Kernels::fuses`]): kernels are the same, whatever that is, as they are fewer then.
    One {
        /// There are two matrices.
        gated: bool,
        /// The activation of a gate.
        activation: Activation,
    },
    /// So many, each `group` of them by an expert of their own: 1, or a multiple of [`WIDE`] ([`Kernels::group_rows`]).
    Experts {
        /// All rows.
        rows: u32,
        /// Rows that belong to one expert.
        group: u32,
    },
}

impl Batch {
    /// All rows.
    fn rows(self) -> u32 {
        match self {
            Self::Tokens(rows) | Self::Experts { rows, .. } => rows,
            Self::One { .. } => 1,
        }
    }

    /// One row goes through the same weights, or more do.
    fn single(self) -> bool {
        matches!(self, Self::Tokens(1) | Self::One { .. } | Self::Experts { group: 1, .. })
    }

    /// Times that the tiles of a product are gone through, by different weights.
    fn experts(self) -> u32 {
        match self {
            Self::Tokens(_) | Self::One { .. } => 1,
            Self::Experts { rows, group } => rows / group.max(1),
        }
    }

    /// The kernel's constants, and that of experts or of a gate.
    fn told(self, mut constants: Vec<u32>) -> Vec<u32> {
        match self {
            Self::Tokens(_) => {}
            Self::One { activation, .. } => {
                constants.resize(MatmulArgs::ACTIVATION as usize, 0);
                constants.push(activation_code(activation));
            }
            Self::Experts { .. } => {
                constants.resize(MatmulArgs::EXPERTS as usize, 0);
                constants.push(1);
            }
        }
        constants
    }
}

/// A matrix product, ready to be dispatched.
pub struct Multiply {
    /// The kernel.
    pub kernel: Arc<Pipeline>,
    /// Its workgroups.
    pub groups: [u32; 3],
}

/// What a device was asked, as Vulkan leaves it open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probed {
    /// Cooperative matrices lie in a subgroup's lanes as the kernels fill them.
    pub matrices: bool,
    /// f16 numbers below the normal ones are kept.
    pub denormals: bool,
}

impl Probed {
    /// Asks, about denormals only where the model has quants that would need them.
    pub fn new(gpu: &Gpu, cache: &ShaderCache, index: &ArchivedIndex) -> Result<Self, EngineError> {
        let quants = index.tensors.iter().any(|t| Dtype::from_code(t.dtype.to_native()).is_some_and(has_quant_kernel));
        Ok(Self {
            matrices: matrix_layout::as_expected(gpu, cache)?,
            denormals: quants && half_denormals::are_kept(gpu, cache)?,
        })
    }
}

/// Rows of a tile of quants on a GPU, and of these on their way at once: x is loaded once for all of them, but few tiles leave a
/// device idle, and what is on its way takes registers. They do not depend on the product: kernels that differ displace each other
/// in the caches of instructions, which cost a layer more than their tiles could gain.
fn quant_tile(dtype: Dtype) -> (u32, u32) {
    match dtype {
        Dtype::Q4K | Dtype::Q6K => (8, 2),
        // its blocks are large and not staged
        Dtype::Q5K => (16, 1),
        // their loads are short
        _ if dtype.is_scaled() => (16, 4),
        _ => (16, 2),
    }
}

/// `matmul_quant.comp` exists for `dtype`.
fn has_quant_kernel(dtype: Dtype) -> bool {
    dtype.is_scaled() || matches!(dtype, Dtype::Q4_0 | Dtype::Q8_0 | Dtype::Q4K | Dtype::Q5K | Dtype::Q6K)
}

/// Columns of a lane's piece there.
fn quant_piece(dtype: Dtype) -> u32 {
    if dtype.is_scaled() { FLOAT8_PIECE } else { dtype.block_len().min(64) }
}

/// The kernels of one model on one device.
pub struct Kernels {
    cache: ShaderCache,
    /// The device's subgroup size.
    subgroup: u32,
    /// Subgroups a workgroup, where a kernel has the choice.
    subgroups: u32,
    /// Rows a subgroup of the matrix products.
    rows: u32,
    /// Products of several tokens over packed weights run on cooperative matrices.
    matrices: bool,
    /// Products of one token over quants have a kernel of their own.
    quants: bool,
    /// Bytes of shared memory a workgroup.
    shared: u32,
    /// Most invocations of a workgroup.
    most: u32,
    /// Invocations a workgroup of the elementwise kernels.
    local: u32,
}

impl Kernels {
    /// Chooses for `device`; `like_gpu` as if it were a GPU.
    pub fn new(cache: ShaderCache, device: &DeviceInfo, probed: Probed, like_gpu: bool) -> Self {
        let subgroup = device.subgroup;
        // A GPU hides latency with subgroups, four of them a workgroup. A CPU has none to hide, pays for barriers, and has to
        // load x lane by lane, so that the more rows a load serves the better.
        let (subgroups, rows) = if device.kind == DeviceKind::Cpu && !like_gpu { (1, 16) } else { (4, 2) };
        let subgroups = subgroups.min(device.max_workgroup_invocations / subgroup).max(1);
        let quants = subgroups > 1 && device.features.float16 && device.shared_memory_bytes >= QUANT_SHARED;
        let quants = quants && probed.denormals;
        Self {
            cache,
            subgroup,
            subgroups,
            rows,
            local: (subgroup * subgroups).max(64),
            matrices: probed.matrices,
            quants,
            shared: device.shared_memory_bytes,
            most: device.max_workgroup_invocations,
        }
    }

    /// Rows that a workgroup takes of a product of this form.
    pub fn tile_rows(&self, form: Form) -> u32 {
        match form {
            Form::Packed { .. } => PACKED_TILE,
            Form::Plain(dtype) | Form::Scaled { dtype, .. } if self.of_quants(dtype) => quant_tile(dtype).0,
            Form::Plain(_) | Form::Narrowed(_) | Form::Scaled { .. } => self.subgroups * self.rows,
        }
    }

    /// Products of one token over `dtype` have a kernel of their own.
    fn of_quants(&self, dtype: Dtype) -> bool {
        self.quants && has_quant_kernel(dtype)
    }

    /// Invocations a workgroup of what goes element by element.
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
    pub fn embed(&self, form: Form) -> Result<Arc<Pipeline>, EngineError> {
        // the constants that it shares with the products
        let with_exceptions = |source| vec![self.local, 1, 0, 0, source_code(source)];
        match form {
            Form::Plain(dtype) => self.get(format!("embed_{dtype}"), vec![self.local], None),
            Form::Scaled { dtype, .. } => self.get(format!("embed_{dtype}"), vec![self.local], None),
            Form::Narrowed(dtype) => self.get(format!("embed_{dtype}"), with_exceptions(Dtype::F32), None),
            Form::Packed { codec, source } => self.get(format!("embed_{codec}"), with_exceptions(source), None),
        }
    }

    /// Products of several tokens over packed weights run on cooperative matrices.
    pub fn matrices(&self) -> bool {
        self.matrices
    }

    /// Rows that belong to one expert at the least, where more than one do: products of `form` take so many at once.
    pub fn group_rows(&self, form: Form) -> u32 {
        // a CPU takes packed weights row by row
        let alone = matches!(form, Form::Packed { .. }) && self.subgroups == 1 && !self.matrices;
        if alone { 1 } else { WIDE }
    }

    /// `y = W x` for the rows of `batch` over `tiles` tiles of `tile_rows` rows and `columns` columns; of experts, over as many tiles
    /// as the largest has.
    pub fn product(
        &self,
        form: Form,
        batch: Batch,
        (tiles, tile_rows): (u32, u32),
        columns: u32,
    ) -> Result<Multiply, EngineError> {
        let groups_of = |wide: u32| batch.rows().div_ceil(wide);
        // what is at work at the same time
        let all_tiles = tiles.saturating_mul(batch.experts());
        match form {
            Form::Plain(dtype) | Form::Scaled { dtype, .. }
                if batch.single() && self.of_quants(dtype) && columns.is_multiple_of(quant_piece(dtype)) =>
            {
                let (s, (rows, depth)) = (self.subgroup, quant_tile(dtype));
                let subgroups = self.quant_subgroups(dtype, all_tiles, columns);
                let mut constants = vec![s * subgroups, s, subgroups, rows, depth];
                constants.extend(spread_of(form));
                let kernel = self.get(format!("matmul_quant_{dtype}"), batch.told(constants), Some(s))?;
                Ok(Multiply { kernel, groups: [tiles, batch.rows(), 1] })
            }
            Form::Plain(dtype) | Form::Narrowed(dtype) | Form::Scaled { dtype, .. } => {
                let wide = if batch.single() { 1 } else { WIDE };
                // a tile's rows, however many subgroups a workgroup may have
                let most = 1 << (self.most / self.subgroup).max(1).ilog2();
                let subgroups = (tile_rows / self.rows).min(most).max(1);
                let local = self.subgroup * subgroups;
                let source = if matches!(form, Form::Narrowed(_)) { source_code(Dtype::F32) } else { NO_SOURCE };
                let mut constants = vec![local, wide, tile_rows / subgroups, (self.subgroups == 1).into(), source];
                constants.extend(spread_of(form));
                let kernel = self.get(format!("matmul_{dtype}"), batch.told(constants), Some(self.subgroup))?;
                Ok(Multiply { kernel, groups: [tiles, groups_of(wide), 1] })
            }
            Form::Packed { codec, source } if !batch.single() && self.matrices => {
                let subgroups = self.matrix_subgroups(all_tiles, columns);
                let constants = vec![self.subgroup * subgroups, WIDE, 0, subgroups, source_code(source), 1];
                let kernel = self.get(format!("matrix_{codec}"), batch.told(constants), Some(self.subgroup))?;
                Ok(Multiply { kernel, groups: [tiles, groups_of(WIDE), 1] })
            }
            Form::Packed { codec, source } => {
                let gpu = self.subgroups > 1;
                let wide = if gpu && !batch.single() { 4 } else { 1 };
                let subgroups = if gpu { self.packed_subgroups(all_tiles, columns, batch) } else { 1 };
                let (s, source) = (self.subgroup, source_code(source));
                let constants = vec![s * subgroups, wide, s, subgroups, source];
                let kernel = self.get(format!("matmul_{codec}"), batch.told(constants), Some(s))?;
                Ok(Multiply { kernel, groups: [tiles * PACKED_TILE.div_ceil(s), groups_of(wide), 1] })
            }
        }
    }

    /// Subgroups a workgroup that share out the columns of quants: a lane of theirs has a piece, of 64 columns or a small block.
    fn quant_subgroups(&self, dtype: Dtype, tiles: u32, columns: u32) -> u32 {
        let (s, (rows, depth)) = (self.subgroup, quant_tile(dtype));
        let strip = s * quant_piece(dtype);
        let strips = columns.div_ceil(strip);
        let many = usize::from(tiles >= MANY_TILES);
        let most = (QUANT_COLUMNS * [2, 1][many] / strip).clamp(1, QUANT_SUBGROUPS[many]);
        // as evenly as may be
        let wanted = strips.div_ceil(strips.div_ceil(most));
        // what `matmul_quant.comp` and `quant.glsl` take of it, at the most
        let quads = (s * (quant_piece(dtype) / 8 + 1)).max(rows * (s / 4 + 1));
        let lines = 16 * quads + 4 * rows;
        let pieces = (dtype.block_len() / 64).max(1);
        let staged = ((s / pieces * dtype.block_bytes() + 29) / 16).div_ceil(s) * s * 16 * depth;
        wanted.min(self.shared / (lines + staged)).min(self.most / s).max(1)
    }

    /// Subgroups a workgroup that share out the chunks of 128 columns. Each has one at least, but where there is more to do than the
    /// product they are two, and two matrices have half of them each.
    fn packed_subgroups(&self, tiles: u32, columns: u32, batch: Batch) -> u32 {
        let (least, matrices) = match batch {
            Batch::One { gated, .. } => (2, 1 + u32::from(gated)),
            _ => (1, 1),
        };
        let most = (PACKED_SUBGROUPS[1].min(self.most / self.subgroup) / matrices).max(1);
        let wanted = (1 << (PACKED_AT_WORK / tiles.max(1)).max(1).ilog2()).max(PACKED_SUBGROUPS[0]);
        (columns.div_ceil(128).clamp(1, wanted.min(most)) * matrices).max(least)
    }

    /// The same for products on matrices.
    fn matrix_subgroups(&self, tiles: u32, columns: u32) -> u32 {
        let wanted = MATRIX_SUBGROUPS[usize::from(tiles >= MANY_TILES)];
        columns.div_ceil(128).clamp(1, wanted.min(self.most / self.subgroup).max(1))
    }

    /// x of a product in the form that cooperative matrices take.
    pub fn split(&self) -> Result<Arc<Pipeline>, EngineError> {
        let local = self.most.min(1024) / self.subgroup * self.subgroup;
        self.get("split", vec![local, (local > self.subgroup).into()], Some(self.subgroup))
    }

    /// The choice of experts, one token a workgroup.
    pub fn route(&self, experts: &Experts) -> Result<Arc<Pipeline>, EngineError> {
        let grouped = experts.groups_used < experts.groups;
        let sigmoid = experts.scoring == Scoring::Sigmoid;
        let best_two = grouped && experts.group_score == GroupScore::BestTwo;
        let most = experts.count + if grouped { experts.groups } else { 0 };
        let constants = vec![self.subgroup, sigmoid.into(), best_two.into(), experts.normalized.into(), most];
        self.get("route", constants, Some(self.subgroup))
    }

    /// Rows of x, one after another.
    pub fn gather(&self) -> Result<Arc<Pipeline>, EngineError> {
        self.get("gather", vec![self.local], None)
    }

    /// The sum of what a token's experts made, added to x.
    pub fn combine(&self) -> Result<Arc<Pipeline>, EngineError> {
        self.get("combine", vec![self.local], None)
    }

    /// A norm of rows of `columns`, or what is added of it.
    pub fn norm(&self, norm: Norm, columns: u32, add: bool) -> Result<Arc<Pipeline>, EngineError> {
        // a row is read by one workgroup, which on a GPU is over soonest when it has a column or few an invocation
        let most = self.most.min(1024).min(REDUCED_SUBGROUPS * self.subgroup) / self.subgroup;
        let subgroups = if self.subgroups > 1 { columns.div_ceil(self.subgroup).clamp(1, most) } else { 1 };
        let local = self.subgroup * subgroups;
        let constants = vec![local, (subgroups > 1).into(), (norm == Norm::Layer).into(), add.into()];
        self.get("norm", constants, Some(self.subgroup))
    }

    /// Biases, norms and rotation of q and k, and the store of k and v; `staged` where there are biases or norms.
    pub fn heads(&self, config: &ModelConfig, kv: KvType, staged: bool) -> Result<Arc<Pipeline>, EngineError> {
        let interleaved = config.rope_layout == RopeLayout::Interleaved;
        let constants = vec![self.subgroup, kv.bytes(), config.head_dim, interleaved.into(), staged.into()];
        self.get("heads", constants, Some(self.subgroup))
    }

    /// Rotation of q and k of latent attention, and the store of k and v.
    pub fn latent_heads(
        &self,
        config: &ModelConfig,
        kv: KvType,
        interleaved: bool,
    ) -> Result<Arc<Pipeline>, EngineError> {
        let values = config.value_dim();
        let constants = vec![self.subgroup, kv.bytes(), config.head_dim, interleaved.into(), 0, 0, 0, values];
        self.get("latent_heads", constants, Some(self.subgroup))
    }

    /// Keys out of latent vectors, by weights that are stored transposed.
    pub fn latent_keys(&self) -> Result<Arc<Pipeline>, EngineError> {
        self.get("latent_keys", vec![self.local], None)
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
        let (partial, share_q) = (partial.into(), (self.subgroups == 1).into());
        let values = config.value_dim();
        let constants = vec![s, kv.bytes(), config.head_dim, queries, s, partial, share_q, values];
        self.get("attention", constants, Some(s))
    }

    /// The end of attention in stretches.
    pub fn attention_merge(&self) -> Result<Arc<Pipeline>, EngineError> {
        self.get("attention_merge", vec![self.local], None)
    }

    /// activation(gate) * up, or activation(up); gate and up one after the other, or in turn.
    pub fn activate(
        &self,
        activation: Activation,
        gated: bool,
        interleaved: bool,
    ) -> Result<Arc<Pipeline>, EngineError> {
        let constants = vec![self.local, activation_code(activation), gated.into(), interleaved.into()];
        self.get("activate", constants, None)
    }

    /// y = scale * (x + bias), or that added to y.
    pub fn add(&self, add: bool) -> Result<Arc<Pipeline>, EngineError> {
        self.get("add", vec![self.local, add.into()], None)
    }

    /// cap tanh(scale x / cap).
    pub fn cap(&self) -> Result<Arc<Pipeline>, EngineError> {
        self.get("cap", vec![self.local], None)
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
