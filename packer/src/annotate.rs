//! An archive again, with other co-access statistics.

use std::path::Path;

use crate::archive_file::ArchiveFile;
use crate::archive_writer::{self, lay_out};
use crate::coaccess::Profile;
use crate::error::{At, Error};
use crate::monitor::Monitor;
use crate::origin::{Origin, Packed};
use crate::outline::Outline;
use crate::output::Output;
use crate::report::ArchiveReport;
use crate::{limits, pipeline, segments};

/// Writes the archive `input` again with the statistics of `profile` instead of those that it has: as `output`, or, where nobody
/// names one, in its own place. Segments are what they were, byte for byte, each checked against its hash on the way; on failure
/// everything is as it was. A program that has mapped the old file keeps it.
pub fn annotate(
    input: &Path,
    output: Option<&Path>,
    profile: &Profile,
    force: bool,
    monitor: &dyn Monitor,
) -> Result<ArchiveReport, Error> {
    let file = ArchiveFile::open(input)?;
    let archive = file.parse()?;
    let mut index = file.index(&archive)?;
    profile.apply(&mut index)?;
    let index_offset = lay_out(&mut index).at(input)?;
    let outline = Outline::of(&index).at(input)?;
    let packed = Packed { outline: &outline, file: &file, archive: &archive };
    // a link to the archive stays one
    let own = input.canonicalize().at(input)?;
    let mut out = Output::create(output.unwrap_or(&own), index_offset, force || output.is_none())?;

    monitor.begin("copying", outline.len());
    let longest = archive.index().packs.iter().map(|pack| pack.len.to_native()).max().unwrap_or(0);
    let threads = pipeline::threads(limits::BUFFER_BYTES, longest, None);
    let copy = || |pack: usize, mut segment: Vec<u8>| packed.fetch(pack, &mut segment).map(|()| (segment, ()));
    segments::write_each(&outline, threads, &mut out, monitor, copy)?;
    let report = archive_writer::finish(index, &mut out, monitor)?;
    out.commit()?;
    Ok(report)
}
