//! Co-access statistics on their way into an archive: their file, and the order of experts that they advise.

use std::path::{Path, PathBuf};

use symbiote_format::{Coaccess, FormatError, Index, PackRole, limits};

use crate::error::{At, Error, Problem};
use crate::source::SourceFile;

/// Statistics to put into an archive.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Their file, which `symbiote-run profile` writes.
    pub file: PathBuf,
    /// How the experts of a layer are to lie; as they do where nobody says.
    pub order: Option<ExpertOrder>,
}

/// How the experts of a layer lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpertOrder {
    /// By their numbers.
    Number,
    /// Those that are used together beside each other.
    Coaccess,
}

impl Profile {
    /// Puts the statistics into `index`, and the experts into their order: it has to be laid out after that.
    pub(crate) fn apply(&self, index: &mut Index) -> Result<(), Error> {
        let coaccess = read(&self.file)?;
        coaccess.annotate(index).at(&self.file)?;
        if let Some(order) = self.order {
            arrange(index, &coaccess, order);
        }
        Ok(())
    }
}

/// Reads the statistics at `path`, and checks them.
pub(crate) fn read(path: &Path) -> Result<Coaccess, Error> {
    // header and weights take less than a page
    const LIMIT: u64 = limits::COACCESS_BYTES as u64 + 4096;
    let file = SourceFile::open(path)?;
    if file.len() > LIMIT {
        return Err(Problem::TooLong { len: file.len(), limit: LIMIT }).at(path);
    }
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap_or(0)];
    file.read_at(&mut bytes, 0)?;
    Coaccess::from_file(&bytes).map_err(FormatError::from).at(path)
}

/// Gives packs offsets that ascend as they are to lie.
fn arrange(index: &mut Index, coaccess: &Coaccess, order: ExpertOrder) {
    for (place, pack) in (0..).zip(&mut index.packs) {
        pack.offset = place;
    }
    let is_expert = |role| role == PackRole::Expert.code();
    for run in index.packs.chunk_by_mut(|a, b| is_expert(a.role) && is_expert(b.role) && a.layer == b.layer) {
        let (first, layer) = (run[0].offset, coaccess.mixture.layers.iter().position(|layer| *layer == run[0].layer));
        let Some(layer) = layer.filter(|_| is_expert(run[0].role) && order == ExpertOrder::Coaccess) else { continue };
        for (place, expert) in (first..).zip(coaccess.order(layer)) {
            if let Some(pack) = run.get_mut(*expert as usize) {
                pack.offset = place;
            }
        }
    }
}
