//! Which rows of which packs each operation of the forward pass reads: the archive's tables, turned into the kernels' tables.

mod heads;
mod latent;
mod mixture;
mod packs;
mod paired;
mod scales;

use std::collections::HashMap;
use std::ops::Range;

use symbiote_format::codec::Shape;
use symbiote_format::{Archive, ArchivedIndex, ArchivedPart, Codec, Dtype, ModelConfig, NO_LAYER, Norm, TensorKind};
use symbiote_shaders::{PartArgs, VectorArgs};

use super::EngineError;
use super::kernels::Kernels;

pub use heads::HeadNorms;
pub use latent::Latent;
pub use mixture::{ExpertProduct, Mixture, Shared};
pub use packs::packs_of;
pub use scales::{ScaleTable, Spread};

/// A vector of weights: a norm or a bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vector {
    /// The pack that holds it.
    pub pack: u32,
    /// Its place there, in bytes.
    pub offset: u32,
    /// How it is stored.
    pub dtype: Dtype,
}

impl Vector {
    /// As kernels find it.
    pub fn args(self) -> VectorArgs {
        let stored = match self.dtype {
            Dtype::F16 => VectorArgs::F16,
            Dtype::Bf16 => VectorArgs::BF16,
            _ => VectorArgs::F32,
        };
        VectorArgs::new(self.pack, self.offset, stored)
    }
}

/// A norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormWeights {
    /// Which.
    pub kind: Norm,
    /// Its weight.
    pub weight: Vector,
    /// What LayerNorm adds.
    pub bias: Option<Vector>,
}

/// What kernels compute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Rows of a stored type.
    Plain(Dtype),
    /// F32 rows as this type of two bytes, and weights apart that are not exact in it.
    Narrowed(Dtype),
    /// Numbers of 8 bits, with factors beside them.
    Scaled {
        /// How they are stored.
        dtype: Dtype,
        /// How factors are spread.
        spread: Spread,
    },
    /// Packed rows, p12 or p11.
    Packed {
        /// Which.
        codec: Codec,
        /// The type that exceptions are kept in.
        source: Dtype,
    },
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain(dtype) | Self::Scaled { dtype, .. } => dtype.fmt(f),
            Self::Narrowed(dtype) => write!(f, "{dtype} and exceptions"),
            Self::Packed { codec, source } => write!(f, "{codec} of {source}"),
        }
    }
}

/// A matrix product `y = W x` over weights of one form.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// How the weights lie in memory.
    pub form: Form,
    /// Columns of W, which is the length of x.
    pub columns: u32,
    /// The rows, wherever they lie; `first_tile` counts tiles, of an embedding rows of the tensor.
    pub parts: Vec<PartArgs>,
    /// Tiles of the parts.
    pub tiles: u32,
    /// Rows of a tile; of W and of V together where these go side by side.
    pub tile_rows: u32,
    /// The parts are those of W, then those of V, alike.
    pub paired: bool,
    /// Device address of the parts, once they are there.
    pub table: u64,
    /// Device address of the grid that the stored type refers to, or of the scales' table, likewise; 0 if there is none.
    pub grid: u64,
    /// Where the factors are.
    pub scales: ScaleTable,
}

/// A matrix product over one or more tensors that share x; one [`Product`] a form.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Rows of y.
    pub rows: u32,
    /// The products; together they write every row of y once.
    pub products: Vec<Product>,
    /// Packs to lease while it runs.
    pub packs: Vec<usize>,
    /// Of every pack with factors, one vector of them; to lease too.
    pub scales: Vec<Vector>,
}

/// The last product of attention or of the feed-forward network, and what is done to its result on its way to the residual stream.
#[derive(Clone, Debug)]
pub struct Output {
    /// `[hidden, ..]`.
    pub product: Operation,
    /// `[hidden]`.
    pub bias: Option<Vector>,
    /// RMSNorm of all that is added `[hidden]`.
    pub norm: Option<Vector>,
}

/// One layer's weights.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Norm before attention `[hidden]`.
    pub attention_norm: Option<NormWeights>,
    /// q, k and v: `[(heads + 2 kv heads) * head size, hidden]`; or what latent attention makes them of.
    pub qkv: Operation,
    /// How it makes them.
    pub latent: Option<Box<Latent>>,
    /// Biases of q, k and v.
    pub qkv_bias: [Option<Vector>; 3],
    /// Norms of q and k.
    pub head_norms: HeadNorms,
    /// Scores without values, of each head `[heads]`.
    pub sinks: Option<Vector>,
    /// Attention output: `[hidden, heads * value size]`.
    pub output: Output,
    /// Norm before the feed-forward network `[hidden]`.
    pub ffn_norm: Option<NormWeights>,
    /// What comes after it.
    pub ffn: Ffn,
}

/// The feed-forward part of a layer.
#[derive(Clone, Debug)]
pub enum Ffn {
    /// One network for every token.
    Dense(Box<Dense>),
    /// Some of many networks, chosen token by token.
    Mixture(Box<Mixture>),
}

/// A feed-forward network.
#[derive(Clone, Debug)]
pub struct Dense {
    /// gate and up: `[2 * ffn, hidden]`; without a gate `[ffn, hidden]`.
    pub up: Operation,
    /// The same rows, a tile of gate's with as many of up's, where a product of one token gates what it makes.
    pub gated: Option<Operation>,
    /// Biases of gate and up `[ffn]`.
    pub up_bias: [Option<Vector>; 2],
    /// down: `[hidden, ffn]`.
    pub down: Output,
}

/// The whole model's weights.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Token embedding `[vocabulary, hidden]`.
    pub embedding: Operation,
    /// Learned positions `[context, hidden]`.
    pub positions: Option<Operation>,
    /// Layers, first to last.
    pub layers: Vec<Layer>,
    /// Norm before the head `[hidden]`.
    pub output_norm: NormWeights,
    /// Head `[vocabulary, hidden]`.
    pub head: Operation,
    /// Divisors of the rotary frequencies, or empty.
    pub rope_factors: Vec<f32>,
}

impl Weights {
    /// Reads the tables of `archive` for the products of `kernels`.
    pub fn new(archive: &Archive<'_>, kernels: &Kernels) -> Result<Self, EngineError> {
        use TensorKind as Kind;
        let config = archive.config();
        let find = Finder::new(archive, kernels);
        let layers = (0..config.layer_count).map(|l| find.layer(config, l)).collect::<Result<_, _>>()?;
        let hidden = config.hidden_size;
        let head = if config.tied_embeddings { Kind::TokenEmbedding } else { Kind::Output };
        let positions = find.has(Kind::PositionEmbedding, NO_LAYER);
        Ok(Self {
            embedding: find.lookup(Kind::TokenEmbedding, NO_LAYER, (config.vocab_size, hidden))?,
            positions: positions
                .then(|| find.lookup(Kind::PositionEmbedding, NO_LAYER, (config.context_length, hidden)))
                .transpose()?,
            layers,
            output_norm: find
                .norm(config, [Kind::OutputNorm, Kind::OutputNormBias], NO_LAYER)?
                .ok_or(EngineError::MissingTensor { kind: Kind::OutputNorm.name(), layer: NO_LAYER })?,
            head: find.operation(NO_LAYER, &[(head, config.vocab_size)], hidden)?,
            rope_factors: rope_factors(archive, &find)?,
        })
    }
}

impl Product {
    /// The parts, those of W where there are V's.
    pub fn own_parts(&self) -> &[PartArgs] {
        &self.parts[..self.parts.len() / (1 + usize::from(self.paired))]
    }

    /// Runs of tiles that lie in `packs`.
    pub fn tiles_in(&self, packs: &[usize]) -> Vec<Range<u32>> {
        let parts = self.own_parts();
        let ends = parts.iter().skip(1).map(|part| part.first_tile).chain([self.tiles]);
        let mut runs: Vec<Range<u32>> = Vec::new();
        for (part, end) in parts.iter().zip(ends).filter(|(part, _)| packs.contains(&(part.pack as usize))) {
            match runs.last_mut() {
                Some(run) if run.end == part.first_tile => run.end = end,
                _ => runs.push(part.first_tile..end),
            }
        }
        runs
    }
}

impl NormWeights {
    /// RMSNorm with this weight.
    pub fn rms(weight: Vector) -> Self {
        Self { kind: Norm::Rms, weight, bias: None }
    }

    fn vectors(&self) -> impl Iterator<Item = Vector> {
        [self.weight].into_iter().chain(self.bias)
    }
}

/// Looks tensors up by what they are.
struct Finder<'a> {
    index: &'a ArchivedIndex,
    scale_block: Option<[u32; 2]>,
    kernels: &'a Kernels,
    /// By kind and layer; several where each expert has its own.
    tensors: HashMap<(u16, u32), Vec<usize>>,
    /// The rows of every tensor, in order.
    places: Vec<Vec<Place<'a>>>,
}

/// Rows of a tensor in a pack.
#[derive(Clone, Copy)]
struct Place<'a> {
    pack: u32,
    offset: u32,
    part: &'a ArchivedPart,
}

impl<'a> Finder<'a> {
    fn new(archive: &'a Archive<'a>, kernels: &'a Kernels) -> Self {
        let (index, scale_block) = (archive.index(), archive.config().design.scale_block);
        let mut places = vec![Vec::new(); index.tensors.len()];
        for (pack, p) in (0u32..).zip(index.packs.iter()) {
            let first = p.first_part.to_native() as usize;
            for part in &index.parts[first..first + p.part_count.to_native() as usize] {
                // a pack is at most 1 GiB long
                let offset = u32::try_from(part.offset.to_native()).unwrap_or(u32::MAX);
                places[part.tensor.to_native() as usize].push(Place { pack, offset, part });
            }
        }
        let mut tensors: HashMap<_, Vec<usize>> = HashMap::new();
        for (i, t) in index.tensors.iter().enumerate() {
            tensors.entry((t.kind.to_native(), t.layer.to_native())).or_default().push(i);
        }
        Self { index, scale_block, kernels, tensors, places }
    }

    fn has(&self, kind: TensorKind, layer: u32) -> bool {
        self.tensors.contains_key(&(kind.code(), layer))
    }

    fn tensor(&self, kind: TensorKind, layer: u32) -> Result<usize, EngineError> {
        let missing = EngineError::MissingTensor { kind: kind.name(), layer };
        self.tensors.get(&(kind.code(), layer)).map(|all| all[0]).ok_or(missing)
    }

    /// Tensors of one kind, of a layer: one for each expert, or one.
    fn all(&self, kind: TensorKind, layer: u32) -> &[usize] {
        self.tensors.get(&(kind.code(), layer)).map_or(&[], Vec::as_slice)
    }

    /// The tensor's stored type, after checking that it has `rows` rows of `columns`, a vector being one, in as many dimensions as
    /// it likes.
    fn dtype(&self, tensor: usize, rows: u32, columns: u32) -> Result<Dtype, EngineError> {
        let shape: Vec<u64> = self.index.tensors[tensor].shape.iter().map(|d| d.to_native()).collect();
        let fits = shape.split_last().is_some_and(|(last, outer)| {
            // validation has multiplied them
            *last == u64::from(columns) && outer.iter().product::<u64>() == u64::from(rows)
        });
        self.dtype_of(tensor, if fits { shape } else { vec![u64::from(rows), u64::from(columns)] })
    }

    /// The tensor's stored type, after checking its shape.
    fn dtype_of(&self, tensor: usize, expected: Vec<u64>) -> Result<Dtype, EngineError> {
        let t = &self.index.tensors[tensor];
        let found: Vec<u64> = t.shape.iter().map(|d| d.to_native()).collect();
        if found != expected {
            return Err(EngineError::TensorShape { name: t.name.as_str().into(), found, expected });
        }
        // the archive's validation knows every code
        Dtype::from_code(t.dtype.to_native()).ok_or(EngineError::MissingTensor { kind: "dtype", layer: NO_LAYER })
    }

    fn vector(&self, kind: TensorKind, layer: u32, len: u32) -> Result<Vector, EngineError> {
        self.rows_vector(kind, layer, 1, len)
    }

    /// Vectors of `len`, one after another.
    fn rows_vector(&self, kind: TensorKind, layer: u32, rows: u32, len: u32) -> Result<Vector, EngineError> {
        let tensor = self.tensor(kind, layer)?;
        let dtype = self.dtype(tensor, rows, len)?;
        if dtype.block_len() != 1 {
            return Err(EngineError::VectorType { kind: kind.name(), layer, dtype });
        }
        let place = self.places[tensor][0]; // validation: every tensor has a part
        if place.part.codec != Codec::Raw.code() {
            return Err(EngineError::VectorCodec { kind: kind.name(), layer });
        }
        Ok(Vector { pack: place.pack, offset: place.offset, dtype })
    }

    fn optional(&self, kind: TensorKind, layer: u32, len: u32) -> Result<Option<Vector>, EngineError> {
        self.has(kind, layer).then(|| self.vector(kind, layer, len)).transpose()
    }

    /// A norm of the residual stream, if it is there.
    fn norm(
        &self,
        c: &ModelConfig,
        [weight, bias]: [TensorKind; 2],
        layer: u32,
    ) -> Result<Option<NormWeights>, EngineError> {
        let Some(weight) = self.optional(weight, layer, c.hidden_size)? else { return Ok(None) };
        Ok(Some(NormWeights { kind: c.design.norm, weight, bias: self.optional(bias, layer, c.hidden_size)? }))
    }

    fn layer(&self, c: &ModelConfig, l: u32) -> Result<Layer, EngineError> {
        use TensorKind as Kind;
        let (hidden, q, kv) = (c.hidden_size, c.query_rows(), c.kv_rows());
        let qkv = match (self.latents(c), self.has(Kind::QueryKeyValue, l)) {
            (Some(latents), _) => latents,
            (None, true) => vec![(Kind::QueryKeyValue, q + 2 * kv)],
            (None, false) => vec![(Kind::Query, q), (Kind::Key, kv), (Kind::Value, kv)],
        };
        Ok(Layer {
            attention_norm: self.norm(c, [Kind::AttentionNorm, Kind::AttentionNormBias], l)?,
            qkv: self.operation(l, &qkv, hidden)?,
            latent: self.latent(c, l)?,
            qkv_bias: self.qkv_bias(l, q, kv)?,
            head_norms: self.head_norms(c, l)?,
            sinks: self.optional(Kind::AttentionSinks, l, c.head_count)?,
            output: Output {
                product: self.operation(l, &[(Kind::AttentionOutput, hidden)], c.attended_rows())?,
                bias: self.optional(Kind::AttentionOutputBias, l, hidden)?,
                norm: self.optional(Kind::PostAttentionNorm, l, hidden)?,
            },
            ffn_norm: self.norm(c, [Kind::FfnNorm, Kind::FfnNormBias], l)?,
            ffn: match &c.design.experts {
                Some(experts) if self.has(Kind::Router, l) => Ffn::Mixture(Box::new(self.mixture(experts, l, hidden)?)),
                _ => Ffn::Dense(Box::new(self.dense(c, l)?)),
            },
        })
    }

    fn dense(&self, c: &ModelConfig, l: u32) -> Result<Dense, EngineError> {
        use TensorKind as Kind;
        let (hidden, ffn) = (c.hidden_size, c.ffn_size);
        let up = match (self.has(Kind::FfnGateUp, l), c.design.gated) {
            (true, _) => vec![(Kind::FfnGateUp, 2 * ffn)],
            (false, true) => vec![(Kind::FfnGate, ffn), (Kind::FfnUp, ffn)],
            (false, false) => vec![(Kind::FfnUp, ffn)],
        };
        let up = self.operation(l, &up, hidden)?;
        let up_bias = [self.optional(Kind::FfnGateBias, l, ffn)?, self.optional(Kind::FfnUpBias, l, ffn)?];
        let gates = c.design.gated && up_bias == [None; 2] && up.fuses(self.kernels);
        Ok(Dense {
            gated: gates.then(|| up.gated(ffn)).flatten(),
            up,
            up_bias,
            down: Output {
                product: self.operation(l, &[(Kind::FfnDown, hidden)], ffn)?,
                bias: self.optional(Kind::FfnDownBias, l, hidden)?,
                norm: self.optional(Kind::PostFfnNorm, l, hidden)?,
            },
        })
    }

    /// A table of which single rows are read.
    fn lookup(&self, kind: TensorKind, layer: u32, (rows, columns): (u32, u32)) -> Result<Operation, EngineError> {
        let mut table = self.operation(layer, &[(kind, rows)], columns)?;
        table.products.iter_mut().flat_map(|p| &mut p.parts).for_each(|part| part.first_tile = part.first_row);
        Ok(table)
    }

    /// A product over tensors of `(kind, rows)`, their rows one after another in y.
    fn operation(&self, layer: u32, tensors: &[(TensorKind, u32)], columns: u32) -> Result<Operation, EngineError> {
        let mut operation = Operation { rows: 0, products: Vec::new(), packs: Vec::new(), scales: Vec::new() };
        for &(kind, rows) in tensors {
            let tensor = self.tensor(kind, layer)?;
            let dtype = self.dtype(tensor, rows, columns)?;
            for &Place { pack, offset, part } in &self.places[tensor] {
                let form = self.form(part, dtype, columns)?;
                let at = operation.products.iter().position(|p| p.form == form).unwrap_or_else(|| {
                    let tile_rows = self.kernels.tile_rows(form);
                    operation.products.push(Product {
                        form,
                        columns,
                        parts: Vec::new(),
                        tiles: 0,
                        tile_rows,
                        paired: false,
                        table: 0,
                        grid: 0,
                        scales: ScaleTable::default(),
                    });
                    operation.products.len() - 1
                });
                let product = &mut operation.products[at];
                if let (Form::Scaled { .. }, first_row) = (form, operation.rows) {
                    let records = &mut product.scales.records;
                    if records.last().is_none_or(|last| last.first_row != first_row) {
                        let (record, vector) = self.scale(tensor, 0, first_row)?;
                        records.push(record);
                        product.scales.each += 1;
                        operation.scales.push(vector);
                    }
                }
                let (first_tile, rows) = (product.tiles, part.rows.to_native());
                let first_row = operation.rows + part.row.to_native();
                product.parts.push(PartArgs { pack, offset, rows, first_row, first_tile });
                product.tiles += rows.div_ceil(product.tile_rows);
                operation.packs.push(pack as usize);
            }
            operation.rows += rows;
        }
        operation.packs.sort_unstable();
        operation.packs.dedup();
        scales::one_a_pack(&mut operation.scales);
        Ok(operation)
    }
}

impl Finder<'_> {
    /// What kernels find in a part of rows that the source stored as `dtype`.
    fn form(&self, part: &ArchivedPart, dtype: Dtype, columns: u32) -> Result<Form, EngineError> {
        let codec = Codec::from_code(part.codec).unwrap_or(Codec::Raw); // validation knows every code
        let shape = Shape { dtype, rows: part.rows.to_native(), columns };
        let narrowed = |dtype| match codec.exceptions(shape, part.coded_len.to_native()) {
            Some(0) => Form::Plain(dtype), // nobody looks for what is not there
            _ => Form::Narrowed(dtype),
        };
        match codec {
            Codec::Raw if dtype.is_scaled() => self.scaled(part, dtype),
            Codec::Raw => Ok(Form::Plain(dtype)),
            Codec::P12 | Codec::P11 => Ok(Form::Packed { codec, source: dtype }),
            Codec::F16 => Ok(narrowed(Dtype::F16)),
            Codec::Bf16 => Ok(narrowed(Dtype::Bf16)),
            Codec::Zstd | Codec::Zfp => {
                let name = self.index.tensors[part.tensor.to_native() as usize].name.as_str().into();
                Err(EngineError::NotComputable { name, codec })
            }
        }
    }
}

/// The divisors of a `rope_freqs` tensor, read on the host.
fn rope_factors(archive: &Archive<'_>, find: &Finder<'_>) -> Result<Vec<f32>, EngineError> {
    let pairs = archive.config().rope_dims / 2;
    let Some(vector) = find.optional(TensorKind::RopeFactors, NO_LAYER, pairs)? else { return Ok(Vec::new()) };
    let segment = archive.segment(&archive.index().packs[vector.pack as usize]);
    let bytes = &segment[vector.offset as usize..][..(pairs * vector.dtype.block_bytes()) as usize];
    let mut factors = vec![0.0; pairs as usize];
    symbiote_format::dequant::dequantize(vector.dtype, bytes, &mut factors);
    Ok(factors)
}
