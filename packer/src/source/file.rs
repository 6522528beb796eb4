//! A source file: opened once, read at any position from any thread.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{At, Error, Problem};

/// An open file of known length.
#[derive(Debug)]
pub(crate) struct SourceFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl SourceFile {
    /// Opens a regular file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        // before opening it, which would wait for a pipe's other end
        if !std::fs::metadata(path).at(path)?.is_file() {
            return Err(Problem::NotAFile).at(path);
        }
        let file = File::open(path).at(path)?;
        let metadata = file.metadata().at(path)?;
        Ok(Self { path: path.into(), file, len: metadata.len() })
    }

    /// Reads a whole text file of at most `limit` bytes; `None` if there is none.
    pub fn read_text(path: &Path, limit: u64) -> Result<Option<String>, Error> {
        let file = match Self::open(path) {
            Ok(file) => file,
            Err(Error { problem: Problem::Io(e), .. }) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        if file.len > limit {
            return Err(Problem::TooLong { len: file.len, limit }).at(path);
        }
        let mut bytes = vec![0; usize::try_from(file.len).unwrap_or(0)];
        file.read_at(&mut bytes, 0)?;
        String::from_utf8(bytes).map(Some).map_err(|_| Problem::NotUtf8).at(path)
    }

    /// Fills `buffer` from byte `offset` of the file on.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        self.file.read_exact_at(buffer, offset).at(&self.path)
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn len(&self) -> u64 {
        self.len
    }
}
