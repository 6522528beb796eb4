//! Why a run fails: a file, and what is wrong with it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use symbiote_format::codec::CodecError;
use symbiote_format::{ByteSize, Codec, FormatError};

use crate::architecture::ArchitectureError;
use crate::coding::CodingError;
use crate::outline::Outline;
use crate::planner::PlanError;
use crate::source::gguf::GgufError;
use crate::source::safetensors::SafetensorsError;

/// A failure, with the file that it is about.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    /// The file or folder.
    pub file: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// One line, whatever names the files hold.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{}: {}", self.file.display(), self.problem);
        f.write_str(&line.replace(char::is_control, "?"))
    }
}

/// What can be wrong: one variant a broken rule, those of the formats in their own tables.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The operating system refused something.
    #[error("{}", io_sentence(.0))]
    Io(#[from] io::Error),
    /// A folder, device or pipe where a file must be.
    #[error("this is not a regular file")]
    NotAFile,
    /// One safetensors file, without what describes the model.
    #[error("a safetensors file alone does not describe a model: name its folder, with config.json in it")]
    FolderExpected,
    /// A file that cannot be measured.
    #[error(
        "its weights cannot be read: name a .pak archive, a GGUF or safetensors file, or a folder with safetensors"
    )]
    NoWeights,
    /// A text file that is too long to be what its name says.
    #[error("it has {len} bytes, and the limit is {limit}")]
    TooLong {
        /// Its length.
        len: u64,
        /// The cap.
        limit: u64,
    },
    /// A text file that is not UTF-8.
    #[error("it is not UTF-8 text")]
    NotUtf8,
    /// A broken rule of GGUF.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A broken rule of safetensors or of a Hugging Face folder.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
    /// A model that this program cannot run.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
    /// A model that cannot be cut into packs.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A broken rule of the archive.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Coded bytes that break a rule of their codec, although their hash matches.
    #[error("tensor {tensor}, part {part} (rows {}..{}, {codec}): {rule}; convert the model again", .rows.start, .rows.end)]
    Part {
        /// The tensor.
        tensor: String,
        /// The part's number in the archive.
        part: usize,
        /// Its rows.
        rows: Range<u64>,
        /// Its codec.
        codec: Codec,
        /// The broken rule.
        rule: CodecError,
    },
    /// Coded bytes that do not give their source back.
    #[error(
        "tensor {tensor}, rows {}..{}: {codec} does not give them back bit for bit, so nothing was written; this is a bug in this program: report it, and use another --codec", .rows.start, .rows.end
    )]
    NotLossless {
        /// The tensor.
        tensor: String,
        /// Its rows.
        rows: Range<u64>,
        /// The codec.
        codec: Codec,
    },
    /// Several packs that are corrupt.
    #[error("{first} ({more} more packs are corrupt too)")]
    PacksCorrupt {
        /// The first of them.
        first: Box<Problem>,
        /// How many others there are.
        more: usize,
    },
    /// The output is there already.
    #[error("the file exists: name another with -o, or add --force to replace it")]
    OutputExists,
    /// The output is one of the inputs, or a folder.
    #[error("this cannot be the output: it is a folder or the source itself; name another file with -o")]
    OutputUnusable,
    /// No output name can be made from the input's.
    #[error("no output name can be made from this: name one with -o")]
    OutputUnnamed,
    /// Too little room on the output's disk.
    #[error("the disk has {} free and the file takes {}: make room or choose another place with -o", ByteSize(*.free), ByteSize(*.needed))]
    DiskFull {
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// A target size of a pack that makes no sense.
    #[error("the pack size is {found} bytes: it must be from 4096 (4KiB) to 536870912 (512MiB)")]
    PackSize {
        /// The size.
        found: u64,
    },
    /// An archive of a mixture of experts that nobody has profiled.
    #[error(
        "it has no co-access statistics: make them with `symbiote-run profile`, and put them in with `symbiote-pack annotate`"
    )]
    NoCoaccess,
    /// A tensor whose name a safetensors header cannot hold.
    #[error("the tensor {name:?} cannot be stored in a safetensors file: the name has a meaning there")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// The caller asked to stop.
    #[error("interrupted: nothing was written")]
    Interrupted,
}

impl Problem {
    pub(crate) fn part(outline: &Outline, part: usize, codec: Codec, rule: CodecError) -> Self {
        let (tensor, rows) = outline.rows_of(part);
        Self::Part { tensor, part, rows, codec, rule }
    }

    pub(crate) fn coding(outline: &Outline, part: usize, error: CodingError) -> Self {
        match error {
            CodingError::Codec(codec, rule) => Self::part(outline, part, codec, rule),
            CodingError::NotLossless(codec) => {
                let (tensor, rows) = outline.rows_of(part);
                Self::NotLossless { tensor, rows, codec }
            }
        }
    }
}

fn io_sentence(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::StorageFull => "the disk is full: make room or choose another place with -o".into(),
        io::ErrorKind::UnexpectedEof => "the file became shorter while it was read".into(),
        _ => error.to_string(),
    }
}

/// Says which file a failure is about.
pub(crate) trait At<T> {
    /// Adds the file.
    fn at(self, file: &Path) -> Result<T, Error>;
}

impl<T, E: Into<Problem>> At<T> for Result<T, E> {
    fn at(self, file: &Path) -> Result<T, Error> {
        self.map_err(|problem| Error { file: file.into(), problem: problem.into() })
    }
}
