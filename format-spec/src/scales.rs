//! The factors of F8 weights: which of them a weight has, and the rules on them, which
//! [`validate`](crate::validate) checks behind the others.

use crate::validate::Rows;
use crate::{ArchivedIndex, Dtype, FormatError, ModelConfig, Result, TensorKind};

/// Which rows and columns of a tensor share a factor. A weight is the product of the number stored and its factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleBlocks {
    /// Rows of a block.
    pub rows: u32,
    /// Columns of a block as a power of two.
    pub columns_log2: u32,
    /// Factors of a row of blocks.
    pub across: u32,
}

impl ScaleBlocks {
    /// More columns than a tensor has.
    const ALL_COLUMNS: u32 = 31;

    /// Those of a tensor of `[rows, columns]` whose factors are a matrix of `factors` rows and columns: one factor for all; one for
    /// each `block`; one a row, as a column or as a vector. `None` where they are none of these.
    pub fn new([rows, columns]: [u32; 2], factors: [u32; 2], block: Option<[u32; 2]>) -> Option<Self> {
        let columns_log2 = Self::ALL_COLUMNS;
        if factors == [1, 1] {
            return Some(Self { rows: u32::MAX, columns_log2, across: 1 });
        }
        if let Some(block) = block.filter(|block| factors == [rows.div_ceil(block[0]), columns.div_ceil(block[1])]) {
            return Some(Self { rows: block[0], columns_log2: block[1].ilog2(), across: factors[1] });
        }
        let of_rows = factors == [rows, 1] || factors == [1, rows];
        of_rows.then_some(Self { rows: 1, columns_log2, across: 1 })
    }

    /// The number of a weight's factor.
    pub fn factor(self, row: u32, column: u32) -> u64 {
        self.first_factor(row) + u64::from(column >> self.columns_log2)
    }

    /// That of the first weight of a row.
    pub fn first_factor(self, row: u32) -> u64 {
        u64::from(row / self.rows) * u64::from(self.across)
    }

    /// A row has one factor.
    pub fn is_of_rows(self) -> bool {
        self.columns_log2 == Self::ALL_COLUMNS
    }
}

/// Checks that tensors with factors, and they alone, have them.
pub(crate) fn check(index: &ArchivedIndex, config: &ModelConfig, tensors: &[Rows]) -> Result<()> {
    let kind_of = |i: usize| index.tensors.get(i).map(|t| t.kind.to_native());
    let is_scale = |i: usize| kind_of(i) == Some(TensorKind::Scale.code());
    let mut scaled = false;
    for (i, (t, found)) in index.tensors.iter().zip(tensors).enumerate() {
        let (name, dtype) = (|| t.name.as_str().to_owned(), found.dtype.name());
        let unused = kind_of(i) == Some(TensorKind::Unused.code());
        if found.dtype.is_kept_only() && !unused {
            return Err(FormatError::KeptType { name: name(), dtype });
        }
        if is_scale(i) {
            let before = i.checked_sub(1).filter(|_| scaled).ok_or_else(|| FormatError::StrayScale { name: name() })?;
            let (of, own) = ([matrix(&tensors[before])?, matrix(found)?], found.dtype);
            let fits = ScaleBlocks::new(of[0], of[1], config.design.scale_block).is_some();
            if !fits || !own.is_plain() || t.layer != index.tensors[before].layer {
                let of = index.tensors[before].name.as_str().into();
                return Err(FormatError::ScaleShape { name: name(), dtype, found: matrix(found)?, of });
            }
        }
        scaled = is_scaled(found.dtype, unused) && !is_scale(i);
        if scaled && !is_scale(i + 1) {
            return Err(FormatError::NoScale { name: name(), dtype });
        }
    }
    Ok(())
}

fn is_scaled(dtype: Dtype, unused: bool) -> bool {
    dtype.is_scaled() && !unused
}

fn matrix(tensor: &Rows) -> Result<[u32; 2]> {
    let rows = u32::try_from(tensor.rows).map_err(|_| FormatError::Overflow { what: "rows" })?;
    Ok([rows, tensor.columns])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_of_all_of_rows_or_of_blocks() {
        let of = |factors| ScaleBlocks::new([300, 520], factors, Some([128, 256]));
        assert_eq!(of([1, 1]).unwrap().factor(299, 519), 0);
        for rows in [[300, 1], [1, 300]] {
            assert_eq!(of(rows).unwrap().factor(299, 519), 299);
        }
        let blocks = of([3, 3]).unwrap();
        assert_eq!((blocks.factor(0, 255), blocks.factor(127, 256), blocks.factor(299, 519)), (0, 1, 8));
        assert!(!blocks.is_of_rows() && of([1, 1]).unwrap().is_of_rows());
        assert_eq!([[3, 2], [520, 1], [3, 1], [0, 0]].map(of), [None; 4]);
        assert_eq!(ScaleBlocks::new([300, 520], [3, 3], None), None);
    }
}
