//! Why coded bytes are refused.

use crate::{Codec, Dtype};

/// Why coded bytes, or bytes to code, are refused: one variant a broken rule.
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
    /// Bytes behind the last weight, up to a multiple of 4, that are not zero.
    #[error("the bytes that fill up the weights are not zero")]
    Padding,
    /// No zstd frame, or one that is cut off, or more than one.
    #[error("{bytes} coded bytes are not one whole zstd frame")]
    Frame {
        /// How many there are.
        bytes: u64,
    },
    /// A zstd frame of another length than the rows have.
    #[error("the zstd frame declares {found} bytes, and the rows have {expected}")]
    Content {
        /// As declared.
        found: u64,
        /// As the shape asks.
        expected: u64,
    },
    /// What zstd refuses to decode.
    #[error("zstd: {reason}")]
    Zstd {
        /// What it says.
        reason: String,
    },
    /// A zfp stream that no array of the shape can have.
    #[error("a zfp stream of {found} bytes, not 1 to {most} words of 8")]
    Words {
        /// As found.
        found: u64,
        /// The most words.
        most: u64,
    },
    /// A zfp stream that ends before its bytes do, or after.
    #[error("the zfp stream ends at byte {found} of {expected}")]
    StreamEnd {
        /// Where it ends.
        found: u64,
        /// Where it should.
        expected: u64,
    },
    /// An encoder's error: what it made is not what it was given.
    #[error("{codec} does not give these weights back")]
    Changed {
        /// The codec.
        codec: Codec,
    },
}
