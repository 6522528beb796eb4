//! Why an archive cannot be opened or read.

use std::io;
use std::path::PathBuf;

use symbiote_format::FormatError;

use super::prefetch::ReadError;

/// Why an archive cannot be opened or read; every message starts with the file's name.
#[derive(Debug, thiserror::Error)]
pub enum PakError {
    /// Nothing has that name.
    #[error("{}: there is no such file", .path.display())]
    Missing {
        /// The name asked for.
        path: PathBuf,
    },
    /// A folder.
    #[error("{}: this is a folder; name the .pak file in it", .path.display())]
    Folder {
        /// The name asked for.
        path: PathBuf,
    },
    /// A pipe or a device, which cannot be mapped.
    #[error("{}: this is not a regular file, and only those can be mapped", .path.display())]
    NotAFile {
        /// The name asked for.
        path: PathBuf,
    },
    /// No bytes at all.
    #[error("{}: the file is empty; copy or convert the model again", .path.display())]
    Empty {
        /// The name asked for.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("{}: cannot {doing} it: {error}", .path.display())]
    Io {
        /// The name asked for.
        path: PathBuf,
        /// What was tried: `open`, `map`, `read` or `look at`.
        doing: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The file breaks a rule of the format.
    #[error("{}: {error}", .path.display())]
    Format {
        /// The name asked for.
        path: PathBuf,
        /// The rule.
        error: FormatError,
    },
    /// A read failed.
    #[error(transparent)]
    Read {
        /// Which, and why.
        error: ReadError,
    },
}
