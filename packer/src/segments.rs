//! Writing weights: several threads read, code and hash packs, one writes them in order. Memory is bounded by a fixed
//! number of buffers, whatever the model's size.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use symbiote_format::{Codec, HEADER_LEN, PART_ALIGN, SEGMENT_ALIGN, Sha256};

use crate::coding::Scratch;
use crate::error::{At, Error, Problem};
use crate::monitor::Monitor;
use crate::origin::Origin;
use crate::outline::Outline;
use crate::output::Output;
use crate::pipeline;
use crate::policy::Policy;

/// What has become of a pack.
pub(crate) struct CodedPack {
    /// Codec and length of each part.
    pub parts: Vec<(Codec, u64)>,
    pub sha256: [u8; 32],
}

/// How to write.
pub(crate) struct Segments<'a> {
    pub outline: &'a Outline,
    pub origin: &'a dyn Origin,
    pub policy: Policy,
    /// Bytes for packs on their way through, which bound the threads.
    pub memory: u64,
    /// At most this many threads do the coding.
    pub threads: Option<usize>,
    pub monitor: &'a dyn Monitor,
}

impl Segments<'_> {
    /// Writes every pack where it belongs; returns what has become of each.
    pub fn write(&self, out: &mut Output) -> Result<Vec<CodedPack>, Error> {
        let (longest_pack, longest_part) = self.outline.longest();
        // A thread has a pack as read and one as coded, a part as read, tried and decoded, and what codecs need.
        let threads = pipeline::threads(self.memory, 2 * longest_pack + 4 * longest_part, self.threads);
        let path = out.path().to_owned();
        write_each(self.outline, threads, out, self.monitor, || self.coder(&path))
    }

    /// Makes segments: the parts of a pack, coded, in their places, zeros between them.
    fn coder(&self, path: &Path) -> impl FnMut(usize, Vec<u8>) -> Result<(Vec<u8>, CodedPack), Error> {
        let (mut fetched, mut raw, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
        move |number, mut segment| {
            segment.clear();
            self.origin.fetch(number, &mut fetched)?;
            let mut parts = Vec::new();
            for part in self.outline.packs[number].clone() {
                segment.resize(segment.len().next_multiple_of(size(PART_ALIGN)), 0);
                raw.resize(size(self.outline.part_len(part)), 0);
                self.origin.part(part, &fetched, &mut raw)?;
                let candidates = self.policy.candidates(self.outline.tensor(part).facts());
                let (shape, start) = (self.outline.shape(part), segment.len());
                let codec = scratch.append_smallest(shape, &raw, &candidates, &mut segment);
                let codec = codec.map_err(|error| Problem::coding(self.outline, part, error)).at(path)?;
                parts.push((codec, (segment.len() - start) as u64));
            }
            let sha256 = Sha256::of(&segment);
            Ok((segment, CodedPack { parts, sha256 }))
        }
    }
}

/// Writes the segments that `maker` makes of numbers of packs and used buffers, in the order in which packs lie, behind the
/// header's place, each padded to its alignment. Returns what it says of each pack.
pub(crate) fn write_each<T: Send, W: FnMut(usize, Vec<u8>) -> Result<(Vec<u8>, T), Error>>(
    outline: &Outline,
    threads: usize,
    out: &mut Output,
    monitor: &dyn Monitor,
    maker: impl Fn() -> W + Sync,
) -> Result<Vec<T>, Error> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let path = out.path().to_owned();
    let file = out.file();
    file.seek(SeekFrom::Start(HEADER_LEN)).at(&path)?;
    let buffers = vec![Vec::new(); threads + 2];
    let mut made: Vec<(usize, T)> = Vec::with_capacity(outline.order.len());
    let worker = || {
        let mut make = maker();
        move |place: usize, buffer| make(outline.order[place], buffer)
    };
    let done = |place: usize, (segment, pack): (Vec<u8>, T)| {
        if monitor.interrupted() {
            return Err(Problem::Interrupted).at(&path);
        }
        let padding = segment.len().next_multiple_of(size(SEGMENT_ALIGN)) - segment.len();
        file.write_all(&segment).and_then(|()| file.write_all(&ZEROS[..padding])).at(&path)?;
        let number = outline.order[place];
        monitor.advance(outline.pack_len(number));
        made.push((number, pack));
        Ok(segment)
    };
    pipeline::in_order(outline.order.len(), threads, buffers, worker, done)?;
    made.sort_unstable_by_key(|(number, _)| *number);
    Ok(made.into_iter().map(|(_, pack)| pack).collect())
}

/// An alignment, or a length that the outline has bounded by a pack's cap.
fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
