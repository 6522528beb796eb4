//! Checking every segment against its hash, and every part against the rules of its codec.

use std::path::Path;

use crate::archive_file::ArchiveFile;
use crate::error::{At, Error, Problem};
use crate::monitor::Monitor;
use crate::origin::{Origin, Packed};
use crate::outline::Outline;
use crate::{limits, pipeline};

/// What was found intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Packs in the archive.
    pub packs: usize,
    /// Bytes of their segments.
    pub bytes: u64,
}

/// Checks the archive at `path`: header, index, layout, the SHA-256 of every segment, and that every part decodes; several
/// packs at a time. The error names the first that is corrupt.
pub fn verify(path: &Path, monitor: &dyn Monitor) -> Result<VerifyReport, Error> {
    let file = ArchiveFile::open(path)?;
    let archive = file.parse()?;
    let outline = Outline::of_archived(archive.index()).at(path)?;
    let packed = Packed { outline: &outline, file: &file, archive: &archive };
    check(&packed, monitor, &|pack, segment, raw| packed.decode_all(pack, segment, raw))
}

/// Checks the SHA-256 of every segment only.
pub(crate) fn verify_hashes(packed: &Packed, monitor: &dyn Monitor) -> Result<VerifyReport, Error> {
    check(packed, monitor, &|_, _, _| Ok(()))
}

/// A check of a pack's number and segment, with memory to decode a part.
type Check<'a> = &'a (dyn Fn(usize, &[u8], &mut Vec<u8>) -> Result<(), Error> + Sync);

/// Goes through all packs, corrupt ones too, to count them.
fn check(packed: &Packed, monitor: &dyn Monitor, further: Check) -> Result<VerifyReport, Error> {
    let packs = &packed.archive.index().packs;
    let bytes = packs.iter().map(|p| p.len.to_native()).sum();
    let longest_segment = packs.iter().map(|p| p.len.to_native()).max().unwrap_or(0);
    monitor.begin("verifying", bytes);

    // a part as decoded, and what its codec needs for that
    let threads = pipeline::threads(limits::BUFFER_BYTES, longest_segment + 3 * packed.outline.longest().1, None);
    let worker = || {
        let (mut segment, mut raw) = (Vec::new(), Vec::new());
        move |pack: usize, ()| {
            let checked = packed.fetch(pack, &mut segment).and_then(|()| further(pack, &segment, &mut raw));
            match checked {
                Err(Error { problem: problem @ (Problem::Format(_) | Problem::Part { .. }), .. }) => Ok(Some(problem)),
                other => other.map(|()| None),
            }
        }
    };
    let mut corrupt = Vec::new();
    let done = |pack: usize, problem: Option<Problem>| {
        if monitor.interrupted() {
            return Err(Problem::Interrupted).at(packed.file.path());
        }
        corrupt.extend(problem);
        monitor.advance(packs[pack].len.to_native());
        Ok(())
    };
    pipeline::in_order(packs.len(), threads, vec![(); 2 * threads], worker, done)?;

    let more = corrupt.len().saturating_sub(1);
    match corrupt.into_iter().next() {
        None => Ok(VerifyReport { packs: packs.len(), bytes }),
        Some(first) if more > 0 => Err(Problem::PacksCorrupt { first: first.into(), more }).at(packed.file.path()),
        Some(first) => Err(first).at(packed.file.path()),
    }
}
