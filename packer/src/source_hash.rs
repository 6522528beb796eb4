//! Which files an archive came from: name, length, SHA-256.

use std::sync::atomic::{AtomicBool, Ordering};

use symbiote_format::{Sha256, Source};

use crate::error::{At, Error, Problem};
use crate::monitor::Monitor;
use crate::source::SourceFile;

const CHUNK: usize = 4 << 20;

/// Hashes `files` front to back. Stops once `abandon` is set, or the caller asks.
pub(crate) fn hash(files: &[SourceFile], abandon: &AtomicBool, monitor: &dyn Monitor) -> Result<Vec<Source>, Error> {
    let mut buffer = vec![0; CHUNK];
    files.iter().map(|file| hash_one(file, &mut buffer, abandon, monitor)).collect()
}

fn hash_one(
    file: &SourceFile,
    buffer: &mut [u8],
    abandon: &AtomicBool,
    monitor: &dyn Monitor,
) -> Result<Source, Error> {
    let mut sha256 = Sha256::default();
    let mut at = 0;
    while at < file.len() {
        if abandon.load(Ordering::Relaxed) || monitor.interrupted() {
            return Err(Problem::Interrupted).at(file.path());
        }
        let n = usize::try_from(file.len() - at).map_or(CHUNK, |left| left.min(CHUNK));
        file.read_at(&mut buffer[..n], at)?;
        sha256.update(&buffer[..n]);
        at += n as u64;
    }
    let name = file.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Source { name, len: file.len(), sha256: sha256.finish() })
}
