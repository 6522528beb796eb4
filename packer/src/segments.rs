//! Writing weights: several threads read, code and hash packs, one writes them in order. Memory is bounded by a fixed
//! number of buffers, whatever the model's size.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use symbiote_format::{Codec, PART_ALIGN, SEGMENT_ALIGN, Sha256};

use crate::coding::Scratch;
use crate::error::{At, Error, Problem};
use crate::monitor::Monitor;
use crate::origin::Origin;
use crate::outline::Outline;
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
    /// Writes every pack, from where `out` stands, each padded to its alignment. `path` names the output in errors.
    pub fn write(&self, out: &mut File, path: &Path) -> Result<Vec<CodedPack>, Error> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let count = self.outline.packs.len();
        let (longest_pack, longest_part) = self.outline.longest();
        // A thread has a pack as read and one as coded, a part as read, tried and decoded, and what codecs need.
        let threads = pipeline::threads(self.memory, 2 * longest_pack + 4 * longest_part, self.threads);
        let buffers = vec![Vec::new(); threads + 2];
        let mut coded = Vec::with_capacity(count);
        let done = |number: usize, (segment, pack): (Vec<u8>, CodedPack)| {
            if self.monitor.interrupted() {
                return Err(Problem::Interrupted).at(path);
            }
            let padding = segment.len().next_multiple_of(size(SEGMENT_ALIGN)) - segment.len();
            out.write_all(&segment).and_then(|()| out.write_all(&ZEROS[..padding])).at(path)?;
            self.monitor.advance(self.outline.pack_len(number));
            coded.push(pack);
            Ok(segment)
        };
        pipeline::in_order(count, threads, buffers, || self.coder(path), done)?;
        Ok(coded)
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

/// An alignment, or a length that the outline has bounded by a pack's cap.
fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
