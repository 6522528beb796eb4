//! Choosing a part's codec by trying: what [`Policy`] allows, on a sample first, and the winner decoded again.

use symbiote_format::Codec;
use symbiote_format::codec::{CodecError, Shape};

use crate::policy::{Sized, promising, smallest};

/// Bytes of a sample, and how often a part must be as long for one to be taken.
const SAMPLE: usize = 256 << 10;
const WORTH_SAMPLING: usize = 4;
/// Runs of rows in a sample, spread over the part. Each is a multiple of four rows where it can be, the edge of zfp's blocks.
const RUNS: usize = 4;

/// Memory that is kept from part to part.
#[derive(Default)]
pub(crate) struct Scratch {
    trial: Vec<u8>,
    sample: Vec<u8>,
    decoded: Vec<u8>,
}

/// Why a part was not coded.
#[derive(Debug, PartialEq)]
pub(crate) enum CodingError {
    Codec(Codec, CodecError),
    /// The decoder does not give the source back: a bug, which must never reach a file.
    NotLossless(Codec),
}

impl Scratch {
    /// Appends the rows in `raw` to `out` by whichever of `candidates` makes them smallest, or as they are.
    pub fn append_smallest(
        &mut self,
        shape: Shape,
        raw: &[u8],
        candidates: &[Codec],
        out: &mut Vec<u8>,
    ) -> Result<Codec, CodingError> {
        let start = out.len();
        let mut best = (Codec::Raw, raw.len());
        for codec in self.worth_trying(shape, raw, candidates)? {
            let at = out.len();
            let Some(len) = encode(codec, shape, raw, out)? else { continue };
            let tried = (codec, len);
            let better = smallest(raw.len(), [best, tried]);
            if better == best {
                out.truncate(at);
            } else {
                out.copy_within(at.., start);
                out.truncate(start + tried.1);
                best = better;
            }
        }
        match best.0 {
            Codec::Raw => out.extend_from_slice(raw),
            codec => self.prove(codec, shape, raw, &out[start..])?,
        }
        Ok(best.0)
    }

    /// Those of `candidates` that a sample does not rule out.
    pub fn worth_trying(&mut self, shape: Shape, raw: &[u8], candidates: &[Codec]) -> Result<Vec<Codec>, CodingError> {
        let Some(rows) = sample(shape, raw, &mut self.sample) else { return Ok(candidates.to_vec()) };
        let shape = Shape { rows, ..shape };
        let mut tried: Vec<Sized> = Vec::with_capacity(candidates.len());
        for codec in candidates {
            self.trial.clear();
            let len = encode(*codec, shape, &self.sample, &mut self.trial)?;
            tried.extend(len.map(|len| (*codec, len)));
        }
        Ok(promising(self.sample.len(), &tried))
    }

    /// Fails unless `coded` gives `raw` back.
    pub fn prove(&mut self, codec: Codec, shape: Shape, raw: &[u8], coded: &[u8]) -> Result<(), CodingError> {
        // What was there must not be taken for what was decoded.
        self.decoded.clear();
        self.decoded.resize(raw.len(), 0);
        codec.decode(shape, coded, &mut self.decoded).map_err(|rule| CodingError::Codec(codec, rule))?;
        if self.decoded == raw { Ok(()) } else { Err(CodingError::NotLossless(codec)) }
    }
}

/// Appends `raw`, coded, to `out` and returns how long that is; appends nothing where the codec cannot keep these weights.
pub(crate) fn encode(codec: Codec, shape: Shape, raw: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, CodingError> {
    let start = out.len();
    match codec.encode(shape, raw, out) {
        Ok(()) => Ok(Some(out.len() - start)),
        Err(CodecError::Changed { .. }) => {
            out.truncate(start);
            Ok(None)
        }
        Err(rule) => Err(CodingError::Codec(codec, rule)),
    }
}

/// Puts runs of rows of `raw` into `out` and returns how many rows that are; `None` where the part is too short to bother.
fn sample(shape: Shape, raw: &[u8], out: &mut Vec<u8>) -> Option<u32> {
    let row = shape.row_bytes();
    let rows = shape.rows as usize;
    if raw.len() < WORTH_SAMPLING * SAMPLE || rows < WORTH_SAMPLING * RUNS {
        return None;
    }
    let run = (SAMPLE / RUNS / row).clamp(1, rows / WORTH_SAMPLING / RUNS);
    let run = if run >= 4 { run / 4 * 4 } else { run };
    out.clear();
    for number in 0..RUNS {
        let first = (rows - run) * number / (RUNS - 1);
        out.extend_from_slice(&raw[first * row..][..run * row]);
    }
    u32::try_from(run * RUNS).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use symbiote_format::Dtype;

    #[test]
    fn halves_are_taken_as_long_as_they_are_smaller() {
        let shape = Shape { dtype: Dtype::F32, rows: 8, columns: 64 };
        let mut weights = [1.5f32; 512];
        let odd = 1.0 + f32::EPSILON; // exact in neither
        let code = |weights: &[f32]| {
            let raw: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
            Scratch::default().append_smallest(shape, &raw, &[Codec::F16, Codec::Bf16], &mut Vec::new()).unwrap()
        };
        assert_eq!(code(&weights), Codec::F16);
        weights[100] = 1.0 + 1.0 / 1024.0; // too fine for bf16
        assert_eq!(code(&weights), Codec::F16);
        weights[200..202].fill(2f32.powi(40)); // too large for f16
        assert_eq!(code(&weights), Codec::Bf16);
        weights[300..420].fill(odd);
        assert_eq!(code(&weights), Codec::Bf16);
        weights[420..430].fill(odd);
        assert_eq!(code(&weights), Codec::Raw);
    }

    /// Weights as trained ones are, near enough: most exponents are few.
    fn bf16(count: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let bits = |r: u32, s: u32| (r & 0x807F | (0x78 + s % 6) << 7).to_le_bytes();
        (0..count).flat_map(|_| bits(next(), next()).into_iter().take(2)).collect()
    }

    #[test]
    fn the_smallest_is_appended_behind_what_was_there() {
        let shape = Shape { dtype: Dtype::Bf16, rows: 64, columns: 128 };
        let raw = bf16(64 * 128);
        let mut out = b"before".to_vec();
        let codec = Scratch::default().append_smallest(shape, &raw, &[Codec::P12, Codec::P11], &mut out).unwrap();
        assert_eq!(codec, Codec::P11);
        let (before, coded) = out.split_at(6);
        assert_eq!(before, b"before");
        let mut back = vec![0; raw.len()];
        codec.decode(shape, coded, &mut back).unwrap();
        assert!(back == raw && coded.len() * 4 < raw.len() * 3);
    }

    #[test]
    fn what_does_not_shrink_stays_raw() {
        let shape = Shape { dtype: Dtype::F32, rows: 64, columns: 64 };
        let raw: Vec<u8> = (0..shape.raw_len()).map(|i| ((i * i) >> 3).to_le_bytes()[0]).collect();
        let mut out = Vec::new();
        assert_eq!(Scratch::default().append_smallest(shape, &raw, &[Codec::P12], &mut out), Ok(Codec::Raw));
        assert!(out == raw);
    }

    #[test]
    fn what_does_not_come_back_is_found() {
        let shape = Shape { dtype: Dtype::Bf16, rows: 4, columns: 64 };
        let raw = bf16(256);
        let mut scratch = Scratch::default();
        assert_eq!(scratch.prove(Codec::Raw, shape, &raw, &raw), Ok(()));
        let mut other = raw.clone();
        other[100] ^= 1;
        assert_eq!(scratch.prove(Codec::Raw, shape, &raw, &other), Err(CodingError::NotLossless(Codec::Raw)));
        let cut = scratch.prove(Codec::Raw, shape, &raw, &raw[1..]);
        assert!(matches!(cut, Err(CodingError::Codec(Codec::Raw, CodecError::Length { .. }))));
    }

    #[test]
    fn a_sample_is_taken_of_long_parts_and_from_all_over() {
        let shape = |rows| Shape { dtype: Dtype::Bf16, rows, columns: 1024 };
        let numbered = |rows: u32| (0..rows).flat_map(|r| [r.to_le_bytes()[0]].repeat(2048)).collect::<Vec<_>>();
        let mut out = Vec::new();
        assert_eq!(sample(shape(511), &numbered(511), &mut out), None);
        assert_eq!(sample(shape(512), &numbered(512), &mut out), Some(4 * 32));
        assert_eq!((out[0], out[31 * 2048], out[out.len() - 1], out.len()), (0, 31, 255, 4 * 32 * 2048));
        let long = Shape { dtype: Dtype::F32, rows: 16, columns: 1 << 20 };
        assert_eq!(sample(long, &vec![0; long.raw_len()], &mut out), Some(4));
        assert_eq!(sample(Shape { rows: 1, ..long }, &vec![0; 4 << 20], &mut out), None);
    }
}
