//! An archive in memory: checked once, then used in place.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::validate::validate;
use crate::{
    ArchivedIndex, ArchivedWeightPack, Coaccess, FormatError, Header, ModelConfig, PackRole, Result, SEGMENT_ALIGN,
    SegmentCheck, Sha256, align_up,
};

/// A checked archive over the bytes of a whole file (a memory map, as a rule).
#[derive(Clone)]
pub struct Archive<'a> {
    bytes: &'a [u8],
    index: &'a ArchivedIndex,
    index_sha256: [u8; 32],
    config: ModelConfig,
    coaccess: Option<Arc<Coaccess>>,
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
        let (config, coaccess) = validate(index, header.index_offset)?;
        Ok(Self { bytes, index, index_sha256: header.index_sha256, config, coaccess: coaccess.map(Arc::new) })
    }

    /// The index, in place.
    pub fn index(&self) -> &'a ArchivedIndex {
        self.index
    }

    /// SHA-256 of the index. As the index has the hash of every segment, it names the whole archive.
    pub fn index_sha256(&self) -> &[u8; 32] {
        &self.index_sha256
    }

    /// The model's hyperparameters.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What texts did to the model's experts, if anybody has profiled it.
    pub fn coaccess(&self) -> Option<&Coaccess> {
        self.coaccess.as_deref()
    }

    /// Bytes of the experts that one token goes through, which is what a cache of experts must hold to be of use: of each layer
    /// the longest, as many as a token uses. `None` for a model without experts.
    pub fn token_cycle_bytes(&self) -> Option<u64> {
        let used = self.config.design.experts.as_ref()?.used as usize;
        let mut layers = BTreeMap::<u32, Vec<u64>>::new();
        for pack in self.experts() {
            layers.entry(pack.layer.to_native()).or_default().push(pack.len.to_native());
        }
        let longest = |mut lengths: Vec<u64>| {
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.into_iter().take(used).sum::<u64>()
        };
        Some(layers.into_values().map(longest).sum())
    }

    /// Bytes of all experts.
    pub fn expert_bytes(&self) -> u64 {
        self.experts().map(|pack| pack.len.to_native()).sum()
    }

    fn experts(&self) -> impl Iterator<Item = &'a ArchivedWeightPack> {
        self.index.packs.iter().filter(|pack| pack.role == PackRole::Expert.code())
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

    /// Checks the segment of pack number `pack` against its hash, and that the padding in it and behind it is zero. With
    /// every pack checked, no byte of the file has gone unchecked.
    pub fn verify_pack(&self, pack: usize) -> Result<()> {
        self.verify_segment(pack, self.segment(&self.index.packs[pack]))
    }

    /// Checks as [`verify_pack`](Self::verify_pack) does, with the segment's `bytes` read from the file by other means than
    /// the map.
    pub fn verify_segment(&self, pack: usize, bytes: &[u8]) -> Result<()> {
        self.segment_check(pack).verify(bytes)?;
        self.check_padding(pack)
    }

    /// What the index says of the segment of pack number `pack`, apart from the file.
    pub fn segment_check(&self, pack: usize) -> SegmentCheck {
        SegmentCheck::new(self.index, pack)
    }

    /// Between parts, and from the last part to the next segment. Left to [`verify_pack`](Self::verify_pack) because it
    /// touches a page of every segment, and parsing touches none.
    fn check_padding(&self, pack: usize) -> Result<()> {
        let p = &self.index.packs[pack];
        let start = p.offset.to_native();
        let first = p.first_part.to_native() as usize;
        let parts = &self.index.parts[first..][..p.part_count.to_native() as usize];
        // validate() has placed the parts in order, and the next segment or the index at a multiple of SEGMENT_ALIGN
        let next = align_up(start + p.len.to_native(), SEGMENT_ALIGN).unwrap_or(start);
        let starts = parts.iter().skip(1).map(|part| start + part.offset.to_native()).chain([next]);
        for (part, next) in parts.iter().zip(starts) {
            let end = start + part.offset.to_native() + part.coded_len.to_native();
            if let Some(at) = self.bytes[to_usize(end)..to_usize(next)].iter().position(|b| *b != 0) {
                return Err(FormatError::PaddingNotZero { pack, at: end + at as u64 });
            }
        }
        Ok(())
    }
}

/// A size that is known to lie inside a slice.
fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
