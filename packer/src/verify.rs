//! Checking every segment against its hash.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use symbiote_format::Archive;

use crate::archive_file::ArchiveFile;
use crate::error::{At, Error, Problem};
use crate::limits;
use crate::monitor::Monitor;

/// What was found intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Packs in the archive.
    pub packs: usize,
    /// Bytes of their segments.
    pub bytes: u64,
}

/// Checks the archive at `path`: header, index, layout, and the SHA-256 of every segment, several at a time. The error
/// names the first corrupt segment.
pub fn verify(path: &Path, monitor: &dyn Monitor) -> Result<VerifyReport, Error> {
    let file = ArchiveFile::open(path)?;
    let archive = file.parse()?;
    let packs = &archive.index().packs;
    let lens = || packs.iter().map(|p| p.len.to_native());
    let bytes = lens().sum();
    monitor.begin("verifying", bytes);

    let longest = lens().max().unwrap_or(0).max(1);
    let fit = usize::try_from(limits::BUFFER_BYTES / longest).unwrap_or(usize::MAX);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(fit).max(1);
    let check = Check { file: &file, archive: &archive, next: AtomicUsize::new(0), failed: Mutex::default() };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(|| check.run(monitor)))));

    let mut failed = check.failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failed.sort_by_key(|(pack, _)| *pack);
    let more = failed.len().saturating_sub(1);
    match failed.into_iter().next() {
        None => Ok(VerifyReport { packs: packs.len(), bytes }),
        Some((_, Problem::Format(first))) if more > 0 => Err(Problem::SegmentsCorrupt { first, more }).at(path),
        Some((_, first)) => Err(first).at(path),
    }
}

struct Check<'a> {
    file: &'a ArchiveFile,
    archive: &'a Archive<'a>,
    next: AtomicUsize,
    failed: Mutex<Vec<(usize, Problem)>>,
}

impl Check<'_> {
    fn run(&self, monitor: &dyn Monitor) {
        let mut buffer = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(pack) = self.archive.index().packs.get(number) else { return };
            let len = pack.len.to_native();
            buffer.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
            let read = if monitor.interrupted() {
                Err(Problem::Interrupted)
            } else {
                self.file.read(pack, 0, &mut buffer).map_err(|e| e.problem)
            };
            let checked = read.and_then(|()| Ok(self.archive.verify_segment(number, &buffer)?));
            if let Err(problem) = checked {
                let stop = !matches!(problem, Problem::Format(_));
                if let Ok(mut failed) = self.failed.lock() {
                    failed.push((number, problem));
                }
                if stop {
                    return;
                }
            }
            monitor.advance(len);
        }
    }
}
