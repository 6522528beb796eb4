//! Packs in the archive's file: read in the background, and judged when they are there.

use std::time::Duration;

use symbiote_format::{Archive, SegmentCheck};

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

/// Judges packs by the archive's index.
pub struct PackJudge {
    packs: Vec<SegmentCheck>,
}

impl PackJudge {
    /// Takes what it needs from `archive`.
    pub fn new(archive: &Archive<'_>) -> Self {
        Self { packs: (0..archive.index().packs.len()).map(|pack| archive.segment_check(pack)).collect() }
    }
}

impl PackCheck for PackJudge {
    fn check(&self, pack: usize, bytes: &[u8], hash: bool) -> Result<(), BoxError> {
        if hash {
            self.packs[pack].verify(bytes)?;
        }
        Ok(self.packs[pack].check(bytes)?)
    }
}
