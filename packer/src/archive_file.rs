//! An archive on disk, opened for reading.

use std::path::Path;

use symbiote_format::{Archive, ArchivedWeightPack, FormatError, Index};

use crate::error::{At, Error};
use crate::map::Map;
use crate::source::SourceFile;

/// An open archive: its index is used in place from the map, its segments are read.
pub(crate) struct ArchiveFile {
    file: SourceFile,
    map: Map,
}

impl ArchiveFile {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = SourceFile::open(path)?;
        let map = Map::of(file.file()).at(path)?;
        Ok(Self { file, map })
    }

    /// Checks all but the segments' hashes.
    pub fn parse(&self) -> Result<Archive<'_>, Error> {
        Archive::parse(&self.map).at(self.file.path())
    }

    /// The index of `archive`, which is this one's, to be changed.
    pub fn index(&self, archive: &Archive) -> Result<Index, Error> {
        let malformed = |e: rkyv::rancor::Error| FormatError::IndexMalformed { reason: e.to_string() };
        rkyv::deserialize(archive.index()).map_err(malformed).at(self.file.path())
    }

    /// Fills `buffer` from byte `at` of the segment of `pack` on.
    pub fn read(&self, pack: &ArchivedWeightPack, at: u64, buffer: &mut [u8]) -> Result<(), Error> {
        // parse() has bounded the segment by the file
        self.file.read_at(buffer, pack.offset.to_native() + at)
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }
}
