//! Adding up what was found: parts to tensors, tensors to totals.

use std::path::Path;

use symbiote_format::{Codec, Dtype};

use super::PartMeasure;
use super::floor::Counts;
use crate::outline::Outline;
use crate::policy::Sized;
use crate::source::ForeignTensor;

/// What was found of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The file's name.
    pub file: String,
    /// The tensors of types that this program reads, in the order of the file.
    pub tensors: Vec<TensorMeasure>,
    /// Name and type of the other tensors, which are left out of everything.
    pub left_out: Vec<(String, String)>,
}

/// What was found of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorMeasure {
    /// Its name.
    pub name: String,
    /// How it is stored.
    pub dtype: Dtype,
    /// Rows and columns.
    pub shape: (u32, u32),
    /// What it amounts to.
    pub total: Total,
}

/// Lengths of a tensor, or of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Total {
    /// How many weights.
    pub weights: u64,
    /// Their bytes in the source.
    pub source_bytes: u64,
    /// The floor, in bits.
    pub floor_bits: f64,
    /// Each codec that takes them, with their bytes and its exceptions, in the order of the codes.
    pub coded: Vec<(Codec, u64, Option<u64>)>,
    /// The bytes if each tensor has the one codec that is best for it.
    pub best_bytes: u64,
    /// What `convert --target run` takes.
    pub run: PartsOf,
    /// What `convert --target ship` takes.
    pub ship: PartsOf,
}

/// Bytes for a target, and the weights of the source by codec.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartsOf {
    /// The bytes as coded.
    pub bytes: u64,
    /// Source bytes by codec, in the order of the codes.
    pub source_bytes: Vec<(Codec, u64)>,
}

impl Total {
    /// Bits a weight of so many bytes.
    pub fn bits(&self, bytes: u64) -> f64 {
        if self.weights == 0 { 0.0 } else { bytes as f64 * 8.0 / self.weights as f64 }
    }

    /// The floor in bits a weight.
    pub fn floor(&self) -> f64 {
        if self.weights == 0 { 0.0 } else { self.floor_bits / self.weights as f64 }
    }

    /// What a codec makes of it: bytes, and exceptions where it has any.
    pub fn by(&self, codec: Codec) -> Option<(u64, Option<u64>)> {
        self.coded.iter().find(|(c, ..)| *c == codec).map(|(_, bytes, exceptions)| (*bytes, *exceptions))
    }

    /// The codec that makes it smallest, and how small; raw if none does better.
    pub fn best(&self) -> (Codec, u64) {
        let raw = (Codec::Raw, self.source_bytes);
        self.coded.iter().fold(raw, |best, (codec, bytes, _)| if *bytes < best.1 { (*codec, *bytes) } else { best })
    }

    fn add_part(&mut self, source_bytes: u64, part: &PartMeasure) {
        for ((codec, len), exceptions) in &part.coded {
            let (bytes, more) = (*len as u64, *exceptions);
            match self.coded.iter_mut().find(|(c, ..)| c == codec) {
                Some((_, sum, all)) => {
                    *sum += bytes;
                    *all = all.zip(more).map(|(a, b)| a + b);
                }
                None => self.coded.push((*codec, bytes, more)),
            }
        }
        self.run.add(source_bytes, part.run);
        self.ship.add(source_bytes, part.ship);
    }

    /// Adds a tensor. What is left of `coded` are codecs that take all of them.
    fn add(&mut self, tensor: &Self) {
        match self.weights {
            0 => self.coded.clone_from(&tensor.coded),
            _ => self.coded.retain(|(codec, ..)| tensor.by(*codec).is_some()),
        }
        if self.weights > 0 {
            for (codec, bytes, exceptions) in &mut self.coded {
                let Some((more, others)) = tensor.by(*codec) else { continue };
                *bytes += more;
                *exceptions = exceptions.zip(others).map(|(a, b)| a + b);
            }
        }
        self.weights += tensor.weights;
        self.source_bytes += tensor.source_bytes;
        self.floor_bits += tensor.floor_bits;
        self.best_bytes += tensor.best_bytes;
        self.run.merge(&tensor.run);
        self.ship.merge(&tensor.ship);
    }
}

impl PartsOf {
    fn add(&mut self, source_bytes: u64, (codec, len): Sized) {
        self.bytes += len as u64;
        match self.source_bytes.iter_mut().find(|(c, _)| *c == codec) {
            Some((_, sum)) => *sum += source_bytes,
            None => self.source_bytes.push((codec, source_bytes)),
        }
        self.source_bytes.sort_unstable();
    }

    fn merge(&mut self, other: &Self) {
        other.source_bytes.iter().for_each(|(codec, bytes)| self.add(*bytes, (*codec, 0)));
        self.bytes += other.bytes;
    }
}

impl Measurement {
    /// All tensors.
    pub fn total(&self) -> Total {
        self.sum(|_| true)
    }

    /// The tensors of each type that is there, how many they are and what they amount to.
    pub fn types(&self) -> Vec<(Dtype, usize, Total)> {
        let count = |dtype| self.tensors.iter().filter(|t| t.dtype == dtype).count();
        let types = Dtype::all().map(|dtype| (dtype, count(dtype)));
        types.filter(|(_, n)| *n > 0).map(|(dtype, n)| (dtype, n, self.sum(|t| t.dtype == dtype))).collect()
    }

    fn sum(&self, of: impl Fn(&TensorMeasure) -> bool) -> Total {
        let mut total = Total::default();
        self.tensors.iter().filter(|t| of(t)).for_each(|t| total.add(&t.total));
        total
    }
}

/// Tensors whose parts are still coming.
pub(super) struct Tally<'a> {
    outline: &'a Outline,
    totals: Vec<Total>,
    /// Rows to come, and what was counted so far: dropped with the last row.
    open: Vec<(u32, Option<Counts>)>,
}

impl<'a> Tally<'a> {
    pub fn new(outline: &'a Outline) -> Self {
        let total = |t: &crate::outline::Matrix| Total {
            weights: u64::from(t.rows) * u64::from(t.columns),
            source_bytes: t.facts().bytes,
            ..Total::default()
        };
        let totals = outline.tensors.iter().map(total).collect();
        Self { outline, totals, open: outline.tensors.iter().map(|t| (t.rows, None)).collect() }
    }

    pub fn add(&mut self, part: PartMeasure) {
        let rows = self.outline.parts[part.part];
        let total = &mut self.totals[rows.tensor];
        total.add_part(self.outline.part_len(part.part), &part);
        let (left, counts) = &mut self.open[rows.tensor];
        let counts = counts.get_or_insert_default();
        counts.merge(&part.counts);
        *left -= rows.rows;
        if *left == 0 {
            total.floor_bits = counts.bits();
            total.best_bytes = total.best().1;
            self.open[rows.tensor].1 = None;
        }
    }

    pub fn finish(self, path: &Path, foreign: Vec<ForeignTensor>) -> Measurement {
        let tensor = |(matrix, total): (&crate::outline::Matrix, Total)| TensorMeasure {
            name: matrix.name.clone(),
            dtype: matrix.dtype,
            shape: (matrix.rows, matrix.columns),
            total,
        };
        Measurement {
            file: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            tensors: self.outline.tensors.iter().zip(self.totals).map(tensor).collect(),
            left_out: foreign.into_iter().map(|t| (t.name, t.dtype)).collect(),
        }
    }
}
