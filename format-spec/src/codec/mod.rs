//! How the rows of a part are coded, losslessly. Encoder and decoder of a codec lie side by side, one codec a file.

mod block;
mod element;
mod exceptions;
mod grid;
mod p11;
mod p12;
mod packed;

use crate::{Codec, Dtype};
use p11::P11;
use p12::P12;

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
    /// Fewer bytes than the shape takes without any exceptions.
    #[error("{found} coded bytes, at least {least} expected")]
    Short {
        /// As found.
        found: u64,
        /// As the shape asks.
        least: u64,
    },
    /// Too many weights for 32 bits to count, or none.
    #[error("a part of {weights} weights is not coded")]
    Size {
        /// Rows times columns.
        weights: u64,
    },
    /// What is left for exceptions is no whole number of them.
    #[error("{bytes} bytes of exceptions, {entry} bytes each")]
    Entries {
        /// As found.
        bytes: u64,
        /// Bytes of one.
        entry: u64,
    },
    /// A base whose exponents are not all finite, or zero.
    #[error("exponent base {found}, not {least} to {most}")]
    Base {
        /// As found.
        found: u32,
        /// The least.
        least: u16,
        /// The most.
        most: u16,
    },
    /// A reserved word that is not zero.
    #[error("the words behind the exponent base are not zero")]
    Reserved,
    /// A list of exceptions that does not start where the one before it ends, or runs backwards or past the last.
    #[error("exception list {list} is {start}..{end}")]
    ListBounds {
        /// Its number.
        list: usize,
        /// Its first entry.
        start: usize,
        /// The entry behind its last.
        end: usize,
    },
    /// A list's table of starts that runs backwards or past its end.
    #[error("exception list {list} has no place for row {p} of its tile")]
    ListStarts {
        /// Its number.
        list: usize,
        /// Which start.
        p: usize,
    },
    /// An exception in another row than its list says, or below the last.
    #[error("exception {entry} at {place:#x} is in no row of its list")]
    EntryRow {
        /// Its number.
        entry: usize,
        /// Its place.
        place: u32,
    },
    /// An exception to the right of its window.
    #[error("exception {entry} at {place:#x} is in no column of its list")]
    EntryColumn {
        /// Its number.
        entry: usize,
        /// Its place.
        place: u32,
    },
    /// An exception that does not come after the one before it.
    #[error("exception {entry} at {place:#x} is not behind the one before it")]
    EntryOrder {
        /// Its number.
        entry: usize,
        /// Its place.
        place: u32,
    },
    /// A field that no weight of the type has, or one that is not 0 though an exception or nothing lies there.
    #[error("row {row}, column {column}: no weight is coded so")]
    Field {
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
    },
}

impl Codec {
    /// Kernels compute on the coded bytes as they are.
    pub const fn runs(self) -> bool {
        matches!(self, Self::Raw | Self::P12 | Self::P11 | Self::F16 | Self::Bf16)
    }

    /// Rows of this type can be coded so.
    pub fn takes(self, dtype: Dtype) -> bool {
        match self {
            Self::Raw => true,
            Self::P12 | Self::P11 => matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::Bf16),
            Self::Zstd | Self::Zfp | Self::F16 | Self::Bf16 => false,
        }
    }

    /// Appends the rows in `raw`, coded, to `out`; whether that is smaller than `raw` is for the caller to see.
    ///
    /// # Errors
    /// [`CodecError::Type`] where this codec does not take the type, [`CodecError::Length`] where `raw` does not fit `shape`.
    pub fn encode(self, shape: Shape, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.accept(shape)?;
        length(raw.len(), shape.raw_len())?;
        match self {
            Self::P12 => packed::encode::<P12>(shape, raw, out),
            Self::P11 => packed::encode::<P11>(shape, raw, out),
            _ => {
                out.extend_from_slice(raw);
                Ok(())
            }
        }
    }

    /// Checks all that a kernel relies on, without decoding: lengths, counts, places of exceptions.
    pub fn check(self, shape: Shape, coded: &[u8]) -> Result<(), CodecError> {
        self.accept(shape)?;
        match self {
            Self::P12 => packed::check::<P12>(shape, coded),
            Self::P11 => packed::check::<P11>(shape, coded),
            _ => length(coded.len(), shape.raw_len()),
        }
    }

    /// Checks `coded` and writes the source's bytes to `raw`, which is `shape.raw_len()` long.
    pub fn decode(self, shape: Shape, coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
        self.accept(shape)?;
        length(raw.len(), shape.raw_len())?;
        match self {
            Self::P12 => packed::decode::<P12>(shape, coded, raw),
            Self::P11 => packed::decode::<P11>(shape, coded, raw),
            _ => {
                length(coded.len(), raw.len())?;
                raw.copy_from_slice(coded);
                Ok(())
            }
        }
    }

    fn accept(self, shape: Shape) -> Result<(), CodecError> {
        match self.takes(shape.dtype) {
            true => Ok(()),
            false => Err(CodecError::Type { codec: self, dtype: shape.dtype }),
        }
    }
}

fn length(found: usize, expected: usize) -> Result<(), CodecError> {
    match found == expected {
        true => Ok(()),
        false => Err(CodecError::Length { found: found as u64, expected: expected as u64 }),
    }
}
