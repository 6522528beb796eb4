//! What each codec makes of a model's weights, tensor by tensor, beside what could be had. Only the weights are read, so
//! that a model of any architecture can be measured. Every encoding is decoded again and compared.

mod chart;
mod floor;
mod json;
mod tally;
mod text;

use std::io::{Read, Write};
use std::path::Path;

use symbiote_format::{Codec, MAGIC};

use crate::archive_file::ArchiveFile;
use crate::coding::{Scratch, encode};
use crate::error::{At, Error, Problem};
use crate::monitor::Monitor;
use crate::origin::{Files, Origin, Packed};
use crate::outline::{Matrix, Outline, PartRows};
use crate::output::Output;
use crate::planner::ROW_GRAIN;
use crate::policy::{Choice, Policy, Sized, Target, smallest};
use crate::source::{ForeignTensor, StoredTensor, Weights};
use crate::{limits, pipeline};
use floor::Counts;
use tally::Tally;
pub use tally::{Measurement, PartsOf, TensorMeasure, Total};

/// Tensors of other files than archives are measured in parts near this length.
const PART_BYTES: u64 = 4 << 20;

/// Measures the weights in `path`: an archive, a safetensors or GGUF file, or a folder with safetensors. Tensors are read one
/// part at a time. Draws what it found as `chart`, where one is asked for; one that is there is an error unless `force`.
pub fn measure(path: &Path, chart: Option<&Path>, force: bool, monitor: &dyn Monitor) -> Result<Measurement, Error> {
    // before the long work
    let mut chart = chart.map(|chart| Output::create(chart, 0, force)).transpose()?;
    let measurement = measure_file(path, monitor)?;
    if let Some(out) = &mut chart {
        let place = out.path().to_owned();
        out.file().write_all(measurement.to_svg().as_bytes()).at(&place)?;
    }
    chart.map_or(Ok(()), Output::commit)?;
    Ok(measurement)
}

fn measure_file(path: &Path, monitor: &dyn Monitor) -> Result<Measurement, Error> {
    if is_archive(path) {
        let file = ArchiveFile::open(path)?;
        let archive = file.parse()?;
        let outline = Outline::of_archived(archive.index()).at(path)?;
        let origin = Packed { outline: &outline, file: &file, archive: &archive };
        return Measure::new(&outline, &origin, monitor).run(path, Vec::new());
    }
    let weights = Weights::open(path)?;
    let stored: Vec<StoredTensor> = weights.tensors.into_iter().filter(|t| t.len > 0).collect();
    let outline = outline(&stored).at(path)?;
    let origin = Files { outline: &outline, files: &weights.files, stored: &stored };
    Measure::new(&outline, &origin, monitor).run(path, weights.foreign)
}

fn is_archive(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    let regular = path.is_file();
    regular && std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == MAGIC
}

/// Each tensor cut into parts, each part a pack of its own.
fn outline(stored: &[StoredTensor]) -> Result<Outline, Problem> {
    let mut outline = Outline::default();
    for (tensor, t) in stored.iter().enumerate() {
        let shape = if t.shape.is_empty() { &[1][..] } else { &t.shape };
        let matrix = Matrix::new(&t.name, t.dtype, shape)?;
        let fit = u32::try_from(PART_BYTES / matrix.row_bytes).unwrap_or(u32::MAX).max(1);
        let step = if fit > ROW_GRAIN { fit / ROW_GRAIN * ROW_GRAIN } else { fit };
        let mut row = 0;
        while row < matrix.rows {
            let rows = step.min(matrix.rows - row);
            outline.packs.push(outline.parts.len()..outline.parts.len() + 1);
            outline.parts.push(PartRows { tensor, row, rows });
            row += rows;
        }
        outline.tensors.push(matrix);
    }
    outline.check_lengths()?;
    Ok(outline)
}

/// What was found of one part.
struct PartMeasure {
    part: usize,
    /// Its length by each codec that takes it, and how many exceptions that makes.
    coded: Vec<(Sized, Option<u64>)>,
    /// What `convert` would take to run and to ship.
    run: Sized,
    ship: Sized,
    counts: Counts,
}

struct Measure<'a> {
    outline: &'a Outline,
    origin: &'a dyn Origin,
    monitor: &'a dyn Monitor,
    policies: [Policy; 2],
}

impl<'a> Measure<'a> {
    fn new(outline: &'a Outline, origin: &'a dyn Origin, monitor: &'a dyn Monitor) -> Self {
        let auto = |target| Policy::new(target, Choice::Auto).unwrap_or_default();
        let policies = [auto(Target::Run), auto(Target::Ship)];
        Self { outline, origin, monitor, policies }
    }

    fn run(&self, path: &Path, foreign: Vec<ForeignTensor>) -> Result<Measurement, Error> {
        self.monitor.begin("measuring", self.outline.len());
        let (pack, part) = self.outline.longest();
        // A code that does not fit at all takes several times the part.
        let threads = pipeline::threads(limits::BUFFER_BYTES, pack + 12 * part, None);
        let mut tally = Tally::new(self.outline);
        let done = |pack: usize, parts: Vec<PartMeasure>| {
            if self.monitor.interrupted() {
                return Err(Problem::Interrupted).at(path);
            }
            parts.into_iter().for_each(|part| tally.add(part));
            self.monitor.advance(self.outline.pack_len(pack));
            Ok(())
        };
        let count = self.outline.packs.len();
        pipeline::in_order(count, threads, vec![(); 2 * threads], || self.worker(path), done)?;
        Ok(tally.finish(path, foreign))
    }

    fn worker(&self, path: &Path) -> impl FnMut(usize, ()) -> Result<Vec<PartMeasure>, Error> {
        let (mut segment, mut raw, mut coded) = (Vec::new(), Vec::new(), Vec::new());
        let mut scratch = Scratch::default();
        move |pack, ()| {
            self.origin.fetch(pack, &mut segment)?;
            let mut parts = Vec::new();
            for part in self.outline.packs[pack].clone() {
                raw.resize(usize::try_from(self.outline.part_len(part)).unwrap_or(usize::MAX), 0);
                self.origin.part(part, &segment, &mut raw)?;
                parts.push(self.part(part, &raw, &mut coded, &mut scratch).at(path)?);
            }
            Ok(parts)
        }
    }

    fn part(&self, part: usize, raw: &[u8], out: &mut Vec<u8>, scratch: &mut Scratch) -> Result<PartMeasure, Problem> {
        let shape = self.outline.shape(part);
        let explain = |error| Problem::coding(self.outline, part, error);
        let mut coded = Vec::new();
        for codec in Codec::ALL.iter().copied().filter(|codec| codec.takes(shape.dtype)) {
            out.clear();
            let len = match encode(codec, shape, raw, out).map_err(explain)? {
                Some(len) => {
                    scratch.prove(codec, shape, raw, out).map_err(explain)?;
                    len
                }
                None => raw.len(), // as which the part would be written
            };
            coded.push(((codec, len), codec.exceptions(shape, len as u64)));
        }
        let facts = self.outline.tensor(part).facts();
        let mut taken = [(Codec::Raw, raw.len()); 2];
        for (taken, policy) in taken.iter_mut().zip(&self.policies) {
            let tried = scratch.worth_trying(shape, raw, &policy.candidates(facts)).map_err(explain)?;
            let lens = coded.iter().map(|(sized, _)| *sized).filter(|(codec, _)| tried.contains(codec));
            *taken = smallest(raw.len(), lens);
        }
        let [run, ship] = taken;
        Ok(PartMeasure { part, coded, run, ship, counts: Counts::of(shape.dtype, raw) })
    }
}
