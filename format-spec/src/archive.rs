//! An archive in memory: checked once, then used in place.

use crate::validate::validate;
use crate::{ArchivedIndex, ArchivedWeightPack, FormatError, Header, ModelConfig, NO_LAYER, PackRole, Result, Sha256};

/// A checked archive over the bytes of a whole file (a memory map, as a rule).
#[derive(Clone)]
pub struct Archive<'a> {
    bytes: &'a [u8],
    index: &'a ArchivedIndex,
    config: ModelConfig,
}

impl<'a> Archive<'a> {
    /// Checks header, index hash, index structure and layout. Segments are not hashed here: see
    /// [`verify_pack`](Self::verify_pack). `bytes` must start at a 16-byte boundary, as every memory map does.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let header = Header::decode(bytes)?;
        // decode() has bounded these by the length of `bytes`
        let index = &bytes[to_usize(header.index_offset)..];
        if Sha256::of(index) != header.index_sha256 {
            return Err(FormatError::IndexCorrupt);
        }
        let index = rkyv::access::<ArchivedIndex, rkyv::rancor::Error>(index)
            .map_err(|e| FormatError::IndexMalformed { reason: e.to_string() })?;
        let config = validate(index, header.index_offset)?;
        Ok(Self { bytes, index, config })
    }

    /// The index, in place.
    pub fn index(&self) -> &'a ArchivedIndex {
        self.index
    }

    /// The model's hyperparameters.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Length of the whole file in bytes.
    pub fn file_len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The segment of a pack, as coded.
    pub fn segment(&self, pack: &ArchivedWeightPack) -> &'a [u8] {
        // validate() has placed every segment inside the file
        &self.bytes[to_usize(pack.offset.to_native())..][..to_usize(pack.len.to_native())]
    }

    /// Checks the segment of pack number `pack` against its hash.
    pub fn verify_pack(&self, pack: usize) -> Result<()> {
        self.verify_segment(pack, self.segment(&self.index.packs[pack]))
    }

    /// Checks `bytes`, read from the file by other means than the map, against the hash of pack number `pack`.
    pub fn verify_segment(&self, pack: usize, bytes: &[u8]) -> Result<()> {
        let p = &self.index.packs[pack];
        if Sha256::of(bytes) == p.sha256 {
            return Ok(());
        }
        let offset = p.offset.to_native();
        Err(FormatError::SegmentCorrupt {
            pack,
            role: PackRole::from_code(p.role).map_or("unknown", PackRole::name),
            layer: match p.layer.to_native() {
                NO_LAYER => "no layer".into(),
                layer => format!("layer {layer}"),
            },
            offset,
            end: offset + p.len.to_native(),
        })
    }
}

/// A size that is known to lie inside a slice.
fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
