//! From an archive for one target to one for another.

use std::path::Path;

use symbiote_format::{Codec, Index};

use crate::archive_file::ArchiveFile;
use crate::archive_writer::{self, lay_out, record};
use crate::error::{At, Error, Problem};
use crate::limits;
use crate::monitor::Monitor;
use crate::origin::Packed;
use crate::outline::Outline;
use crate::output::{Output, same_file};
use crate::policy::Policy;
use crate::report::ArchiveReport;
use crate::segments::Segments;

/// How to repack.
#[derive(Clone, Debug, Default)]
pub struct RepackOptions {
    /// How the weights are coded.
    pub policy: Policy,
    /// Threads that code; as many as there are cores where nobody says. The archive is the same.
    pub threads: Option<usize>,
    /// An existing output is replaced.
    pub force: bool,
}

/// Writes the archive `input` again as `output`, its weights coded anew; all else is kept. What comes out is what
/// [`convert`](crate::convert()) makes of the source under the same policy. A corrupt archive is refused, and on failure there
/// is no new file.
pub fn repack(
    input: &Path,
    output: &Path,
    options: &RepackOptions,
    monitor: &dyn Monitor,
) -> Result<ArchiveReport, Error> {
    let file = ArchiveFile::open(input)?;
    let archive = file.parse()?;
    if same_file(input, output) {
        return Err(Problem::OutputUnusable).at(output);
    }
    let outline = Outline::of_archived(archive.index()).at(input)?;
    let origin = Packed { outline: &outline, file: &file, archive: &archive };
    let mut index = file.index(&archive)?;
    let mut out = Output::create(output, longest(&mut index).at(input)?, options.force)?;
    let (policy, threads) = (options.policy, options.threads);
    let memory = limits::BUFFER_BYTES;
    let segments = Segments { outline: &outline, origin: &origin, policy, memory, threads, monitor };
    record(&mut index, &archive_writer::begin(&segments, &mut out)?);
    let report = archive_writer::finish(index, &mut out, monitor)?;
    out.commit()?;
    Ok(report)
}

/// Makes every part raw; returns the archive's length up to its index, which no coding exceeds.
fn longest(index: &mut Index) -> Result<u64, Problem> {
    for part in &mut index.parts {
        (part.codec, part.coded_len) = (Codec::Raw.code(), part.raw_len);
    }
    Ok(lay_out(index)?)
}
