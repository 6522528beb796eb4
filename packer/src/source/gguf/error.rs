//! Why a GGUF file is refused: one variant a broken rule.

/// A broken rule of the GGUF format, or something in it that this program cannot keep. The caller adds the file's name.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum GgufError {
    /// The first bytes are something else.
    #[error("this is not a GGUF file (it does not start with GGUF)")]
    NotGguf,
    /// Written on, and for, a big-endian machine.
    #[error("this GGUF file is big-endian: convert the original model again on a little-endian machine")]
    BigEndian,
    /// A version that this reader does not know.
    #[error("this is GGUF version {found}, and this program reads versions 2 and 3: convert the original model again")]
    UnknownVersion {
        /// The version found.
        found: u32,
    },
    /// The file ends inside something.
    #[error("the file is cut off: it ends at byte {len}, inside {what} at byte {at}; copy or download it again")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        at: u64,
        /// Length of the file.
        len: u64,
    },
    /// A count or length above its cap.
    #[error("the file claims {found} {what}, and the limit is {limit}: it is corrupt")]
    AboveLimit {
        /// What was counted.
        what: &'static str,
        /// The claim.
        found: u64,
        /// The cap.
        limit: u64,
    },
    /// Text that is not UTF-8.
    #[error("{what} at byte {at} is not UTF-8 text")]
    NotUtf8 {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        at: u64,
    },
    /// One key twice.
    #[error("the key {key} is there twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A value type that GGUF does not define.
    #[error("the key {key} has the unknown value type {code}")]
    UnknownValueType {
        /// The key.
        key: String,
        /// The type code.
        code: u32,
    },
    /// An array of arrays.
    #[error("the key {key} is an array of arrays, which no model uses")]
    NestedArray {
        /// The key.
        key: String,
    },
    /// A truth value that is neither 0 nor 1.
    #[error("the key {key} is a truth value of {found}: it must be 0 or 1")]
    BadBool {
        /// The key.
        key: String,
        /// The byte.
        found: u8,
    },
    /// A key that must be there.
    #[error("the key {key} is missing")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A key of another type than it must have.
    #[error("the key {key} is {found}: it must be {expected}")]
    KeyType {
        /// The key.
        key: String,
        /// Its value, described.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// An alignment that is no power of two.
    #[error("general.alignment is {found}: it must be a power of two up to 1048576")]
    Alignment {
        /// The alignment.
        found: u64,
    },
    /// An empty tensor name, or one that cannot be printed.
    #[error("tensor {number} has no usable name (1 to 512 bytes, no control characters)")]
    TensorName {
        /// Its number.
        number: u64,
    },
    /// Two tensors of one name.
    #[error("two tensors are named {name}")]
    DuplicateTensor {
        /// The name.
        name: String,
    },
    /// No dimension, or too many.
    #[error("tensor {name} has {found} dimensions: it must have 1 to 4")]
    Dimensions {
        /// The tensor.
        name: String,
        /// Dimensions claimed.
        found: u32,
    },
    /// A shape with a zero, or with too many elements.
    #[error("tensor {name} has the impossible shape {shape:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape, outermost dimension first.
        shape: Vec<u64>,
    },
    /// A stored type that this program does not read.
    #[error(
        "tensor {name} is stored as {found}, which this program does not read: use a file in F32, F16, BF16, Q2_K to Q8_0, IQ1_S to IQ4_XS, TQ1_0, TQ2_0 or MXFP4"
    )]
    UnknownType {
        /// The tensor.
        name: String,
        /// The type's name.
        found: String,
    },
    /// A row that is no whole number of blocks.
    #[error("tensor {name} has rows of {columns} elements, and {dtype} stores blocks of {block}")]
    PartialBlock {
        /// The tensor.
        name: String,
        /// Elements a row.
        columns: u64,
        /// Its stored type.
        dtype: &'static str,
        /// Elements a block.
        block: u32,
    },
    /// Data that does not start at the file's alignment.
    #[error(
        "tensor {name} starts at byte {offset} of the data, which is no multiple of general.alignment, {alignment}"
    )]
    Misaligned {
        /// The tensor.
        name: String,
        /// Its offset.
        offset: u64,
        /// The alignment.
        alignment: u64,
    },
    /// Data beyond the end of the file.
    #[error(
        "tensor {name} takes {len} bytes from byte {offset} of the data, and there are {available}: the file is cut off; copy or download it again"
    )]
    OutOfBounds {
        /// The tensor.
        name: String,
        /// Its offset.
        offset: u64,
        /// Its length.
        len: u64,
        /// Bytes of data in the file.
        available: u64,
    },
    /// Two tensors that share bytes.
    #[error("tensors {first} and {second} overlap")]
    Overlap {
        /// The one that starts first.
        first: String,
        /// The one that starts inside it.
        second: String,
    },
    /// One file of a split model, under a name that does not say so.
    #[error(
        "this is file {number} of {count} of a split model: its name must end in -{number:05}-of-{count:05}.gguf, beside the others"
    )]
    SplitName {
        /// Its number, from 1.
        number: u64,
        /// How many files there are.
        count: u64,
    },
    /// A file of a split model that is not the one its name says.
    #[error("its name says that it is file {expected} of {count} of a split model, and it is file {number} of {found}")]
    SplitNumber {
        /// Number by its name, from 1.
        expected: u64,
        /// Files by its name.
        count: u64,
        /// Number by its keys, from 1.
        number: u64,
        /// Files by its keys.
        found: u64,
    },
    /// A split model whose files do not have all its tensors.
    #[error("the files of this split model have {found} tensors together, and it says {expected}")]
    SplitTensors {
        /// Tensors found.
        found: u64,
        /// Tensors by `split.tensors.count`.
        expected: u64,
    },
    /// A vocabulary of another kind.
    #[error(
        "the tokenizer is a {model:?}, which this program does not read: it reads gpt2 (byte-level BPE), llama (SentencePiece) and gemma4"
    )]
    UnknownTokenizer {
        /// `tokenizer.ggml.model`.
        model: String,
    },
    /// A table of the vocabulary that is shorter than it.
    #[error("the tokenizer has {tokens} tokens and {found} entries in {key}")]
    TokenizerTable {
        /// The table.
        key: &'static str,
        /// Its length.
        found: usize,
        /// Length of the vocabulary.
        tokens: usize,
    },
    /// A token type that GGUF does not define.
    #[error("token {id} has the unknown type {found}")]
    TokenType {
        /// The token.
        id: usize,
        /// Its type.
        found: i32,
    },
    /// A special token beyond the vocabulary.
    #[error("{key} is {id}, and the vocabulary has {tokens} tokens")]
    TokenId {
        /// The key.
        key: &'static str,
        /// The id.
        id: u64,
        /// Length of the vocabulary.
        tokens: usize,
    },
}
