//! The end of an archive, once its segments are written: places, index, header, and a look at what came out.

use std::io::{Seek, SeekFrom, Write};

use symbiote_format::{Archive, FormatError, HEADER_LEN, Header, Index, SEGMENT_ALIGN, align_up, lay_out_parts};

use crate::error::{At, Error, Problem};
use crate::map::Map;
use crate::monitor::Monitor;
use crate::output::Output;
use crate::report::ArchiveReport;
use crate::segments::{CodedPack, Segments};

/// Writes the segments where they belong, behind the header, which comes last: a file cut off anywhere has no valid one.
pub(crate) fn begin(segments: &Segments, out: &mut Output) -> Result<Vec<CodedPack>, Error> {
    segments.monitor.begin("packing", segments.outline.len());
    segments.write(out)
}

/// Writes index and header behind the segments.
pub(crate) fn finish(mut index: Index, out: &mut Output, monitor: &dyn Monitor) -> Result<ArchiveReport, Error> {
    let path = out.path().to_owned();
    let index_offset = lay_out(&mut index).at(&path)?;
    let bytes = index.to_bytes().at(&path)?;
    let header = Header::new(index_offset, &bytes).at(&path)?;
    let file = out.file();
    file.write_all(&bytes).at(&path)?;
    file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&header.encode())).at(&path)?;

    // what readers will see must be what was meant, before it gets its name
    let map = Map::of(out.file()).at(&path)?;
    Archive::parse(&map).at(&path)?;
    if monitor.interrupted() {
        return Err(Problem::Interrupted).at(&path);
    }
    Ok(ArchiveReport::of(&index, header.file_len))
}

/// Makes the index say what has become of every part.
pub(crate) fn record(index: &mut Index, packs: &[CodedPack]) {
    let coded = packs.iter().flat_map(|pack| &pack.parts);
    for (part, (codec, len)) in index.parts.iter_mut().zip(coded) {
        (part.codec, part.coded_len) = (codec.code(), *len);
    }
    for (pack, coded) in index.packs.iter_mut().zip(packs) {
        pack.sha256 = coded.sha256;
    }
}

/// Gives parts and packs their only places, by the lengths of the parts; returns that of the index. Packs keep the order in
/// which they lie.
pub(crate) fn lay_out(index: &mut Index) -> Result<u64, FormatError> {
    let overflow = || FormatError::Overflow { what: "segment end" };
    let mut order: Vec<usize> = (0..index.packs.len()).collect();
    order.sort_by_key(|pack| index.packs[*pack].offset);
    let mut offset = HEADER_LEN;
    for number in order {
        let pack = &mut index.packs[number];
        pack.len = lay_out_parts(&mut index.parts[pack.first_part as usize..][..pack.part_count as usize])?;
        pack.offset = offset;
        offset = offset.checked_add(pack.len).and_then(|end| align_up(end, SEGMENT_ALIGN)).ok_or_else(overflow)?;
    }
    Ok(offset)
}
