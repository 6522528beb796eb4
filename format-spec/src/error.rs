//! Why an archive is refused: one variant a broken rule.

use crate::codec::CodecError;
use crate::{CoaccessError, ParamError};

/// A broken rule of the format. The caller adds the file's name.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum FormatError {
    /// The first bytes are something else.
    #[error(
        "this is not a .pak archive (it does not start with SYMBIOTE); convert a model with `symbiote-pack convert`"
    )]
    NotAPak,
    /// A later version of the format.
    #[error(
        "the archive has format version {found}, and this program reads version {newest}: convert the model again, or update the program"
    )]
    UnknownVersion {
        /// The version found.
        found: u32,
        /// The newest version known here.
        newest: u32,
    },
    /// The header does not match its own hash.
    #[error("the header is corrupt (its SHA-256 does not match): copy or download the archive again")]
    HeaderCorrupt,
    /// A header length other than 4096.
    #[error("the header claims {found} bytes; version 1 headers have 4096")]
    HeaderLength {
        /// The length claimed.
        found: u32,
    },
    /// Flags that version 1 does not define.
    #[error("the header sets flags {found:#x}, and version 1 defines none")]
    UnknownFlags {
        /// The flags found.
        found: u64,
    },
    /// A reserved byte that is not zero.
    #[error("reserved header byte {at} is not zero")]
    ReservedNotZero {
        /// Its offset.
        at: usize,
    },
    /// Fewer bytes than the header says.
    #[error("the file is cut off: {found} of {expected} bytes are there; copy or download the archive again")]
    Truncated {
        /// Bytes that should be there.
        expected: u64,
        /// Bytes that are.
        found: u64,
    },
    /// More bytes than the header says.
    #[error("the file has {found} bytes where its header says {expected}: something was appended to it")]
    TrailingBytes {
        /// Bytes that should be there.
        expected: u64,
        /// Bytes that are.
        found: u64,
    },
    /// The index is not where it must be.
    #[error(
        "the header puts the index at {offset}, {len} bytes long, in a file of {file_len} bytes: it must start on a 4096-byte boundary behind the header and end the file"
    )]
    IndexPlace {
        /// Claimed offset.
        offset: u64,
        /// Claimed length.
        len: u64,
        /// Claimed file length.
        file_len: u64,
    },
    /// The index does not match the header's hash.
    #[error("the index is corrupt (its SHA-256 does not match the header): copy or download the archive again")]
    IndexCorrupt,
    /// The index is no valid rkyv archive.
    #[error("the index cannot be read: {reason}")]
    IndexMalformed {
        /// What rkyv says.
        reason: String,
    },
    /// The index could not be written.
    #[error("the index cannot be encoded: {reason}")]
    IndexEncode {
        /// What rkyv says.
        reason: String,
    },
    /// A count or length above its cap.
    #[error("{what}: {found} is above the limit of {limit}")]
    AboveLimit {
        /// What was counted.
        what: &'static str,
        /// The claim.
        found: u64,
        /// The cap.
        limit: u64,
    },
    /// Arithmetic on claimed sizes overflows.
    #[error("{what} overflows 64 bits")]
    Overflow {
        /// What was computed.
        what: &'static str,
    },
    /// A code that its table does not have.
    #[error("{what} has the unknown {table} code {code}")]
    UnknownCode {
        /// Which tensor, pack or part.
        what: String,
        /// The code table.
        table: &'static str,
        /// The code.
        code: u64,
    },
    /// Two tensors of one name.
    #[error("two tensors are named {name}")]
    DuplicateTensor {
        /// The name.
        name: String,
    },
    /// An empty, overlong or unprintable tensor name.
    #[error("tensor {tensor} has no usable name (1 to 512 bytes, no control characters)")]
    TensorName {
        /// Its number.
        tensor: usize,
    },
    /// A shape that is empty, has a zero or does not divide into blocks.
    #[error("tensor {name}: shape {shape:?} cannot be stored as {dtype}")]
    TensorShape {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Its stored type.
        dtype: &'static str,
    },
    /// A layer number outside the model.
    #[error("{what} claims layer {layer}; the model has {layers}")]
    LayerOutOfRange {
        /// Which tensor or pack.
        what: String,
        /// Its layer.
        layer: u32,
        /// Layers in the model.
        layers: u32,
    },
    /// A pack whose parts are not the next ones.
    #[error(
        "pack {pack}: its parts start at {found} with {count} of them; part {expected} is next and {total} are there"
    )]
    PackParts {
        /// The pack.
        pack: usize,
        /// Claimed first part.
        found: u32,
        /// Claimed count.
        count: u32,
        /// The first part it must have.
        expected: usize,
        /// Parts in the archive.
        total: usize,
    },
    /// Parts that no pack holds.
    #[error("{count} parts belong to no pack")]
    StrayParts {
        /// How many.
        count: usize,
    },
    /// A segment that overlaps the one before it, leaves a gap, or is not aligned.
    #[error("pack {pack}: its segment is at {found} and must be at {expected}")]
    SegmentPlace {
        /// The pack.
        pack: usize,
        /// Claimed offset.
        found: u64,
        /// The only offset that leaves neither gap nor overlap.
        expected: u64,
    },
    /// A segment length that does not match its parts.
    #[error("pack {pack}: its segment is {found} bytes long and its parts take {expected}")]
    SegmentLength {
        /// The pack.
        pack: usize,
        /// Claimed length.
        found: u64,
        /// What the parts add up to.
        expected: u64,
    },
    /// A part that names a tensor that is not there.
    #[error("part {part} names tensor {tensor}, and there are {tensors}")]
    PartTensor {
        /// The part.
        part: usize,
        /// The tensor claimed.
        tensor: u32,
        /// Tensors in the archive.
        tensors: usize,
    },
    /// A part that is not where it must be in its segment.
    #[error("part {part}: it is at {found} in its segment and must be at {expected}")]
    PartPlace {
        /// The part.
        part: usize,
        /// Claimed offset.
        found: u64,
        /// The only offset that leaves neither gap nor overlap.
        expected: u64,
    },
    /// A part whose rows do not follow those before it.
    #[error("part {part}: rows {row}..{end} of {tensor} do not follow row {expected} of {rows}")]
    PartRows {
        /// The part.
        part: usize,
        /// The tensor.
        tensor: String,
        /// Claimed first row.
        row: u64,
        /// Claimed end.
        end: u64,
        /// The row that must come first.
        expected: u64,
        /// Rows of the tensor.
        rows: u64,
    },
    /// A part whose length in the source does not match its rows.
    #[error("part {part}: {found} bytes for {rows} rows of {tensor}, which take {expected}")]
    PartLength {
        /// The part.
        part: usize,
        /// The tensor.
        tensor: String,
        /// Rows in the part.
        rows: u32,
        /// Claimed length.
        found: u64,
        /// What the rows take.
        expected: u64,
    },
    /// A part whose codec does not take its type, or cannot need so many bytes.
    #[error("part {part} of {tensor}: {source}")]
    PartCoded {
        /// The part.
        part: usize,
        /// The tensor.
        tensor: String,
        /// What the codec says.
        source: CodecError,
    },
    /// A tensor whose rows are not all there.
    #[error("tensor {name}: {found} of its {rows} rows are in the archive")]
    TensorIncomplete {
        /// The tensor.
        name: String,
        /// Rows found.
        found: u64,
        /// Rows it has.
        rows: u64,
    },
    /// A tensor of a mixture of experts in a model, or in no layer, that has none.
    #[error("tensor {name} is of a mixture of experts: it must be in a layer, and the model must say experts.count")]
    MixtureUnsaid {
        /// The tensor.
        name: String,
    },
    /// A tensor of a mixture of experts of another shape than the hyperparameters ask for.
    #[error("tensor {name} is {} x {}, and the hyperparameters ask for {} x {}", .found[0], .found[1], .expected[0], .expected[1])]
    MixtureShape {
        /// The tensor.
        name: String,
        /// Its rows and columns.
        found: [u64; 2],
        /// What they must be.
        expected: [u64; 2],
    },
    /// Neither one tensor for all experts nor one for each.
    #[error("layer {layer} has {found} tensors {kind}: it must have one of all {count} experts, or {count}")]
    ExpertCount {
        /// Their kind.
        kind: &'static str,
        /// The layer.
        layer: u32,
        /// How many there are.
        found: u64,
        /// Experts of a layer.
        count: u64,
    },
    /// A pack of role expert that is not the next expert of its layer.
    #[error(
        "pack {pack}: it must hold expert {expert} of its layer, all rows of it and nothing else, right behind the expert before"
    )]
    ExpertPack {
        /// The pack.
        pack: usize,
        /// The expert that comes next.
        expert: u64,
    },
    /// Rows of an expert in a pack of another role.
    #[error("part {part}: rows of {tensor} are of experts and must be in packs of role expert")]
    ExpertPart {
        /// The part.
        part: usize,
        /// The tensor.
        tensor: String,
    },
    /// A tensor that something is computed with, of a type that is kept only.
    #[error("tensor {name} is stored as {dtype}, which is kept and not computed with: it must be unused")]
    KeptType {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: &'static str,
    },
    /// A tensor whose type needs factors, without them.
    #[error("tensor {name} is stored as {dtype} and has no factors: a scale must follow it in the index")]
    NoScale {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: &'static str,
    },
    /// Factors of nothing.
    #[error("tensor {name} is a scale, and the tensor before it in the index needs none")]
    StrayScale {
        /// The tensor.
        name: String,
    },
    /// Factors that do not fit.
    #[error("tensor {name} of {} x {} {dtype} is no scale of {of}", .found[0], .found[1])]
    ScaleShape {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: &'static str,
        /// Its rows and columns.
        found: [u32; 2],
        /// The tensor that it follows.
        of: String,
    },
    /// The index does not start where the last segment ends.
    #[error("the index is at {found} and the last segment ends at {expected}")]
    IndexGap {
        /// Where the header puts it.
        found: u64,
        /// The only place that leaves neither gap nor overlap.
        expected: u64,
    },
    /// A segment that does not match its hash.
    #[error(
        "pack {pack} ({role}, {layer}) is corrupt: bytes {offset}..{end} do not match their SHA-256; copy or download the archive again"
    )]
    SegmentCorrupt {
        /// The pack.
        pack: usize,
        /// Its role.
        role: &'static str,
        /// Its layer, in words.
        layer: String,
        /// Where the segment starts.
        offset: u64,
        /// Where it ends.
        end: u64,
    },
    /// Padding that is not zero.
    #[error("pack {pack}: byte {at} is padding and not zero; copy or download the archive again")]
    PaddingNotZero {
        /// The pack that it follows, or lies in.
        pack: usize,
        /// Its offset in the file.
        at: u64,
    },
    /// A hyperparameter that is missing or makes no sense.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// Co-access statistics that break a rule of theirs.
    #[error(transparent)]
    Coaccess(#[from] CoaccessError),
    /// A tokenizer whose tables disagree.
    #[error("the tokenizer cannot be used: {reason}")]
    Tokenizer {
        /// What disagrees.
        reason: String,
    },
}
