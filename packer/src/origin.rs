//! Where the source's bytes of parts come from: the files of a model, or an archive.

use symbiote_format::{Archive, Codec};

use crate::archive_file::ArchiveFile;
use crate::error::{At, Error, Problem};
use crate::outline::Outline;
use crate::source::{SourceFile, StoredTensor};

/// Gives the source's bytes of parts, pack by pack, to several threads.
pub(crate) trait Origin: Sync {
    /// Gets a pack ready: `segment` is the caller's, for use with its parts.
    fn fetch(&self, pack: usize, segment: &mut Vec<u8>) -> Result<(), Error>;
    /// Writes the source's bytes of a part of that pack to `raw`, which is as long as they are.
    fn part(&self, part: usize, segment: &[u8], raw: &mut [u8]) -> Result<(), Error>;
}

/// A model's own files.
pub(crate) struct Files<'a> {
    pub outline: &'a Outline,
    pub files: &'a [SourceFile],
    /// Where each tensor of the outline lies.
    pub stored: &'a [StoredTensor],
}

impl Origin for Files<'_> {
    fn fetch(&self, _: usize, _: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }

    fn part(&self, part: usize, _: &[u8], raw: &mut [u8]) -> Result<(), Error> {
        let rows = self.outline.parts[part];
        self.stored[rows.tensor].read_rows(self.files, rows.row, self.outline.tensor(part).row_bytes, raw)
    }
}

/// An archive: its segments are checked against their hashes, its parts decoded.
pub(crate) struct Packed<'a> {
    pub outline: &'a Outline,
    pub file: &'a ArchiveFile,
    pub archive: &'a Archive<'a>,
}

impl Origin for Packed<'_> {
    fn fetch(&self, pack: usize, segment: &mut Vec<u8>) -> Result<(), Error> {
        let p = &self.archive.index().packs[pack];
        segment.resize(size(p.len.to_native()), 0);
        self.file.read(p, 0, segment)?;
        self.archive.verify_segment(pack, segment).at(self.file.path())
    }

    fn part(&self, part: usize, segment: &[u8], raw: &mut [u8]) -> Result<(), Error> {
        let p = &self.archive.index().parts[part];
        // parse() has placed every part inside its segment
        let coded = &segment[size(p.offset.to_native())..][..size(p.coded_len.to_native())];
        self.decode(part, coded, raw)
    }
}

impl Packed<'_> {
    /// Decodes the parts of a pack, one after the other, to `raw`.
    pub fn decode_all(&self, pack: usize, segment: &[u8], raw: &mut Vec<u8>) -> Result<(), Error> {
        for part in self.outline.packs[pack].clone() {
            raw.resize(size(self.outline.part_len(part)), 0);
            self.part(part, segment, raw)?;
        }
        Ok(())
    }

    /// Reads a part of `pack` alone and decodes it to `raw`; `coded` is memory for its bytes.
    pub fn read_part(&self, pack: usize, part: usize, coded: &mut Vec<u8>, raw: &mut Vec<u8>) -> Result<(), Error> {
        let index = self.archive.index();
        coded.resize(size(index.parts[part].coded_len.to_native()), 0);
        raw.resize(size(self.outline.part_len(part)), 0);
        self.file.read(&index.packs[pack], index.parts[part].offset.to_native(), coded)?;
        self.decode(part, coded, raw)
    }

    /// Decodes a part from its own bytes.
    pub fn decode(&self, part: usize, coded: &[u8], raw: &mut [u8]) -> Result<(), Error> {
        let codec = self.codec(part);
        let refuse = |rule| Problem::part(self.outline, part, codec, rule);
        codec.decode(self.outline.shape(part), coded, raw).map_err(refuse).at(self.file.path())
    }

    /// The codec of a part, which parse() has found in its table.
    pub fn codec(&self, part: usize) -> Codec {
        Codec::from_code(self.archive.index().parts[part].codec).unwrap_or(Codec::Raw)
    }
}

/// A length that the format or the outline has bounded.
fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
