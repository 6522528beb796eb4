//! How the rows of a part are coded, losslessly. Encoder and decoder of a codec lie side by side, one codec a file.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod block;
mod decode;
mod element;
mod error;
mod exceptions;
mod grid;
mod halves;
mod p11;
mod p12;
mod packed;
mod pairs;
mod planes;
mod zfp;

use crate::{Codec, Dtype};
pub use error::CodecError;
use halves::{Bf16, F16};
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

impl Codec {
    /// Kernels compute on the coded bytes as they are.
    pub const fn runs(self) -> bool {
        matches!(self, Self::Raw | Self::P12 | Self::P11 | Self::F16 | Self::Bf16)
    }

    /// Rows of this type can be coded so.
    pub fn takes(self, dtype: Dtype) -> bool {
        match self {
            Self::Raw | Self::Zstd => true,
            Self::P12 | Self::P11 => matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::Bf16),
            Self::Zfp | Self::F16 | Self::Bf16 => dtype == Dtype::F32,
        }
    }

    /// Appends the rows in `raw`, coded, to `out`; whether that is smaller than `raw` is for the caller to see.
    ///
    /// # Errors
    /// [`CodecError::Type`] where this codec does not take the type, [`CodecError::Length`] where `raw` does not fit `shape`,
    /// [`CodecError::Size`] for more weights than a part may have, [`CodecError::Zstd`] or [`CodecError::Changed`] where a
    /// library fails. `out` is then of no use from where it ended.
    pub fn encode(self, shape: Shape, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.accept(shape)?;
        length(raw.len() as u64, shape.raw_len() as u64)?;
        match self {
            Self::Raw => {
                out.extend_from_slice(raw);
                Ok(())
            }
            Self::P12 => packed::encode::<P12>(shape, raw, out),
            Self::P11 => packed::encode::<P11>(shape, raw, out),
            Self::Zstd => planes::encode(shape, raw, out),
            Self::Zfp => zfp::encode(shape, raw, out),
            Self::F16 => halves::encode::<F16>(shape, raw, out),
            Self::Bf16 => halves::encode::<Bf16>(shape, raw, out),
        }
    }

    /// Checks all that a kernel relies on, without decoding: lengths, counts, places of exceptions.
    pub fn check(self, shape: Shape, coded: &[u8]) -> Result<(), CodecError> {
        self.check_len(shape, coded.len() as u64)?;
        match self {
            Self::Raw | Self::Zfp => Ok(()),
            Self::P12 => packed::check::<P12>(shape, coded),
            Self::P11 => packed::check::<P11>(shape, coded),
            Self::Zstd => planes::check(shape, coded),
            Self::F16 => halves::check::<F16>(shape, coded),
            Self::Bf16 => halves::check::<Bf16>(shape, coded),
        }
    }

    /// Checks what can be said of a part without its bytes: whether this codec takes its type and may need `len` bytes.
    pub fn check_len(self, shape: Shape, len: u64) -> Result<(), CodecError> {
        self.accept(shape)?;
        match self {
            Self::Raw => length(len, shape.raw_len() as u64),
            Self::P12 => packed::check_len::<P12>(shape, len),
            Self::P11 => packed::check_len::<P11>(shape, len),
            Self::Zstd => planes::check_len(len),
            Self::Zfp => zfp::check_len(shape, len),
            Self::F16 | Self::Bf16 => halves::check_len(shape, len),
        }
    }

    /// Weights that the coded form keeps apart, of a part of `len` bytes that [`check_len`](Self::check_len) has passed; `None`
    /// for codecs that keep none.
    pub fn exceptions(self, shape: Shape, len: u64) -> Option<u64> {
        let (least, entry) = match self {
            Self::P12 => packed::least_len::<P12>(shape)?,
            Self::P11 => packed::least_len::<P11>(shape)?,
            Self::F16 | Self::Bf16 => halves::least_len(shape)?,
            Self::Raw | Self::Zstd | Self::Zfp => return None,
        };
        Some(len.checked_sub(least)? / entry)
    }

    /// Checks `coded` and writes the source's bytes to `raw`, which is `shape.raw_len()` long. After an error, `raw` may have
    /// anything in it.
    pub fn decode(self, shape: Shape, coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
        self.check_len(shape, coded.len() as u64)?;
        length(raw.len() as u64, shape.raw_len() as u64)?;
        match self {
            Self::Raw => {
                raw.copy_from_slice(coded);
                Ok(())
            }
            Self::P12 => decode::decode::<P12>(shape, coded, raw),
            Self::P11 => decode::decode::<P11>(shape, coded, raw),
            Self::Zstd => planes::decode(shape, coded, raw),
            Self::Zfp => zfp::decode(shape, coded, raw),
            Self::F16 => halves::decode::<F16>(shape, coded, raw),
            Self::Bf16 => halves::decode::<Bf16>(shape, coded, raw),
        }
    }

    fn accept(self, shape: Shape) -> Result<(), CodecError> {
        match self.takes(shape.dtype) {
            true => Ok(()),
            false => Err(CodecError::Type { codec: self, dtype: shape.dtype }),
        }
    }
}

fn length(found: u64, expected: u64) -> Result<(), CodecError> {
    match found == expected {
        true => Ok(()),
        false => Err(CodecError::Length { found, expected }),
    }
}
