//! From a source to an archive.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use symbiote_format::{Source, TensorKind};

use crate::architecture::{self, ArchitectureError};
use crate::archive_writer::{self, lay_out, record};
use crate::coaccess::Profile;
use crate::draft::{Draft, draft};
use crate::error::{At, Error, Problem};
use crate::monitor::Monitor;
use crate::origin::Files;
use crate::outline::Outline;
use crate::output::{Output, same_file};
use crate::policy::Policy;
use crate::report::ArchiveReport;
use crate::segments::{CodedPack, Segments};
use crate::source::{self, Checkpoint, SourceFile, StoredTensor, gguf};
use crate::{limits, source_hash};

/// How to convert.
#[derive(Clone, Debug)]
pub struct ConvertOptions {
    /// Packs are cut near this size, in bytes of the source.
    pub pack_size: u64,
    /// How the weights are coded.
    pub policy: Policy,
    /// Threads that code; as many as there are cores where nobody says. The archive is the same.
    pub threads: Option<usize>,
    /// What is known of the experts.
    pub profile: Option<Profile>,
    /// An existing output is replaced.
    pub force: bool,
}

impl Default for ConvertOptions {
    fn default() -> Self {
        Self { pack_size: 16 << 20, policy: Policy::default(), threads: None, profile: None, force: false }
    }
}

/// Converts `input`, a GGUF file or a Hugging Face folder, into the archive `output`. On failure there is no new file,
/// and an old one is as it was.
pub fn convert(
    input: &Path,
    output: &Path,
    options: &ConvertOptions,
    monitor: &dyn Monitor,
) -> Result<ArchiveReport, Error> {
    let mut checkpoint = source::open(input)?;
    if checkpoint.files.iter().any(|file| same_file(file.path(), output)) {
        return Err(Problem::OutputUnusable).at(output);
    }
    check_tied_head(&checkpoint, input)?;
    let stored = std::mem::take(&mut checkpoint.tensors);
    let tensors = architecture::assign(checkpoint.architecture, checkpoint.layout, &checkpoint.model, stored);
    let Draft { mut index, index_offset, stored } = draft(&checkpoint, tensors.at(input)?, options.pack_size, input)?;
    if let Some(profile) = &options.profile {
        profile.apply(&mut index)?;
        lay_out(&mut index).at(input)?;
    }
    let outline = Outline::of(&index).at(input)?;
    let origin = Files { outline: &outline, files: &checkpoint.files, stored: &stored };
    let mut out = Output::create(output, index_offset, options.force)?;
    let (policy, threads) = (options.policy, options.threads);
    let memory = limits::BUFFER_BYTES;
    let segments = Segments { outline: &outline, origin: &origin, policy, memory, threads, monitor };
    let (packs, sources) = code_and_hash(&segments, &checkpoint.files, &mut out)?;
    index.provenance.sources = sources;
    record(&mut index, &packs);
    let report = archive_writer::finish(index, &mut out, monitor)?;
    out.commit()?;
    Ok(report)
}

/// Where [`convert`] writes when nobody says: the input's name with `.pak`, in the working directory.
pub fn default_output(input: &Path) -> Result<PathBuf, Error> {
    // `.` and `..` have names only once they are resolved
    let resolved = input.canonicalize().at(input)?;
    let named = if input.file_name().is_some() { input } else { &resolved };
    let stem = if resolved.is_dir() { named.file_name() } else { named.file_stem() };
    let stem = stem.and_then(|s| s.to_str()).ok_or(Problem::OutputUnnamed).at(input)?;
    Ok(PathBuf::from(format!("{}.pak", gguf::stem(stem))))
}

/// Codes the weights while the sources are hashed: the second reader finds the bytes of the first in the page cache.
fn code_and_hash(
    segments: &Segments,
    files: &[SourceFile],
    out: &mut Output,
) -> Result<(Vec<CodedPack>, Vec<Source>), Error> {
    let abandon = AtomicBool::new(false);
    thread::scope(|scope| {
        let sources = scope.spawn(|| source_hash::hash(files, &abandon, segments.monitor));
        let packs = archive_writer::begin(segments, out);
        abandon.store(packs.is_err(), Ordering::Relaxed);
        // a panic there is a bug: let it be seen as one
        let sources = sources.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((packs?, sources?))
    })
}

/// transformers has changed its mind on a head that is stored, different from the embedding, and said to be tied to it:
/// such a model is refused. One that is the same is kept, unused.
fn check_tied_head(checkpoint: &Checkpoint, input: &Path) -> Result<(), Error> {
    let name = |kind| checkpoint.architecture.tensor_name(checkpoint.layout, kind);
    let find = |kind| checkpoint.tensors.iter().find(|t| t.name == name(kind));
    let (Some(head), Some(embedding)) = (find(TensorKind::Output), find(TensorKind::TokenEmbedding)) else {
        return Ok(());
    };
    if !checkpoint.model.config.tied_embeddings || same_bytes(&checkpoint.files, head, embedding)? {
        return Ok(());
    }
    let (head, embedding) = (head.name.clone(), embedding.name.clone());
    Err(ArchitectureError::TiedHeadDiffers { head, embedding }).at(input)
}

fn same_bytes(files: &[SourceFile], a: &StoredTensor, b: &StoredTensor) -> Result<bool, Error> {
    const CHUNK: usize = 1 << 20;
    if (a.dtype, &a.shape, a.len) != (b.dtype, &b.shape, b.len) {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    for at in (0..a.len).step_by(CHUNK) {
        let n = usize::try_from(a.len - at).map_or(CHUNK, |rest| rest.min(CHUNK));
        files[a.file].read_at(&mut left[..n], a.offset + at)?;
        files[b.file].read_at(&mut right[..n], b.offset + at)?;
        if left[..n] != right[..n] {
            return Ok(false);
        }
    }
    Ok(true)
}
