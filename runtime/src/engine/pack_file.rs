//! Packs in the archive's file: read in the background, and judged when they are there.

use std::ops::Range;
use std::time::Duration;

use symbiote_format::codec::Shape;
use symbiote_format::{Archive, Codec, Dtype, FormatError, NO_LAYER, PackRole, Sha256};

use crate::pak::{AsyncPrefetcher, PakFile, ReadRequest, ReadTarget};
use crate::residency::{BoxError, PackCheck, PackReader};

/// Reads packs of an archive.
pub struct PackFile {
    prefetcher: AsyncPrefetcher,
    /// Offset of each pack in the file.
    offsets: Vec<u64>,
}

impl PackFile {
    /// Reads the packs of `pak` with `prefetcher`.
    pub fn new(pak: &PakFile, prefetcher: AsyncPrefetcher) -> Self {
        let offsets = pak.archive().index().packs.iter().map(|p| p.offset.to_native()).collect();
        Self { prefetcher, offsets }
    }

    /// What reads.
    pub fn prefetcher(&self) -> &AsyncPrefetcher {
        &self.prefetcher
    }
}

impl PackReader<ReadTarget> for PackFile {
    fn begin(&mut self, id: u64, pack: usize, target: ReadTarget, urgent: bool) {
        self.prefetcher.submit(ReadRequest { id, offset: self.offsets[pack], target, urgent });
    }

    fn done(&mut self, timeout: Duration) -> Option<(u64, Result<(), BoxError>)> {
        let done = if timeout.is_zero() { self.prefetcher.poll() } else { self.prefetcher.wait(timeout) };
        done.map(|done| (done.id, done.outcome.map_err(BoxError::from)))
    }
}

/// Judges packs by the archive's index: by a copy of what it needs, as pages of a map are gone when the file is cut off.
pub struct PackJudge {
    packs: Vec<Judged>,
}

struct Judged {
    role: &'static str,
    layer: u32,
    /// In the file, in bytes.
    place: Range<u64>,
    sha256: [u8; 32],
    parts: Vec<JudgedPart>,
}

struct JudgedPart {
    number: usize,
    tensor: Box<str>,
    bytes: Range<usize>,
    codec: Codec,
    shape: Shape,
}

impl PackJudge {
    /// Takes what it needs from `archive`.
    pub fn new(archive: &Archive<'_>) -> Self {
        let index = archive.index();
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let part = |number: usize| {
            let part = &index.parts[number];
            let tensor = &index.tensors[part.tensor.to_native() as usize];
            let start = size(part.offset.to_native());
            // validation has found codec, type and columns in their tables and ranges
            let dtype = Dtype::from_code(tensor.dtype.to_native()).unwrap_or(Dtype::F32);
            let columns = u32::try_from(tensor.shape.last().map_or(0, |n| n.to_native())).unwrap_or(u32::MAX);
            JudgedPart {
                number,
                tensor: tensor.name.as_str().into(),
                bytes: start..start + size(part.coded_len.to_native()),
                codec: Codec::from_code(part.codec).unwrap_or(Codec::Raw),
                shape: Shape { dtype, rows: part.rows.to_native(), columns },
            }
        };
        let packs = index.packs.iter().map(|p| {
            let first = p.first_part.to_native() as usize;
            let parts = (first..first + p.part_count.to_native() as usize).map(part).collect();
            let (role, start) = (PackRole::from_code(p.role).map_or("unknown", PackRole::name), p.offset.to_native());
            Judged {
                role,
                layer: p.layer.to_native(),
                place: start..start + p.len.to_native(),
                sha256: p.sha256,
                parts,
            }
        });
        Self { packs: packs.collect() }
    }
}

impl PackCheck for PackJudge {
    fn check(&self, pack: usize, bytes: &[u8], hash: bool) -> Result<(), BoxError> {
        let judged = &self.packs[pack];
        if hash && Sha256::of(bytes) != judged.sha256 {
            let layer = if judged.layer == NO_LAYER { "no layer".into() } else { format!("layer {}", judged.layer) };
            let (role, Range { start: offset, end }) = (judged.role, judged.place.clone());
            return Err(FormatError::SegmentCorrupt { pack, role, layer, offset, end }.into());
        }
        for JudgedPart { number, tensor, bytes: range, codec, shape } in &judged.parts {
            codec.check(*shape, &bytes[range.clone()]).map_err(|source| FormatError::PartCoded {
                part: *number,
                tensor: tensor.clone().into(),
                source,
            })?;
        }
        Ok(())
    }
}
