//! Which rows of which packs each operation of the forward pass reads: the archive's tables, turned into the kernels' tables.

use std::ops::Range;

use symbiote_format::codec::Shape;
use symbiote_format::{Archive, ArchivedIndex, ArchivedPart, Codec, Dtype, ModelConfig, NO_LAYER, TensorKind};
use symbiote_shaders::PartArgs;

use super::EngineError;
use crate::residency::{Need, PackTraffic};

/// A vector of weights: a norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vector {
    /// The pack that holds it.
    pub pack: u32,
    /// Its place there, in bytes.
    pub offset: u32,
    /// How it is stored.
    pub dtype: Dtype,
}

/// What kernels compute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Rows of a stored type.
    Plain(Dtype),
    /// F32 rows as this type of two bytes, and weights apart that are not exact in it.
    Narrowed(Dtype),
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
            Self::Plain(dtype) => dtype.fmt(f),
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
    /// Rows of a tile.
    pub tile_rows: u32,
    /// Device address of the parts, once they are there.
    pub table: u64,
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
}

/// One layer's weights.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Norm before attention `[hidden]`.
    pub attention_norm: Vector,
    /// q, k and v: `[(heads + 2 kv heads) * head size, hidden]`.
    pub qkv: Operation,
    /// Attention output: `[hidden, heads * head size]`.
    pub output: Operation,
    /// Norm before the feed-forward network `[hidden]`.
    pub ffn_norm: Vector,
    /// gate and up: `[2 * ffn, hidden]`.
    pub gate_up: Operation,
    /// down: `[hidden, ffn]`.
    pub down: Operation,
}

/// The whole model's weights.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Token embedding `[vocabulary, hidden]`.
    pub embedding: Operation,
    /// Layers, first to last.
    pub layers: Vec<Layer>,
    /// Norm before the head `[hidden]`.
    pub output_norm: Vector,
    /// Head `[vocabulary, hidden]`.
    pub head: Operation,
    /// Divisors of the rotary frequencies, or empty.
    pub rope_factors: Vec<f32>,
}

impl Weights {
    /// Reads the tables of `archive`; of products with so many rows of a form, a workgroup takes `tile_rows`.
    pub fn new(archive: &Archive<'_>, tile_rows: &dyn Fn(Form, u32) -> u32) -> Result<Self, EngineError> {
        let config = archive.config();
        let find = Finder { index: archive.index(), tile_rows };
        let (hidden, ffn) = (config.hidden_size, config.ffn_size);
        let (q, kv) = (config.query_rows(), config.kv_rows());
        use TensorKind as Kind;
        let layers = (0..config.layer_count)
            .map(|l| {
                Ok(Layer {
                    attention_norm: find.vector(Kind::AttentionNorm, l, hidden)?,
                    qkv: find.operation(l, &[(Kind::Query, q), (Kind::Key, kv), (Kind::Value, kv)], hidden)?,
                    output: find.operation(l, &[(Kind::AttentionOutput, hidden)], q)?,
                    ffn_norm: find.vector(Kind::FfnNorm, l, hidden)?,
                    gate_up: find.operation(l, &[(Kind::FfnGate, ffn), (Kind::FfnUp, ffn)], hidden)?,
                    down: find.operation(l, &[(Kind::FfnDown, hidden)], ffn)?,
                })
            })
            .collect::<Result<_, EngineError>>()?;
        let head = if config.tied_embeddings { Kind::TokenEmbedding } else { Kind::Output };
        let mut embedding = find.operation(NO_LAYER, &[(Kind::TokenEmbedding, config.vocab_size)], hidden)?;
        embedding.products.iter_mut().flat_map(|p| &mut p.parts).for_each(|part| part.first_tile = part.first_row);
        Ok(Self {
            embedding,
            layers,
            output_norm: find.vector(Kind::OutputNorm, NO_LAYER, hidden)?,
            head: find.operation(NO_LAYER, &[(head, config.vocab_size)], hidden)?,
            rope_factors: rope_factors(archive, config)?,
        })
    }
}

impl Product {
    /// Runs of tiles that lie in `packs`.
    pub fn tiles_in(&self, packs: &[usize]) -> Vec<Range<u32>> {
        let ends = self.parts.iter().skip(1).map(|part| part.first_tile).chain([self.tiles]);
        let mut runs: Vec<Range<u32>> = Vec::new();
        for (part, end) in self.parts.iter().zip(ends).filter(|(part, _)| packs.contains(&(part.pack as usize))) {
            match runs.last_mut() {
                Some(run) if run.end == part.first_tile => run.end = end,
                _ => runs.push(part.first_tile..end),
            }
        }
        runs
    }
}

impl Weights {
    /// The packs that the layers read, in the order in which they do.
    pub fn layer_packs(&self) -> Vec<usize> {
        let mut packs = Vec::new();
        for layer in &self.layers {
            packs.push(layer.attention_norm.pack as usize);
            packs.extend(layer.qkv.packs.iter().chain(&layer.output.packs));
            packs.push(layer.ffn_norm.pack as usize);
            packs.extend(layer.gate_up.packs.iter().chain(&layer.down.packs));
        }
        packs
    }

    /// The packs that the head reads, likewise.
    pub fn head_packs(&self) -> Vec<usize> {
        [self.output_norm.pack as usize].into_iter().chain(self.head.packs.iter().copied()).collect()
    }

    /// What every pack of the archive is needed for. Packs that nothing reads have no length.
    pub fn traffic(&self, index: &ArchivedIndex) -> Vec<PackTraffic> {
        let mut needs = vec![None; index.packs.len()];
        self.embedding.packs.iter().for_each(|&pack| needs[pack] = Some(Need::Lookup));
        let operations = self.layers.iter().flat_map(|l| [&l.qkv, &l.output, &l.gate_up, &l.down]);
        for &pack in operations.chain([&self.head]).flat_map(|o| &o.packs) {
            needs[pack] = Some(if needs[pack] == Some(Need::Lookup) { Need::Tied } else { Need::EveryPass });
        }
        let norms = self.layers.iter().flat_map(|l| [&l.attention_norm, &l.ffn_norm]);
        for norm in norms.chain([&self.output_norm]) {
            needs[norm.pack as usize] = Some(Need::Always);
        }
        let packs = index.packs.iter().zip(needs);
        packs
            .map(|(pack, need)| PackTraffic {
                len: if need.is_some() { pack.len.to_native() } else { 0 },
                need: need.unwrap_or(Need::Always),
            })
            .collect()
    }

    /// Some of the products are over packed rows.
    pub fn packed(&self) -> bool {
        let of = |o: &Operation| o.products.iter().any(|p| matches!(p.form, Form::Packed { .. }));
        let layers = self.layers.iter().flat_map(|l| [&l.qkv, &l.output, &l.gate_up, &l.down]);
        layers.chain([&self.head]).any(of)
    }
}

/// Looks tensors up by what they are.
struct Finder<'a> {
    index: &'a ArchivedIndex,
    tile_rows: &'a dyn Fn(Form, u32) -> u32,
}

/// Rows of a tensor in a pack.
struct Place<'a> {
    pack: u32,
    offset: u32,
    part: &'a ArchivedPart,
}

impl<'a> Finder<'a> {
    fn tensor(&self, kind: TensorKind, layer: u32) -> Result<usize, EngineError> {
        let is = |t: &symbiote_format::ArchivedTensor| t.kind == kind.code() && t.layer == layer;
        self.index.tensors.iter().position(is).ok_or(EngineError::MissingTensor { kind: kind.name(), layer })
    }

    /// The tensor's stored type, after checking that it has `rows` rows of `columns`.
    fn dtype(&self, tensor: usize, rows: u32, columns: u32) -> Result<Dtype, EngineError> {
        let t = &self.index.tensors[tensor];
        let found: Vec<u64> = t.shape.iter().map(|d| d.to_native()).collect();
        let expected = if rows == 1 { vec![u64::from(columns)] } else { vec![u64::from(rows), u64::from(columns)] };
        if found != expected {
            return Err(EngineError::TensorShape { name: t.name.as_str().into(), found, expected });
        }
        // the archive's validation knows every code
        Dtype::from_code(t.dtype.to_native()).ok_or(EngineError::MissingTensor { kind: "dtype", layer: NO_LAYER })
    }

    fn places(&self, tensor: usize) -> Vec<Place<'a>> {
        let mut places = Vec::new();
        for (pack, p) in (0u32..).zip(self.index.packs.iter()) {
            let first = p.first_part.to_native() as usize;
            for part in &self.index.parts[first..first + p.part_count.to_native() as usize] {
                if part.tensor.to_native() as usize == tensor {
                    // a pack is at most 1 GiB long
                    let offset = u32::try_from(part.offset.to_native()).unwrap_or(u32::MAX);
                    places.push(Place { pack, offset, part });
                }
            }
        }
        places
    }

    fn vector(&self, kind: TensorKind, layer: u32, len: u32) -> Result<Vector, EngineError> {
        let tensor = self.tensor(kind, layer)?;
        let dtype = self.dtype(tensor, 1, len)?;
        if dtype.block_len() != 1 {
            return Err(EngineError::VectorType { kind: kind.name(), layer, dtype });
        }
        let place = self.places(tensor).swap_remove(0); // validation: every tensor has a part
        if place.part.codec != Codec::Raw.code() {
            return Err(EngineError::VectorCodec { kind: kind.name(), layer });
        }
        Ok(Vector { pack: place.pack, offset: place.offset, dtype })
    }

    /// A product over tensors of `(kind, rows)`, their rows one after another in y.
    fn operation(&self, layer: u32, tensors: &[(TensorKind, u32)], columns: u32) -> Result<Operation, EngineError> {
        let mut operation = Operation { rows: 0, products: Vec::new(), packs: Vec::new() };
        let all_rows = tensors.iter().map(|(_, rows)| rows).sum();
        for &(kind, rows) in tensors {
            let tensor = self.tensor(kind, layer)?;
            let dtype = self.dtype(tensor, rows, columns)?;
            for Place { pack, offset, part } in self.places(tensor) {
                let form = self.form(part, dtype, columns)?;
                let at = operation.products.iter().position(|p| p.form == form).unwrap_or_else(|| {
                    let tile_rows = (self.tile_rows)(form, all_rows);
                    operation.products.push(Product {
                        form,
                        columns,
                        parts: Vec::new(),
                        tiles: 0,
                        tile_rows,
                        table: 0,
                    });
                    operation.products.len() - 1
                });
                let product = &mut operation.products[at];
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
fn rope_factors(archive: &Archive<'_>, config: &ModelConfig) -> Result<Vec<f32>, EngineError> {
    let find = Finder { index: archive.index(), tile_rows: &|_, _| 1 };
    if find.tensor(TensorKind::RopeFactors, NO_LAYER).is_err() {
        return Ok(Vec::new());
    }
    let pairs = config.rope_dims / 2;
    let vector = find.vector(TensorKind::RopeFactors, NO_LAYER, pairs)?;
    let segment = archive.segment(&archive.index().packs[vector.pack as usize]);
    let bytes = &segment[vector.offset as usize..][..(pairs * vector.dtype.block_bytes()) as usize];
    let mut factors = vec![0.0; pairs as usize];
    symbiote_format::dequant::dequantize(vector.dtype, bytes, &mut factors);
    Ok(factors)
}
