//! How the rows of a part are coded, losslessly. Encoder and decoder of a codec lie side by side, one codec a file.

use crate::{Codec, Dtype};

/// The rows of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How the source stores them.
    pub dtype: Dtype,
    /// At least one.
    pub rows: u32,
    /// Elements a row; a whole number of the type's blocks.
    pub columns: u32,
}

impl Shape {
    /// Bytes of a row in the source.
    pub fn row_bytes(&self) -> usize {
        let bytes = self.dtype.row_bytes(self.columns.into()).unwrap_or(0);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Bytes of the rows in the source.
    pub fn raw_len(&self) -> usize {
        self.row_bytes().saturating_mul(self.rows as usize)
    }
}

/// Why coded bytes are refused: one variant a broken rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The codec has no form for this type.
    #[error("{codec} does not code {dtype}")]
    Type {
        /// The codec.
        codec: Codec,
        /// The type.
        dtype: Dtype,
    },
    /// The coded bytes are not as long as they must be.
    #[error("{found} coded bytes, {expected} expected")]
    Length {
        /// As found.
        found: u64,
        /// As the shape asks.
        expected: u64,
    },
}

impl Codec {
    /// Kernels compute on the coded bytes as they are.
    pub const fn runs(self) -> bool {
        matches!(self, Self::Raw | Self::P12 | Self::P11 | Self::F16 | Self::Bf16)
    }

    /// Rows of this type can be coded so.
    pub fn takes(self, dtype: Dtype) -> bool {
        let _ = dtype;
        self == Self::Raw
    }

    /// Appends the rows in `raw`, coded, to `out`; whether that is smaller than `raw` is for the caller to see.
    ///
    /// # Errors
    /// [`CodecError::Type`] where this codec does not take the type, [`CodecError::Length`] where `raw` does not fit `shape`.
    pub fn encode(self, shape: Shape, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        length(raw.len(), shape.raw_len())?;
        match self {
            Self::Raw => out.extend_from_slice(raw),
            _ => return Err(CodecError::Type { codec: self, dtype: shape.dtype }),
        }
        Ok(())
    }

    /// Checks all that a kernel relies on, without decoding: lengths, counts, places of exceptions.
    pub fn check(self, shape: Shape, coded: &[u8]) -> Result<(), CodecError> {
        match self {
            Self::Raw => length(coded.len(), shape.raw_len()),
            _ => Err(CodecError::Type { codec: self, dtype: shape.dtype }),
        }
    }

    /// Checks `coded` and writes the source's bytes to `raw`, which is `shape.raw_len()` long.
    pub fn decode(self, shape: Shape, coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
        self.check(shape, coded)?;
        length(raw.len(), shape.raw_len())?;
        raw.copy_from_slice(coded);
        Ok(())
    }
}

fn length(found: usize, expected: usize) -> Result<(), CodecError> {
    match found == expected {
        true => Ok(()),
        false => Err(CodecError::Length { found: found as u64, expected: expected as u64 }),
    }
}
