//! Stored element types.

use std::fmt;

/// How a tensor's elements are stored. Codes below 256 are ggml's type numbers, so a GGUF type and a `.pak` type are one number.
///
/// Quantised types store *blocks*: [`block_len`](Self::block_len) consecutive elements of one row in
/// [`block_bytes`](Self::block_bytes) bytes. Plain types are blocks of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
#[allow(missing_docs)] // the names are the field's own
pub enum Dtype {
    F32 = 0,
    F16 = 1,
    Q4_0 = 2,
    Q4_1 = 3,
    Q5_0 = 6,
    Q5_1 = 7,
    Q8_0 = 8,
    Q2K = 10,
    Q3K = 11,
    Q4K = 12,
    Q5K = 13,
    Q6K = 14,
    Iq2Xxs = 16,
    Iq2Xs = 17,
    Iq3Xxs = 18,
    Iq1S = 19,
    Iq4Nl = 20,
    Iq3S = 21,
    Iq2S = 22,
    Iq4Xs = 23,
    Iq1M = 29,
    Bf16 = 30,
    Tq1_0 = 34,
    Tq2_0 = 35,
    Mxfp4 = 39,
    F8E4M3 = 256,
    F8E5M2 = 257,
    I8 = 24,
    I16 = 25,
    I32 = 26,
    I64 = 27,
    F64 = 28,
    F8E8M0 = 258,
    U8 = 259,
    U16 = 260,
    U32 = 261,
    U64 = 262,
    Bool = 263,
}

impl Dtype {
    /// The types of weights that need nothing beside them, in the order of their codes.
    pub const ALL: [Self; 25] = [
        Self::F32,
        Self::F16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Iq2Xxs,
        Self::Iq2Xs,
        Self::Iq3Xxs,
        Self::Iq1S,
        Self::Iq4Nl,
        Self::Iq3S,
        Self::Iq2S,
        Self::Iq4Xs,
        Self::Iq1M,
        Self::Bf16,
        Self::Tq1_0,
        Self::Tq2_0,
        Self::Mxfp4,
    ];

    /// Numbers of 8 bits: a weight is one of them and a factor from a tensor beside it ([`ScaleBlocks`](crate::ScaleBlocks)).
    /// E4M3 has no infinities, as in OCP's "8-bit floating point specification".
    pub const FLOAT8: [Self; 2] = [Self::F8E4M3, Self::F8E5M2];

    /// Types that are kept so that `extract` returns them: nothing is computed with them.
    pub const KEPT: [Self; 11] = [
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::F64,
        Self::F8E8M0,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::Bool,
    ];

    /// Every stored type.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(Self::FLOAT8).chain(Self::KEPT)
    }

    /// The type with this code, if there is one.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::all().find(|d| *d as u16 == code)
    }

    /// A tensor beside has factors for it.
    pub const fn is_scaled(self) -> bool {
        matches!(self, Self::F8E4M3 | Self::F8E5M2)
    }

    /// Plain numbers that kernels add or multiply as they are.
    pub const fn is_plain(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
    }

    /// Nothing is computed with it.
    pub fn is_kept_only(self) -> bool {
        Self::KEPT.contains(&self)
    }

    /// The number that stands for this type in an archive.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The usual name, as GGUF tools print it.
    pub const fn name(self) -> &'static str {
        self.layout().0
    }

    /// Elements in one block.
    pub const fn block_len(self) -> u32 {
        self.layout().1
    }

    /// Bytes in one block.
    pub const fn block_bytes(self) -> u32 {
        self.layout().2
    }

    /// Name, elements and bytes of a block.
    const fn layout(self) -> (&'static str, u32, u32) {
        match self {
            Self::F32 => ("F32", 1, 4),
            Self::F16 => ("F16", 1, 2),
            Self::Q4_0 => ("Q4_0", 32, 18),
            Self::Q4_1 => ("Q4_1", 32, 20),
            Self::Q5_0 => ("Q5_0", 32, 22),
            Self::Q5_1 => ("Q5_1", 32, 24),
            Self::Q8_0 => ("Q8_0", 32, 34),
            Self::Q2K => ("Q2_K", 256, 84),
            Self::Q3K => ("Q3_K", 256, 110),
            Self::Q4K => ("Q4_K", 256, 144),
            Self::Q5K => ("Q5_K", 256, 176),
            Self::Q6K => ("Q6_K", 256, 210),
            Self::Iq2Xxs => ("IQ2_XXS", 256, 66),
            Self::Iq2Xs => ("IQ2_XS", 256, 74),
            Self::Iq3Xxs => ("IQ3_XXS", 256, 98),
            Self::Iq1S => ("IQ1_S", 256, 50),
            Self::Iq4Nl => ("IQ4_NL", 32, 18),
            Self::Iq3S => ("IQ3_S", 256, 110),
            Self::Iq2S => ("IQ2_S", 256, 82),
            Self::Iq4Xs => ("IQ4_XS", 256, 136),
            Self::Iq1M => ("IQ1_M", 256, 56),
            Self::Bf16 => ("BF16", 1, 2),
            Self::Tq1_0 => ("TQ1_0", 256, 54),
            Self::Tq2_0 => ("TQ2_0", 256, 66),
            Self::Mxfp4 => ("MXFP4", 32, 17),
            Self::F8E4M3 => ("F8_E4M3", 1, 1),
            Self::F8E5M2 => ("F8_E5M2", 1, 1),
            Self::I8 => ("I8", 1, 1),
            Self::I16 => ("I16", 1, 2),
            Self::I32 => ("I32", 1, 4),
            Self::I64 => ("I64", 1, 8),
            Self::F64 => ("F64", 1, 8),
            Self::F8E8M0 => ("F8_E8M0", 1, 1),
            Self::U8 => ("U8", 1, 1),
            Self::U16 => ("U16", 1, 2),
            Self::U32 => ("U32", 1, 4),
            Self::U64 => ("U64", 1, 8),
            Self::Bool => ("BOOL", 1, 1),
        }
    }

    /// Bytes of a row of `columns` elements; `None` where a row is no whole number of blocks, or on overflow.
    pub fn row_bytes(self, columns: u64) -> Option<u64> {
        let block = u64::from(self.block_len());
        columns.is_multiple_of(block).then(|| (columns / block).checked_mul(u64::from(self.block_bytes())))?
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
