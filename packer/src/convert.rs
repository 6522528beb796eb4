//! From a source to an archive.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use symbiote_format::{Archive, HEADER_LEN, Header, Source, TensorKind};

use crate::architecture::{self, ArchitectureError};
use crate::draft::{Draft, draft};
use crate::error::{At, Error, Problem};
use crate::map::Map;
use crate::monitor::Monitor;
use crate::output::Output;
use crate::source::{self, Checkpoint, SourceFile, StoredTensor, gguf};
use crate::{limits, segments, source_hash};

/// How to convert.
#[derive(Clone, Debug)]
pub struct ConvertOptions {
    /// Packs are cut near this size, in bytes.
    pub pack_size: u64,
    /// An existing output is replaced.
    pub force: bool,
}

impl Default for ConvertOptions {
    fn default() -> Self {
        Self { pack_size: 16 << 20, force: false }
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvertReport {
    /// The architecture.
    pub architecture: &'static str,
    /// Tensors in the archive.
    pub tensors: usize,
    /// Packs in the archive.
    pub packs: usize,
    /// Length of the archive, in bytes.
    pub file_len: u64,
    /// A vocabulary is in it.
    pub has_tokenizer: bool,
}

/// Converts `input`, a GGUF file or a Hugging Face folder, into the archive `output`. On failure there is no new file,
/// and an old one is as it was.
pub fn convert(
    input: &Path,
    output: &Path,
    options: &ConvertOptions,
    monitor: &dyn Monitor,
) -> Result<ConvertReport, Error> {
    let found = options.pack_size;
    if !limits::PACK_TARGET.contains(&found) {
        return Err(Problem::PackSize { found }).at(input);
    }
    let mut checkpoint = source::open(input)?;
    if checkpoint.files.iter().any(|file| same_file(file.path(), output)) {
        return Err(Problem::OutputUnusable).at(output);
    }
    check_tied_head(&checkpoint, input)?;
    let stored = std::mem::take(&mut checkpoint.tensors);
    let tensors = architecture::assign(checkpoint.architecture, checkpoint.layout, &checkpoint.config, stored);
    let draft = draft(&checkpoint, tensors.at(input)?, options.pack_size, input)?;
    let mut out = Output::create(output, draft.index_offset, options.force)?;
    let report = write(draft, &checkpoint, &mut out, monitor)?;
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

/// Segments, index, header: in this order, so that a file cut off anywhere has no valid header.
fn write(
    draft: Draft,
    checkpoint: &Checkpoint,
    out: &mut Output,
    monitor: &dyn Monitor,
) -> Result<ConvertReport, Error> {
    let path = out.path().to_owned();
    monitor.begin("packing", draft.index.packs.iter().map(|p| p.len).sum());
    out.file().seek(SeekFrom::Start(HEADER_LEN)).at(&path)?;
    let (hashes, sources) = copy_and_hash(&draft, checkpoint, out, monitor)?;
    let Draft { mut index, index_offset, .. } = draft;
    for (pack, hash) in index.packs.iter_mut().zip(hashes) {
        pack.sha256 = hash;
    }
    index.provenance.sources = sources;
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
    Ok(ConvertReport {
        architecture: checkpoint.architecture.name,
        tensors: index.tensors.len(),
        packs: index.packs.len(),
        file_len: header.file_len,
        has_tokenizer: index.tokenizer.is_some(),
    })
}

/// Copies the weights while the sources are hashed: the second reader finds the bytes of the first in the page cache.
fn copy_and_hash(
    draft: &Draft,
    checkpoint: &Checkpoint,
    out: &mut Output,
    monitor: &dyn Monitor,
) -> Result<(Vec<[u8; 32]>, Vec<Source>), Error> {
    let path = out.path().to_owned();
    let abandon = AtomicBool::new(false);
    thread::scope(|scope| {
        let sources = scope.spawn(|| source_hash::hash(&checkpoint.files, &abandon, monitor));
        let hashes = segments::copy(draft, &checkpoint.files, out.file(), &path, monitor);
        abandon.store(hashes.is_err(), Ordering::Relaxed);
        // a panic there is a bug: let it be seen as one
        let sources = sources.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((hashes?, sources?))
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
    if !checkpoint.config.tied_embeddings || same_bytes(&checkpoint.files, head, embedding)? {
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

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
