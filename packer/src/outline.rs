//! What an archive holds, or will, less how it is coded: tensors as matrices, and packs of their rows.

use std::ops::Range;

use symbiote_format::codec::Shape;
use symbiote_format::{ArchivedIndex, Dtype, FormatError, Index, TensorKind, limits};

use crate::error::Problem;
use crate::planner::is_vector;
use crate::policy::TensorFacts;

/// A tensor seen as a matrix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    pub name: String,
    pub dtype: Dtype,
    pub rows: u32,
    pub columns: u32,
    pub row_bytes: u64,
    /// Kernels read it as it is stored.
    pub vector: bool,
}

/// Rows of one tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PartRows {
    /// Its number.
    pub tensor: usize,
    pub row: u32,
    /// At least one.
    pub rows: u32,
}

/// Tensors, and their rows in parts and packs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outline {
    pub tensors: Vec<Matrix>,
    /// The parts of each pack.
    pub packs: Vec<Range<usize>>,
    /// Numbers of the packs, in the order in which they lie.
    pub order: Vec<usize>,
    pub parts: Vec<PartRows>,
}

impl Matrix {
    /// A tensor of this shape, outermost dimension first.
    pub fn new(name: &str, dtype: Dtype, shape: &[u64]) -> Result<Self, FormatError> {
        let refuse = || FormatError::TensorShape { name: name.into(), shape: shape.to_vec(), dtype: dtype.name() };
        let number = |n: u64| u32::try_from(n).ok().filter(|n| (1..=limits::ROWS).contains(&u64::from(*n)));
        let (columns, outer) = shape.split_last().ok_or_else(refuse)?;
        let rows = outer.iter().try_fold(1u64, |n, d| n.checked_mul(*d)).and_then(number).ok_or_else(refuse)?;
        let row_bytes = dtype.row_bytes(*columns).ok_or_else(refuse)?;
        Ok(Self {
            name: name.into(),
            dtype,
            rows,
            columns: number(*columns).ok_or_else(refuse)?,
            row_bytes,
            vector: rows == 1,
        })
    }

    /// What a policy needs to know of it.
    pub fn facts(&self) -> TensorFacts {
        TensorFacts { dtype: self.dtype, vector: self.vector, bytes: u64::from(self.rows) * self.row_bytes }
    }
}

impl Outline {
    /// That of an index which has been checked.
    pub fn of(index: &Index) -> Result<Self, Problem> {
        let tensors = index.tensors.iter().map(|t| (t.name.as_str(), t.kind, t.dtype, t.shape.clone()));
        let packs = index.packs.iter().map(|p| (p.first_part, p.part_count, p.offset));
        let parts = index.parts.iter().map(|p| (p.tensor, p.row, p.rows));
        Self::new(tensors, packs, parts)
    }

    /// That of an archive.
    pub fn of_archived(index: &ArchivedIndex) -> Result<Self, Problem> {
        let shape = |t: &symbiote_format::ArchivedTensor| t.shape.iter().map(|d| d.to_native()).collect();
        let tensors =
            index.tensors.iter().map(|t| (t.name.as_str(), t.kind.to_native(), t.dtype.to_native(), shape(t)));
        let packs = index.packs.iter();
        let packs = packs.map(|p| (p.first_part.to_native(), p.part_count.to_native(), p.offset.to_native()));
        let parts = index.parts.iter().map(|p| (p.tensor.to_native(), p.row.to_native(), p.rows.to_native()));
        Self::new(tensors, packs, parts)
    }

    fn new<'a>(
        tensors: impl Iterator<Item = (&'a str, u16, u16, Vec<u64>)>,
        packs: impl Iterator<Item = (u32, u32, u64)>,
        parts: impl Iterator<Item = (u32, u32, u32)>,
    ) -> Result<Self, Problem> {
        let matrix = |(name, kind, dtype, shape): (&str, u16, u16, Vec<u64>)| {
            // the type has been found in its table
            let matrix = Matrix::new(name, Dtype::from_code(dtype).unwrap_or(Dtype::F32), &shape)?;
            let vector = matrix.vector || TensorKind::from_code(kind).is_some_and(is_vector);
            Ok::<_, FormatError>(Matrix { vector, ..matrix })
        };
        let (packs, offsets): (Vec<_>, Vec<u64>) =
            packs.map(|(first, count, offset)| (first as usize..first as usize + count as usize, offset)).unzip();
        let mut order: Vec<usize> = (0..packs.len()).collect();
        order.sort_by_key(|pack| offsets[*pack]);
        let parts = parts.map(|(tensor, row, rows)| PartRows { tensor: tensor as usize, row, rows }).collect();
        let outline = Self { tensors: tensors.map(matrix).collect::<Result<_, _>>()?, packs, order, parts };
        outline.check_lengths()?;
        Ok(outline)
    }

    /// Memory is set aside for decoded packs: coded bytes, few as they may be, must not claim more than a pack holds.
    pub fn check_lengths(&self) -> Result<(), FormatError> {
        let longest = (0..self.packs.len()).map(|pack| self.pack_len(pack)).max().unwrap_or(0);
        match longest > limits::PACK_BYTES {
            true => Err(FormatError::AboveLimit { what: "pack bytes", found: longest, limit: limits::PACK_BYTES }),
            false => Ok(()),
        }
    }

    /// The tensor of a part.
    pub fn tensor(&self, part: usize) -> &Matrix {
        &self.tensors[self.parts[part].tensor]
    }

    /// The name of a part's tensor and the rows of it.
    pub fn rows_of(&self, part: usize) -> (String, Range<u64>) {
        let PartRows { row, rows, .. } = self.parts[part];
        (self.tensor(part).name.clone(), row.into()..u64::from(row) + u64::from(rows))
    }

    /// Type, rows and columns of a part.
    pub fn shape(&self, part: usize) -> Shape {
        let tensor = self.tensor(part);
        Shape { dtype: tensor.dtype, rows: self.parts[part].rows, columns: tensor.columns }
    }

    /// Bytes of a part in the source.
    pub fn part_len(&self, part: usize) -> u64 {
        u64::from(self.parts[part].rows).saturating_mul(self.tensor(part).row_bytes)
    }

    /// Bytes of a pack's parts in the source.
    pub fn pack_len(&self, pack: usize) -> u64 {
        self.packs[pack].clone().map(|part| self.part_len(part)).fold(0, u64::saturating_add)
    }

    /// Bytes of all parts in the source.
    pub fn len(&self) -> u64 {
        (0..self.packs.len()).map(|pack| self.pack_len(pack)).fold(0, u64::saturating_add)
    }

    /// The longest pack and the longest part, in bytes of the source.
    pub fn longest(&self) -> (u64, u64) {
        let pack = (0..self.packs.len()).map(|pack| self.pack_len(pack)).max();
        let part = (0..self.parts.len()).map(|part| self.part_len(part)).max();
        (pack.unwrap_or(0), part.unwrap_or(0))
    }
}
